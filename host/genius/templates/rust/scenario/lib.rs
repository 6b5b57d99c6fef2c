//! Asks the model what a case says, one user turn after the other, and reports the answers and
//! what it checked itself. What the fixture expects of an answer, the runner judges.
#![allow(
    clippy::too_many_arguments,
    reason = "the bindings pass a case in its parts"
)]

use rusty_genius::genius::cortex::Session;
use rusty_genius::genius::reply::{Fragment, emit};
use rusty_genius::genius::scenarios::Check;
use rusty_genius::genius::types::{
    EngineError, Error, FinishReason, InferenceEvent, Role, Setting, ThoughtEvent, ToolCall, Turn,
    Usage,
};

wit_bindgen::generate!({ path: "wit", world: "{{world}}" });

struct Scenario;
export!(Scenario);

impl Guest for Scenario {
    async fn run_case(case: TestCase) -> Result<Observation, Failure> {
        observe(case).await.map_err(Failure::Host)
    }
}

/// One answer, as it was seen.
struct Answer {
    text: String,
    thoughts: String,
    calls: Vec<ToolCall>,
    finish: FinishReason,
    /// How often the stream said that it is over: once, if all is well.
    completions: u32,
}

async fn observe(case: TestCase) -> Result<Observation, Error> {
    let session = Session::open(case.model).await?;
    let mut usage = NOTHING;
    let mut answers = Vec::new();
    for round in rounds(case.turns) {
        answers.push(ask(&session, round, case.config.clone(), &mut usage).await?);
    }

    let silent = answers
        .iter()
        .find(|a| a.text.is_empty() && a.calls.is_empty());
    let ragged = answers.iter().find(|a| a.completions != 1);
    let checks = vec![
        check(
            "it says something",
            silent.map(|_| "an answer is empty".into()),
        ),
        check(
            "one end each",
            ragged.map(|a| format!("an answer has {} ends", a.completions)),
        ),
    ];

    let last = answers.pop().unwrap_or_default();
    Ok(Observation {
        answer: last.text,
        thoughts: last.thoughts,
        calls: last.calls,
        finish: last.finish,
        usage,
        checks,
        earlier: answers.into_iter().map(|answer| answer.text).collect(),
    })
}

/// One generation: says what comes, and gathers it.
async fn ask(
    session: &Session,
    turns: Vec<Turn>,
    config: Vec<Setting>,
    usage: &mut Usage,
) -> Result<Answer, Error> {
    let inference = session.infer(turns, config).await?;
    let mut answer = Answer::default();
    let mut events = inference.events();
    let mut batch = Vec::with_capacity(256);
    loop {
        (_, batch) = events.read(batch).await;
        if batch.is_empty() {
            return Ok(answer);
        }
        let mut fragments = Vec::with_capacity(batch.len());
        for event in batch.drain(..) {
            match event {
                InferenceEvent::Content(text) => {
                    answer.text.push_str(&text);
                    fragments.push(Fragment::Content(text));
                }
                InferenceEvent::Thought(thought) => {
                    if let ThoughtEvent::Delta(text) = &thought {
                        answer.thoughts.push_str(text);
                    }
                    fragments.push(Fragment::Thought(thought));
                }
                InferenceEvent::ToolCall(call) => answer.calls.push(call),
                InferenceEvent::Complete(completion) => {
                    answer.completions += 1;
                    answer.finish = completion.finish;
                    *usage = sum(*usage, completion.usage);
                }
                _ => {}
            }
        }
        emit(&fragments)?;
    }
}

/// What is said at once: a user turn ends it, and the model answers before the next.
fn rounds(turns: Vec<Turn>) -> Vec<Vec<Turn>> {
    let mut rounds = vec![vec![]];
    for turn in turns {
        let asks = turn.role == Role::User;
        if let Some(round) = rounds.last_mut() {
            round.push(turn);
        }
        if asks {
            rounds.push(vec![]);
        }
    }
    rounds.retain(|round| !round.is_empty());
    rounds
}

/// A check that held unless there is a fault.
fn check(name: &str, fault: Option<String>) -> Check {
    Check {
        name: name.into(),
        passed: fault.is_none(),
        detail: fault.unwrap_or_default(),
    }
}

fn sum(a: Usage, b: Usage) -> Usage {
    Usage {
        prompt_tokens: a.prompt_tokens + b.prompt_tokens,
        cached_tokens: a.cached_tokens + b.cached_tokens,
        completion_tokens: a.completion_tokens + b.completion_tokens,
        thought_tokens: a.thought_tokens + b.thought_tokens,
        prefill_us: a.prefill_us + b.prefill_us,
        decode_us: a.decode_us + b.decode_us,
    }
}

const NOTHING: Usage = Usage {
    prompt_tokens: 0,
    cached_tokens: 0,
    completion_tokens: 0,
    thought_tokens: 0,
    prefill_us: 0,
    decode_us: 0,
};

impl Default for Answer {
    fn default() -> Self {
        Self {
            text: String::new(),
            thoughts: String::new(),
            calls: Vec::new(),
            // Until the stream says otherwise.
            finish: FinishReason::Failed(EngineError::BackendFailed),
            completions: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, Turn, rounds};

    #[test]
    fn a_user_turn_ends_what_is_said_at_once() {
        let turn = |role| Turn {
            role,
            content: String::new(),
        };
        let turns = vec![turn(Role::System), turn(Role::User), turn(Role::User)];
        let lengths: Vec<usize> = rounds(turns).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
        assert!(rounds(vec![]).is_empty());
    }
}
