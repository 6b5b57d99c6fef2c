//! The one meter of a run: what it consumes, and where each limit is enforced.
//!
//! Everything a guest can consume is taken here, by [`Meter::take`], [`Meter::permit`] or
//! the [`MemoryMeter`], or checked here against what one call may hold. What a guest can go
//! on without is refused to it as an error; what it cannot is a trap.

use crate::record::RunLog;
use rusty_genius_core::{
    Budget, BudgetError, BudgetResource, Denial, Fragment, GeniusError, Note, Turn, Usage,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// Bytes a table element counts for: a pointer of the host.
const TABLE_ELEMENT_BYTES: u64 = size_of::<usize>() as u64;
/// Bytes a journal note counts for besides its text, so that empty ones end too.
const NOTE_BYTES: u64 = 16;
/// Bytes a turn counts for besides its words, so that empty ones end too.
const TURN_BYTES: usize = 16;
/// Most denials kept; a guest can provoke any number.
const DENIALS_LIMIT: usize = 100;
/// Most bytes kept of what a denial says.
const DENIAL_BYTES: usize = 1000;

/// What the host does for a guest, as a record counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallClass {
    /// Sessions, generations, counting tokens, embeddings.
    Cortex,
    /// Model files.
    Facecrab,
    /// Calls of tools.
    Tools,
    /// What it says.
    Reply,
    /// What it notes.
    Journal,
    /// Operations on files and folders; reading and writing a stream counts once, when it
    /// is opened.
    Files,
    /// Looks at clocks, and timers.
    Clocks,
    /// Streams of the process.
    Stdio,
    /// Attempts to use a network, all refused.
    Network,
}

impl CallClass {
    /// Every class, in the order of a record.
    pub const ALL: [Self; 9] = [
        Self::Cortex,
        Self::Facecrab,
        Self::Tools,
        Self::Reply,
        Self::Journal,
        Self::Files,
        Self::Clocks,
        Self::Stdio,
        Self::Network,
    ];

    /// Its name in a record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cortex => "cortex",
            Self::Facecrab => "facecrab",
            Self::Tools => "tools",
            Self::Reply => "reply",
            Self::Journal => "journal",
            Self::Files => "files",
            Self::Clocks => "clocks",
            Self::Stdio => "stdio",
            Self::Network => "network",
        }
    }
}

/// What a run has consumed, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumption {
    budget: Budget,
    used: [u64; BudgetResource::ALL.len()],
    peak: [u64; BudgetResource::ALL.len()],
    calls: [u64; CallClass::ALL.len()],
    /// How often something was denied.
    pub denials: u64,
}

impl Consumption {
    /// What is in use of a limit, in the unit [`BudgetResource`] documents: now, where it is
    /// given back, and in all, where it is not. For `prompt`, the largest; of `history`
    /// nothing: it is the sessions'.
    pub fn used(&self, resource: BudgetResource) -> u64 {
        self.used[resource as usize]
    }

    /// The most that was in use at once.
    pub fn peak(&self, resource: BudgetResource) -> u64 {
        self.peak[resource as usize]
    }

    /// What was used in all, or the most that was in use at once.
    pub fn most(&self, resource: BudgetResource) -> u64 {
        self.used(resource).max(self.peak(resource))
    }

    /// The limit.
    pub fn limit(&self, resource: BudgetResource) -> u64 {
        self.budget.limit(resource)
    }

    /// How often the guest called the host, by the names of the classes.
    pub fn all_calls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let class = |class: CallClass| (class.name(), self.calls(class));
        CallClass::ALL.into_iter().map(class)
    }

    /// How often the guest called the host for this.
    pub fn calls(&self, class: CallClass) -> u64 {
        self.calls[class as usize]
    }
}

/// Counts what one run consumes. It outlives the run's store, so that a run that is cut
/// off still has its figures. A clone is the same meter.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Counts>);

