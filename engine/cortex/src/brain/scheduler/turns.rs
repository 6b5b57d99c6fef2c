//! Who has a slot.

use super::{QUANTUM, Scheduler};
use crate::brain::device::Device;
use crate::brain::generation::{Generation, Place};
use crate::brain::message::GenerationId;
use crate::brain::sequences::Holder;
use std::sync::Arc;

impl Scheduler {
    /// Decides who runs.
    pub(super) fn schedule(&mut self, device: &mut dyn Device) {
        let behind = |g: &Generation| g.place == Place::Running && !g.is_ready();
        let behind: Vec<_> = self.ids(behind).collect();
        for id in behind {
            self.demote(id);
        }
        while let Some(next) = self.next() {
            if self.running(None) >= self.settings.slots {
                match self.who_yields(&next) {
                    Some(other) => self.demote(other),
                    None => return,
                }
            }
            if !self.promote(device, next) {
                return;
            }
        }
    }

    pub(super) fn ids<'a>(
        &'a self,
        fits: impl Fn(&Generation) -> bool + 'a,
    ) -> impl Iterator<Item = GenerationId> + 'a {
        let fitting = self.generations.iter().filter(move |(_, g)| fits(g));
        fitting.map(|(id, _)| *id)
    }

    /// How many generations run: of this guest, or at all.
    pub(super) fn running(&self, guest: Option<&Arc<str>>) -> usize {
        let of = |g: &&Generation| guest.is_none_or(|guest| g.guest == *guest);
        let running = self
            .generations
            .values()
            .filter(|g| g.place == Place::Running);
        running.filter(of).count()
    }

    /// Whose turn it is.
    fn next(&self) -> Option<GenerationId> {
        let waiting = self
            .generations
            .iter()
            .filter(|(_, g)| g.place == Place::Waiting && g.is_ready());
        waiting
            .min_by_key(|(_, g)| {
                let served = self.served.get(&g.guest).copied().unwrap_or(0);
                (self.running(Some(&g.guest)), served, g.arrived)
            })
            .map(|(id, _)| *id)
    }

    /// Whose slot goes to `next`, if anybody's.
    fn who_yields(&self, next: &GenerationId) -> Option<GenerationId> {
        let own = self.running(Some(&self.generations.get(next)?.guest));
        let running = self
            .generations
            .iter()
            .filter(|(_, g)| g.place == Place::Running);
        running
            .map(|(id, g)| (self.running(Some(&g.guest)), g.stint, g.arrived, *id))
            .filter(|&(theirs, stint, ..)| theirs >= own + 2 || (theirs > own && stint >= QUANTUM))
            .max()
            .map(|(.., id)| id)
    }

    pub(super) fn demote(&mut self, id: GenerationId) {
        let Some(generation) = self.generations.get_mut(&id) else {
            return;
        };
        generation.place = Place::Waiting;
        if let Some(sequence) = generation.sequence {
            self.sequences.hand(sequence, Holder::Waiting(id));
        }
    }

    /// Gives a generation a slot; `false` if the cache has no sequence for it.
    fn promote(&mut self, device: &mut dyn Device, id: GenerationId) -> bool {
        let now = self.tick();
        let Some(generation) = self.generations.get_mut(&id) else {
            return false;
        };
        let sequence = match generation.sequence {
            Some(sequence) => sequence,
            None => {
                let mut session = self.sessions.get_mut(&generation.session);
                let own = session.as_ref().and_then(|session| session.sequence);
                let (guest, tokens) = (&generation.guest, &generation.tokens);
                let Some((sequence, lost)) = self.sequences.claim(device, own, guest, tokens)
                else {
                    return false;
                };
                if let Some(session) = &mut session {
                    session.sequence = None;
                }
                generation.sequence = Some(sequence);
                generation.found(self.sequences.tokens(sequence).len());
                self.lose(lost);
                sequence
            }
        };
        self.sequences.hand(sequence, Holder::Running(id));
        if let Some(generation) = self.generations.get_mut(&id) {
            generation.place = Place::Running;
            generation.stint = 0;
            self.served.insert(generation.guest.clone(), now);
        }
        true
    }
}
