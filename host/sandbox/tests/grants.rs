//! What is granted is there, what is not is refused with the key that would allow it, and
//! what is consumed is counted.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use futures::future::join;
use rusty_genius_core::{
    BudgetResource, Clocks, Denial, GeniusError, Level, ModelSource, Pattern, Random, Role,
    SandboxError, Stdio,
};
use rusty_genius_sandbox::{
    CallClass, Job, Models, Mount, Records, Report, Sandbox, Tool, outcome,
};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use support::{
    Load, Step, content, failure, gated, guest, limit, model_on, pinky, run, run_guest, sandbox,
    sandbox_with, test, thoughts, tmp,
};

/// What `look` says it sees, and how its run ended.
async fn looks(sandbox: &Sandbox, change: impl FnOnce(&mut Job)) -> (Report<()>, String) {
    let (report, reply) = run(sandbox, "look", &[], change).await;
    report.result.as_ref().unwrap();
    (report, content(&reply))
}

/// A line's rest.
fn seen<'a>(said: &'a str, what: &str) -> Option<&'a str> {
    said.lines().find_map(|line| line.strip_prefix(what))
}

/// A fresh directory with a file in it.
fn folder(name: &str) -> PathBuf {
    let dir = tmp("granted").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "as it was").unwrap();
    dir
}

fn mount(host: PathBuf, guest: &str, writable: bool) -> Mount {
    Mount {
        host,
        guest: guest.to_owned(),
        writable,
    }
}

fn key(denials: &[Denial]) -> &str {
    denials[0].key.as_deref().unwrap()
}

#[test]
fn without_any_grant_a_guest_sees_its_scratch_directory_and_a_coarse_clock() {
    test(async {
        let (report, said) = looks(&sandbox(pinky(|_| {})), |_| {}).await;
        assert_eq!(said.matches("directory ").count(), 1, "{said}");
        assert_eq!(seen(&said, "directory "), Some("/scratch"));
        assert!(
            !said.contains("variable ") && !said.contains("tool "),
            "{said}"
        );
        let time: u128 = seen(&said, "time ").unwrap().parse().unwrap();
        assert!(time > 0 && time.is_multiple_of(1_000_000), "{said}");
        assert!(report.denials.is_empty(), "{:?}", report.denials);
    });
}

#[test]
fn variables_clocks_and_random_numbers_are_what_is_granted() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let seeded = |job: &mut Job| {
            job.grant.env = vec![("LANG".into(), "C".into())];
            job.grant.clocks = Clocks::None;
            job.grant.random = Random::Seed(7);
        };
        let (_, first) = looks(&sandbox, seeded).await;
        let (_, second) = looks(&sandbox, seeded).await;
        assert_eq!(seen(&first, "variable "), Some("LANG=C"));
        assert_eq!(seen(&first, "time "), Some("0"));
        assert_eq!(seen(&first, "random "), seen(&second, "random "));
        let (_, host) = looks(&sandbox, |job| job.grant.clocks = Clocks::Fine).await;
        assert_ne!(seen(&first, "random "), seen(&host, "random "));
        assert_ne!(seen(&host, "time "), Some("0"));
    });
}

#[test]
fn a_directory_is_read_or_written_as_it_is_granted() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let (ro, rw) = (folder("ro"), folder("rw"));
        let grant = |job: &mut Job| {
            job.grant.files = vec![
                mount(ro.clone(), "/ro", false),
                mount(rw.clone(), "/rw", true),
            ];
        };
        let (_, reply) = run(&sandbox, "look", &["read", "/ro/file"], grant).await;
        assert_eq!(content(&reply), "as it was");
        let (report, _) = run(&sandbox, "look", &["write", "/rw/new", "text"], grant).await;
        report.result.unwrap();
        assert_eq!(fs::read_to_string(rw.join("new")).unwrap(), "text");
        assert_eq!(report.consumption.used(BudgetResource::Scratch), 4);
        assert_eq!(report.consumption.used(BudgetResource::ScratchFiles), 1);

        let (report, _) = run(&sandbox, "look", &["write", "/ro/file", "x"], grant).await;
        assert!(failure(&report).contains("/ro/file"));
        assert_eq!(
            key(&report.denials),
            "grants.files.\"/ro\".mode = \"read-write\""
        );
        assert_eq!(fs::read_to_string(ro.join("file")).unwrap(), "as it was");
    });
}

