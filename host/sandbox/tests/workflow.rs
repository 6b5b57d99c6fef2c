//! A prompt workflow runs in the sandbox and streams an answer.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use futures::future::{Either, select};
use rusty_genius_core::{EngineError, GeniusError, SandboxError, Usage};
use rusty_genius_sandbox::Job;
use std::pin::pin;
use support::{
    Load, Step, args, content, failure, gated, guest, model, model_on, pinky, run, run_gated,
    run_guest, sandbox, test, thoughts, tmp,
};

/// What a run consumed, without the times, which no two runs share.
fn tokens(usage: &Usage) -> (u32, u32, u32) {
    (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.thought_tokens,
    )
}

#[test]
fn ask_streams_thoughts_and_an_answer_and_leaves_it_in_its_scratch_directory() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let (report, reply) = run(&sandbox, "ask", &["What", "now?"], |_| {}).await;
        report.result.as_ref().unwrap();
        assert!(content(&reply).starts_with("Narf!"), "{reply:?}");
        assert!(!thoughts(&reply).is_empty());
        assert_eq!(report.scratch.files().unwrap(), ["answer.md"]);
        let answer = report.scratch.dir().read_to_string("answer.md").unwrap();
        assert_eq!(answer, content(&reply));
        assert!(report.usage.completion_tokens > 0);
        assert!(report.usage.prompt_tokens > 0);
        assert_eq!(report.notes.len(), 1);
        assert!(report.denials.is_empty());
        assert!(report.memory_peak() > 0);
    });
}

#[test]
fn the_scratch_directory_is_removed_with_the_report() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let (report, _) = run(&sandbox, "ask", &["Hello"], |_| {}).await;
        let path = report.scratch.path().to_owned();
        assert!(path.join("answer.md").exists());
        drop(report);
        assert!(!path.exists());
    });
}

#[test]
fn the_blocking_twin_says_consumes_and_leaves_the_same() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        for words in [
            &["What", "now?"][..],
            &["Again"],
            &["Schrödingers", "Katze"],
        ] {
            let (a, said_a) = run(&sandbox, "ask", words, |_| {}).await;
            let (b, said_b) = run(&sandbox, "ask-blocking", words, |_| {}).await;
            a.result.as_ref().unwrap();
            b.result.as_ref().unwrap();
            assert_eq!(said_a, said_b);
            assert_eq!(tokens(&a.usage), tokens(&b.usage));
            let file = |r: &rusty_genius_sandbox::Report<()>| r.scratch.dir().read("answer.md");
            assert_eq!(file(&a).unwrap(), file(&b).unwrap());
            assert_eq!(a.notes, b.notes);
        }
    });
}

#[test]
fn a_tool_call_that_a_workflow_cannot_serve_is_a_line_of_its_answer() {
    test(async {
        for name in ["ask", "ask-blocking"] {
            let (sandbox, gate) = gated(Load::Works);
            let guest = guest(&sandbox, name).await;
            let call = "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}";
            gate.then("Let me look:")
                .then(call)
                .then("</tool_call>")
                .then(call)
                .then("</tool_call>Done.")
                .then(Step::End);
            let (report, reply) = run_gated(&sandbox, &guest).await;
            report.result.as_ref().unwrap();
            let line = "weather({\"city\":\"Paris\"})";
            let answer = format!("Let me look:\n{line}\n{line}\nDone.");
            assert_eq!(content(&reply), answer);
            let file = report.scratch.dir().read_to_string("answer.md");
            assert_eq!(file.unwrap(), answer);
            let note = &report.notes[0].text;
            assert!(note.ends_with("the model asked for a tool"), "{note}");
        }
    });
}

#[test]
fn the_same_prompt_and_seed_give_the_same_answer_and_another_seed_another() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let guest = guest(&sandbox, "ask").await;
        let mut said = Vec::new();
        for seed in [0, 0, 1] {
            let change = |job: &mut Job| job.grant.model.config.sampling.seed = Some(seed);
            let (_, reply) = run_guest(&sandbox, &guest, &["Hello"], change).await;
            said.push(content(&reply) + &thoughts(&reply));
        }
        assert_eq!(said[0], said[1]);
        assert_ne!(said[0], said[2]);
    });
}

