//! A test scenario runs one case and reports what it saw.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius_core::{
    Constraint, FinishReason, GeniusError, Logprobs, Mirostat, Observation, Overflow,
    PartialBehavior, PartialConfig, PartialSampling, SandboxError, TestCase, ThoughtMode,
    TokenLogprob, ToolCall, Turn,
};
use rusty_genius_sandbox::Job;
use support::{Load, Step, content, gated, guest, model, model_on, pinky, sandbox, test, thoughts};

fn case(change: impl FnOnce(&mut PartialConfig)) -> TestCase {
    let mut config = PartialConfig::default();
    change(&mut config);
    TestCase {
        name: "ORG/REPO/QUANT/TEST".into(),
        turns: vec![Turn::user("What now?")],
        config,
    }
}

#[test]
fn what_the_scenario_saw_is_what_the_host_counted() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let guest = guest(&sandbox, "fixture").await;
        let (sender, reader) = async_channel::unbounded();
        let mut job = Job::new(model());
        job.reply = Some(sender);
        let report = sandbox.run_case(&guest, case(|_| {}), job).await.unwrap();
        let seen = report.result.as_ref().unwrap();
        let mut said = Vec::new();
        while let Ok(batch) = reader.try_recv() {
            said.extend(batch);
        }
        assert_eq!(seen.finish, FinishReason::Stop);
        assert!(seen.answer.starts_with("Narf!"));
        assert_eq!(seen.answer, content(&said));
        assert_eq!(seen.thoughts, thoughts(&said));
        assert_eq!(seen.usage, report.usage);
        assert!(seen.checks.len() >= 8, "{:?}", seen.checks);
        for check in &seen.checks {
            assert!(check.passed, "{check:?}");
            assert!(check.detail.is_empty(), "{check:?}");
        }
        assert_eq!(report.scratch.files().unwrap(), ["answer.md"]);
        assert!(report.notes[0].text.starts_with("ORG/REPO/QUANT/TEST: "));
    });
}

#[test]
fn the_cases_own_config_holds() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let guest = guest(&sandbox, "fixture").await;
        let run = async |case| {
            let report = sandbox.run_case(&guest, case, Job::new(model())).await;
            let report = report.unwrap();
            assert_eq!(report.result.as_ref().unwrap().usage, report.usage);
            report.result.unwrap()
        };
        let short = run(case(|c| c.behavior.max_tokens = Some(3))).await;
        assert_eq!(short.finish, FinishReason::Length);
        assert_eq!(short.usage.completion_tokens, 3);
        assert!(short.checks.iter().any(|c| c.name == "within max-tokens"));

        let stopped = run(case(|c| c.behavior.stop = Some(vec!["Narf!".into()]))).await;
        assert_eq!(stopped.finish, FinishReason::Stop);
        assert_eq!(stopped.answer, "");

        let hidden = run(case(|c| {
            c.behavior.thoughts = Some(ThoughtMode::Hide);
        }))
        .await;
        assert_eq!(hidden.thoughts, "");
        assert!(hidden.usage.thought_tokens > 0);
    });
}

/// A config with every setting, none of them at its default.
fn everything() -> PartialConfig {
    PartialConfig {
        behavior: PartialBehavior {
            max_tokens: Some(9),
            stop: Some(vec!["stop".into(), "\n".into()]),
            thoughts: Some(ThoughtMode::Hide),
            overflow: Some(Overflow::Shift),
            constraint: Some(Constraint::Regex("ä+".into())),
            logprobs: Some(2),
        },
        sampling: PartialSampling {
            temperature: Some(0.1),
            top_k: Some(3),
            top_p: Some(0.2),
            min_p: Some(0.3),
            repeat_penalty: Some(1.1),
            typical_p: Some(0.4),
            frequency_penalty: Some(-0.5),
            presence_penalty: Some(0.6),
            dry_multiplier: Some(0.7),
            dry_base: Some(1.8),
            dry_allowed_length: Some(4),
            mirostat: Some(Mirostat::V2),
            mirostat_tau: Some(3.5),
            mirostat_eta: Some(0.25),
            logit_bias: Some(vec![(7, -100.0), (8, 1.5)]),
            seed: Some(u64::MAX),
        },
    }
}

#[test]
fn every_setting_goes_to_the_guest_and_from_there_to_the_engine() {
    test(async {
        let (sandbox, gate) = gated(Load::Works);
        let guest = guest(&sandbox, "fixture").await;
        gate.then(Step::End);
        let case = case(|c| *c = everything());
        let report = sandbox.run_case(&guest, case, Job::new(model_on("gate")));
        report.await.unwrap().result.unwrap();
        assert_eq!(gate.configs(), [everything().build().unwrap()]);
    });
}

/// How likely a token was, and one or more others.
fn logprobs(chosen: f32, top: &[f32]) -> Step {
    let token = |logprob| TokenLogprob {
        token: 7,
        // Half a character is no text, and still a token.
        bytes: vec![0xc3],
        logprob,
    };
    Step::Logprobs(Logprobs {
        chosen: token(chosen),
        top: top.iter().copied().map(token).collect(),
    })
}

