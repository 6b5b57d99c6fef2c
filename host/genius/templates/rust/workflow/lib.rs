//! Asks the run's default model what the arguments say, and streams the reply.

use rusty_genius::genius::cortex::Session;
use rusty_genius::genius::reply::{Fragment, emit};
use rusty_genius::genius::types::{Error, FinishReason, InferenceEvent, Role, Turn};

wit_bindgen::generate!({ path: "wit", world: "{{world}}" });

struct Workflow;
export!(Workflow);

impl Guest for Workflow {
    async fn run(args: Vec<String>) -> Result<(), Failure> {
        let Some(prompt) = prompt(&args) else {
            return Err(Failure::Usage("it takes a prompt: WORDS…".into()));
        };
        match ask(prompt).await.map_err(Failure::Host)? {
            FinishReason::Failed(e) => Err(Failure::Host(Error::Engine(e))),
            _ => Ok(()),
        }
    }
}

/// What the arguments ask; nothing if they are empty.
fn prompt(args: &[String]) -> Option<String> {
    let prompt = args.join(" ");
    (!prompt.trim().is_empty()).then_some(prompt)
}

/// Puts the question and says what the model answers as it comes.
async fn ask(prompt: String) -> Result<FinishReason, Error> {
    // The empty name is the run's default model.
    let session = Session::open(String::new()).await?;
    let turn = Turn {
        role: Role::User,
        content: prompt,
    };
    // No settings: every choice is left to the model's and the host's defaults.
    let inference = session.infer(vec![turn], vec![]).await?;

    let mut finish = FinishReason::Cancelled;
    let mut events = inference.events();
    let mut batch = Vec::with_capacity(256);
    loop {
        (_, batch) = events.read(batch).await;
        if batch.is_empty() {
            return Ok(finish);
        }
        let mut fragments = Vec::with_capacity(batch.len());
        for event in batch.drain(..) {
            match event {
                InferenceEvent::Content(text) => fragments.push(Fragment::Content(text)),
                InferenceEvent::Thought(thought) => fragments.push(Fragment::Thought(thought)),
                InferenceEvent::Complete(completion) => finish = completion.finish,
                _ => {}
            }
        }
        // One call a batch: a call costs more than the words in it.
        emit(&fragments)?;
    }
}

#[cfg(test)]
mod tests {
    use super::prompt;

    #[test]
    fn the_arguments_are_one_prompt() {
        let of = |args: &[&str]| prompt(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["what", "is it?"]).as_deref(), Some("what is it?"));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["", " "]), None);
    }
}