#[test]
fn a_workflow_without_its_arguments_says_what_it_takes() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        for name in ["ask", "ask-blocking"] {
            let (report, reply) = run(&sandbox, name, &[], |_| {}).await;
            assert!(reply.is_empty());
            match report.result.unwrap_err() {
                GeniusError::Sandbox(SandboxError::GuestUsage { component, message }) => {
                    assert_eq!(component, name);
                    assert!(message.contains("takes a prompt"), "{message}");
                }
                e => panic!("{e:?}"),
            }
        }
    });
}

#[test]
fn arguments_over_a_mebibyte_are_refused_before_the_guest_runs() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let guest = guest(&sandbox, "noop").await;
        let word = "w".repeat(1 << 19);
        let (report, _) = run_guest(&sandbox, &guest, &[&word, &word], |_| {}).await;
        report.result.unwrap();
        let words = args(&[&word, &word, "w"]);
        let refused = sandbox.run_workflow(&guest, words, Job::new(model())).await;
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("1 MiB"), "{error}");
    });
}

#[test]
fn nul_ansi_and_bidi_characters_are_data_and_arrive_unharmed() {
    test(async {
        let (sandbox, gate) = gated(Load::Works);
        let nasty = "a\0b\u{1b}[31mred\u{202e}\u{2066}\r\n\u{7f}<think>\u{feff}\u{10ffff}";
        let guest = guest(&sandbox, "ask").await;
        gate.then(nasty.replace("<think>", "").as_str())
            .then(Step::End);
        let (report, reply) = run_guest(&sandbox, &guest, &[nasty], |job| {
            job.grant.model = model_on("gate");
        })
        .await;
        report.result.as_ref().unwrap();
        assert_eq!(gate.conversations()[0][0].content, nasty);
        assert_eq!(content(&reply), nasty.replace("<think>", ""));
        let file = report.scratch.dir().read_to_string("answer.md").unwrap();
        assert_eq!(file, content(&reply));
    });
}

#[test]
fn many_events_arrive_in_batches_and_all_are_counted() {
    const TOKENS: u32 = 100_000;
    test(async {
        let sandbox = sandbox(pinky(|p| p.tokens = Some(TOKENS)));
        let (report, _) = run(&sandbox, "drain", &["1000000"], |_| {}).await;
        report.result.as_ref().unwrap();
        assert_eq!(report.usage.completion_tokens, TOKENS);
        let note = &report.notes[0].text;
        let numbers: Vec<u64> = note
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        let [events, bytes, reads] = numbers[..] else {
            panic!("{note}");
        };
        // Start and end are events too; a token that ends within a tag or a character
        // may be none.
        assert!(events > u64::from(TOKENS) * 9 / 10, "{note}");
        assert!(events <= u64::from(TOKENS) + 4, "{note}");
        assert!(bytes > u64::from(TOKENS), "{note}");
        assert!(reads < events / 200, "{note}");
    });
}

#[test]
fn events_arrive_while_the_generation_goes_on() {
    test(async {
        let (sandbox, gate) = gated(Load::Works);
        let guest = guest(&sandbox, "ask").await;
        let (sender, reader) = async_channel::unbounded();
        let mut job = Job::new(model_on("gate"));
        job.reply = Some(sender);
        let run = pin!(sandbox.run_workflow(&guest, args(&["Hello"]), job));
        gate.then("one ");
        let first = async {
            gate.waits().await;
            let said = content(&reader.recv().await.unwrap());
            gate.then("two").then(Step::End);
            said
        };
        let (report, said) = futures::join!(run, first);
        report.unwrap().result.unwrap();
        assert_eq!(said, "one ");
        assert_eq!(content(&reader.recv().await.unwrap()), "two");
    });
}

#[test]
fn a_slow_reader_holds_the_guest_and_the_decode_back_and_loses_nothing() {
    const TOKENS: usize = 3000;
    test(async {
        let (sandbox, gate) = gated(Load::Works);
        let guest = guest(&sandbox, "ask").await;
        let expected: String = (0..TOKENS).map(|n| format!("{n} ")).collect();
        for n in 0..TOKENS {
            gate.then(format!("{n} ").as_str());
        }
        gate.then(Step::End);
        let (sender, reader) = async_channel::bounded(1);
        let mut job = Job::new(model_on("gate"));
        job.reply = Some(sender);
        job.grant.model.config.behavior.max_tokens = Some(1 << 20);
        let run = sandbox.run_workflow(&guest, args(&["Hello"]), job);
        let read = async {
            // Nobody reads until one batch is said and the next one waits for room.
            while reader.is_empty() {
                async_std::task::yield_now().await;
            }
            for _ in 0..1000 {
                async_std::task::yield_now().await;
            }
            assert!(
                gate.steps_left() > TOKENS - 4 * 256,
                "{}",
                gate.steps_left()
            );
            let mut said = String::new();
            while let Ok(batch) = reader.recv().await {
                said += &content(&batch);
            }
            said
        };
        let (report, said) = futures::join!(run, read);
        report.unwrap().result.unwrap();
        assert_eq!(said, expected);
    });
}

