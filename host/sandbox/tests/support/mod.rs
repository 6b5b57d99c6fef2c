//! A host with Pinky for engine, and guests to run on it.
#![allow(dead_code, reason = "each test file uses a part")]

use facecrab::Facecrab;
use rusty_genius_core::{Fragment, ModelSource, ModelSpec, ThoughtEvent};
use rusty_genius_cortex::{Cortex, Pinky, PinkyConfig, SystemClock};
use rusty_genius_sandbox::{Guest, Job, Report, Sandbox, SandboxConfig};
use rusty_genius_stem::{Stem, StrategyPolicy};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where tests put what they leave: below `target/tmp`.
pub fn tmp(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Pinky without delay, or as `change` makes it.
pub fn pinky(change: impl FnOnce(&mut PinkyConfig)) -> Stem {
    let mut config = PinkyConfig {
        delay: Duration::ZERO,
        ..PinkyConfig::default()
    };
    change(&mut config);
    let clock = Arc::new(SystemClock);
    let cortex = Cortex::new(clock.clone()).with(Arc::new(Pinky::new(config, clock)));
    Stem::start(Arc::new(cortex), Facecrab::new(vec![]), StrategyPolicy)
}

pub fn sandbox(stem: Stem) -> Sandbox {
    Sandbox::new(SandboxConfig::new(tmp("runs")), stem).unwrap()
}

pub fn model() -> ModelSpec {
    let mut model = ModelSpec::new(ModelSource::parse("test/model").unwrap());
    model.engine = Some("pinky".into());
    model
}

/// A guest of the bundle, compiled once for all tests of a file.
pub async fn guest(sandbox: &Sandbox, name: &str) -> Guest {
    let bytes = rusty_genius_guests::find(name).unwrap().bytes;
    sandbox.load(name, bytes).await.unwrap()
}

/// Runs a workflow and gathers its reply.
pub async fn run(
    sandbox: &Sandbox,
    name: &str,
    args: &[&str],
    change: impl FnOnce(&mut Job),
) -> (Report<()>, Vec<Fragment>) {
    let guest = guest(sandbox, name).await;
    let (sender, receiver) = async_channel::unbounded();
    let mut job = Job::new(model());
    job.reply = Some(sender);
    change(&mut job);
    let args = args.iter().map(ToString::to_string).collect();
    let report = sandbox.run_workflow(&guest, args, job).await.unwrap();
    let mut fragments = Vec::new();
    while let Ok(batch) = receiver.try_recv() {
        fragments.extend(batch);
    }
    (report, fragments)
}

pub fn content(fragments: &[Fragment]) -> String {
    fragments
        .iter()
        .filter_map(|f| match f {
            Fragment::Content { text } => Some(text.as_str()),
            Fragment::Thought(_) => None,
        })
        .collect()
}

pub fn thoughts(fragments: &[Fragment]) -> String {
    fragments
        .iter()
        .filter_map(|f| match f {
            Fragment::Thought(ThoughtEvent::Delta { text }) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}
