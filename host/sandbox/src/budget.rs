//! What a run may consume, and the one meter that enforces it.

use rusty_genius_core::{BudgetError, BudgetResource, Fragment, GeniusError, Note, Turn, Usage};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// Bytes a table element counts for: a pointer of the host.
const TABLE_ELEMENT_BYTES: u64 = size_of::<usize>() as u64;
/// Bytes a journal note counts for besides its text, so that empty ones end too.
const NOTE_BYTES: u64 = 16;
/// Bytes a turn counts for besides its words, so that empty ones end too.
const TURN_BYTES: usize = 16;

/// Limits of one run. Each is enforced by the host, per run, whatever the guest does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Wall-clock time from instantiation to the end, a guest parked in a host call
    /// included. Default 60 s. Checked every 10 ms. The host's own compilation of the
    /// component is not counted.
    pub wall_time: Duration,
    /// Bytes over all linear memories and tables of the run. Default 256 MiB. Growth
    /// beyond it fails inside the guest (`memory.grow` gives -1).
    pub memory: u64,
    /// Sessions open at once. Default 64.
    pub sessions: u64,
    /// Generations at once. Default 16.
    pub inferences: u64,
    /// Bytes of the turns, or of the text, of one request; each turn counts 16 more than
    /// its words. Default 1 MiB.
    pub prompt: u64,
    /// Bytes said through `reply`. Default 64 MiB.
    pub reply: u64,
    /// Bytes of the journal; each note counts 16 more than its text. Default 1 MiB.
    pub journal: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            wall_time: Duration::from_secs(60),
            memory: 256 << 20,
            sessions: 64,
            inferences: 16,
            prompt: 1 << 20,
            reply: 64 << 20,
            journal: 1 << 20,
        }
    }
}

impl Budget {
    pub(crate) fn error(&self, resource: BudgetResource) -> BudgetError {
        let limit = match resource {
            BudgetResource::WallTime => self.wall_time.as_millis().try_into().unwrap_or(u64::MAX),
            BudgetResource::Memory => self.memory,
            BudgetResource::Sessions => self.sessions,
            BudgetResource::Inferences => self.inferences,
            BudgetResource::History => rusty_genius_stem::HISTORY_LIMIT,
            BudgetResource::Prompt => self.prompt,
            BudgetResource::Reply => self.reply,
            BudgetResource::Journal => self.journal,
        };
        BudgetError { resource, limit }
    }
}

/// Counts what one run consumes. It outlives the run's store, so that a run that is cut
/// off still has its figures.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Counts>);

struct Counts {
    budget: Budget,
    memory: AtomicU64,
    memory_peak: AtomicU64,
    /// Whether the guest was denied memory: then a trap is the budget's doing.
    starved: std::sync::atomic::AtomicBool,
    sessions: AtomicU64,
    inferences: AtomicU64,
    reply: AtomicU64,
    journal: AtomicU64,
    record: Mutex<Record>,
}

/// What a run leaves behind besides its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) usage: Usage,
    pub(crate) notes: Vec<Note>,
    /// What the host denied, with what would allow it.
    pub(crate) refusals: Vec<String>,
    /// The last engine error a guest met, for the person who runs it.
    pub(crate) trouble: Option<GeniusError>,
}

/// Most refusals kept; a guest can provoke any number.
const REFUSALS_LIMIT: usize = 100;

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        Self(Arc::new(Counts {
            budget,
            memory: AtomicU64::new(0),
            memory_peak: AtomicU64::new(0),
            starved: false.into(),
            sessions: AtomicU64::new(0),
            inferences: AtomicU64::new(0),
            reply: AtomicU64::new(0),
            journal: AtomicU64::new(0),
            record: Mutex::default(),
        }))
    }

    pub(crate) fn error(&self, resource: BudgetResource) -> BudgetError {
        self.0.budget.error(resource)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // Nothing that can panic runs under this lock.
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_record(&self) -> Record {
        std::mem::take(&mut self.record())
    }

    pub(crate) fn memory_peak(&self) -> u64 {
        self.0.memory_peak.load(Relaxed)
    }

    pub(crate) fn starved(&self) -> bool {
        self.0.starved.load(Relaxed)
    }

    /// Takes one of a countable thing; it is given back when the permit is dropped.
    pub(crate) fn permit(&self, resource: BudgetResource) -> Result<Permit, BudgetError> {
        let (count, limit) = self.countable(resource);
        take(count, 1, limit).ok_or_else(|| self.error(resource))?;
        Ok(Permit {
            meter: self.clone(),
            resource,
        })
    }

    fn countable(&self, resource: BudgetResource) -> (&AtomicU64, u64) {
        let (counts, budget) = (&self.0, &self.0.budget);
        match resource {
            BudgetResource::Sessions => (&counts.sessions, budget.sessions),
            _ => (&counts.inferences, budget.inferences),
        }
    }

    pub(crate) fn check_prompt(&self, turns: &[Turn]) -> Result<(), BudgetError> {
        // A turn without words costs the host and the model something too.
        let bytes = turns.iter().map(|t| TURN_BYTES + t.content.len()).sum();
        self.check_text(bytes)
    }

    pub(crate) fn check_text(&self, bytes: usize) -> Result<(), BudgetError> {
        if bytes as u64 > self.0.budget.prompt {
            return Err(self.error(BudgetResource::Prompt));
        }
        Ok(())
    }

    pub(crate) fn say(&self, fragments: &[Fragment]) -> Result<(), BudgetError> {
        // An empty fragment costs the host something too.
        let bytes = fragments.iter().map(|f| f.len() as u64 + 1).sum();
        take(&self.0.reply, bytes, self.0.budget.reply)
            .ok_or_else(|| self.error(BudgetResource::Reply))
    }

    pub(crate) fn note(&self, note: Note) -> Result<(), BudgetError> {
        let bytes = NOTE_BYTES + note.text.len() as u64;
        take(&self.0.journal, bytes, self.0.budget.journal)
            .ok_or_else(|| self.error(BudgetResource::Journal))?;
        self.record().notes.push(note);
        Ok(())
    }

    pub(crate) fn refuse(&self, refusal: String) {
        let refusals = &mut self.record().refusals;
        if refusals.len() < REFUSALS_LIMIT {
            refusals.push(refusal);
        }
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

    /// Whether the run may hold `more` bytes of memory.
    fn grow(&self, more: u64) -> bool {
        let counts = &self.0;
        let granted = take(&counts.memory, more, counts.budget.memory).is_some();
        if granted {
            let now = counts.memory.load(Relaxed);
            counts.memory_peak.fetch_max(now, Relaxed);
        } else {
            counts.starved.store(true, Relaxed);
        }
        granted
    }
}

/// Adds to a counter unless that takes it past its limit.
fn take(count: &AtomicU64, more: u64, limit: u64) -> Option<()> {
    count
        .fetch_update(Relaxed, Relaxed, |now| {
            now.checked_add(more).filter(|sum| *sum <= limit)
        })
        .ok()
        .map(|_| ())
}

/// One of a countable thing; dropping it gives it back.
pub(crate) struct Permit {
    meter: Meter,
    resource: BudgetResource,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.meter.countable(self.resource).0.fetch_sub(1, Relaxed);
    }
}

