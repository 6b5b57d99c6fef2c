//! An engine that only pretends.

use super::trace::SimModel;
use rusty_genius_core::brainstem::RequestId;
use std::collections::BTreeSet;
use std::time::Duration;

/// One model, and the generations that share it.
///
/// All of them progress alike, so it is enough to know how far each would be that had run
/// from the beginning: one ends when that has grown by its own work. Work and progress are
/// in generated tokens; a token of the prompt is as much as it takes time.
pub(super) struct Engine<'a> {
    pub(super) model: &'a SimModel,
    progress: f64,
    since: Duration,
    /// The progress at which each generation ends, as bits: for positive numbers their order
    /// is the same.
    ends: BTreeSet<(u64, RequestId)>,
    /// Counts the changes: what was computed before one does not hold any more.
    stamp: u64,
}

/// A generation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Generation {
    pub(super) began: Duration,
    pub(super) prompt: u32,
    pub(super) completion: u32,
    from: f64,
    prompt_work: f64,
    end: u64,
}

impl<'a> Engine<'a> {
    pub(super) fn new(model: &'a SimModel) -> Self {
        Self {
            model,
            progress: 0.0,
            since: Duration::ZERO,
            ends: BTreeSet::new(),
            stamp: 0,
        }
    }

    /// Tokens a second of each generation.
    fn rate(&self) -> f64 {
        let share = f64::from(self.model.slots) / self.ends.len().max(1) as f64;
        self.model.decode * share.min(1.0)
    }

    fn advance(&mut self, now: Duration) {
        if self.ends.is_empty() {
            // Small numbers are exact for longer.
            self.progress = 0.0;
        } else {
            let passed = now.saturating_sub(self.since);
            self.progress += self.rate() * passed.as_secs_f64();
        }
        self.since = now;
        self.stamp += 1;
    }

    pub(super) fn start(
        &mut self,
        now: Duration,
        id: RequestId,
        prompt: u32,
        completion: u32,
    ) -> Generation {
        self.advance(now);
        let prompt_work = f64::from(prompt) * self.model.decode / self.model.prefill;
        let end = (self.progress + prompt_work + f64::from(completion)).to_bits();
        self.ends.insert((end, id));
        Generation {
            began: now,
            from: self.progress,
            end,
            prompt,
            prompt_work,
            completion,
        }
    }

    /// Ends a generation: the tokens it came to, if it did not come to all of them.
    pub(super) fn stop(&mut self, now: Duration, id: RequestId, generation: &Generation) -> u32 {
        self.advance(now);
        self.ends.remove(&(generation.end, id));
        let done = self.progress - generation.from - generation.prompt_work;
        (done as u32).min(generation.completion)
    }

    /// The generation that ends next, and when, unless anything changes before.
    pub(super) fn next(&self) -> Option<(Duration, RequestId)> {
        let &(end, id) = self.ends.first()?;
        let left = (f64::from_bits(end) - self.progress).max(0.0);
        let nanos = (left / self.rate() * 1e9).round() as u64;
        Some((self.since.saturating_add(Duration::from_nanos(nanos)), id))
    }

    pub(super) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// A generation that runs.
    pub(super) fn any(&self) -> Option<RequestId> {
        self.ends.first().map(|(_, id)| *id)
    }
}
