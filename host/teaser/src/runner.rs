//! Running fixtures.

use crate::call;
use crate::cassette::{self, Cassette, Header};
use crate::evidence::Evidence;
use crate::failure::Failure;
use crate::house::House;
use crate::judge::{Standard, judge};
use crate::show;
use async_lock::Mutex;
use rusty_genius_core::fixture::Fixture;
use rusty_genius_core::{GeniusError, ModelSpec, SandboxError};
use rusty_genius_cortex::DEFAULT_ENGINE;
use rusty_genius_sandbox::{Budget, Guest, Job, Tape};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The environment variable that names another engine than the build's own.
pub const ENGINE_VARIABLE: &str = "RUSTY_GENIUS_ENGINE";

/// Characters of an answer that a failure shows.
const SHOWN: usize = 400;

/// The engine to test: what [`ENGINE_VARIABLE`] names, else the build's own
/// ([`DEFAULT_ENGINE`]).
pub fn engine_from_env() -> String {
    std::env::var(ENGINE_VARIABLE)
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| DEFAULT_ENGINE.to_owned())
}

/// A guest that can run fixtures, and what it promises to do with each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The guest: the name of a built-in one, or a component's path.
    pub guest: Cow<'static, str>,
    /// The file with the answer, the one thing it leaves in the scratch directory; `None`
    /// where it may leave what it likes.
    pub answer_file: Option<&'static str>,
    /// What it looks at every time, by the names of its checks.
    pub checks: &'static [&'static str],
    /// What it tries on purpose and is denied, as the host tells it.
    pub tries: &'static [&'static str],
}

impl Scenario {
    /// The built-in guest `fixture`.
    pub const FIXTURE: Self = Self {
        guest: Cow::Borrowed("fixture"),
        answer_file: Some("answer.md"),
        checks: &[
            "process-start first and once",
            "complete last and once",
            "thoughts bracketed",
            "no empty delta",
            "calls well formed",
            "usage adds up",
            "within max-tokens",
            "logprobs as asked",
            "a second stream is at its end",
            "answer file reads back",
            "no escape",
        ],
        tries: &[
            "reading \"../outside\" from /scratch",
            "writing to \"../outside\" from /scratch",
        ],
    };

    /// Somebody's own component, which promises nothing.
    pub fn of(guest: impl Into<String>) -> Self {
        Self {
            guest: Cow::Owned(guest.into()),
            answer_file: None,
            checks: &[],
            tries: &[],
        }
    }
}

/// Whether what is asked of models is kept, or comes from what was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tapes {
    /// Neither.
    #[default]
    Off,
    /// Each run leaves a cassette below this folder.
    Record(PathBuf),
    /// Each run is answered from its cassette below this folder; no engine is asked.
    Replay(PathBuf),
}

/// Runs fixtures, any number at once. A clone is the same one.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    house: Arc<dyn House>,
    engine: Option<String>,
    scenario: Scenario,
    retries: u32,
    timeout: Option<Duration>,
    tapes: Tapes,
    guests: Arc<Mutex<BTreeMap<String, Result<Guest, GeniusError>>>>,
    digests: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

/// What came of one fixture.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The fixture's name.
    pub name: String,
    /// The fixture's file.
    pub file: PathBuf,
    /// The engine it ran on; of a cassette, the engine that was recorded.
    pub engine: String,
    /// Whether it was answered from a cassette.
    pub replayed: bool,
    /// What it was judged by.
    pub standard: Standard,
    /// How often it was tried: 1, and its retries.
    pub attempts: u32,
    /// All that is wrong; empty if it passed.
    pub failures: Vec<Failure>,
    /// What it was judged on.
    pub evidence: Evidence,
}

