//! A tape keeps what a run asks of its models, and answers in their place.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius_core::{EngineError, Fragment, GeniusError, InferenceEvent};
use rusty_genius_sandbox::{Answer, Exchange, Job, Report, Request, Sandbox, Tape, Timed};
use support::{Load, Step, content, gated, guest, model_on, pinky, run, run_guest, sandbox, test};

/// Runs `ask` on Pinky with this tape.
async fn ask(
    sandbox: &Sandbox,
    workflow: &str,
    tape: &Tape,
    words: &str,
) -> (Report<()>, Vec<Fragment>) {
    run(sandbox, workflow, &[words], |job| {
        job.tape = Some(tape.clone());
    })
    .await
}

/// What a run of `ask` leaves on a tape, and what it replied.
async fn recorded() -> (Vec<Exchange>, Report<()>, Vec<Fragment>) {
    let tape = Tape::record();
    let (report, reply) = ask(&sandbox(pinky(|_| {})), "ask", &tape, "Hello").await;
    report.result.as_ref().unwrap();
    (tape.exchanges(), report, reply)
}

/// A sandbox whose engine would be noticed.
fn without_engine() -> (Sandbox, support::Gate) {
    gated(Load::Fails)
}

#[test]
fn what_was_kept_is_played_with_no_engine_event_for_event() {
    test(async {
        let (kept, report, reply) = recorded().await;
        assert_eq!(kept.len(), 1);
        let Answer::Events(events) = &kept[0].answer else {
            panic!("{kept:?}");
        };
        assert!(events.is_sorted_by_key(|timed| timed.at));
        for workflow in ["ask", "ask-blocking"] {
            let tape = Tape::replay(kept.clone());
            let (sandbox, _gate) = without_engine();
            let (played, again) = ask(&sandbox, workflow, &tape, "Hello").await;
            played.result.as_ref().unwrap();
            assert_eq!(content(&again), content(&reply));
            // To the microsecond: what it consumed is part of what was kept.
            assert_eq!(played.usage, report.usage);
            assert_eq!(tape.exchanges(), []);
            assert_eq!(tape.mismatch(), None);
        }
    });
}

#[test]
fn another_request_is_an_error_that_says_what_the_tape_has() {
    test(async {
        let (kept, ..) = recorded().await;
        let tape = Tape::replay(kept.clone());
        let (sandbox, _gate) = without_engine();
        let (report, reply) = ask(&sandbox, "ask", &tape, "Goodbye").await;
        assert_eq!(content(&reply), "");
        match report.result.unwrap_err() {
            GeniusError::Engine(EngineError::BackendFailed { engine, .. }) => {
                assert_eq!(engine, "tape");
            }
            e => panic!("{e:?}"),
        }
        let mismatch = tape.mismatch().unwrap();
        assert_eq!(mismatch.taped, Some(kept[0].request.clone()));
        let Request::Infer { turns, .. } = mismatch.asked else {
            panic!("{mismatch:?}");
        };
        assert_eq!(turns.last().unwrap().content, "Goodbye");
        // What was not played is still there.
        assert_eq!(tape.exchanges(), kept);
    });
}

#[test]
fn a_tape_is_played_once() {
    test(async {
        let (kept, ..) = recorded().await;
        let tape = Tape::replay(kept);
        let (sandbox, _gate) = without_engine();
        ask(&sandbox, "ask", &tape, "Hello").await.0.result.unwrap();
        ask(&sandbox, "ask", &tape, "Hello")
            .await
            .0
            .result
            .unwrap_err();
        assert_eq!(tape.mismatch().unwrap().taped, None);
    });
}

#[test]
fn an_engine_that_failed_has_failed_again() {
    test(async {
        // Before the first event, and halfway.
        let tape = Tape::record();
        let (sandbox, _gate) = gated(Load::Fails);
        let guest_ = guest(&sandbox, "ask").await;
        let job = |tape: &Tape| {
            let tape = tape.clone();
            move |job: &mut Job| {
                job.grant.model = model_on("gate");
                job.tape = Some(tape);
            }
        };
        let (first, _) = run_guest(&sandbox, &guest_, &["Hello"], job(&tape)).await;
        let first = first.result.unwrap_err();
        assert!(matches!(tape.exchanges()[0].answer, Answer::Failed(_)));
        let (sandbox, gate) = gated(Load::Works);
        let guest_ = guest(&sandbox, "ask").await;
        let played = Tape::replay(tape.exchanges());
        let (again, _) = run_guest(&sandbox, &guest_, &["Hello"], job(&played)).await;
        assert_eq!(again.result.unwrap_err(), first);

        let tape = Tape::record();
        gate.then("half").then(Step::Fail);
        run_guest(&sandbox, &guest_, &["Hello"], job(&tape)).await;
        let played = Tape::replay(tape.exchanges());
        let (again, reply) = run_guest(&sandbox, &guest_, &["Hello"], job(&played)).await;
        assert_eq!(content(&reply), "half");
        assert!(again.result.is_err());
        assert_eq!(gate.conversations().len(), 1, "the engine was asked again");
    });
}

#[test]
fn a_generation_that_is_dropped_is_kept_as_far_as_it_was_read() {
    test(async {
        let tape = Tape::record();
        let (sandbox, gate) = gated(Load::Works);
        let guest = guest(&sandbox, "ask").await;
        gate.then("a");
        let running = run_guest(&sandbox, &guest, &["Hello"], |job| {
            job.grant.model = model_on("gate");
            job.tape = Some(tape.clone());
        });
        // The engine has nothing more to say: the run ends when nobody waits for it.
        futures::future::select(Box::pin(running), Box::pin(gate.waits())).await;
        let kept = tape.exchanges();
        let Answer::Events(events) = &kept[0].answer else {
            panic!("{kept:?}");
        };
        let ended = |timed: &Timed| matches!(timed.event, InferenceEvent::Complete(_));
        assert!(
            !events.is_empty() && !events.iter().any(ended),
            "{events:?}"
        );
    });
}

#[test]
fn counts_of_tokens_and_embeddings_are_kept_too() {
    test(async {
        let tape = Tape::record();
        let attempts = ["count", "embed"];
        let asked = |tape: &Tape| {
            let tape = tape.clone();
            move |job: &mut Job| job.tape = Some(tape)
        };
        let house = sandbox(pinky(|_| {}));
        let (_, first) = run(&house, "hostile/greedy", &attempts, asked(&tape)).await;
        let kept = tape.exchanges();
        let kinds: Vec<bool> = kept
            .iter()
            .map(|kept| matches!(kept.answer, Answer::Tokens(_) | Answer::Embedding(_)))
            .collect();
        assert_eq!(kinds, [true, true], "{kept:?}");
        let played = Tape::replay(kept);
        let (sandbox, _gate) = without_engine();
        let (_, again) = run(&sandbox, "hostile/greedy", &attempts, asked(&played)).await;
        assert_eq!(content(&again), content(&first));
    });
}