/// Charges the memories and tables of a store to the run's meter. Wasmtime's own
/// `StoreLimits` is per memory; this is for all of them together.
pub(crate) struct MemoryMeter {
    meter: Meter,
    /// The last growth granted, to take back if the system then has no memory.
    last: u64,
}

impl MemoryMeter {
    pub(crate) fn new(meter: Meter) -> Self {
        Self { meter, last: 0 }
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
        granted
    }

    fn take_back(&mut self) {
        self.meter.0.memory.fetch_sub(self.last, Relaxed);
        self.last = 0;
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
mod tests {
    use super::*;
    use rusty_genius_core::Level;

    fn meter(change: impl FnOnce(&mut Budget)) -> Meter {
        let mut budget = Budget::default();
        change(&mut budget);
        Meter::new(budget)
    }

    #[test]
    fn memory_is_counted_over_all_memories_and_tables() {
        let meter = meter(|b| b.memory = 1000);
        let mut limiter = MemoryMeter::new(meter.clone());
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.table_growing(0, 50, None).unwrap());
        assert!(!limiter.memory_growing(0, 1, None).unwrap());
        assert!(meter.starved());
        assert_eq!(meter.memory_peak(), 1000);
    }

    #[test]
    fn growth_that_fails_halfway_is_given_back() {
        let meter = meter(|b| b.memory = 1000);
        let mut limiter = MemoryMeter::new(meter);
        assert!(limiter.memory_growing(0, 900, None).unwrap());
        limiter
            .memory_grow_failed(wasmtime::Error::msg("no memory"))
            .unwrap();
        assert!(limiter.memory_growing(0, 1000, None).unwrap());
    }

    #[test]
    fn growth_past_the_memorys_own_maximum_is_not_charged() {
        let meter = meter(|b| b.memory = 1000);
        let mut limiter = MemoryMeter::new(meter.clone());
        assert!(!limiter.memory_growing(0, 900, Some(800)).unwrap());
        assert!(!meter.starved());
        assert!(limiter.memory_growing(0, 1000, None).unwrap());
    }

    #[test]
    fn a_permit_given_back_can_be_taken_again() {
        let meter = meter(|b| b.sessions = 1);
        let permit = meter.permit(BudgetResource::Sessions).unwrap();
        let error = meter.permit(BudgetResource::Sessions).err().unwrap();
        assert_eq!(error.limit, 1);
        drop(permit);
        assert!(meter.permit(BudgetResource::Sessions).is_ok());
    }

    #[test]
    fn a_journal_of_empty_notes_ends_too() {
        let meter = meter(|b| b.journal = 100);
        let note = || Note {
            level: Level::Info,
            text: String::new(),
        };
        let kept = (0..100).filter(|_| meter.note(note()).is_ok()).count();
        assert_eq!(kept, 6);
        assert_eq!(meter.take_record().notes.len(), 6);
    }

    #[test]
    fn what_is_refused_for_its_size_is_not_charged() {
        let meter = meter(|b| b.reply = 10);
        let content = |text: &str| [Fragment::Content { text: text.into() }];
        assert!(meter.say(&content("0123456789")).is_err());
        assert!(meter.say(&content("012345678")).is_ok());
        assert!(meter.say(&content("")).is_err());
    }
}