impl Runner {
    /// A runner with the scenario `fixture`, on the engines that the house chooses. Nothing
    /// is loaded before a fixture needs it.
    pub fn new(house: impl House + 'static) -> Self {
        Self(Arc::new(Inner {
            house: Arc::new(house),
            engine: None,
            scenario: Scenario::FIXTURE,
            retries: 0,
            timeout: None,
            tapes: Tapes::Off,
            guests: Arc::default(),
            digests: Arc::default(),
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Every fixture on this engine, whatever the house prefers.
    pub fn on_engine(self, engine: impl Into<String>) -> Self {
        self.with(|inner| inner.engine = Some(engine.into()))
    }

    /// Another scenario for fixtures that name none.
    pub fn with_scenario(self, scenario: Scenario) -> Self {
        self.with(|inner| inner.scenario = scenario)
    }

    /// How often a fixture that fails, and says nothing of it itself, is tried again.
    pub fn retrying(self, retries: u32) -> Self {
        self.with(|inner| inner.retries = retries)
    }

    /// The time of each fixture, whatever it says itself.
    pub fn within(self, timeout: Duration) -> Self {
        self.with(|inner| inner.timeout = Some(timeout))
    }

    /// Whether cassettes are made or used.
    pub fn taping(self, tapes: Tapes) -> Self {
        self.with(|inner| inner.tapes = tapes)
    }

    /// The engine that a fixture would run on.
    pub fn engine_of(&self, fixture: &Fixture) -> Result<String, GeniusError> {
        Ok(self.0.model(fixture)?.engine.unwrap_or_default())
    }

    /// Whether fixtures are answered from cassettes.
    pub fn replays(&self) -> bool {
        matches!(self.0.tapes, Tapes::Replay(_))
    }

    /// Runs one fixture and judges it by what can be asked of the engine
    /// ([`Standard::of_engine`]); tries it again while it fails and has retries left.
    /// Dropping the future ends the run.
    pub async fn run(&self, fixture: &Fixture) -> Outcome {
        let retries = fixture.retries.unwrap_or(self.0.retries);
        let mut attempts = 1;
        loop {
            let mut outcome = self.0.attempt(fixture).await;
            if outcome.passed() || attempts > retries {
                outcome.attempts = attempts;
                return outcome;
            }
            attempts += 1;
        }
    }
}

impl Inner {
    fn model(&self, fixture: &Fixture) -> Result<ModelSpec, GeniusError> {
        let mut model = fixture.model.clone();
        model.engine = match &self.engine {
            Some(engine) => Some(engine.clone()),
            None => self.house.model(&fixture.model.id())?.engine,
        };
        Ok(model)
    }

    async fn guest(&self, name: &str) -> Result<Guest, GeniusError> {
        let mut guests = self.guests.lock().await;
        match guests.get(name) {
            Some(guest) => guest.clone(),
            None => {
                let guest = self.house.scenario(name).await;
                guests.insert(name.to_owned(), guest.clone());
                guest
            }
        }
    }

    async fn attempt(&self, fixture: &Fixture) -> Outcome {
        let scenario = match &fixture.scenario {
            Some(name) => Scenario::of(name),
            None => self.scenario.clone(),
        };
        let mut outcome = Outcome {
            name: fixture.name.clone(),
            file: fixture.file.clone(),
            engine: self.engine.clone().unwrap_or_default(),
            replayed: false,
            standard: Standard::Pipeline,
            attempts: 1,
            failures: Vec::new(),
            evidence: Evidence::none(not_run()),
        };
        let model = match self.model(fixture) {
            Ok(model) => model,
            Err(error) => {
                outcome.failures.push(Failure::Run(error));
                return outcome;
            }
        };
        outcome.engine = model.engine.clone().unwrap_or_default();
        let tape = match &self.tapes {
            Tapes::Off => None,
            Tapes::Record(_) => Some(Tape::record()),
            Tapes::Replay(dir) => {
                outcome.replayed = true;
                match open(dir, &fixture.name).await {
                    Ok(cassette) => {
                        outcome.engine = cassette.header.engine;
                        Some(Tape::replay(cassette.exchanges))
                    }
                    Err(failure) => {
                        outcome.failures.push(failure);
                        return outcome;
                    }
                }
            }
        };
        outcome.standard = Standard::of_engine(&outcome.engine);
        let run = self.run(fixture, &scenario, model.clone(), tape.clone());
        outcome.evidence = run.await.unwrap_or_else(Evidence::none);
        outcome.failures = judge(fixture, &scenario, &outcome.evidence, outcome.standard);
        match (&self.tapes, tape) {
            (Tapes::Record(dir), Some(tape)) => {
                let kept = self.keep(dir, &outcome, &model, &tape).await;
                outcome.failures.extend(kept.err());
            }
            (Tapes::Replay(_), Some(tape)) => replayed(&tape, &mut outcome.failures),
            _ => {}
        }
        outcome
    }

    async fn run(
        &self,
        fixture: &Fixture,
        scenario: &Scenario,
        model: ModelSpec,
        tape: Option<Tape>,
    ) -> Result<Evidence, GeniusError> {
        let guest = self.guest(&scenario.guest).await?;
        let mut job = Job::new(model);
        job.tape = tape;
        job.budget = Budget {
            wall_time: self.timeout.unwrap_or(fixture.limits.timeout),
            memory: fixture.limits.memory,
            ..Budget::default()
        };
        let case = fixture.test_case();
        let report = self.house.sandbox().run_case(&guest, case, job).await?;
        let scenario = scenario.clone();
        let expected: Vec<String> = fixture.expect.files.keys().cloned().collect();
        Ok(blocking::unblock(move || Evidence::gather(report, &scenario, expected)).await)
    }

    /// Leaves a cassette of a run that came to its end.
    async fn keep(
        &self,
        dir: &Path,
        outcome: &Outcome,
        model: &ModelSpec,
        tape: &Tape,
    ) -> Result<(), Failure> {
        if outcome.evidence.observation.is_err() {
            return Ok(());
        }
        let file = cassette::path(dir, &outcome.name);
        let failed = |reason: String| Failure::Cassette {
            file: file.clone(),
            reason,
        };
        let digests = self
            .digests(model)
            .await
            .map_err(|e| failed(e.to_string()))?;
        let cassette = Cassette {
            header: Header::new(&outcome.name, model.id(), &outcome.engine, digests),
            exchanges: tape.exchanges(),
        };
        let path = file.clone();
        blocking::unblock(move || cassette.write(&path))
            .await
            .map_err(|e| failed(e.to_string()))
    }

    /// Read once a model: its files may have gigabytes.
    async fn digests(&self, model: &ModelSpec) -> Result<Vec<String>, GeniusError> {
        let key = model.load_key();
        let mut known = self.digests.lock().await;
        if let Some(digests) = known.get(&key) {
            return Ok(digests.clone());
        }
        let digests = self.house.digests(model).await?;
        known.insert(key, digests.clone());
        Ok(digests)
    }
}

/// For what was not even begun: the failures say why.
fn not_run() -> GeniusError {
    SandboxError::Host {
        what: "running the fixture".into(),
        reason: "it was not begun".into(),
    }
    .into()
}

async fn open(dir: &Path, name: &str) -> Result<Cassette, Failure> {
    let file = cassette::path(dir, name);
    let path = file.clone();
    blocking::unblock(move || Cassette::read(&path))
        .await
        .map_err(|reason| Failure::Cassette { file, reason })
}

/// What the tape says of a run that it answered.
fn replayed(tape: &Tape, failures: &mut Vec<Failure>) {
    if let Some(mismatch) = tape.mismatch() {
        // That the run failed then is no news.
        failures.retain(|failure| !matches!(failure, Failure::Run(_)));
        failures.insert(0, Failure::Replay(Box::new(mismatch)));
        return;
    }
    let requests = tape.exchanges().len();
    if requests > 0 {
        failures.push(Failure::Unplayed { requests });
    }
}

impl Outcome {
    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Whether it passed, though not at once.
    pub fn flaky(&self) -> bool {
        self.passed() && self.attempts > 1
    }

    /// All that is wrong, a line each with what differs, then the answer and the calls; safe
    /// on a terminal.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let prefix = format!(
            "{}: {}",
            self.file.display(),
            show::line(&self.engine_note())
        );
        for failure in &self.failures {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{prefix}: {failure}");
            for line in failure.diff().iter().flat_map(|diff| diff.lines()) {
                let _ = writeln!(text, "  {line}");
            }
            if let Some(hint) = failure.hint() {
                let _ = writeln!(text, "hint: {hint}");
            }
        }
        if let Ok(seen) = &self.evidence.observation {
            let _ = writeln!(text, "answer: {}", show::excerpt(&seen.answer, SHOWN));
            if !seen.calls.is_empty() {
                let calls = call::list(seen.calls.iter().map(call::reported));
                let _ = writeln!(text, "calls: {}", show::short(&calls, SHOWN));
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// What answered: `engine bytelm`, or `cassette of bytelm`.
    pub fn engine_note(&self) -> String {
        match self.replayed {
            true => format!("cassette of {}", self.engine),
            false => format!("engine {}", self.engine),
        }
    }

    /// The figures, on one line.
    pub fn summary(&self) -> String {
        let usage = &self.evidence.usage;
        let finish = match &self.evidence.observation {
            Ok(seen) => seen.finish.name(),
            Err(_) => "no report",
        };
        let cached = match usage.cached_tokens {
            0 => String::new(),
            tokens => format!(" ({tokens} cached)"),
        };
        format!(
            "{}: {finish}, {}{cached} + {} tokens, {} ms, {} KiB",
            self.name,
            usage.prompt_tokens,
            usage.completion_tokens,
            self.evidence.wall_time.as_millis(),
            self.evidence.memory_peak >> 10,
        )
    }
}
