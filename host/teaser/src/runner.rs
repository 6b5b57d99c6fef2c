//! Running fixtures.

use crate::call;
use crate::evidence::Evidence;
use crate::failure::Failure;
use crate::judge::{Standard, judge};
use crate::show;
use rusty_genius::Genius;
use rusty_genius_core::GeniusError;
use rusty_genius_core::fixture::Fixture;
use rusty_genius_cortex::DEFAULT_ENGINE;
use rusty_genius_sandbox::{Budget, Guest, Job};
use std::fmt::Write;
use std::path::PathBuf;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// The guest: the name of a built-in one, or a component's path.
    pub guest: &'static str,
    /// The file with the answer; the one thing it leaves in the scratch directory.
    pub answer_file: &'static str,
    /// What it looks at every time, by the names of its checks.
    pub checks: &'static [&'static str],
    /// What it tries on purpose and is denied, as the host tells it.
    pub tries: &'static [&'static str],
}

impl Scenario {
    /// The built-in guest `fixture`.
    pub const FIXTURE: Self = Self {
        guest: "fixture",
        answer_file: "answer.md",
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
}

/// Runs fixtures, any number at once.
#[derive(Clone)]
pub struct Runner {
    genius: Genius,
    engine: String,
    scenario: Scenario,
    guest: Guest,
}

/// What came of one fixture.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The fixture's name.
    pub name: String,
    /// The fixture's file.
    pub file: PathBuf,
    /// The engine it ran on.
    pub engine: String,
    /// What it was judged by.
    pub standard: Standard,
    /// All that is wrong; empty if it passed.
    pub failures: Vec<Failure>,
    /// What it was judged on.
    pub evidence: Evidence,
}

impl Runner {
    /// A runner with the scenario `fixture`, for this engine, whatever engine the house
    /// itself prefers. The engine is not looked for before a fixture needs it.
    ///
    /// Errors: as [`Genius::guest`].
    pub async fn new(genius: Genius, engine: impl Into<String>) -> Result<Self, GeniusError> {
        Self::with_scenario(genius, engine, Scenario::FIXTURE).await
    }

    /// A runner with another scenario.
    pub async fn with_scenario(
        genius: Genius,
        engine: impl Into<String>,
        scenario: Scenario,
    ) -> Result<Self, GeniusError> {
        Ok(Self {
            guest: genius.guest(scenario.guest).await?,
            genius,
            engine: engine.into(),
            scenario,
        })
    }

    /// Runs one fixture and judges it by what can be asked of the engine
    /// ([`Standard::of_engine`]). Dropping the future ends the run.
    pub async fn run(&self, fixture: &Fixture) -> Outcome {
        let mut model = fixture.model.clone();
        model.engine = Some(self.engine.clone());
        let mut job = Job::new(model);
        job.budget = Budget {
            wall_time: fixture.limits.timeout,
            memory: fixture.limits.memory,
            ..Budget::default()
        };
        let case = fixture.test_case();
        let evidence = match self.genius.run_case(&self.guest, case, job).await {
            Ok(report) => {
                let scenario = self.scenario;
                blocking::unblock(move || Evidence::gather(report, &scenario)).await
            }
            Err(error) => Evidence::none(error),
        };
        let standard = Standard::of_engine(&self.engine);
        Outcome {
            name: fixture.name.clone(),
            file: fixture.file.clone(),
            engine: self.engine.clone(),
            standard,
            failures: judge(fixture, &self.scenario, &evidence, standard),
            evidence,
        }
    }
}

impl Outcome {
    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// All that is wrong, a line each, then the answer and the calls; safe on a terminal.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let prefix = format!(
            "{}: engine {}",
            self.file.display(),
            show::line(&self.engine)
        );
        for failure in &self.failures {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{prefix}: {failure}");
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
