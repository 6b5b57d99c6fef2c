//! The fixtures of narf-1m on narf-1m itself, whatever engine the others run on: the model
//! comes with the house, so its answers are judged everywhere. On `bytelm`, and once more on
//! `brain` where the build has it: the two read the same weights.

mod support;

use libtest_mimic::Arguments;
use rusty_genius_cortex::{Cortex, SystemClock};
use rusty_genius_teaser::{Scenario, scan};
use std::process::ExitCode;
use std::sync::Arc;
use support::Shared;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Err(e) = support::enter_root() {
        eprintln!("error: {e}");
        return ExitCode::FAILURE;
    }
    // Timeouts are for one generation at a time.
    arguments.test_threads.get_or_insert(1);
    let mut engines = vec!["bytelm"];
    let built_in = Cortex::new(Arc::new(SystemClock)).names();
    engines.extend(built_in.iter().map(|e| &**e).filter(|e| *e == "brain"));
    let mut trials = Vec::new();
    for engine in engines {
        let mut shared = Shared::new(engine, Scenario::FIXTURE);
        // Laid by the first run, and found by the others.
        shared.models.hub_cache = support::tmp("narf-models");
        shared.models.config = support::tmp("narf-config");
        shared.verbose = arguments.nocapture;
        let mut found = scan("fixtures");
        found.retain(|fixture| fixture.name.starts_with("rusty-genius/"));
        if found.is_empty() {
            eprintln!("error: fixtures/rusty-genius has no fixtures");
            return ExitCode::FAILURE;
        }
        let prefix = format!("{engine}::");
        trials.extend(support::trials_named(found, &Arc::new(shared), &prefix));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
