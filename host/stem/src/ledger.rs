//! What the loop knows: which models are in memory, who uses them, who waits.
//!
//! Pure bookkeeping, so that every rule stands in one place and is tested without a
//! runtime: a model is loaded once, is never unloaded under a generation, memory is never
//! promised twice, and every request is answered once.

use crate::names::Names;
use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::{
    Arrival, Budgets, Command, GuestId, ModelId, ModelState, NewRequest, Refusal, Rejection,
    Request, RequestId, Residency, State, TimerId, Tuning,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Shortest timer: a policy that sets one for ever does not keep the loop from resting.
const SHORTEST_TIMER: Duration = Duration::from_millis(1);
/// Most timers of a policy.
const TIMERS_LIMIT: usize = 1024;
/// How often a model may be loaded in a row without a request for it, or a generation on it.
const UNUSED_LOADS_LIMIT: u32 = 3;

/// Most models on their way into memory.
const LOADS_LIMIT: usize = 4096;

/// Something that must be done because a command was accepted or an event came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Find out what the model needs, and say it with [`Ledger::measured`].
    Measure(ModelId),
    /// Its memory is reserved: bring it in.
    Load(ModelId),
    /// It will never fit: its load ends here.
    TooLarge(ModelId, u64),
    Unload(ModelId),
    /// Save its sessions, unload it, and say so with [`Ledger::unloaded`].
    Hibernate(ModelId),
    Reject(RequestId, Rejection),
    /// Hand the request its model.
    Start(RequestId, ModelId, Option<Box<Tuning>>),
    /// Nobody uses or wants the model any more.
    Idle(ModelId),
}

/// A model that a spec names.
pub(crate) struct Found {
    pub(crate) name: Arc<str>,
    pub(crate) strategy: CortexStrategy,
}

/// A model that is being loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// What it needs is not known yet.
    Measuring,
    /// It waits for so many bytes.
    Blocked(u64),
    /// It has them.
    Reserved,
}

type Place = (Reverse<u8>, RequestId);

pub(crate) struct Ledger {
    state: Arc<State>,
    models: Names<ModelId>,
    guests: Names<GuestId>,
    loads: BTreeMap<ModelId, Load>,
    /// Models that wait for memory, the first that came first.
    blocked: VecDeque<ModelId>,
    /// Models that are to come back as soon as they have gone.
    returning: BTreeSet<ModelId>,
    /// Loads of a model since it was last asked for or used.
    unused: BTreeMap<ModelId, u32>,
    /// Requests that may run, by model, in the order in which they will.
    ready: BTreeMap<ModelId, BTreeSet<Place>>,
    tunings: BTreeMap<RequestId, Box<Tuning>>,
    /// Requests that generate now, with their models and guests.
    running: BTreeMap<RequestId, (ModelId, GuestId)>,
    timers: BTreeMap<TimerId, Duration>,
    timers_due: BTreeSet<(Duration, TimerId)>,
    deadlines: BTreeSet<(Duration, RequestId)>,
    /// The highest number of a request so far.
    last_request: RequestId,
}

impl Ledger {
    pub(crate) fn new(budgets: Budgets) -> Self {
        let state = State {
            budgets,
            ..State::default()
        };
        Self {
            state: Arc::new(state),
            models: Names::new(),
            guests: Names::new(),
            loads: BTreeMap::new(),
            blocked: VecDeque::new(),
            returning: BTreeSet::new(),
            unused: BTreeMap::new(),
            ready: BTreeMap::new(),
            tunings: BTreeMap::new(),
            running: BTreeMap::new(),
            timers: BTreeMap::new(),
            timers_due: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            last_request: RequestId(0),
        }
    }

    /// What policies see.
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Moves the time on.
    pub(crate) fn set_now(&mut self, now: Duration) {
        self.edit().now = now;
    }

    /// The state, to be changed: in place, unless a policy kept it.
    fn edit(&mut self) -> &mut State {
        Arc::make_mut(&mut self.state)
    }

    pub(crate) fn model_name(&self, model: ModelId) -> Option<&Arc<str>> {
        self.models.name(model)
    }

    // --- Requests

