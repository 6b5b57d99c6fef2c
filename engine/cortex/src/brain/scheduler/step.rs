//! One step of all that run: what is read, and what comes of it.

use super::{Outbox, Scheduler, tell_error};
use crate::RawEvent;
use crate::brain::device::{DecodeError, Device, Entry, Sequence};
use crate::brain::generation::{Generation, Place, failed};
use crate::brain::message::{FromEngine, GenerationId};
use rusty_genius_core::EngineError;

/// A decode step: what is read, and for whom.
#[derive(Default)]
struct Step {
    entries: Vec<Entry>,
    /// Whose entries they are, how many, and whether the last one has logits.
    parts: Vec<(GenerationId, usize, bool)>,
}

impl Scheduler {
    /// Computes one step for whoever can use one.
    pub(in crate::brain) fn step(&mut self, device: &mut dyn Device, out: Outbox<'_>) {
        self.schedule(device);
        self.sequences.forget(device, self.settings.remembered);
        loop {
            let step = self.plan();
            if step.entries.is_empty() {
                return;
            }
            match device.decode(&step.entries) {
                Ok(()) => return self.advance(device, &step, out),
                Err(DecodeError::CacheFull) => self.make_room(device, out),
                Err(DecodeError::Failed(reason)) => {
                    for (id, ..) in step.parts {
                        self.fail(device, id, failed(&reason), out);
                    }
                    return;
                }
            }
        }
    }

    /// What the running generations read next.
    fn plan(&self) -> Step {
        let mut step = Step::default();
        let mut readers = Vec::new();
        for (id, generation) in &self.generations {
            let Some(sequence) = generation.sequence else {
                continue;
            };
            if generation.place != Place::Running {
                continue;
            }
            let cached = self.sequences.tokens(sequence).len();
            match generation.tokens.len() - cached {
                1 => step.read(*id, generation, sequence, cached, 1),
                _ => readers.push((generation.fed, *id, generation, sequence, cached)),
            }
        }
        let room = self.limits.batch - step.entries.len();
        let mut budget = match step.entries.is_empty() {
            true => room,
            false => room.min(self.settings.chunk),
        };
        readers.sort_by_key(|&(fed, id, ..)| (fed, id));
        for (_, id, generation, sequence, cached) in readers {
            let count = budget.min(generation.tokens.len() - cached);
            if count > 0 {
                step.read(id, generation, sequence, cached, count);
                budget -= count;
            }
        }
        step
    }

    /// The step is computed: takes note of it, and writes.
    fn advance(&mut self, device: &mut dyn Device, step: &Step, out: Outbox<'_>) {
        self.stats.steps += 1;
        self.stats.computed += step.entries.len() as u64;
        let now = self.tick();
        let mut first = 0;
        for &(id, count, logits) in &step.parts {
            let entries = &step.entries[first..first + count];
            first += count;
            let Some(generation) = self.generations.get_mut(&id) else {
                continue;
            };
            let tokens = entries.iter().map(|entry| entry.token);
            self.sequences.extend(entries[0].sequence, tokens);
            generation.fed = now;
            if !logits {
                continue;
            }
            let mut tell = |event| {
                out(FromEngine::Event {
                    generation: id,
                    event: Ok(event),
                });
            };
            let ended = generation.advance(
                device.logits(first - 1),
                &mut self.scratch,
                device,
                self.limits.context,
                &mut tell,
            );
            match ended {
                Ok(None) => {}
                Ok(Some(end)) => {
                    tell(RawEvent::End(end));
                    self.remove(id);
                }
                Err(error) => {
                    self.remove(id);
                    tell_error(id, error, out);
                }
            }
        }
    }

    /// The cache is full: somebody loses his place in it.
    fn make_room(&mut self, device: &mut dyn Device, out: Outbox<'_>) {
        if let Some(holder) = self.sequences.give_up(device) {
            return self.lose(Some(holder));
        }
        // Only those that run are left. The one that came last waits, and is the next to
        // be given up.
        let running = self.ids(|g| g.place == Place::Running);
        let Some(last) = running.max_by_key(|id| self.generations[id].arrived) else {
            return;
        };
        if self.running(None) > 1 {
            self.demote(last);
        } else {
            let error = failed("the cache is too small for one conversation");
            self.fail(device, last, error, out);
        }
    }

    /// A generation cannot go on, and what the cache holds of it is in doubt.
    fn fail(
        &mut self,
        device: &mut dyn Device,
        id: GenerationId,
        error: EngineError,
        out: Outbox<'_>,
    ) {
        let sequence = self
            .generations
            .get_mut(&id)
            .and_then(|g| g.sequence.take());
        if let Some(sequence) = sequence {
            self.sequences.empty(device, sequence);
        }
        self.remove(id);
        tell_error(id, error, out);
    }
}

impl Step {
    fn read(
        &mut self,
        id: GenerationId,
        generation: &Generation,
        sequence: Sequence,
        cached: usize,
        count: usize,
    ) {
        let until = cached + count;
        let last = until == generation.tokens.len();
        let entries = (cached..until).map(|position| Entry {
            token: generation.tokens[position],
            position,
            sequence,
            logits: last && position + 1 == until,
        });
        self.entries.extend(entries);
        self.parts.push((id, count, last));
    }
}
