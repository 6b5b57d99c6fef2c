//! What the sandbox costs: starting a guest, running one, reading events through it.
//!
//! After the groups it prints events through the sandbox beside the same events read
//! natively, measured in turns, so that what else the machine does hits both.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should stop"
)]

use async_std::task::block_on;
use criterion::{BatchSize, Criterion, Throughput};
use facecrab::{Facecrab, Settings};
use futures::StreamExt;
use rusty_genius_core::{InferenceEvent, ModelSource, ModelSpec, PartialConfig, Turn};
use rusty_genius_cortex::{Cortex, Pinky, PinkyConfig, SystemClock};
use rusty_genius_sandbox::{Guest, Job, Sandbox, SandboxConfig};
use rusty_genius_stem::{Stem, StrategyPolicy};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tokens of one answer; an event each, but for the first and the last.
const TOKENS: u32 = 100_000;
/// Pairs of measurements of the comparison at the end.
const ROUNDS: usize = 9;

struct Bench {
    stem: Stem,
    sandbox: Sandbox,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(SystemClock);
        let config = PinkyConfig {
            delay: Duration::ZERO,
            tokens: Some(TOKENS),
            ..PinkyConfig::default()
        };
        let cortex = Cortex::new(clock.clone()).with(Arc::new(Pinky::new(config, clock)));
        let stem = Stem::start(
            Arc::new(cortex),
            Facecrab::new(Settings::offline("no/such/folder")),
            StrategyPolicy::default(),
        );
        let runs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-runs");
        let sandbox = Sandbox::new(SandboxConfig::new(runs), stem.clone()).unwrap();
        Self { stem, sandbox }
    }

    fn guest(&self, name: &str) -> Guest {
        let bytes = rusty_genius_guests::find(name).unwrap().bytes;
        block_on(self.sandbox.load(name, bytes)).unwrap()
    }

    async fn run(&self, guest: &Guest, args: Vec<String>) -> String {
        let run = self.sandbox.run_workflow(guest, args, Job::new(model()));
        let mut report = run.await.unwrap();
        report.result.unwrap();
        report.notes.pop().map(|note| note.text).unwrap_or_default()
    }

    /// Reads an answer through the guest `drain`, and how many events it counted.
    async fn events_in_sandbox(&self, drain: &Guest) -> u64 {
        let note = self.run(drain, vec![(1 << 20).to_string()]).await;
        note.split(' ').next().unwrap().parse().unwrap()
    }

    /// Does what `drain` does, without a guest.
    async fn events_natively(&self) -> u64 {
        let session = self.stem.session(model(), "bench");
        let mut config = PartialConfig::default();
        config.behavior.max_tokens = Some(1 << 20);
        let turns = vec![Turn::user("Count.")];
        let mut events = session.infer(turns, config).await.unwrap();
        let (mut count, mut bytes) = (0, 0);
        while let Some(event) = events.next().await {
            count += 1;
            if let InferenceEvent::Content { text } = &event {
                bytes += text.len();
            }
        }
        black_box(bytes);
        count
    }
}

fn model() -> ModelSpec {
    let mut model = ModelSpec::new(ModelSource::parse("bench/model").unwrap());
    model.engine = Some("pinky".into());
    model
}

fn instantiate(c: &mut Criterion, bench: &Bench) {
    let mut group = c.benchmark_group("instantiate");
    group.measurement_time(Duration::from_secs(4));
    for name in ["noop", "ask"] {
        let guest = bench.guest(name);
        let scratch = bench.sandbox.scratch(name).unwrap();
        group.bench_function(name, |b| {
            b.iter(|| {
                let job = Job::new(model());
                block_on(bench.sandbox.instantiate(&guest, job, &scratch)).unwrap();
            });
        });
    }
    group.finish();
}

fn scratch(c: &mut Criterion, bench: &Bench) {
    let mut group = c.benchmark_group("scratch");
    group.measurement_time(Duration::from_secs(2));
    group.bench_function("create", |b| {
        // Criterion drops what comes out, and with it the directory, outside its clock.
        b.iter_batched(
            || (),
            |()| bench.sandbox.scratch("bench").unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("create and remove", |b| {
        b.iter(|| bench.sandbox.scratch("bench").unwrap());
    });
    group.finish();
}

fn call(c: &mut Criterion, bench: &Bench) {
    let noop = bench.guest("noop");
    let mut group = c.benchmark_group("call");
    group.measurement_time(Duration::from_secs(4));
    group.bench_function("noop, directory and all", |b| {
        b.iter(|| block_on(bench.run(&noop, vec![])));
    });
    group.finish();
}

fn events(c: &mut Criterion, bench: &Bench) {
    let drain = bench.guest("drain");
    let count = block_on(bench.events_natively());
    let mut group = c.benchmark_group("events");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(6))
        .throughput(Throughput::Elements(count));
    group.bench_function("native", |b| {
        b.iter(|| block_on(bench.events_natively()));
    });
    group.bench_function("sandbox", |b| {
        b.iter(|| block_on(bench.events_in_sandbox(&drain)));
    });
    group.finish();
}

/// Prints what an event costs on both ways, and the difference.
fn compare(bench: &Bench) {
    let drain = bench.guest("drain");
    let count = block_on(bench.events_natively());
    assert_eq!(block_on(bench.events_in_sandbox(&drain)), count);
    let time = |read: &dyn Fn() -> u64| {
        let began = Instant::now();
        black_box(read());
        began.elapsed()
    };
    let (mut native, mut sandbox) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        native.push(time(&|| block_on(bench.events_natively())));
        sandbox.push(time(&|| block_on(bench.events_in_sandbox(&drain))));
    }
    let events = u32::try_from(count).unwrap();
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2].as_nanos() / u128::from(events)
    };
    let (native, sandbox) = (median(native), median(sandbox));
    let ratio = sandbox * 100 / native.max(1);
    println!("{count} events, median of {ROUNDS} rounds:");
    println!("  native   {native:>5} ns an event");
    println!("  sandbox  {sandbox:>5} ns an event ({ratio} % of native)");
    println!(
        "  the sandbox adds {} ns an event",
        sandbox.saturating_sub(native)
    );
}

fn main() {
    let bench = Bench::new();
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(50)
        .warm_up_time(Duration::from_secs(1));
    instantiate(&mut criterion, &bench);
    scratch(&mut criterion, &bench);
    call(&mut criterion, &bench);
    events(&mut criterion, &bench);
    criterion.final_summary();
    // `cargo bench -- --list` and `--test` measure nothing.
    if std::env::args().all(|arg| arg != "--list" && arg != "--test") {
        compare(&bench);
    }
}