struct Counts {
    budget: Budget,
    /// By [`BudgetResource`]. Times are in [`Counts::cpu`] and the clock's hands.
    used: [AtomicU64; BudgetResource::ALL.len()],
    peak: [AtomicU64; BudgetResource::ALL.len()],
    calls: [AtomicU64; CallClass::ALL.len()],
    /// Nanoseconds of the processor.
    cpu: AtomicU64,
    /// Nanoseconds since the run began, as far as anybody looked.
    wall: AtomicU64,
    denials: AtomicU64,
    /// Whether the guest was denied memory: then a trap is the budget's doing.
    starved: AtomicBool,
    record: Mutex<Record>,
    log: Option<RunLog>,
    /// The run that called this one, a tool, and the tool's name there.
    parent: Option<(Meter, Arc<str>)>,
}

/// What a run leaves behind besides its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) usage: Usage,
    pub(crate) notes: Vec<Note>,
    /// What the host denied, with what would allow it.
    pub(crate) denials: Vec<Denial>,
    /// The last engine error a guest met, for the person who runs it.
    pub(crate) trouble: Option<GeniusError>,
}

impl Meter {
    pub(crate) fn new(budget: Budget, log: Option<RunLog>) -> Self {
        Self::make(budget, log, None)
    }

    /// The meter of a tool that this run calls.
    pub(crate) fn of_tool(&self, name: &str, budget: Budget) -> Self {
        Self::make(budget, None, Some((self.clone(), name.into())))
    }

    fn make(budget: Budget, log: Option<RunLog>, parent: Option<(Meter, Arc<str>)>) -> Self {
        Self(Arc::new(Counts {
            budget,
            used: Default::default(),
            peak: Default::default(),
            calls: Default::default(),
            cpu: AtomicU64::new(0),
            wall: AtomicU64::new(0),
            denials: AtomicU64::new(0),
            starved: false.into(),
            record: Mutex::default(),
            log,
            parent,
        }))
    }

    pub(crate) fn error(&self, resource: BudgetResource) -> BudgetError {
        BudgetError {
            resource,
            limit: self.limit(resource),
        }
    }

    pub(crate) fn limit(&self, resource: BudgetResource) -> u64 {
        self.0.budget.limit(resource)
    }

