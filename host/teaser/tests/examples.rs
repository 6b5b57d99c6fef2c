//! The scenario `fixture` in three languages says the same of the same cases. The components
//! are those of `scripts/examples.sh`; without them this is skipped, unless
//! `GENIUS_EXAMPLES=required`.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius_core::Observation;
use rusty_genius_teaser::{Found, Runner, Scenario, scan};
use std::borrow::Cow;
use std::path::Path;

const GUESTS: [&str; 2] = [
    "target/examples/fixture-python.wasm",
    "target/examples/fixture-javascript.wasm",
];

/// Whether the components are here. Where they have to be, they are missed.
fn are_built() -> bool {
    support::enter_root().unwrap();
    let missing = GUESTS.iter().find(|guest| !Path::new(guest).is_file());
    let Some(missing) = missing else { return true };
    let required = std::env::var_os("GENIUS_EXAMPLES").is_some_and(|v| v == "required");
    assert!(!required, "there is no {missing}: ./scripts/examples.sh");
    eprintln!("skipped: there is no {missing}");
    false
}

/// What the scenario reports of each fixture, all of which pass. Times are left out: each
/// run has its own.
fn reports(runner: &Runner, found: &[Found]) -> Vec<(String, Observation)> {
    let report = |found: &Found| {
        let fixture = found.fixture.as_ref().unwrap();
        let outcome = async_std::task::block_on(runner.run(fixture));
        assert!(outcome.passed(), "{}", outcome.describe());
        let mut seen = outcome.evidence.observation.unwrap();
        seen.usage.prefill_us = 0;
        seen.usage.decode_us = 0;
        seen.usage.cached_tokens = 0;
        (found.name.clone(), seen)
    };
    found.iter().map(report).collect()
}

/// Compares them on an engine.
fn all_say_the_same(engine: &str, chosen: impl Fn(&str) -> bool) {
    let mut models = rusty_genius::bundled::settings();
    models.hub_cache = support::tmp("examples-models");
    models.config = support::tmp("examples-config");
    let genius = support::genius(models).unwrap();
    let mut found = scan("fixtures");
    found.retain(|found| chosen(&found.name));
    assert!(!found.is_empty());
    let runner = Runner::new(genius).on_engine(engine);
    let rust = reports(&runner, &found);
    for guest in GUESTS {
        let scenario = Scenario {
            guest: Cow::Borrowed(guest),
            ..Scenario::FIXTURE
        };
        let other = reports(&runner.clone().with_scenario(scenario), &found);
        assert_eq!(other, rust, "{guest}");
    }
}

/// One after the other: the second finds the components compiled.
#[test]
fn the_scenario_says_the_same_in_every_language() {
    if are_built() {
        all_say_the_same("bytelm", |name| name.starts_with("rusty-genius/"));
        all_say_the_same("pinky", |name| name.starts_with("Qwen/"));
    }
}
