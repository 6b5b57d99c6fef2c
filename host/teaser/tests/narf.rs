//! The fixtures of narf-1m on narf-1m itself, whatever engine the others run on: the model
//! comes with the house, so its answers are judged everywhere.

mod support;

use libtest_mimic::Arguments;
use rusty_genius_teaser::{Scenario, scan};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use support::Shared;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if let Err(e) = std::env::set_current_dir(&root) {
        eprintln!("error: {}: {e}", root.display());
        return ExitCode::FAILURE;
    }
    // Timeouts are for one generation at a time.
    arguments.test_threads.get_or_insert(1);
    let mut shared = Shared::new("bytelm", Scenario::FIXTURE);
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
    let trials = support::trials(found, &Arc::new(shared));
    libtest_mimic::run(&arguments, trials).exit_code()
}