/// What the scenario says of an answer of one token, with so many logprobs asked for.
async fn watched(asked: u32, events: &[Step]) -> Observation {
    let (sandbox, gate) = gated(Load::Works);
    let guest = guest(&sandbox, "fixture").await;
    for event in events {
        gate.then(event.clone());
    }
    gate.then("a").then(Step::End);
    let case = case(|c| c.behavior.logprobs = Some(asked));
    let report = sandbox.run_case(&guest, case, Job::new(model_on("gate")));
    report.await.unwrap().result.unwrap()
}

#[test]
fn logprobs_cross_the_boundary_and_are_no_part_of_the_answer() {
    test(async {
        let seen = watched(2, &[logprobs(-1.0, &[-0.5, -1.0])]).await;
        assert_eq!(seen.answer, "a");
        assert!(seen.checks.iter().any(|c| c.name == "logprobs as asked"));
        for check in &seen.checks {
            assert!(check.passed, "{check:?}");
        }
    });
}

#[test]
fn a_scenario_sees_what_is_wrong_with_logprobs() {
    test(async {
        let one = logprobs(-1.0, &[-1.0]);
        for (asked, events, fault) in [
            (1, vec![logprobs(-1.0, &[-0.5, -1.0])], "1 asked for"),
            (2, vec![logprobs(0.5, &[])], "over one"),
            (2, vec![logprobs(f32::NAN, &[])], "or none"),
            (2, vec![logprobs(-1.0, &[-1.0, f32::NAN])], "or none"),
            (2, vec![logprobs(-1.0, &[-1.0, -0.5])], "not first"),
            (1, vec![one.clone(), one], "2 events for 1 tokens"),
        ] {
            let seen = watched(asked, &events).await;
            let failed: Vec<_> = seen.checks.iter().filter(|c| !c.passed).collect();
            let [check] = failed[..] else {
                panic!("{:?}", seen.checks);
            };
            assert_eq!(check.name, "logprobs as asked");
            assert!(check.detail.contains(fault), "{check:?}");
        }
    });
}

#[test]
fn tool_calls_are_reported_in_their_order_and_are_no_part_of_the_answer() {
    test(async {
        let (sandbox, gate) = gated(Load::Works);
        let guest = guest(&sandbox, "fixture").await;
        gate.then("So: <tool_call>{\"name\": \"weather\", \"argum")
            .then("ents\": {\"city\": \"Oslo\"}}</tool_call>")
            .then("<tool_call>{\"name\": \"now\"}</tool_call>")
            .then(Step::End);
        let job = Job::new(model_on("gate"));
        let report = sandbox.run_case(&guest, case(|_| {}), job).await.unwrap();
        let seen = report.result.unwrap();
        let call = |id: &str, name: &str, arguments: &str| ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        assert_eq!(
            seen.calls,
            [
                call("call-1", "weather", r#"{"city":"Oslo"}"#),
                call("call-2", "now", "{}")
            ]
        );
        assert_eq!(
            (&*seen.answer, seen.finish),
            ("So: ", FinishReason::ToolCall)
        );
        assert!(seen.checks.iter().any(|c| c.name == "calls well formed"));
        assert!(seen.checks.iter().all(|c| c.passed), "{:?}", seen.checks);
    });
}

#[test]
fn an_engine_that_fails_halfway_is_what_the_scenario_reports() {
    test(async {
        let (sandbox, gate) = gated(Load::Works);
        let guest = guest(&sandbox, "fixture").await;
        gate.then("<think>so").then("</think>half").then(Step::Fail);
        let job = Job::new(model_on("gate"));
        let report = sandbox.run_case(&guest, case(|_| {}), job).await.unwrap();
        let seen = report.result.unwrap();
        assert!(matches!(seen.finish, FinishReason::Failed(_)), "{seen:?}");
        assert_eq!((&*seen.answer, &*seen.thoughts), ("half", "so"));
        assert_eq!(seen.usage.completion_tokens, 2);
        assert!(seen.checks.iter().all(|c| c.passed), "{:?}", seen.checks);
    });
}

#[test]
fn a_config_out_of_range_is_the_hosts_own_error() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let guest = guest(&sandbox, "fixture").await;
        let case = case(|c| c.sampling.temperature = Some(f32::NAN));
        let report = sandbox.run_case(&guest, case, Job::new(model())).await;
        match report.unwrap().result.unwrap_err() {
            GeniusError::Protocol(e) => assert!(e.to_string().contains("temperature"), "{e}"),
            e => panic!("{e:?}"),
        }
    });
}

#[test]
fn a_workflow_is_no_scenario() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let guest = guest(&sandbox, "ask").await;
        let refused = sandbox
            .run_case(&guest, case(|_| {}), Job::new(model()))
            .await;
        match refused.err().unwrap() {
            SandboxError::MissingExport {
                component,
                export,
                reason,
            } => {
                assert_eq!((&*component, &*export), ("ask", "run-case"));
                assert!(reason.contains("`run`"), "{reason}");
            }
            e => panic!("{e:?}"),
        }
    });
}
