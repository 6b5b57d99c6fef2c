//! A scenario that reports what is not so. The user's turn names the lie; with `honest`
//! it generates, leaves its files and reports like the scenario `fixture`, which checks
//! all that this one only claims.
#![allow(
    clippy::too_many_arguments,
    reason = "the bindings pass a case in its parts"
)]

use rusty_genius::genius::cortex::Session;
use rusty_genius::genius::scenarios::Check;
use rusty_genius::genius::types::{Error, FinishReason, InferenceEvent, Setting, ToolCall, Usage};
use std::fs;

wit_bindgen::generate!({ path: "../../../wit", world: "scenario" });

struct Liar;
export!(Liar);

const ANSWER: &str = "/scratch/answer.md";

/// What the scenario `fixture` looks at.
const CHECKS: [&str; 11] = [
    "process-start first and once",
    "complete last and once",
    "thoughts bracketed",
    "no empty delta",
    "calls well formed",
    "usage adds up",
    "within max-tokens",
    "logprobs as asked",
    "a second stream is at its end",
    "answer file reads back",
    "no escape",
];

impl Guest for Liar {
    async fn run_case(test_case: TestCase) -> Result<Observation, Failure> {
        let lie = test_case
            .turns
            .last()
            .map(|turn| turn.content.clone())
            .unwrap_or_default();
        let mut seen = generate(test_case, &lie).await.map_err(Failure::Host)?;
        fs::write(ANSWER, &seen.answer).map_err(|e| Failure::Failed(e.to_string()))?;
        match &*lie {
            "fewer tokens" => seen.usage.completion_tokens /= 2,
            "slower" => seen.usage.decode_us += 1_000_000,
            "no checks" => seen.checks.clear(),
            "a check less" => {
                seen.checks.pop();
            }
            "a check that fails" => {
                seen.checks.push(check("looks\x1b[2J\nok", false));
            }
            "another answer" => seen.answer.push_str(" I think."),
            "no file" => {
                let _ = fs::remove_file(ANSWER);
            }
            "a folder" => {
                let _ = fs::remove_file(ANSWER);
                let _ = fs::create_dir(ANSWER);
            }
            "a link" => {
                let _ = fs::rename(ANSWER, "/scratch/other.md");
                #[expect(deprecated, reason = "its successors are not for WASI")]
                let _ = fs::soft_link("other.md", ANSWER);
            }
            "files" => {
                let _ = fs::write("/scratch/loot\n\x1b[31m", "x");
            }
            "a call" => seen.calls.push(ToolCall {
                id: "call-1".into(),
                name: "loot\x1b[2J".into(),
                arguments: "all of it\n".into(),
            }),
            "a tool" => seen.finish = FinishReason::ToolCall,
            "cancelled" => seen.finish = FinishReason::Cancelled,
            "gives up" => return Err(Failure::Failed("no\x1b[2J\ntime".into())),
            "another model" => {
                let _ = Session::open("other/model".into()).await;
            }
            _ => {}
        }
        Ok(seen)
    }
}

async fn generate(case: TestCase, lie: &str) -> Result<Observation, Error> {
    let mut seen = Observation {
        answer: String::new(),
        thoughts: String::new(),
        calls: Vec::new(),
        finish: FinishReason::Stop,
        usage: Usage {
            prompt_tokens: 10,
            cached_tokens: 0,
            completion_tokens: 10,
            thought_tokens: 0,
            prefill_us: 1,
            decode_us: 1,
        },
        checks: CHECKS.iter().map(|name| check(name, true)).collect(),
        earlier: Vec::new(),
    };
    let mut config = case.config;
    match lie {
        "nothing asked" => return Ok(seen),
        // Of a setting given twice the last one counts.
        "more tokens" => config.push(Setting::MaxTokens(1000)),
        "no stop" => config.retain(|setting| !matches!(setting, Setting::Stop(_))),
        _ => {}
    }
    let session = Session::open(case.model).await?;
    let inference = session.infer(case.turns, config).await?;
    let mut events = inference.events();
    let mut batch = Vec::with_capacity(256);
    loop {
        (_, batch) = events.read(batch).await;
        if batch.is_empty() {
            return Ok(seen);
        }
        for event in batch.drain(..) {
            match event {
                InferenceEvent::Content(text) => seen.answer.push_str(&text),
                InferenceEvent::ToolCall(call) => seen.calls.push(call),
                InferenceEvent::Complete(completion) => {
                    seen.finish = completion.finish;
                    seen.usage = completion.usage;
                }
                _ => {}
            }
        }
    }
}

fn check(name: &str, passed: bool) -> Check {
    Check {
        name: name.into(),
        passed,
        detail: String::new(),
    }
}
