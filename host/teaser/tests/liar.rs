//! A scenario that lies is caught: its word is never taken for what the host can see.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius_teaser::{Failure, Fixture, Outcome, Runner, Scenario};
use std::borrow::Cow;
use std::path::Path;

/// The guest `hostile/liar`, which claims to be like `fixture`.
const LIAR: Scenario = Scenario {
    guest: Cow::Borrowed("hostile/liar"),
    ..Scenario::FIXTURE
};

/// Asks the liar for one kind of lie.
fn run(engine: &str, front: &str, lie: &str) -> Outcome {
    let text = format!("+++\n{front}\n+++\n{lie}\n");
    let fixture = Fixture::parse("a/b/c/d", Path::new("d.md"), text.as_bytes()).unwrap();
    async_std::task::block_on(async {
        let genius = support::genius(rusty_genius::bundled::settings()).unwrap();
        let runner = Runner::new(genius).on_engine(engine).with_scenario(LIAR);
        runner.run(&fixture).await
    })
}

fn failures(lie: &str) -> Vec<Failure> {
    let outcome = run("pinky", "[limits]\nmax-tokens = 8", lie);
    assert!(!outcome.passed());
    let told = outcome.describe();
    let line = |line: &str| !line.contains(char::is_control);
    assert!(told.lines().all(line), "{told:?}");
    assert!(told.starts_with("d.md: engine pinky: "), "{told}");
    outcome.failures
}

#[test]
fn when_it_is_honest_it_passes() {
    let outcome = run("pinky", "[limits]\nmax-tokens = 8", "honest");
    assert!(outcome.passed(), "{}", outcome.describe());
    assert!(outcome.summary().starts_with("a/b/c/d: length, "));
}

#[test]
fn usage_that_is_not_what_the_host_counted() {
    assert_eq!(
        failures("fewer tokens"),
        [Failure::Usage {
            field: "generated tokens",
            reported: 4,
            counted: 8
        }]
    );
    assert!(matches!(failures("slower")[..], [Failure::Usage { .. }]));
}

#[test]
fn an_observation_of_what_never_happened() {
    let failures = failures("nothing asked");
    let usage = |f: &Failure| matches!(f, Failure::Usage { counted: 0, .. });
    assert!(
        failures.iter().filter(|f| usage(f)).count() >= 2,
        "{failures:?}"
    );
}

#[test]
fn more_tokens_than_the_fixture_allows() {
    assert!(matches!(
        failures("more tokens")[..],
        [Failure::Tokens {
            counted: 9..,
            limit: 8
        }]
    ));
}

#[test]
fn a_stop_text_that_it_kept_from_the_host() {
    let outcome = run("pinky", "[limits]\nstop = ['Narf!']", "no stop");
    assert!(matches!(outcome.failures[..], [Failure::StopText { .. }]));
}

#[test]
fn checks_that_fail_or_are_left_out() {
    assert_eq!(failures("no checks").len(), Scenario::FIXTURE.checks.len());
    assert!(matches!(
        failures("a check less")[..],
        [Failure::CheckMissing { .. }]
    ));
    assert!(matches!(
        failures("a check that fails")[..],
        [Failure::Check { .. }]
    ));
}

#[test]
fn files_that_are_not_the_answer() {
    for lie in ["another answer", "no file", "a folder"] {
        let failures = failures(lie);
        assert!(
            matches!(failures[..], [Failure::AnswerFile { .. }]),
            "{lie}: {failures:?}"
        );
    }
    let failures = failures("a link");
    assert!(
        matches!(
            failures[..],
            [Failure::AnswerFile { .. }, Failure::StrayFile { .. }]
        ),
        "{failures:?}"
    );
}

#[test]
fn files_nobody_asked_for() {
    assert!(matches!(failures("files")[..], [Failure::StrayFile { .. }]));
}

#[test]
fn calls_that_are_none() {
    assert!(matches!(failures("a call")[..], [Failure::Call { .. }]));
    assert!(matches!(
        failures("a tool")[..],
        [Failure::Finish {
            finish: "tool-call"
        }]
    ));
}

#[test]
fn an_end_that_is_none() {
    assert!(matches!(
        failures("cancelled")[..],
        [Failure::Finish {
            finish: "cancelled"
        }]
    ));
    assert!(matches!(failures("gives up")[..], [Failure::Run(_)]));
}

#[test]
fn asking_for_what_it_was_not_granted() {
    assert!(matches!(
        failures("another model")[..],
        [Failure::Refused { .. }]
    ));
}

#[test]
fn an_engine_that_is_not_there_fails_the_fixture_and_says_what_to_do() {
    let outcome = run("snowball", "", "honest");
    let told = outcome.describe();
    assert!(told.contains("no engine named"), "{told}");
    assert!(
        told.contains("\nhint: choose one with RUSTY_GENIUS_ENGINE"),
        "{told}"
    );
}
