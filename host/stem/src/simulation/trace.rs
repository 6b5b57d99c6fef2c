//! What a simulation is given.

use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::Budgets;
use rusty_genius_core::text::reorders;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Most models of a trace.
pub const MODELS_LIMIT: usize = 4096;
/// Most requests of a trace.
pub const REQUESTS_LIMIT: usize = 10_000_000;
/// Latest moment at which a request may come, in milliseconds: a leap year.
pub(super) const TIME_LIMIT: u64 = 366 * 24 * 3600 * 1000;
/// Most tokens of a prompt or an answer.
pub(super) const TOKENS_LIMIT: u32 = 1 << 20;
/// Longest name of a model or guest, bytes.
const NAME_LIMIT: usize = 200;
/// Longest text about where a trace comes from, bytes.
const ORIGIN_LIMIT: usize = 1000;
/// Most bytes of a model.
const MEMORY_LIMIT: u64 = 1 << 50;
/// A load takes some time, so that a policy cannot keep a model coming and going for ever
/// in one instant.
const SHORTEST_LOAD: Duration = Duration::from_millis(1);
const LONGEST_LOAD: Duration = Duration::from_secs(24 * 3600);
const SLOWEST: f64 = 0.1;
const FASTEST: f64 = 1e9;
const SLOTS_LIMIT: u32 = 65_536;

/// A model, and how the engine behind it is taken to behave.
#[derive(Debug, Clone, PartialEq)]
pub struct SimModel {
    /// Names the load. 1 to 200 bytes without commas, quotes, backslashes or control
    /// characters.
    pub name: Arc<str>,
    /// Bytes it holds, at least 1.
    pub memory: u64,
    /// How long a load takes, 1 ms to a day.
    pub load: Duration,
    /// How long saving its sessions takes when it hibernates, at most a day.
    pub save: Duration,
    /// Prompt tokens a second, 0.1 to 1e9.
    pub prefill: f64,
    /// Generated tokens a second of each of `slots` generations, 0.1 to 1e9.
    pub decode: f64,
    /// Generations at full speed, 1 to 65,536; more of them share.
    pub slots: u32,
    /// What is asked for it with each request.
    pub strategy: CortexStrategy,
    /// Every so many loads, one fails. Default never.
    pub fails_every: Option<u32>,
    /// The engine dies as every so many generations end, and those fail. Default never.
    pub dies_every: Option<u32>,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct SimRequest {
    /// When it comes, milliseconds from the beginning; at most a leap year.
    pub at: u64,
    /// Who asks. 1 to 200 bytes without commas, quotes, backslashes or control characters.
    pub guest: Arc<str>,
    /// The model it is for: its place in the trace's models.
    pub model: u32,
    /// Tokens of its prompt, at most 2^20; policies see four bytes for each.
    pub prompt_tokens: u32,
    /// Most tokens it may generate, at most 2^20.
    pub max_tokens: u32,
    /// Tokens it does generate, where a policy does not allow less.
    pub completion_tokens: u32,
    /// Its place in the queue: higher first.
    pub priority: u8,
    /// How long its answer is of use, milliseconds. Default for ever.
    pub deadline: Option<u32>,
    /// After how many milliseconds it is taken back, if it still waits. Default never.
    pub cancel: Option<u32>,
}

/// Models, limits, and the requests that come.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    origin: Option<String>,
    budgets: Budgets,
    models: Vec<SimModel>,
    requests: Vec<SimRequest>,
}

/// What is wrong with a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceError {
    /// The model or request, as in `model 3`; none if it is the whole.
    pub place: Option<String>,
    /// The key or column.
    pub key: &'static str,
    /// What is wrong with it, and what it must be.
    pub reason: String,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "`{}`: {}", self.key, self.reason)
    }
}

impl std::error::Error for TraceError {}