#[test]
fn a_grant_of_what_is_no_directory_is_refused_before_anything_runs() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let file = folder("no-directory").join("file");
        for (host, at, why) in [
            (file.clone(), "/x", "no directory"),
            (file.with_extension("missing"), "/x", "No such file"),
            (folder("root"), "/scratch/x", "own"),
            (folder("root"), "/", "root"),
        ] {
            let guest = guest(&sandbox, "noop").await;
            let mut job = Job::new(support::model());
            job.grant.files = vec![mount(host, at, false)];
            let refused = sandbox.run_workflow(&guest, vec![], job).await.unwrap_err();
            assert!(matches!(refused, SandboxError::BadGrant { .. }));
            assert!(refused.to_string().contains(why), "{refused}");
        }
    });
}

#[test]
fn streams_lead_where_they_are_granted_and_nowhere_else() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let print = ["print", "héllo"];
        let (report, reply) = run(&sandbox, "look", &print, |job| {
            job.grant.stdio = vec![Stdio::Out];
        })
        .await;
        report.result.unwrap();
        assert_eq!(content(&reply), "héllo");
        let (report, reply) = run(&sandbox, "look", &print, |_| {}).await;
        report.result.unwrap();
        assert!(reply.is_empty());
        assert_eq!(key(&report.denials), "grants.stdio = [\"out\"]");

        let (report, _) = run(&sandbox, "look", &["mutter", "narf"], |job| {
            job.grant.stdio = vec![Stdio::Err];
        })
        .await;
        assert_eq!(report.notes[0].text, "narf");
        assert_eq!(report.notes[0].level, Level::Debug);

        let (_, reply) = run(&sandbox, "look", &["echo"], |job| {
            job.grant.stdio = vec![Stdio::In];
            job.grant.stdin = Arc::from(*b"poit");
        })
        .await;
        assert_eq!(content(&reply), "poit");
    });
}

#[test]
fn what_is_printed_has_its_limit() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let (report, _) = run(&sandbox, "look", &["print", "too long"], |job| {
            job.budget.stdout = 5;
            job.grant.stdio = vec![Stdio::Out];
        })
        .await;
        assert!(failure(&report).contains("stdout"));
        assert_eq!(key(&report.denials), "budget.stdout");
    });
}

#[test]
fn processor_time_ends_a_guest_that_computes_and_not_one_that_waits() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let short = |job: &mut Job| {
            job.budget.cpu_time = Duration::from_millis(50);
        };
        let (report, _) = run(&sandbox, "look", &["work", "20000"], short).await;
        assert_eq!(limit(&report), (BudgetResource::CpuTime, 50));
        assert!(report.consumption.used(BudgetResource::CpuTime) >= 50);
        // Sleeping, and the engine's own work, are not its processor's.
        let (report, _) = run(&sandbox, "hostile/greedy", &["sleep", "sleep"], short).await;
        report.result.unwrap();
    });
}

#[test]
fn another_model_is_opened_where_a_pattern_grants_it() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let granted = |patterns: &[&str]| Models {
            patterns: patterns.iter().map(|p| Pattern::new(p)).collect(),
            resolve: Some(Arc::new(|name| {
                let mut model = model_on("pinky");
                model.source = ModelSource::parse(name)?;
                Ok(model)
            })),
            known: Vec::new(),
        };
        for (patterns, told) in [
            (&["other/*"][..], "other-model: ok\n"),
            (&["another/*"], "other-model: asset(not-granted)\n"),
        ] {
            let (report, reply) = run(&sandbox, "hostile/greedy", &["other-model"], |job| {
                job.grant.models = granted(patterns);
            })
            .await;
            report.result.unwrap();
            assert_eq!(content(&reply), told);
        }
    });
}

#[test]
fn tokens_in_all_have_their_limit_and_an_answer_is_cut_there() {
    test(async {
        let sandbox = sandbox(pinky(|p| p.tokens = Some(100)));
        let (report, _) = run(&sandbox, "ask", &["Hello"], |job| {
            job.budget.completion_tokens = 7;
        })
        .await;
        report.result.unwrap();
        assert_eq!(report.usage.completion_tokens, 7);
        assert_eq!(report.consumption.used(BudgetResource::CompletionTokens), 7);
    });
}

#[test]
fn calls_are_counted_by_class() {
    test(async {
        let (report, _) = run(&sandbox(pinky(|_| {})), "ask", &["Hello"], |_| {}).await;
        let calls = |class| report.consumption.calls(class);
        assert_eq!(calls(CallClass::Cortex), 2);
        assert_eq!(calls(CallClass::Journal), 1);
        assert!(calls(CallClass::Reply) >= 1 && calls(CallClass::Files) >= 2);
        assert_eq!(calls(CallClass::Network), 0);
    });
}

