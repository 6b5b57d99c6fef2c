//! The smallest useful workflow: one question, the answer streamed as it comes, and
//! left in `/scratch/answer.md`.

use rusty_genius::genius::cortex::Session;
use rusty_genius::genius::journal::{Level, append};
use rusty_genius::genius::reply::{Fragment, emit};
use rusty_genius::genius::types::{
    Behavior, Error, FinishReason, InferenceConfig, InferenceEvent, Role, Sampling, Turn,
};

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

struct Ask;
export!(Ask);

impl Guest for Ask {
    async fn run(args: Vec<String>) -> Result<(), Failure> {
        let prompt = args.join(" ");
        if prompt.trim().is_empty() {
            return Err(Failure::Usage("ask takes a prompt: ask WORDS…".into()));
        }
        let (answer, finish) = ask(prompt).await.map_err(Failure::Host)?;

        std::fs::write("/scratch/answer.md", &answer)
            .map_err(|e| Failure::Failed(format!("/scratch/answer.md: {e}")))?;
        let note = format!("{} bytes of answer, {}", answer.len(), describe(&finish));
        append(Level::Info, &note).map_err(Failure::Host)?;

        match finish {
            FinishReason::Failed(e) => Err(Failure::Host(Error::Engine(e))),
            _ => Ok(()),
        }
    }
}

/// Puts the question to the run's default model; forwards and collects the answer.
async fn ask(prompt: String) -> Result<(String, FinishReason), Error> {
    let session = Session::open(String::new()).await?;
    let turn = Turn {
        role: Role::User,
        content: prompt,
    };
    let inference = session.infer(vec![turn], defaults()).await?;

    let mut answer = String::new();
    let mut finish = FinishReason::Cancelled;
    let mut events = inference.events();
    let mut batch = Vec::with_capacity(256);
    loop {
        (_, batch) = events.read(batch).await;
        if batch.is_empty() {
            return Ok((answer, finish));
        }
        let mut fragments = Vec::with_capacity(batch.len());
        for event in batch.drain(..) {
            match event {
                InferenceEvent::Content(text) => {
                    answer.push_str(&text);
                    fragments.push(Fragment::Content(text));
                }
                InferenceEvent::Thought(thought) => fragments.push(Fragment::Thought(thought)),
                InferenceEvent::Complete(completion) => finish = completion.finish,
                InferenceEvent::ProcessStart | InferenceEvent::ToolCall(_) => {}
            }
        }
        // One call a batch: a call costs more than the words in it.
        emit(&fragments)?;
    }
}

/// Leaves every choice to the model's and the host's defaults.
fn defaults() -> InferenceConfig {
    InferenceConfig {
        behavior: Behavior {
            max_tokens: None,
            stop: None,
            thoughts: None,
        },
        sampling: Sampling {
            temperature: None,
            top_k: None,
            top_p: None,
            min_p: None,
            repeat_penalty: None,
            seed: None,
        },
    }
}

fn describe(finish: &FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop => "complete",
        FinishReason::Length => "cut at the token limit",
        FinishReason::ToolCall => "the model asked for a tool",
        FinishReason::Cancelled => "cancelled",
        FinishReason::Failed(_) => "the engine failed",
    }
}
