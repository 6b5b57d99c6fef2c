//! Many fixtures, several at once, a row for each.

use crate::runner::{Outcome, Runner};
use crate::scan::Found;
use futures::StreamExt;
use futures::future::{AbortHandle, Either, abortable, select};
use rusty_genius_core::GeniusError;
use rusty_genius_core::fixture::Fixture;
use std::path::PathBuf;
use std::pin::pin;
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
    /// It did not come to its end, or was not begun: another one failed before, or all were
    /// interrupted.
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
    /// It did not come to its end.
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
    /// Whether it was stopped before all were done.
    pub interrupted: bool,
    /// A row for each fixture, in the order they were given.
    pub rows: Vec<Row>,
}

impl Report {
    /// How many fixtures did so.
    pub fn count(&self, status: Status) -> usize {
        let of = |row: &&Row| row.status() == status;
        self.rows.iter().filter(of).count()
    }

    /// Whether nothing failed, and nobody stopped it.
    pub fn passed(&self) -> bool {
        !self.interrupted && !self.rows.iter().any(Row::failed)
    }
}

/// Ends a task when it is dropped.
struct StopOnDrop(AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs fixtures, each on a task of its own. `watch` hears of each as it begins and ends.
///
/// When `stop` is ready no more are begun, those that run are ended, and what was done until
/// then is the report. Dropping the future ends the runs as well, and does not wait for them.
pub async fn run_suite(
    runner: &Runner,
    found: Vec<Found>,
    options: Options,
    stop: impl Future<Output = ()>,
    mut watch: impl FnMut(Progress<'_>),
) -> Report {
    let started = SystemTime::now();
    let clock = std::time::Instant::now();
    let mut stop = pin!(stop);
    let (mut rows, fixtures): (Vec<Row>, Vec<_>) = found.into_iter().map(not_begun).unzip();
    let mut waiting = fixtures.into_iter().enumerate();
    let mut running = futures::stream::FuturesUnordered::new();
    let mut begun = Vec::new();
    let (mut failed, mut stopped) = (false, false);
    loop {
        while running.len() < options.jobs.max(1) && !stopped && !(failed && options.fail_fast) {
            let Some((at, fixture)) = waiting.next() else {
                break;
            };
            match fixture {
                Err(error) => {
                    rows[at].result = RowResult::Broken(error);
                    watch(Progress::Done(&rows[at]));
                    failed = true;
                }
                Ok(fixture) => {
                    watch(Progress::Begun(&rows[at].name));
                    let runner = runner.clone();
                    let (work, handle) = abortable(async move { runner.run(&fixture).await });
                    begun.push(StopOnDrop(handle));
                    let task = async_std::task::spawn(work);
                    running.push(async move { (at, task.await) });
                }
            }
        }
        let next = match stopped {
            // What a run leaves behind has gone when its task is over.
            true => running.next().await,
            false => match select(&mut stop, running.next()).await {
                Either::Left(_) => {
                    stopped = true;
                    begun.clear();
                    continue;
                }
                Either::Right((next, _)) => next,
            },
        };
        match next {
            Some((at, Ok(outcome))) => {
                rows[at].result = RowResult::Ran(Box::new(outcome));
                watch(Progress::Done(&rows[at]));
                failed |= rows[at].failed();
            }
            // It was ended.
            Some((_, Err(_))) => {}
            None => break,
        }
    }
    Report {
        started,
        wall_time: clock.elapsed(),
        interrupted: stopped && rows.iter().any(|row| row.status() == Status::Skipped),
        rows,
    }
}

/// The row of what was not begun, and what there is to run.
fn not_begun(found: Found) -> (Row, Result<Fixture, GeniusError>) {
    let row = Row {
        name: found.name,
        path: found.path,
        fixture: found.fixture.as_ref().ok().cloned(),
        result: RowResult::Skipped,
    };
    (row, found.fixture)
}
