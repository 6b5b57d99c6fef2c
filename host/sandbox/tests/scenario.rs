//! A test scenario runs one case and reports what it saw.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius_core::{FinishReason, GeniusError, PartialConfig, SandboxError, TestCase, Turn};
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
            c.behavior.thoughts = Some(rusty_genius_core::ThoughtMode::Hide);
        }))
        .await;
        assert_eq!(hidden.thoughts, "");
        assert!(hidden.usage.thought_tokens > 0);
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
