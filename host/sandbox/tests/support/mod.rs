//! A host with Pinky or Gate for engine, and guests to run on it.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod gate;

use facecrab::{Facecrab, Settings};
pub(crate) use gate::{Gate, Load, Step};
use rusty_genius_core::{Fragment, GeniusError, ModelSource, ModelSpec, ThoughtEvent};
use rusty_genius_cortex::{Backend, Cortex, Pinky, PinkyConfig, SystemClock};
use rusty_genius_sandbox::{Guest, Job, Report, Sandbox, SandboxConfig};
use rusty_genius_stem::{Stem, StrategyPolicy};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Runs a test on the async-std runtime. One that hangs fails, long before the runner
/// gives up on it.
pub(crate) fn test(body: impl Future<Output = ()>) {
    let limit = Duration::from_secs(120);
    // Boxed: without optimisation the runtime copies the future dozens of times onto a
    // stack of 2 MiB.
    let body = async_std::future::timeout(limit, Box::pin(body));
    async_std::task::block_on(body).expect("the test hangs");
}

/// Where tests put what they leave: below `target/tmp`.
pub(crate) fn tmp(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn stem(backend: impl FnOnce(Arc<SystemClock>) -> Arc<dyn Backend>) -> Stem {
    let clock = Arc::new(SystemClock);
    let cortex = Cortex::new(clock.clone()).with(backend(clock));
    Stem::start(
        Arc::new(cortex),
        Facecrab::new(Settings::offline(tmp("no-models"))),
        StrategyPolicy::default(),
    )
}

/// Pinky without delay, or as `change` makes it.
pub(crate) fn pinky(change: impl FnOnce(&mut PinkyConfig)) -> Stem {
    let mut config = PinkyConfig {
        delay: Duration::ZERO,
        ..PinkyConfig::default()
    };
    change(&mut config);
    stem(|clock| Arc::new(Pinky::new(config, clock)))
}

/// A sandbox on a gate, and the gate.
pub(crate) fn gated(load: Load) -> (Sandbox, Gate) {
    let gate = Gate::new(load);
    (sandbox_on(&gate, &tmp("runs")), gate)
}

/// A sandbox on this gate, its runs below `scratch_root`.
pub(crate) fn sandbox_on(gate: &Gate, scratch_root: &Path) -> Sandbox {
    let stem = stem(|_| Arc::new(gate.clone()));
    sandbox_with(stem, |config| config.scratch_root = scratch_root.to_owned())
}

pub(crate) fn sandbox(stem: Stem) -> Sandbox {
    sandbox_with(stem, |_| {})
}

pub(crate) fn sandbox_with(stem: Stem, change: impl FnOnce(&mut SandboxConfig)) -> Sandbox {
    let mut config = SandboxConfig::new(tmp("runs"));
    change(&mut config);
    Sandbox::new(config, stem).unwrap()
}

pub(crate) fn model_on(engine: &str) -> ModelSpec {
    let mut model = ModelSpec::new(ModelSource::parse("test/model").unwrap());
    model.engine = Some(engine.into());
    model
}

pub(crate) fn model() -> ModelSpec {
    model_on("pinky")
}

/// A guest of the bundle.
pub(crate) async fn guest(sandbox: &Sandbox, name: &str) -> Guest {
    let bytes = rusty_genius_guests::find(name).unwrap().bytes;
    sandbox.load(name, bytes).await.unwrap()
}

pub(crate) fn args(args: &[&str]) -> Vec<String> {
    args.iter().map(ToString::to_string).collect()
}

/// Runs a workflow of the bundle and gathers its reply.
pub(crate) async fn run(
    sandbox: &Sandbox,
    name: &str,
    words: &[&str],
    change: impl FnOnce(&mut Job),
) -> (Report<()>, Vec<Fragment>) {
    let guest = guest(sandbox, name).await;
    run_guest(sandbox, &guest, words, change).await
}

/// Runs a workflow and gathers its reply.
pub(crate) async fn run_guest(
    sandbox: &Sandbox,
    guest: &Guest,
    words: &[&str],
    change: impl FnOnce(&mut Job),
) -> (Report<()>, Vec<Fragment>) {
    let (sender, receiver) = async_channel::unbounded();
    let mut job = Job::new(model());
    job.reply = Some(sender);
    change(&mut job);
    let report = sandbox.run_workflow(guest, args(words), job).await.unwrap();
    let mut fragments = Vec::new();
    while let Ok(batch) = receiver.try_recv() {
        fragments.extend(batch);
    }
    (report, fragments)
}

/// Runs a workflow on Gate.
pub(crate) async fn run_gated(sandbox: &Sandbox, guest: &Guest) -> (Report<()>, Vec<Fragment>) {
    run_guest(sandbox, guest, &["Hello"], |job| {
        job.grant.model = model_on("gate");
    })
    .await
}

/// How a run failed, in words.
pub(crate) fn failure<T: std::fmt::Debug>(report: &Report<T>) -> String {
    report.result.as_ref().unwrap_err().to_string()
}

/// The limit a run ended at.
pub(crate) fn limit<T: std::fmt::Debug>(
    report: &Report<T>,
) -> (rusty_genius_core::BudgetResource, u64) {
    match report.result.as_ref().unwrap_err() {
        GeniusError::Budget(e) => (e.resource, e.limit),
        e => panic!("not a limit: {e:?}"),
    }
}

pub(crate) fn content(fragments: &[Fragment]) -> String {
    fragments
        .iter()
        .filter_map(|f| match f {
            Fragment::Content { text } => Some(text.as_str()),
            Fragment::Thought(_) => None,
        })
        .collect()
}

pub(crate) fn thoughts(fragments: &[Fragment]) -> String {
    fragments
        .iter()
        .filter_map(|f| match f {
            Fragment::Thought(ThoughtEvent::Delta { text }) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// The reply's lines, as name and outcome.
pub(crate) fn outcomes(reply: &str) -> Vec<(&str, &str)> {
    reply
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .collect()
}

/// Runs `hostile/greedy` on Pinky and compares what it was told.
pub(crate) async fn greedy(change: impl FnOnce(&mut Job), expected: &[(&str, &str)]) {
    let sandbox = sandbox(pinky(|p| p.tokens = Some(1)));
    let attempts: Vec<&str> = expected.iter().map(|(attempt, _)| *attempt).collect();
    let (report, reply) = run(&sandbox, "hostile/greedy", &attempts, change).await;
    // What floods the reply is not a line.
    let reply = content(&reply).replace('~', "");
    assert_eq!(outcomes(&reply), expected);
    report.result.unwrap();
}