#[test]
fn a_record_tells_what_a_run_was_granted_did_and_was_denied() {
    test(async {
        let records = Records::new(tmp("records"));
        let sandbox = sandbox_with(pinky(|_| {}), |config| {
            config.records = Some(records.clone());
        });
        let (report, _) = run(&sandbox, "hostile/greedy", &["other-model"], |job| {
            job.budget.sessions = 3;
        })
        .await;
        assert_eq!(report.recorded, Some(true));
        let lines = records.read(report.scratch.id()).unwrap();
        let first = &lines[0];
        assert_eq!(first["component"], "hostile/greedy");
        assert_eq!(first["budget"]["sessions"], 3);
        assert!(first["digest"].as_str().unwrap().starts_with("sha256:"));
        let denial = lines.iter().find(|l| l["type"] == "denial").unwrap();
        assert_eq!(denial["key"], "grants.models = [\"other/model\"]");
        let end = lines.last().unwrap();
        assert_eq!(
            (&end["type"], &end["outcome"]),
            (&"end".into(), &"done".into())
        );
        assert_eq!(end["denials"], 1);
    });
}

#[test]
fn a_run_that_nobody_waits_for_is_recorded_as_interrupted() {
    test(async {
        // Nobody else's: the newest record is this run's.
        let records = Records::new(tmp("records-interrupted"));
        let sandbox = sandbox_with(pinky(|_| {}), |config| {
            config.records = Some(records.clone());
        });
        let park = guest(&sandbox, "hostile/park").await;
        let job = Job::new(support::model());
        let running = sandbox
            .begin_workflow(&park, vec!["never".into()], job)
            .unwrap();
        let id = records.list().unwrap().pop().unwrap();
        drop(running);
        assert_eq!(
            records.read(&id).unwrap().last().unwrap()["outcome"],
            "interrupted"
        );
    });
}

// Tools

async fn tool(sandbox: &Sandbox, name: &str) -> Tool {
    let bytes = rusty_genius_guests::find(name).unwrap().bytes;
    Tool {
        guest: sandbox.load_tool(name, bytes).await.unwrap(),
        files: Vec::new(),
        budget: rusty_genius_core::Budget::for_tool(),
    }
}

#[test]
fn a_model_that_calls_a_tool_gets_its_answer_and_goes_on() {
    test(async {
        let (sandbox, gate) = gated(Load::Works);
        let (ask, calc) = join(guest(&sandbox, "ask"), tool(&sandbox, "tool/calc")).await;
        gate.then(
            "<tool_call>{\"name\":\"calc\",\"arguments\":{\"expression\":\"6*7\"}}</tool_call>",
        )
        .then(Step::End)
        .then("It is 42.")
        .then(Step::End);
        let (report, reply) = run_guest(&sandbox, &ask, &["What is six times seven?"], |job| {
            job.grant.model = model_on("gate");
            job.grant.tools.insert("calc".into(), calc);
        })
        .await;
        report.result.unwrap();
        assert!(content(&reply).ends_with("It is 42."), "{reply:?}");
        assert!(thoughts(&reply).contains("calc"), "{reply:?}");
        let said = gate.conversations().pop().unwrap();
        let answer = said.iter().find(|turn| turn.role == Role::Tool).unwrap();
        assert!(answer.content.contains("42"), "{answer:?}");
        // One to describe it, one to call it.
        assert_eq!(report.consumption.used(BudgetResource::ToolCalls), 2);
    });
}

#[test]
fn a_workflow_is_no_tool_and_a_tool_is_no_workflow() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let bytes = rusty_genius_guests::find("ask").unwrap().bytes;
        let refused = sandbox.load_tool("ask", bytes).await.unwrap_err();
        assert!(refused.to_string().contains("alone"), "{refused}");
        let calc = guest(&sandbox, "tool/calc").await;
        let job = Job::new(support::model());
        let refused = sandbox.run_workflow(&calc, vec![], job).await.unwrap_err();
        assert!(refused.to_string().contains("it is a tool"), "{refused}");
    });
}

#[test]
fn an_outcome_is_one_word() {
    let denied = SandboxError::ToolNotGranted { name: "x".into() };
    assert_eq!(outcome(None), "done");
    assert_eq!(outcome(Some(&GeniusError::from(denied))), "denied");
}
