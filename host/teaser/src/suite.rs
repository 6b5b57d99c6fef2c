//! Many fixtures, several at once, a row for each.

use crate::runner::{Outcome, Runner};
use crate::scan::Found;
use async_channel::Receiver;
use futures::StreamExt;
use futures::future::{AbortHandle, abortable};
use rusty_genius_core::GeniusError;
use rusty_genius_core::fixture::Fixture;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How fixtures are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many at once, at least 1.
    pub jobs: usize,
    /// Whether no more are begun once one failed.
    pub fail_fast: bool,
}

/// A fixture and what came of it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// The fixture, unless it is broken.
    pub fixture: Option<Fixture>,
    /// What came of it.
    pub result: RowResult,
}

/// What came of a fixture.
#[derive(Debug, Clone)]
pub enum RowResult {
    /// It cannot be read, or is no fixture.
    Broken(GeniusError),
    /// It was run.
    Ran(Box<Outcome>),
    /// It was not begun, because another one failed before.
    Skipped,
}

/// How a fixture did, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nothing is wrong.
    Passed,
    /// Nothing is wrong, after some was.
    Flaky,
    /// Something is wrong.
    Failed,
    /// It is no fixture.
    Broken,
    /// It was not begun.
    Skipped,
}

impl Status {
    /// The word, as it stands in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Flaky => "flaky",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::Skipped => "skipped",
        }
    }
}

impl Row {
    /// How it did.
    pub fn status(&self) -> Status {
        match &self.result {
            RowResult::Broken(_) => Status::Broken,
            RowResult::Skipped => Status::Skipped,
            RowResult::Ran(outcome) if outcome.flaky() => Status::Flaky,
            RowResult::Ran(outcome) if outcome.passed() => Status::Passed,
            RowResult::Ran(_) => Status::Failed,
        }
    }

    /// Whether the whole fails for it.
    pub fn failed(&self) -> bool {
        matches!(self.status(), Status::Failed | Status::Broken)
    }

    /// What came of it, if it was run.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.result {
            RowResult::Ran(outcome) => Some(outcome),
            _ => None,
        }
    }
}

/// Something that happens while fixtures are run.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A fixture is begun.
    Begun(&'a str),
    /// A fixture is done, or is none.
    Done(&'a Row),
}

/// All that was run.
#[derive(Debug, Clone)]
pub struct Report {
    /// When it began.
    pub started: SystemTime,
    /// How long it took.
    pub wall_time: Duration,
    /// A row for each fixture, in the order they were given.
    pub rows: Vec<Row>,
}

impl Report {
    /// How many fixtures did so.
    pub fn count(&self, status: Status) -> usize {
        let of = |row: &&Row| row.status() == status;
        self.rows.iter().filter(of).count()
    }

    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        !self.rows.iter().any(Row::failed)
    }
}

/// Ends a task when it is dropped.
struct StopOnDrop(AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What tells when all runs are over that were begun, those too whose suite was dropped.
pub struct Over(Receiver<()>);

impl Over {
    /// Waits for it.
    pub async fn wait(self) {
        // Nothing is ever sent: the channel closes with the last task.
        let _ = self.0.recv().await;
    }
}

/// Runs fixtures, each on a task of its own. `watch` hears of each as it begins and ends.
/// Dropping the future ends the runs; [`Over`] tells when they have.
pub fn run_suite<'a>(
    runner: &'a Runner,
    found: Vec<Found>,
    options: Options,
    mut watch: impl FnMut(Progress<'_>) + 'a,
) -> (impl Future<Output = Report> + 'a, Over) {
    let (alive, over) = async_channel::bounded::<()>(1);
    let suite = async move {
        let started = SystemTime::now();
        let clock = std::time::Instant::now();
        let count = found.len();
        let mut rows: Vec<Option<Row>> = (0..count).map(|_| None).collect();
        let mut waiting = found.into_iter().enumerate();
        let mut running = futures::stream::FuturesUnordered::new();
        let mut failed = false;
        loop {
            while running.len() < options.jobs.max(1) && !(failed && options.fail_fast) {
                let Some((at, found)) = waiting.next() else {
                    break;
                };
                let Found {
                    name,
                    path,
                    fixture,
                } = found;
                match fixture {
                    Err(error) => {
                        let row = Row {
                            name,
                            path,
                            fixture: None,
                            result: RowResult::Broken(error),
                        };
                        watch(Progress::Done(&row));
                        failed = true;
                        rows[at] = Some(row);
                    }
                    Ok(fixture) => {
                        watch(Progress::Begun(&name));
                        let (runner, alive) = (runner.clone(), alive.clone());
                        let (work, stop) = abortable(async move {
                            let outcome = runner.run(&fixture).await;
                            drop(alive);
                            (fixture, outcome)
                        });
                        let task = async_std::task::spawn(work);
                        let stop = StopOnDrop(stop);
                        running.push(async move {
                            let done = task.await;
                            drop(stop);
                            // Nobody else aborts it.
                            let result = done.ok().map(|(fixture, outcome)| Row {
                                name,
                                path,
                                fixture: Some(fixture),
                                result: RowResult::Ran(Box::new(outcome)),
                            });
                            (at, result)
                        });
                    }
                }
            }
            match running.next().await {
                Some((at, Some(row))) => {
                    watch(Progress::Done(&row));
                    failed |= row.failed();
                    rows[at] = Some(row);
                }
                Some((_, None)) => {}
                None => break,
            }
        }
        for (at, found) in waiting {
            let Found {
                name,
                path,
                fixture,
            } = found;
            let row = Row {
                name,
                path,
                fixture: fixture.ok(),
                result: RowResult::Skipped,
            };
            rows[at] = Some(row);
        }
        Report {
            started,
            wall_time: clock.elapsed(),
            rows: rows.into_iter().flatten().collect(),
        }
    };
    (suite, Over(over))
}
