//! The smallest useful workflow: one question, the answer streamed as it comes, and left in
//! `/scratch/answer.md`.
//!
//! If tools are granted, the model is told of them. Where its answer ends with calls, they
//! are made, each shown as a thought, and the model goes on with what they gave; for eight
//! rounds at most. Where there are no tools or no more rounds, a call is shown as part of
//! the answer, on a line of its own: `weather({"city":"Paris"})`.

mod offer;

use rusty_genius::genius::cortex::Session;
use rusty_genius::genius::journal::{Level, append};
use rusty_genius::genius::reply::{Fragment, emit};
use rusty_genius::genius::tools;
use rusty_genius::genius::types::{
    Error, FinishReason, InferenceEvent, Role, ThoughtEvent, ToolCall, Turn,
};

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

/// How often the model may ask for tools and go on.
const ROUNDS: u32 = 8;

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

/// Puts the question to the run's default model, and calls what tools it asks for.
async fn ask(prompt: String) -> Result<(String, FinishReason), Error> {
    let offered = tools::describe().await?;
    let mut turns = vec![turn(Role::User, prompt)];
    let mut rounds = 0;
    if !offered.is_empty() {
        turns.insert(0, turn(Role::System, offer::system(&offered)));
        rounds = ROUNDS;
    }
    let session = Session::open(String::new()).await?;
    let mut answer = String::new();
    loop {
        let (calls, finish) = generate(&session, turns, rounds > 0, &mut answer).await?;
        if calls.is_empty() || !matches!(finish, FinishReason::ToolCall) {
            // The calls of an answer that was cut are not made.
            for call in calls {
                say(call_line(&answer, &call), &mut answer)?;
            }
            return Ok((answer, finish));
        }
        if !matches!(answer.chars().last(), None | Some('\n')) {
            say("\n".into(), &mut answer)?;
        }
        rounds -= 1;
        turns = Vec::with_capacity(calls.len());
        for call in calls {
            turns.push(turn(Role::Tool, use_tool(call).await?));
        }
    }
}

fn say(text: String, answer: &mut String) -> Result<(), Error> {
    answer.push_str(&text);
    emit(&[Fragment::Content(text)])
}

/// One generation; forwards and collects the answer. Gives the calls in it if they may be
/// made, and shows them otherwise.
async fn generate(
    session: &Session,
    turns: Vec<Turn>,
    calling: bool,
    answer: &mut String,
) -> Result<(Vec<ToolCall>, FinishReason), Error> {
    // No settings: every choice is left to the model's and the host's defaults.
    let inference = session.infer(turns, vec![]).await?;

    let mut calls = Vec::new();
    let mut finish = FinishReason::Cancelled;
    let mut events = inference.events();
    let mut batch = Vec::with_capacity(256);
    loop {
        (_, batch) = events.read(batch).await;
        if batch.is_empty() {
            return Ok((calls, finish));
        }
        let mut fragments = Vec::with_capacity(batch.len());
        for event in batch.drain(..) {
            match event {
                InferenceEvent::Content(text) => {
                    answer.push_str(&text);
                    fragments.push(Fragment::Content(text));
                }
                InferenceEvent::ToolCall(call) if calling => calls.push(call),
                InferenceEvent::ToolCall(call) => {
                    let line = call_line(answer, &call);
                    answer.push_str(&line);
                    fragments.push(Fragment::Content(line));
                }
                InferenceEvent::Thought(thought) => fragments.push(Fragment::Thought(thought)),
                InferenceEvent::Complete(completion) => finish = completion.finish,
                _ => {}
            }
        }
        // One call a batch: a call costs more than the words in it.
        emit(&fragments)?;
    }
}

/// Makes the call, and gives what the model is told of it. That it failed is for the model
/// to know, which may try another way; it does not end the run.
async fn use_tool(call: ToolCall) -> Result<String, Error> {
    let shown = ThoughtEvent::Delta(call_line("", &call));
    emit(&[ThoughtEvent::Start, shown, ThoughtEvent::Stop].map(Fragment::Thought))?;
    let ToolCall {
        name, arguments, ..
    } = call;
    let result = tools::call(name.clone(), arguments).await;
    let words = offer::result(&name, &result);
    let outcome = match result {
        Ok(_) => "answered",
        Err(_) => "failed",
    };
    let note = format!("{name} {outcome}, {} bytes", words.len());
    append(Level::Info, &note)?;
    Ok(words)
}

fn turn(role: Role, content: String) -> Turn {
    Turn { role, content }
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
