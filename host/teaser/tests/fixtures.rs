//! Every fixture below `fixtures/`, a test each, on the build's own engine or the one
//! that `RUSTY_GENIUS_ENGINE` names. Takes the options of the standard harness.

mod support;

use libtest_mimic::Arguments;
use rusty_genius_teaser::{Scenario, Standard, engine_from_env, scan};
use std::process::ExitCode;
use std::sync::Arc;
use support::Shared;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Err(e) = support::enter_root() {
        eprintln!("error: {e}");
        return ExitCode::FAILURE;
    }
    let engine = engine_from_env();
    let mut shared = Shared::new(&engine, Scenario::FIXTURE);
    if Standard::of_engine(&engine) == Standard::Answer {
        // Timeouts are for one generation at a time, and so is the memory for models.
        arguments.test_threads.get_or_insert(1);
    }
    shared.verbose = arguments.nocapture;
    let trials = support::trials(scan("fixtures"), &Arc::new(shared));
    libtest_mimic::run(&arguments, trials).exit_code()
}