    /// What is left of a limit.
    pub(crate) fn left(&self, resource: BudgetResource) -> u64 {
        let used = self.0.used[resource as usize].load(Relaxed);
        self.limit(resource).saturating_sub(used)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // Nothing that can panic runs under this lock.
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> Option<&RunLog> {
        self.0.log.as_ref()
    }

    pub(crate) fn take_record(&self) -> Record {
        std::mem::take(&mut self.record())
    }

    pub(crate) fn starved(&self) -> bool {
        self.0.starved.load(Relaxed)
    }

    /// Counts a call of the host.
    pub(crate) fn called(&self, class: CallClass) {
        self.0.calls[class as usize].fetch_add(1, Relaxed);
    }

    /// Takes so much of a limit, or nothing if that is more than is left; of the caller's,
    /// too, if this is a tool.
    pub(crate) fn take(&self, resource: BudgetResource, more: u64) -> Result<(), BudgetError> {
        let limit = self.limit(resource);
        let used = &self.0.used[resource as usize];
        let taken = used.fetch_update(Relaxed, Relaxed, |now| {
            now.checked_add(more).filter(|sum| *sum <= limit)
        });
        let before = taken.map_err(|_| self.error(resource))?;
        if let Some((caller, _)) = &self.0.parent
            && let Err(spent) = caller.take(resource, more)
        {
            used.fetch_sub(more, Relaxed);
            return Err(spent);
        }
        self.0.peak[resource as usize].fetch_max(before + more, Relaxed);
        Ok(())
    }

    /// Counts what was consumed already, whatever the limit.
    pub(crate) fn add(&self, resource: BudgetResource, more: u64) {
        let before = self.0.used[resource as usize].fetch_add(more, Relaxed);
        self.0.peak[resource as usize].fetch_max(before.saturating_add(more), Relaxed);
    }

    pub(crate) fn give_back(&self, resource: BudgetResource, less: u64) {
        self.0.used[resource as usize].fetch_sub(less, Relaxed);
        if let Some((caller, _)) = &self.0.parent {
            caller.give_back(resource, less);
        }
    }

    /// Takes one of a countable thing; it is given back when the permit is dropped.
    pub(crate) fn permit(&self, resource: BudgetResource) -> Result<Permit, BudgetError> {
        self.take(resource, 1)?;
        Ok(Permit {
            meter: self.clone(),
            resource,
        })
    }

    /// Whether one call may hold so much, where the limit is for each call.
    fn check(&self, resource: BudgetResource, amount: u64) -> Result<(), BudgetError> {
        if amount > self.limit(resource) {
            return Err(self.error(resource));
        }
        self.0.used[resource as usize].fetch_max(amount, Relaxed);
        self.0.peak[resource as usize].fetch_max(amount, Relaxed);
        Ok(())
    }

    pub(crate) fn check_prompt(&self, turns: &[Turn]) -> Result<(), BudgetError> {
        // A turn without words costs the host and the model something too.
        let bytes = turns.iter().map(|t| TURN_BYTES + t.content.len()).sum();
        self.check_text(bytes)
    }

    pub(crate) fn check_text(&self, bytes: usize) -> Result<(), BudgetError> {
        self.check(BudgetResource::Prompt, bytes as u64)
    }

    /// Whether another generation may begin, as far as tokens go; and how many it may give.
    pub(crate) fn tokens_left(&self) -> Result<u64, BudgetError> {
        if self.left(BudgetResource::PromptTokens) == 0 {
            return Err(self.error(BudgetResource::PromptTokens));
        }
        match self.left(BudgetResource::CompletionTokens) {
            0 => Err(self.error(BudgetResource::CompletionTokens)),
            left => Ok(left),
        }
    }

    pub(crate) fn say(&self, fragments: &[Fragment]) -> Result<(), BudgetError> {
        // An empty fragment costs the host something too.
        let bytes = fragments.iter().map(|f| f.len() as u64 + 1).sum();
        self.take(BudgetResource::Reply, bytes)
    }

    pub(crate) fn note(&self, note: Note) -> Result<(), BudgetError> {
        let bytes = NOTE_BYTES + note.text.len() as u64;
        self.take(BudgetResource::Journal, bytes)?;
        self.keep(note);
        Ok(())
    }

    fn keep(&self, note: Note) {
        if let Some((caller, name)) = &self.0.parent {
            let text = format!("{name}: {}", note.text);
            return caller.keep(Note { text, ..note });
        }
        if let Some(log) = &self.0.log {
            log.note(&note);
        }
        self.record().notes.push(note);
    }

    /// Tells the person what was denied, and what would allow it.
    pub(crate) fn deny(&self, what: impl Into<String>, key: Option<String>) {
        let mut what = what.into();
        if what.len() > DENIAL_BYTES {
            what.truncate(what.floor_char_boundary(DENIAL_BYTES));
            what.push('…');
        }
        if let Some((caller, name)) = &self.0.parent {
            let key = key.map(|key| match key.strip_prefix("grants.") {
                Some(key) => format!("grants.tools.{name}.{key}"),
                None => format!("grants.tools.{name}.{key}"),
            });
            return caller.deny(format!("tool {name}: {what}"), key);
        }
        // The same thing over and over is told once.
        let denial = Denial { what, key };
        self.0.denials.fetch_add(1, Relaxed);
        let mut record = self.record();
        if record.denials.len() < DENIALS_LIMIT && !record.denials.contains(&denial) {
            if let Some(log) = &self.0.log {
                log.denial(&denial);
            }
            record.denials.push(denial);
        }
    }

    /// [`Meter::deny`], of a limit that a guest ran into where it gets no `budget` error.
    pub(crate) fn deny_budget(&self, error: &BudgetError) {
        let key = format!("budget.{}", error.resource.key());
        self.deny(error.to_string(), Some(key));
    }

    pub(crate) fn trouble(&self, error: &GeniusError) {
        self.record().trouble = Some(error.clone());
    }

    pub(crate) fn trouble_taken(&self) -> Option<GeniusError> {
        self.record().trouble.take()
    }

    pub(crate) fn consumed(&self, usage: &Usage) {
        self.record().usage.add(usage);
    }

    /// Counts processor time.
    ///
    /// Errors: it is more than there is.
    pub(crate) fn worked(&self, time: Duration) -> Result<(), BudgetError> {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.0.cpu.fetch_add(nanos, Relaxed);
        if let Some((caller, _)) = &self.0.parent {
            caller.worked(time)?;
        }
        match u128::from(before) + u128::from(nanos) > self.0.budget.cpu_time.as_nanos() {
            true => Err(self.error(BudgetResource::CpuTime)),
            false => Ok(()),
        }
    }

    /// Notes how long the run has been going on.
    pub(crate) fn passed(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.wall.fetch_max(nanos, Relaxed);
    }

    /// The figures of this moment.
    pub(crate) fn read(&self) -> Consumption {
        let counts = &self.0;
        let load = |all: &[AtomicU64; BudgetResource::ALL.len()]| {
            let mut values = std::array::from_fn(|n| all[n].load(Relaxed));
            values[BudgetResource::CpuTime as usize] = counts.cpu.load(Relaxed) / 1_000_000;
            values[BudgetResource::WallTime as usize] = counts.wall.load(Relaxed) / 1_000_000;
            values
        };
        Consumption {
            budget: counts.budget.clone(),
            used: load(&counts.used),
            peak: load(&counts.peak),
            calls: std::array::from_fn(|n| counts.calls[n].load(Relaxed)),
            denials: counts.denials.load(Relaxed),
        }
    }

    /// Whether the run may hold `more` bytes of memory.
    fn grow(&self, more: u64) -> bool {
        let granted = self.take(BudgetResource::Memory, more).is_ok();
        if !granted {
            self.0.starved.store(true, Relaxed);
        }
        granted
    }
}

/// For the benchmark of what counting costs: counts so many calls of the host that each take
/// something of a limit, and says how long that took.
#[doc(hidden)]
pub fn metering(calls: u32) -> Duration {
    let meter = Meter::new(Budget::default(), None);
    let began = std::time::Instant::now();
    for _ in 0..calls {
        let meter = std::hint::black_box(&meter);
        meter.called(CallClass::Journal);
        let taken = meter.take(BudgetResource::Journal, 1);
        let _ = std::hint::black_box(taken);
    }
    began.elapsed()
}

/// One of a countable thing; dropping it gives it back.
pub(crate) struct Permit {
    meter: Meter,
    resource: BudgetResource,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.meter.give_back(self.resource, 1);
    }
}

