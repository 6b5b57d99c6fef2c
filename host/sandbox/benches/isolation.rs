//! What untrusted guests cost each other and the host: a thousand that wait for a model, one
//! that spins beside one that is served, and what it costs to count.
//!
//! Ratios and medians within one run; nothing here is compared with another machine.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should stop"
)]

use async_std::task::{block_on, spawn};
use facecrab::{Facecrab, Settings};
use rusty_genius_core::{BudgetResource, ModelSource, ModelSpec};
use rusty_genius_cortex::{Cortex, Pinky, PinkyConfig, SystemClock};
use rusty_genius_sandbox::{Guest, Job, Sandbox, SandboxConfig, metering};
use rusty_genius_stem::{Stem, StrategyPolicy};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Guests that wait at once.
const PARKED: u32 = 1000;
/// Tokens of an answer that a guest is served, an event each.
const TOKENS: u32 = 200_000;
/// Pairs of measurements.
const ROUNDS: usize = 9;
/// How often something is counted.
const COUNTED: u32 = 1_000_000;

fn sandbox(max_runs: u32, pinky: impl FnOnce(&mut PinkyConfig)) -> Sandbox {
    let mut config = PinkyConfig {
        delay: Duration::ZERO,
        ..PinkyConfig::default()
    };
    pinky(&mut config);
    let clock = Arc::new(SystemClock);
    let cortex = Cortex::new(clock.clone()).with(Arc::new(Pinky::new(config, clock)));
    let stem = Stem::start(
        Arc::new(cortex),
        Facecrab::new(Settings::offline("no/such/folder")),
        StrategyPolicy::default(),
    );
    let mut config =
        SandboxConfig::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-isolation"));
    config.max_runs = max_runs;
    Sandbox::new(config, stem).unwrap()
}

fn guest(sandbox: &Sandbox, name: &str) -> Guest {
    let bytes = rusty_genius_guests::find(name).unwrap().bytes;
    block_on(sandbox.load(name, bytes)).unwrap()
}

fn job() -> Job {
    let mut model = ModelSpec::new(ModelSource::parse("bench/model").unwrap());
    model.engine = Some("pinky".into());
    let mut job = Job::new(model);
    job.budget.wall_time = Duration::from_secs(3600);
    job.budget.cpu_time = Duration::from_secs(3600);
    job
}

/// Bytes of this process in memory, as Linux counts them.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// A thousand guests, each with a generation that gives nothing for an hour.
fn parked() {
    let sandbox = sandbox(PARKED + 8, |pinky| pinky.delay = Duration::from_secs(3600));
    let park = guest(&sandbox, "hostile/park");
    let start = |_: u32| {
        let running = sandbox
            .begin_workflow(&park, vec!["never".to_owned()], job())
            .unwrap();
        let gauge = running.gauge();
        (gauge, spawn(running))
    };
    let waits = |gauge: &rusty_genius_sandbox::Gauge| {
        while gauge.read().used(BudgetResource::Inferences) == 0 {
            std::thread::yield_now();
        }
    };
    // What the first ones bring into being, for all, is not the others'.
    let first: Vec<_> = (0..8).map(start).collect();
    first.iter().for_each(|(gauge, _)| waits(gauge));
    let Some(before) = resident() else {
        return println!("parked guests: this system does not tell how much memory they take");
    };
    let began = Instant::now();
    let many: Vec<_> = (0..PARKED).map(start).collect();
    many.iter().for_each(|(gauge, _)| waits(gauge));
    let took = began.elapsed();
    let each = (resident().unwrap_or(before) - before) / u64::from(PARKED);
    println!(
        "{PARKED} guests wait for a model ({} ms to start them):",
        took.as_millis()
    );
    println!(
        "  {:>6} KiB resident for each, what it touched of its own memory included (aim: at most \
         256 without)",
        each >> 10
    );
}

/// How long a guest takes to read an answer, alone and beside one that spins.
fn beside_a_spinner() {
    let sandbox = sandbox(8, |pinky| pinky.tokens = Some(TOKENS));
    let (drain, spin) = (guest(&sandbox, "drain"), guest(&sandbox, "hostile/spin"));
    let serve = || {
        let began = Instant::now();
        let words = vec![(1 << 20).to_string()];
        let report = block_on(sandbox.run_workflow(&drain, words, job())).unwrap();
        report.result.unwrap();
        began.elapsed()
    };
    serve();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(serve());
        let spinning = spawn(sandbox.begin_workflow(&spin, vec![], job()).unwrap());
        beside.push(serve());
        block_on(spinning.cancel());
    }
    let (alone, beside) = (median(alone), median(beside));
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!(
        "a guest is served {TOKENS} events in {} ms, median of {ROUNDS}:",
        alone.as_millis()
    );
    println!(
        "  {} ms beside one that spins: {:+.1} % (aim: at most 5 on two free cores)",
        beside.as_millis(),
        (ratio - 1.0) * 100.0
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn counting() {
    let each: Vec<Duration> = (0..ROUNDS).map(|_| metering(COUNTED)).collect();
    let nanos = median(each).as_nanos() as f64 / f64::from(COUNTED);
    println!("counting a call of the host and taking of a limit: {nanos:.1} ns (aim: at most 100)");
}

fn main() {
    // `cargo bench -- --list` and `--test` measure nothing.
    if std::env::args().any(|arg| arg == "--list" || arg == "--test") {
        return;
    }
    counting();
    beside_a_spinner();
    parked();
    // A thousand runs are dropped with the process.
    std::process::exit(0);
}