/// A key, and what is wrong with its value.
pub(super) type Wrong = (&'static str, String);

impl Trace {
    /// A trace; its requests are put in the order of their times. `origin` says where it
    /// comes from, in at most 1,000 bytes without control characters.
    ///
    /// Errors: the first value that is out of its range, or a name that two models have.
    pub fn new(
        origin: Option<String>,
        budgets: Budgets,
        models: Vec<SimModel>,
        requests: Vec<SimRequest>,
    ) -> Result<Self, TraceError> {
        let at =
            |place: Option<String>| move |(key, reason): Wrong| TraceError { place, key, reason };
        check_origin(origin.as_deref()).map_err(at(None))?;
        check_budgets(&budgets).map_err(at(None))?;
        check_counts(models.len(), requests.len()).map_err(at(None))?;
        let mut names = HashSet::new();
        for (n, model) in models.iter().enumerate() {
            let place = format!("model {}", n + 1);
            let new = names.insert(model.name.clone());
            let checked = if new { model.check() } else { Err(taken()) };
            checked.map_err(at(Some(place)))?;
        }
        for (n, request) in requests.iter().enumerate() {
            let checked = request.check(models.len());
            checked.map_err(|wrong| at(Some(format!("request {}", n + 1)))(wrong))?;
        }
        Ok(Self::checked(origin, budgets, models, requests))
    }

    /// A trace whose parts were checked one by one.
    pub(super) fn checked(
        origin: Option<String>,
        budgets: Budgets,
        models: Vec<SimModel>,
        mut requests: Vec<SimRequest>,
    ) -> Self {
        requests.sort_by_key(|request| request.at);
        Self {
            origin,
            budgets,
            models,
            requests,
        }
    }

    /// Where it comes from.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// What the host may consume.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// The models.
    pub fn models(&self) -> &[SimModel] {
        &self.models
    }

    /// The requests, by when they come.
    pub fn requests(&self) -> &[SimRequest] {
        &self.requests
    }

    /// The same with another limit of memory.
    ///
    /// Errors: a limit of 0 bytes.
    pub fn with_memory_limit(mut self, memory: Option<u64>) -> Result<Self, TraceError> {
        self.budgets.memory = memory;
        check_budgets(&self.budgets).map_err(|(key, reason)| TraceError {
            place: None,
            key,
            reason,
        })?;
        Ok(self)
    }
}

impl SimModel {
    pub(super) fn check(&self) -> Result<(), Wrong> {
        check_name("name", &self.name)?;
        if !(1..=MEMORY_LIMIT).contains(&self.memory) {
            return Err(("memory", must(self.memory, "1 byte to 1024TiB")));
        }
        if !(SHORTEST_LOAD..=LONGEST_LOAD).contains(&self.load) {
            let seconds = self.load.as_secs_f64();
            return Err(("load-seconds", must(seconds, "0.001 to 86400")));
        }
        if self.save > LONGEST_LOAD {
            let seconds = self.save.as_secs_f64();
            return Err(("save-seconds", must(seconds, "0 to 86400")));
        }
        for (key, rate) in [("prefill", self.prefill), ("decode", self.decode)] {
            if !(SLOWEST..=FASTEST).contains(&rate) {
                return Err((key, must(rate, "0.1 to 1000000000 tokens a second")));
            }
        }
        if !(1..=SLOTS_LIMIT).contains(&self.slots) {
            return Err(("slots", must(self.slots, "1 to 65536")));
        }
        for (key, every) in [
            ("fails-every", self.fails_every),
            ("dies-every", self.dies_every),
        ] {
            if every == Some(0) {
                return Err((key, must(0, "1 or more")));
            }
        }
        Ok(())
    }
}

impl SimRequest {
    pub(super) fn check(&self, models: usize) -> Result<(), Wrong> {
        if self.at > TIME_LIMIT {
            return Err(("at-ms", must(self.at, "at most 31622400000, a year")));
        }
        check_name("guest", &self.guest)?;
        if self.model as usize >= models {
            return Err(("model", must(self.model, "one of the trace's models")));
        }
        for (key, tokens) in [
            ("prompt-tokens", self.prompt_tokens),
            ("max-tokens", self.max_tokens),
        ] {
            if tokens > TOKENS_LIMIT {
                return Err((key, must(tokens, "at most 1048576")));
            }
        }
        if self.completion_tokens > self.max_tokens {
            let rule = format!("at most its `max-tokens`, {}", self.max_tokens);
            return Err(("completion-tokens", must(self.completion_tokens, &rule)));
        }
        Ok(())
    }
}

pub(super) fn must(value: impl fmt::Display, rule: &str) -> String {
    format!("it is {value}; it must be {rule}")
}

pub(super) fn taken() -> Wrong {
    ("name", "another model has this name".to_owned())
}

pub(super) fn check_name(key: &'static str, name: &str) -> Result<(), Wrong> {
    let bad = |c: char| c.is_control() || reorders(c) || matches!(c, ',' | '"' | '\\');
    let rule = match name {
        "" => "not empty",
        name if name.len() > NAME_LIMIT => "at most 200 bytes long",
        name if name.contains(bad) => "without commas, quotes, backslashes and control characters",
        name if name.trim() != name => "without spaces around it",
        _ => return Ok(()),
    };
    let shown: String = name.chars().take(40).collect();
    Err((key, must(format_args!("{shown:?}"), rule)))
}

pub(super) fn check_origin(origin: Option<&str>) -> Result<(), Wrong> {
    let origin = origin.unwrap_or_default();
    let bad = |c: char| c.is_control() || reorders(c);
    match origin.len() > ORIGIN_LIMIT || origin.contains(bad) {
        true => Err((
            "origin",
            "it must be at most 1000 bytes without control characters".to_owned(),
        )),
        false => Ok(()),
    }
}

pub(super) fn check_budgets(budgets: &Budgets) -> Result<(), Wrong> {
    match budgets.memory {
        Some(0) => Err(("memory", must(0, "1 byte or more"))),
        _ => Ok(()),
    }
}

pub(super) fn check_counts(models: usize, requests: usize) -> Result<(), Wrong> {
    if !(1..=MODELS_LIMIT).contains(&models) {
        let reason = format!("there are {models}; there must be 1 to {MODELS_LIMIT}");
        return Err(("model", reason));
    }
    if requests > REQUESTS_LIMIT {
        return Err(("requests", too_many_requests()));
    }
    Ok(())
}

pub(super) fn too_many_requests() -> String {
    format!("there are more than {REQUESTS_LIMIT} requests")
}