    /// A request that came: as policies are told of it.
    pub(crate) fn arrive(&mut self, new: NewRequest) -> Result<Arrival, Rejection> {
        let state = &*self.state;
        if state.waiting.len() >= state.budgets.queue as usize {
            return Err(Rejection::QueueFull);
        }
        let now = state.now;
        let model = self.know(&new.model, new.strategy);
        self.unused.remove(&model);
        let guest = self.guests.hold(&new.guest, |_| {});
        let request = Request {
            id: new.id,
            guest,
            model,
            priority: new.terms.priority,
            admitted: false,
            prompt_bytes: new.prompt_bytes,
            max_tokens: new.max_tokens,
            arrived: now,
            deadline: new.terms.deadline.map(|after| now.saturating_add(after)),
            strategy: new.strategy,
        };
        self.deadlines.extend(self.last_moment(&request));
        self.last_request = self.last_request.max(request.id);
        self.edit().waiting.insert(request.id, request.clone());
        self.change(model, |m| m.waiting += 1);
        Ok(Arrival {
            request,
            guest: new.guest,
            model: new.model,
            prompt: new.prompt,
        })
    }

    /// How policies are told again of a request that waits undecided.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let undecided = self.state.waiting.values().filter(|r| !r.admitted);
        undecided
            .filter_map(|request| {
                Some(Arrival {
                    request: request.clone(),
                    guest: self.guests.name(request.guest)?.clone(),
                    model: self.models.name(request.model)?.clone(),
                    prompt: None,
                })
            })
            .collect()
    }

    /// Forgets a request that waits, if it does.
    pub(crate) fn cancel(&mut self, id: RequestId, effects: &mut Vec<Effect>) -> Option<Request> {
        let request = self.take(id)?;
        self.models.release(request.model);
        self.guests.release(request.guest);
        self.tunings.remove(&id);
        self.note_idle(request.model, effects);
        Some(request)
    }

    /// Takes a request out of the queue.
    fn take(&mut self, id: RequestId) -> Option<Request> {
        let request = self.edit().waiting.remove(&id)?;
        if let Some(moment) = self.last_moment(&request) {
            self.deadlines.remove(&moment);
        }
        self.unready(&request);
        self.change(request.model, |m| m.waiting -= 1);
        Some(request)
    }

    /// How long the request can wait.
    fn last_moment(&self, request: &Request) -> Option<(Duration, RequestId)> {
        let patience = Duration::from_secs(self.state.budgets.undecided.into());
        let undecided = (!request.admitted).then(|| request.arrived.saturating_add(patience));
        let moments = [undecided, request.deadline];
        Some((moments.into_iter().flatten().min()?, request.id))
    }

    fn unready(&mut self, request: &Request) {
        if let Some(ready) = self.ready.get_mut(&request.model) {
            ready.remove(&place(request));
            if ready.is_empty() {
                self.ready.remove(&request.model);
            }
        }
    }

    // --- Models

    /// The model of this name, known from now on and held once more.
    fn know(&mut self, name: &Arc<str>, strategy: CortexStrategy) -> ModelId {
        let (state, unused) = (Arc::make_mut(&mut self.state), &mut self.unused);
        let id = self.models.hold(name, |id| {
            state.absent.remove(&id);
            unused.remove(&id);
        });
        if let Some(model) = state.present.get_mut(&id) {
            model.strategy = strategy;
        } else {
            let new = || ModelState {
                id,
                name: name.clone(),
                residency: Residency::Absent,
                memory: 0,
                users: 0,
                waiting: 0,
                last_used: Duration::ZERO,
                strategy,
            };
            state.absent.entry(id).or_insert_with(new).strategy = strategy;
        }
        id
    }

    fn change(&mut self, id: ModelId, change: impl FnOnce(&mut ModelState)) {
        let state = self.edit();
        let model = match state.present.get_mut(&id) {
            Some(model) => Some(model),
            None => state.absent.get_mut(&id),
        };
        if let Some(model) = model {
            change(model);
        }
    }

    fn note_idle(&self, id: ModelId, effects: &mut Vec<Effect>) {
        if self.state.present.get(&id).is_some_and(ModelState::is_idle) {
            effects.push(Effect::Idle(id));
        }
    }

    /// The models that nobody uses or wants.
    pub(crate) fn idle(&self) -> Vec<ModelId> {
        let models = self.state.present.values();
        models.filter(|m| m.is_idle()).map(|m| m.id).collect()
    }

    /// A model comes: it is present from now on.
    fn enter(&mut self, id: ModelId, effects: &mut Vec<Effect>) {
        let state = self.edit();
        if let Some(mut model) = state.absent.remove(&id) {
            model.residency = Residency::Loading;
            state.present.insert(id, model);
        }
        if let Some(name) = self.models.name(id).cloned() {
            self.models.hold(&name, |_| {});
        }
        self.loads.insert(id, Load::Measuring);
        *self.unused.entry(id).or_default() += 1;
        effects.push(Effect::Measure(id));
    }

    /// A model has gone. Its memory is free.
    fn leave(&mut self, id: ModelId) {
        let held = matches!(self.loads.remove(&id), None | Some(Load::Reserved));
        self.blocked.retain(|blocked| *blocked != id);
        let state = self.edit();
        if let Some(mut model) = state.present.remove(&id) {
            if held {
                state.memory_used -= model.memory;
            }
            model.residency = Residency::Absent;
            state.absent.insert(id, model);
            self.models.release(id);
        }
    }

    /// The model needs so many bytes; nobody knows how many, if none are given.
    pub(crate) fn measured(&mut self, id: ModelId, need: Option<u64>, effects: &mut Vec<Effect>) {
        if self.loads.get(&id) != Some(&Load::Measuring) {
            return;
        }
        let need = need.unwrap_or(0);
        if self.state.budgets.memory.is_some_and(|limit| need > limit) {
            effects.push(Effect::TooLarge(id, need));
            return;
        }
        self.loads.insert(id, Load::Blocked(need));
        self.blocked.push_back(id);
        self.change(id, |m| m.memory = need);
    }

    /// Gives memory to the models that wait for it, in turn. The first that must go on
    /// waiting, and what is short for it besides what is on its way out.
    pub(crate) fn reserve(&mut self, effects: &mut Vec<Effect>) -> Option<(ModelId, u64)> {
        while let Some(&id) = self.blocked.front() {
            let Some(Load::Blocked(need)) = self.loads.get(&id).copied() else {
                self.blocked.pop_front();
                continue;
            };
            let budgets = self.state.budgets;
            let used = self.state.memory_used.saturating_add(need);
            // What nobody can measure is let in; it counts once it is there.
            let limit = budgets.memory.filter(|_| need > 0).unwrap_or(u64::MAX);
            let short = used.saturating_sub(limit);
            let is_too_many = self.held() >= budgets.models as usize;
            if short > 0 || is_too_many {
                let leaving = self.leaving();
                let coming: u64 = leaving.clone().map(|m| m.memory).sum();
                let one = u64::from(is_too_many && leaving.count() == 0);
                return Some((id, short.saturating_sub(coming).max(one)));
            }
            self.blocked.pop_front();
            self.loads.insert(id, Load::Reserved);
            self.edit().memory_used = used;
            effects.push(Effect::Load(id));
        }
        None
    }

    /// Models that memory is given to.
    fn held(&self) -> usize {
        let waiting = self.loads.values().filter(|load| **load != Load::Reserved);
        self.state.present.len() - waiting.count()
    }

    /// Models on their way out.
    fn leaving(&self) -> impl Iterator<Item = &ModelState> + Clone {
        let present = self.state.present.values();
        present.filter(|m| m.residency == Residency::Hibernating)
    }

    /// Whether something is under way that may free memory without a policy.
    pub(crate) fn may_make_room(&self) -> bool {
        !self.running.is_empty()
            || self.state.present.values().any(|m| {
                m.residency == Residency::Hibernating
                    || self.loads.get(&m.id) == Some(&Load::Reserved)
            })
    }

    /// The model is in memory, and holds so much. How much that is over the limit.
    pub(crate) fn loaded(&mut self, id: ModelId, memory: u64, effects: &mut Vec<Effect>) -> u64 {
        self.loads.remove(&id);
        let now = self.state.now;
        let state = self.edit();
        if let Some(model) = state.present.get_mut(&id) {
            state.memory_used = state.memory_used - model.memory + memory;
            model.residency = Residency::Resident;
            model.memory = memory;
            model.last_used = now;
        }
        let over = state
            .memory_used
            .saturating_sub(state.budgets.memory.unwrap_or(u64::MAX));
        self.start(effects);
        // Everybody who wanted it may have gone while it loaded.
        self.note_idle(id, effects);
        over
    }

    /// The model could not be loaded: the requests that waited for it.
    pub(crate) fn failed(&mut self, id: ModelId) -> Vec<RequestId> {
        self.leave(id);
        let waiting = self.state.waiting.values().filter(|r| r.model == id);
        let gone: Vec<RequestId> = waiting.map(|r| r.id).collect();
        for id in &gone {
            self.cancel(*id, &mut Vec::new());
        }
        if !gone.is_empty() {
            self.unused.remove(&id);
        }
        gone
    }

    /// A model that was hibernating has gone.
    pub(crate) fn unloaded(&mut self, id: ModelId, effects: &mut Vec<Effect>) {
        self.leave(id);
        if self.returning.remove(&id) {
            self.enter(id, effects);
        }
    }

    /// The engine of a model died. Whether it was here.
    pub(crate) fn died(&mut self, id: ModelId) -> bool {
        if self.state.residency(id) != Residency::Resident {
            return false;
        }
        self.leave(id);
        true
    }

    // --- Generations

    /// Starts whatever is ready and has room.
    fn start(&mut self, effects: &mut Vec<Effect>) {
        while self.state.running < self.state.budgets.generations {
            let present = &self.state.present;
            let next = self
                .ready
                .iter()
                .filter(|(id, _)| {
                    let model = present.get(id);
                    model.is_some_and(|m| m.residency == Residency::Resident)
                })
                .filter_map(|(_, places)| places.first())
                .min();
            let Some(&(_, id)) = next else { return };
            let Some(request) = self.take(id) else { return };
            let model = request.model;
            self.running.insert(id, (model, request.guest));
            self.unused.remove(&model);
            self.edit().running += 1;
            self.change(model, |m| m.users += 1);
            effects.push(Effect::Start(id, model, self.tunings.remove(&id)));
        }
    }

    /// A generation ended. Whether it ran.
    pub(crate) fn ended(&mut self, id: RequestId, effects: &mut Vec<Effect>) -> bool {
        let Some((model, guest)) = self.running.remove(&id) else {
            return false;
        };
        let now = self.state.now;
        self.edit().running -= 1;
        self.change(model, |m| {
            m.users -= 1;
            m.last_used = now;
        });
        self.guests.release(guest);
        self.models.release(model);
        self.note_idle(model, effects);
        self.start(effects);
        true
    }

    /// Whether no generation runs.
    pub(crate) fn at_rest(&self) -> bool {
        self.running.is_empty()
    }

    // --- Time

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let timer = self.timers_due.first().map(|(at, _)| *at);
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        [timer, deadline].into_iter().flatten().min()
    }

    /// Takes a timer that has come.
    pub(crate) fn timer_due(&mut self) -> Option<TimerId> {
        let &(at, id) = self.timers_due.first()?;
        (at <= self.state.now).then(|| {
            self.timers_due.pop_first();
            self.timers.remove(&id);
            id
        })
    }

    /// A request that waited for longer than it can.
    pub(crate) fn deadline_due(&self) -> Option<RequestId> {
        let &(at, id) = self.deadlines.first()?;
        (at <= self.state.now).then_some(id)
    }

    /// Takes all timers back: whoever set them is gone.
    pub(crate) fn clear_timers(&mut self) {
        self.timers.clear();
        self.timers_due.clear();
    }

    fn clear_timer(&mut self, id: TimerId) {
        if let Some(at) = self.timers.remove(&id) {
            self.timers_due.remove(&(at, id));
        }
    }

    // --- Commands

    /// What of the command was never heard of, in words.
    pub(crate) fn nonsense(&self, command: &Command) -> Option<String> {
        match command {
            Command::Load(id) | Command::Unload(id) | Command::Hibernate(id) => {
                let known = self.models.was_given(*id);
                (!known).then(|| format!("there never was a model {}", id.0))
            }
            Command::Admit(id)
            | Command::Reject(id, _)
            | Command::Queue(id, _)
            | Command::Route(id, _)
            | Command::Retune(id, _) => {
                let known = *id > RequestId(0) && *id <= self.last_request;
                (!known).then(|| format!("there never was a request {}", id.0))
            }
            Command::Preload(_) | Command::SetTimer(..) | Command::ClearTimer(_) => None,
        }
    }

    /// Executes a command, or says why not. `find` says which model a spec names.
    pub(crate) fn apply(
        &mut self,
        command: &Command,
        find: &mut dyn FnMut(&str) -> Option<Found>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        match command {
            Command::Load(id) => {
                let known = self.state.model(*id).ok_or(Refusal::UnknownModel)?;
                if known.residency == Residency::Hibernating {
                    self.returning.insert(*id);
                    return Ok(());
                }
                self.load(*id, effects)
            }
            Command::Preload(spec) => {
                let Found { name, strategy } = find(spec).ok_or(Refusal::UnknownModel)?;
                let id = self.know(&name, strategy);
                let loading = self.load(id, effects);
                self.models.release(id);
                loading
            }
            Command::Unload(id) => {
                self.check_idle(*id)?;
                self.leave(*id);
                effects.push(Effect::Unload(*id));
                Ok(())
            }
            Command::Hibernate(id) => {
                self.check_idle(*id)?;
                self.change(*id, |m| m.residency = Residency::Hibernating);
                effects.push(Effect::Hibernate(*id));
                Ok(())
            }
            Command::Admit(id) => {
                let mut request = self.undecided(*id)?.clone();
                if let Some(moment) = self.last_moment(&request) {
                    self.deadlines.remove(&moment);
                }
                request.admitted = true;
                self.deadlines.extend(self.last_moment(&request));
                let places = self.ready.entry(request.model).or_default();
                places.insert(place(&request));
                self.edit().waiting.insert(*id, request);
                self.start(effects);
                Ok(())
            }
            Command::Reject(id, reason) => {
                self.cancel(*id, effects).ok_or(Refusal::UnknownRequest)?;
                effects.push(Effect::Reject(*id, *reason));
                Ok(())
            }
            Command::Queue(id, priority) => {
                let mut request = self.edit().waiting.get(id).cloned();
                let request = request.as_mut().ok_or(Refusal::UnknownRequest)?;
                self.unready(request);
                request.priority = *priority;
                if request.admitted {
                    let places = self.ready.entry(request.model).or_default();
                    places.insert(place(request));
                }
                self.edit().waiting.insert(*id, request.clone());
                Ok(())
            }
            Command::Route(id, spec) => {
                let old = self.undecided(*id)?.model;
                let Found { name, strategy } = find(spec).ok_or(Refusal::UnknownModel)?;
                let new = self.know(&name, strategy);
                self.undecided(*id)?.model = new;
                self.change(old, |m| m.waiting -= 1);
                self.change(new, |m| m.waiting += 1);
                self.models.release(old);
                self.note_idle(old, effects);
                Ok(())
            }
            Command::Retune(id, tuning) => {
                tuning.check().map_err(|_| Refusal::OutOfRange)?;
                if !self.state.waiting.contains_key(id) {
                    return Err(Refusal::UnknownRequest);
                }
                self.tunings.insert(*id, tuning.clone());
                Ok(())
            }
            Command::SetTimer(id, after) => {
                self.clear_timer(*id);
                if self.timers.len() >= TIMERS_LIMIT {
                    return Err(Refusal::TooMany);
                }
                let at = self.state.now.saturating_add((*after).max(SHORTEST_TIMER));
                self.timers.insert(*id, at);
                self.timers_due.insert((at, *id));
                Ok(())
            }
            Command::ClearTimer(id) => {
                self.clear_timer(*id);
                Ok(())
            }
        }
    }

    fn undecided(&mut self, id: RequestId) -> Result<&mut Request, Refusal> {
        let request = self.edit().waiting.get_mut(&id);
        request
            .filter(|r| !r.admitted)
            .ok_or(Refusal::UnknownRequest)
    }

    fn check_idle(&self, id: ModelId) -> Result<(), Refusal> {
        match self.state.present.get(&id) {
            Some(m) if m.users > 0 => Err(Refusal::InUse),
            Some(m) if m.residency == Residency::Resident => Ok(()),
            _ => Err(Refusal::NotLoaded),
        }
    }

    fn load(&mut self, id: ModelId, effects: &mut Vec<Effect>) -> Result<(), Refusal> {
        if self.state.residency(id) != Residency::Absent {
            return Err(Refusal::AlreadyLoaded);
        }
        let unused = self.unused.get(&id).copied().unwrap_or(0);
        if self.loads.len() >= LOADS_LIMIT || unused >= UNUSED_LOADS_LIMIT {
            return Err(Refusal::TooMany);
        }
        self.enter(id, effects);
        Ok(())
    }
}

fn place(request: &Request) -> Place {
    (Reverse(request.priority), request.id)
}

#[cfg(test)]
mod tests;
