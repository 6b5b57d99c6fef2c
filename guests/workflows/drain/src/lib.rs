//! Reads one generation as fast as it comes, counts its events and forwards nothing:
//! what is left is the cost of the stream itself. For benchmarks.
//!
//! Arguments: `[MAX-TOKENS] [PROMPT…]`.

use rusty_genius::genius::cortex::Session;
use rusty_genius::genius::journal::{Level, append};
use rusty_genius::genius::types::{Error, FinishReason, InferenceEvent, Role, Setting, Turn};

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

struct Drain;
export!(Drain);

impl Guest for Drain {
    async fn run(args: Vec<String>) -> Result<(), Failure> {
        let max_tokens: Option<u32> = args.first().and_then(|arg| arg.parse().ok());
        let prompt = args[usize::from(max_tokens.is_some())..].join(" ");
        let count = drain(max_tokens, prompt).await.map_err(Failure::Host)?;

        let note = format!(
            "{} events, {} bytes of content, {} reads",
            count.events, count.bytes, count.reads
        );
        append(Level::Info, &note).map_err(Failure::Host)?;
        match count.finish {
            Some(FinishReason::Failed(e)) => Err(Failure::Host(Error::Engine(e))),
            Some(_) => Ok(()),
            None => Err(Failure::Failed(
                "the stream ended without `complete`".into(),
            )),
        }
    }
}

#[derive(Default)]
struct Count {
    events: u64,
    bytes: usize,
    reads: u64,
    finish: Option<FinishReason>,
}

async fn drain(max_tokens: Option<u32>, prompt: String) -> Result<Count, Error> {
    let session = Session::open(String::new()).await?;
    let turn = Turn {
        role: Role::User,
        content: if prompt.is_empty() {
            "Count.".into()
        } else {
            prompt
        },
    };
    let config = max_tokens.map(Setting::MaxTokens).into_iter().collect();
    let inference = session.infer(vec![turn], config).await?;

    let mut count = Count::default();
    let mut events = inference.events();
    let mut batch = Vec::with_capacity(256);
    loop {
        (_, batch) = events.read(batch).await;
        if batch.is_empty() {
            return Ok(count);
        }
        count.reads += 1;
        count.events += batch.len() as u64;
        for event in batch.drain(..) {
            match event {
                InferenceEvent::Content(text) => count.bytes += text.len(),
                InferenceEvent::Complete(completion) => count.finish = Some(completion.finish),
                _ => {}
            }
        }
    }
}
