//! Who runs what, and what each guest got so far.

use kit::{GuestId, ModelId, Request, RequestId, Usage};
use std::collections::{BTreeMap, BTreeSet};

/// Guests remembered that neither run nor wait.
const REMEMBERED: usize = 4096;

#[derive(Default)]
pub struct Ledger {
    pub share: usize,
    /// The requests that were admitted.
    running: BTreeMap<RequestId, (GuestId, ModelId)>,
    /// Tokens generated for each guest.
    served: BTreeMap<GuestId, u64>,
    /// The guests that ran or waited at the step before.
    busy: BTreeSet<GuestId>,
}

impl Ledger {
    pub fn served(&self, guest: GuestId) -> u64 {
        self.served.get(&guest).copied().unwrap_or(0)
    }

    pub fn has_share(&self, guest: GuestId) -> bool {
        let running = self.running.values().filter(|(who, _)| *who == guest);
        running.count() < self.share
    }

    pub fn admit(&mut self, request: &Request) {
        let running = (request.guest, request.model);
        self.running.insert(request.id, running);
    }

    pub fn ended(&mut self, request: RequestId, usage: Usage) {
        if let Some((guest, _)) = self.running.remove(&request) {
            // One at least, or a guest that generates nothing goes first for ever.
            let tokens = usage.completion_tokens.max(1);
            *self.served.entry(guest).or_default() += u64::from(tokens);
        }
    }

    pub fn gone(&mut self, request: RequestId) {
        self.running.remove(&request);
    }

    /// Nothing runs on a model that could not be loaded.
    pub fn failed(&mut self, model: ModelId) {
        self.running.retain(|_, (_, its)| *its != model);
    }

    /// Takes note of who is there. `running` is the host's own count.
    pub fn look(&mut self, waiting: &[Request], running: u32) {
        if running == 0 {
            // The end of a generation goes unheard if a step was passed over.
            let waits = |id: &RequestId| waiting.iter().any(|request| request.id == *id);
            self.running.retain(|id, _| waits(id));
        }
        let running = self.running.values().map(|(guest, _)| *guest);
        let busy: BTreeSet<_> = running.chain(waiting.iter().map(|r| r.guest)).collect();

        // Who comes, or comes back, starts level with the one served least. Otherwise it
        // could keep all that were here before waiting until it had caught up with them.
        let stayed = busy.intersection(&self.busy);
        let least = stayed.map(|guest| self.served(*guest)).min().unwrap_or(0);
        for guest in busy.difference(&self.busy) {
            let served = self.served.entry(*guest).or_default();
            *served = least.max(*served);
        }
        self.busy = busy;

        if self.served.len() > REMEMBERED {
            self.served.retain(|guest, _| self.busy.contains(guest));
        }
    }
}
