//! `ask`, through `cortex-blocking`: what a guest looks like in a language whose
//! toolchain has no component-model async yet. It offers no tools; a tool call is shown as `ask`
//! does where there are none, on a line of its own: `weather({"city":"Paris"})`.

use rusty_genius::genius::cortex_blocking::Session;
use rusty_genius::genius::journal::{Level, append};
use rusty_genius::genius::reply::{Fragment, emit};
use rusty_genius::genius::types::{Error, FinishReason, InferenceEvent, Role, ToolCall, Turn};

wit_bindgen::generate!({ path: "../../../wit", world: "workflow-blocking" });

struct Ask;
export!(Ask);

impl Guest for Ask {
    fn run(args: Vec<String>) -> Result<(), Failure> {
        let prompt = args.join(" ");
        if prompt.trim().is_empty() {
            return Err(Failure::Usage(
                "ask-blocking takes a prompt: ask-blocking WORDS…".into(),
            ));
        }
        let (answer, finish) = ask(prompt).map_err(Failure::Host)?;

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
fn ask(prompt: String) -> Result<(String, FinishReason), Error> {
    let session = Session::open("")?;
    let turn = Turn {
        role: Role::User,
        content: prompt,
    };
    // No settings: every choice is left to the model's and the host's defaults.
    let inference = session.infer(&[turn], &[])?;

    let mut answer = String::new();
    let mut finish = FinishReason::Cancelled;
    while let Some(event) = inference.next() {
        match event {
            InferenceEvent::Content(text) => {
                answer.push_str(&text);
                emit(&[Fragment::Content(text)])?;
            }
            InferenceEvent::ToolCall(call) => {
                let line = call_line(&answer, &call);
                answer.push_str(&line);
                emit(&[Fragment::Content(line)])?;
            }
            InferenceEvent::Thought(thought) => emit(&[Fragment::Thought(thought)])?,
            InferenceEvent::Complete(completion) => finish = completion.finish,
            _ => {}
        }
    }
    Ok((answer, finish))
}

/// A tool call as text, on a line of its own after what was said so far:
/// `weather({"city":"Paris"})`.
fn call_line(said: &str, call: &ToolCall) -> String {
    let ToolCall {
        name, arguments, ..
    } = call;
    let open = match said {
        "" => "",
        said if said.ends_with('\n') => "",
        _ => "\n",
    };
    format!("{open}{name}({arguments})\n")
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
