//! A house for fixtures, and a trial for each of them.
#![allow(dead_code, reason = "each test file uses a part")]

use libtest_mimic::{Failed, Trial};
use rusty_genius::facecrab::{Facecrab, Settings};
use rusty_genius::{Genius, GeniusError, bundled, core::UserManifest};
use rusty_genius_cortex::{Pinky, PinkyConfig, SystemClock};
use rusty_genius_teaser::{Found, Runner, Scenario};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Where tests put what they leave: below `target/tmp`.
pub(crate) fn tmp(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Goes to the root of the repository, where fixtures are: errors then name files as someone
/// there does.
pub(crate) fn enter_root() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::set_current_dir(&root).map_err(|e| format!("{}: {e}", root.display()))
}

/// A house that does not look at who runs it: no manifest of theirs, no cache of theirs,
/// and a Pinky that does not dawdle. Where models are is up to who asks.
pub(crate) fn genius(models: Settings) -> Result<Genius, GeniusError> {
    let pinky = PinkyConfig {
        delay: Duration::ZERO,
        ..PinkyConfig::default()
    };
    let builder = Genius::builder();
    #[cfg(feature = "real-engine")]
    let builder = builder.backend(brain());
    builder
        .manifest(UserManifest::default())
        .facecrab(Facecrab::new(models))
        .backend(Arc::new(Pinky::new(pinky, Arc::new(SystemClock))))
        .scratch_root(tmp("teaser-runs"))
        .cache_dir(Some(tmp("teaser-guests")))
        .build()
}

/// llama.cpp, with no more memory for models than the fixtures are made for: 4 GB.
#[cfg(feature = "real-engine")]
fn brain() -> Arc<dyn rusty_genius_cortex::Backend> {
    use rusty_genius_cortex::{Brain, BrainConfig};
    Arc::new(Brain::new(BrainConfig {
        memory_limit: Some(4_000_000_000),
        ..BrainConfig::default()
    }))
}

/// A runner that is made when the first fixture needs it, and is then everyone's.
pub(crate) struct Shared {
    engine: String,
    scenario: Scenario,
    /// Where models are. Default: where the environment says.
    pub(crate) models: Settings,
    /// Whether to tell figures of what passes.
    pub(crate) verbose: bool,
    runner: OnceLock<Result<Runner, GeniusError>>,
}

impl Shared {
    pub(crate) fn new(engine: &str, scenario: Scenario) -> Self {
        Self {
            engine: engine.to_owned(),
            scenario,
            models: bundled::settings(),
            verbose: false,
            runner: OnceLock::new(),
        }
    }

    fn runner(&self) -> Result<&Runner, GeniusError> {
        let make = || {
            Ok(Runner::new(genius(self.models.clone())?)
                .on_engine(&self.engine)
                .with_scenario(self.scenario.clone()))
        };
        self.runner.get_or_init(make).as_ref().map_err(Clone::clone)
    }

    fn run(&self, found: Found) -> Result<(), Failed> {
        let fixture = found.fixture.map_err(|e| e.to_string())?;
        let runner = self.runner()?;
        let outcome = async_std::task::block_on(runner.run(&fixture));
        if self.verbose {
            eprintln!("{}", outcome.summary());
        }
        match outcome.passed() {
            true => Ok(()),
            false => Err(outcome.describe().into()),
        }
    }
}

/// One test for each fixture, a broken one included.
pub(crate) fn trials(found: Vec<Found>, shared: &Arc<Shared>) -> Vec<Trial> {
    trials_named(found, shared, "")
}

/// [`trials`], with something before each name.
pub(crate) fn trials_named(found: Vec<Found>, shared: &Arc<Shared>, prefix: &str) -> Vec<Trial> {
    let trial = |found: Found| {
        let shared = shared.clone();
        Trial::test(format!("{prefix}{}", found.name), move || shared.run(found))
    };
    found.into_iter().map(trial).collect()
}