#[test]
fn a_reader_that_went_away_does_not_stop_the_guest() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let guest = guest(&sandbox, "ask").await;
        let (sender, reader) = async_channel::bounded(1);
        drop(reader);
        let mut job = Job::new(model());
        job.reply = Some(sender);
        let report = sandbox.run_workflow(&guest, args(&["Hello"]), job).await;
        let report = report.unwrap();
        report.result.as_ref().unwrap();
        assert_eq!(report.scratch.files().unwrap(), ["answer.md"]);
    });
}

#[test]
fn a_run_dropped_halfway_cancels_its_generation_and_leaves_nothing() {
    test(async {
        for name in ["ask", "ask-blocking", "drain"] {
            let root = tmp("dropped").join(name);
            let gate = support::Gate::new(Load::Works);
            let sandbox = support::sandbox_on(&gate, &root);
            let guest = guest(&sandbox, name).await;
            gate.then("one ").then("two ");
            {
                let run = pin!(run_gated(&sandbox, &guest));
                let waits = pin!(gate.waits());
                assert!(matches!(select(run, waits).await, Either::Right(_)));
                assert_eq!(gate.live(), (1, 1));
                assert_eq!(root.read_dir().unwrap().count(), 1);
            }
            gate.dropped().await;
            assert_eq!(gate.live(), (0, 0));
            assert_eq!(root.read_dir().unwrap().count(), 0);

            gate.then("three").then(Step::End);
            let (report, _) = run_gated(&sandbox, &guest).await;
            report.result.unwrap();
            assert_eq!(gate.live(), (0, 0));
        }
    });
}

#[test]
fn a_run_dropped_while_its_model_loads_takes_its_request_back() {
    test(async {
        let (sandbox, gate) = gated(Load::NeverEnds);
        let guest = guest(&sandbox, "ask").await;
        {
            let run = pin!(run_gated(&sandbox, &guest));
            let waits = pin!(gate.waits());
            assert!(matches!(select(run, waits).await, Either::Right(_)));
        }
        assert_eq!(gate.live().1, 0);
        assert!(gate.conversations().is_empty());
    });
}

#[test]
fn an_engine_that_fails_is_named_with_its_reason_and_what_came_before_stands() {
    test(async {
        for name in ["ask", "ask-blocking"] {
            for (step, why) in [(Step::Fail, "the test said so"), (Step::Break, "broke off")] {
                let (sandbox, gate) = gated(Load::Works);
                let guest = guest(&sandbox, name).await;
                gate.then("half ").then(step);
                let (report, reply) = run_gated(&sandbox, &guest).await;
                assert!(failure(&report).contains(why), "{report:?}");
                let error = report.result.as_ref().unwrap_err();
                assert!(
                    matches!(
                        error,
                        GeniusError::Engine(EngineError::BackendFailed { .. })
                    ),
                    "{error:?}"
                );
                assert_eq!(content(&reply), "half ");
                assert_eq!(report.usage.completion_tokens, 1);
                assert_eq!(gate.live(), (0, 0));
            }
        }
    });
}

#[test]
fn a_model_that_cannot_be_loaded_is_named_with_its_reason() {
    test(async {
        let (sandbox, _) = gated(Load::Fails);
        for name in ["ask", "ask-blocking"] {
            let guest = guest(&sandbox, name).await;
            let (report, _) = run_gated(&sandbox, &guest).await;
            match report.result.unwrap_err() {
                GeniusError::Engine(EngineError::LoadFailed { model, reason }) => {
                    assert_eq!((&*model, &*reason), ("test/model", "the test said so"));
                }
                e => panic!("{e:?}"),
            }
        }
    });
}

#[test]
fn an_engine_that_does_not_exist_is_named_with_those_that_do() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let (report, _) = run(&sandbox, "ask", &["Hello"], |job| {
            job.grant.model = model_on("snowball");
        })
        .await;
        let error = failure(&report);
        assert!(
            error.contains("snowball") && error.contains("pinky"),
            "{error}"
        );
    });
}
