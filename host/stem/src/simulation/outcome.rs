//! What a simulation tells.

use super::series::Point;
use super::timeline::Interval;
use rusty_genius_core::brainstem::Rejection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It had its answer.
    Answered,
    /// Its model could not be loaded or its engine died, or its deadline passed while it
    /// ran.
    Failed,
    /// It was turned away.
    Rejected(Rejection),
    /// Whoever asked gave up.
    TakenBack,
    /// Nothing ever happened to it: a policy let it run and never loaded its model.
    Never,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    pub(super) started: u64,
    pub(super) ended: u64,
    /// How it ended.
    pub end: End,
}

impl Life {
    const NEVER: u64 = u64::MAX;

    pub(super) fn new() -> Self {
        Self {
            started: Self::NEVER,
            ended: Self::NEVER,
            end: End::Never,
        }
    }

    /// When it began to run.
    pub fn started(&self) -> Option<Duration> {
        (self.started != Self::NEVER).then(|| Duration::from_nanos(self.started))
    }

    /// When it ended, however it did.
    pub fn ended(&self) -> Option<Duration> {
        (self.ended != Self::NEVER).then(|| Duration::from_nanos(self.ended))
    }
}

/// How long something took: of a hundred, the fiftieth, and so on (nearest rank). All zero,
/// if it never happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread {
    /// Half took no longer.
    pub p50: Duration,
    /// Nine of ten took no longer.
    pub p90: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Spread {
    /// Of times in nanoseconds.
    pub(super) fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let rank = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
            Duration::from_nanos(times.get(place).copied().unwrap_or(0))
        };
        Self {
            p50: rank(50),
            p90: rank(90),
            p99: rank(99),
            max: rank(100),
        }
    }
}

/// What became of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOutcome {
    /// Its name.
    pub name: Arc<str>,
    /// Times it was loaded.
    pub loads: u64,
    /// Generations it ran.
    pub generations: u64,
    /// When it was in memory. Where models change very often, what is shorter than a hundred
    /// thousandth of the whole may be missing.
    pub intervals: Vec<Interval>,
}

/// What a policy made of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What the policy is called.
    pub policy: String,
    /// Requests of the trace.
    pub requests: u64,
    /// Requests that had their answer.
    pub answered: u64,
    /// Requests that failed; see [`End::Failed`].
    pub failed: u64,
    /// Requests that were taken back while they waited.
    pub taken_back: u64,
    /// Requests that were turned away, by reason.
    pub rejected: BTreeMap<Rejection, u64>,
    /// From arrival to start, of all that ran.
    pub wait: Spread,
    /// From arrival to the end, of all that had their answer.
    pub total: Spread,
    /// Loads that came to an end, those that failed as well.
    pub loads: u64,
    /// Loads that failed.
    pub failed_loads: u64,
    /// Loads of a model that had left memory less than a minute before.
    pub returns: u64,
    /// Models that left at once.
    pub unloads: u64,
    /// Models that left with their sessions saved.
    pub hibernations: u64,
    /// Of both, those with which a policy answered that memory is short.
    pub evictions: u64,
    /// Engines that died.
    pub deaths: u64,
    /// Most bytes of models in memory, or on their way in or out.
    pub memory_high: u64,
    /// The limit of that.
    pub memory_limit: Option<u64>,
    /// Most requests that waited at once.
    pub longest_queue: u32,
    /// Most generations that ran at once.
    pub most_running: u32,
    /// The share of the span in which a generation ran, 0 to 1.
    pub busy: f64,
    /// Events that the policy was asked about.
    pub decisions: u64,
    /// Commands of it that were refused.
    pub refused: u64,
    /// What it did wrong.
    pub faults: u64,
    /// The first of that, in words.
    pub first_fault: Option<String>,
    /// Whether the native policy took over for good.
    pub replaced: bool,
    /// When the last request ended.
    pub span: Duration,
    /// The models, as in the trace.
    pub models: Vec<ModelOutcome>,
    /// Queue, generations and memory over time, in at most [`POINTS_LIMIT`] points.
    ///
    /// [`POINTS_LIMIT`]: super::POINTS_LIMIT
    pub series: Vec<Point>,
    /// What became of each request, in the order of the trace.
    pub lives: Vec<Life>,
    /// Rules that were broken, the first twenty of them. Always empty, or the loop has a
    /// fault; but a policy breaks one by itself that lets a request run and never loads its
    /// model, or that sets timers without end.
    pub broken: Vec<String>,
}