/// Charges the memories and tables of a store to the run's meter. Wasmtime's own
/// `StoreLimits` is per memory; this is for all of them together. What the store holds is
/// given back with it.
pub(crate) struct MemoryMeter {
    meter: Meter,
    held: u64,
    /// The last growth granted, to take back if the system then has no memory.
    last: u64,
}

impl MemoryMeter {
    pub(crate) fn new(meter: Meter) -> Self {
        Self {
            meter,
            held: 0,
            last: 0,
        }
    }

    /// Whether a memory or table may grow; each of its units is so many bytes.
    fn growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
        unit: u64,
    ) -> bool {
        // Past its own maximum it cannot grow: that is nothing to charge.
        let possible = maximum.is_none_or(|max| desired <= max);
        let more = (desired.saturating_sub(current) as u64).saturating_mul(unit);
        let granted = possible && self.meter.grow(more);
        self.last = if granted { more } else { 0 };
        self.held += self.last;
        granted
    }

    fn take_back(&mut self) {
        let last = std::mem::take(&mut self.last);
        self.held -= last;
        self.meter.give_back(BudgetResource::Memory, last);
    }
}

impl Drop for MemoryMeter {
    fn drop(&mut self) {
        self.meter.give_back(BudgetResource::Memory, self.held);
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.growing(current, desired, maximum, 1))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.growing(current, desired, maximum, TABLE_ELEMENT_BYTES))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
