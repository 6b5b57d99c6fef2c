//! The hands of a simulated loop: they load nothing, and see whether the rules hold.

use super::engine::{Engine, Generation};
use super::outcome::{End, Life};
use super::timeline::Timelines;
use super::trace::Trace;
use crate::ledger::Found;
use crate::machine::Hands;
use rusty_genius_core::brainstem::{
    BrainstemOutput, Decider, Event, ModelId, Rejection, RequestId, State, Step, Tuning,
};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Broken rules kept.
const BROKEN_LIMIT: usize = 20;
/// A model that comes again within this time had better stayed.
const SOON: Duration = Duration::from_secs(60);

/// Something that will come.
pub(super) enum Due {
    Measured(ModelId),
    Loaded(ModelId),
    Hibernated(ModelId),
    /// The next generation of this model ends, if nothing has changed since.
    Finished(usize, u64),
    Cancelled(RequestId),
    /// The answer is of no use any more.
    Late(RequestId),
}

pub(super) struct Entry {
    pub(super) at: Duration,
    /// What was said first comes first.
    number: u64,
    pub(super) due: Due,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// A model, as the hands know it.
pub(super) struct Host<'a> {
    pub(super) engine: Engine<'a>,
    stage: Stage,
    left: Option<Duration>,
    pub(super) loads: u64,
    pub(super) generations: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not here, or waiting for room.
    Out,
    Loading,
    In,
    Saving,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Coming,
    Waiting,
    Running,
    Gone,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) failed_loads: u64,
    pub(super) returns: u64,
    pub(super) unloads: u64,
    pub(super) hibernations: u64,
    pub(super) evictions: u64,
    pub(super) deaths: u64,
    pub(super) memory_high: u64,
    pub(super) decisions: u64,
    pub(super) refused: u64,
    pub(super) faults: u64,
    pub(super) first_fault: Option<String>,
    pub(super) replaced: bool,
}

pub(super) struct World<'a> {
    pub(super) trace: &'a Trace,
    pub(super) now: Duration,
    pub(super) heap: BinaryHeap<Reverse<Entry>>,
    entries: u64,
    pub(super) hosts: Vec<Host<'a>>,
    places: HashMap<Arc<str>, usize>,
    /// The places of the models that the loop has numbers for.
    numbers: BTreeMap<ModelId, usize>,
    pub(super) running: HashMap<RequestId, (usize, Generation)>,
    stands: Vec<Stand>,
    pub(super) lives: Vec<Life>,
    /// When a request last got any further.
    pub(super) progress: Duration,
    pub(super) timelines: Timelines,
    changed: Vec<ModelId>,
    memory: u64,
    /// Whether the policy answers that memory is short.
    under_pressure: bool,
    pub(super) counts: Counts,
    pub(super) broken: Vec<String>,
}

impl<'a> World<'a> {
    pub(super) fn new(trace: &'a Trace) -> Self {
        let models = trace.models();
        let host = |model| Host {
            engine: Engine::new(model),
            stage: Stage::Out,
            left: None,
            loads: 0,
            generations: 0,
        };
        Self {
            trace,
            now: Duration::ZERO,
            heap: BinaryHeap::new(),
            entries: 0,
            hosts: models.iter().map(host).collect(),
            places: models.iter().map(|m| m.name.clone()).zip(0..).collect(),
            numbers: BTreeMap::new(),
            running: HashMap::new(),
            stands: vec![Stand::Coming; trace.requests().len()],
            lives: vec![Life::new(); trace.requests().len()],
            progress: Duration::ZERO,
            timelines: Timelines::new(models.len()),
            changed: Vec::new(),
            memory: 0,
            under_pressure: false,
            counts: Counts::default(),
            broken: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, after: Duration, due: Due) {
        let at = self.now.saturating_add(after);
        let number = self.entries;
        self.entries += 1;
        self.heap.push(Reverse(Entry { at, number, due }));
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX - 1)
    }

    fn broke(&mut self, rule: String) {
        if self.broken.len() < BROKEN_LIMIT {
            let now = self.now.as_secs_f64();
            self.broken.push(format!("at {now} s: {rule}"));
        }
    }

    fn host(&mut self, id: ModelId) -> Option<&mut Host<'a>> {
        let place = self.numbers.get(&id)?;
        self.hosts.get_mut(*place)
    }

    // --- Requests

    /// Moves a request on, if it stands where it must for that.
    fn step(&mut self, id: RequestId, from: Stand, to: Stand) -> Option<&mut Life> {
        let place = usize::try_from(id.0).ok()?.checked_sub(1)?;
        let stand = self.stands.get_mut(place)?;
        if *stand != from {
            let rule = format!("request {} goes on to {to:?}, and is {stand:?}", id.0);
            self.broke(rule);
            return None;
        }
        *stand = to;
        self.progress = self.now;
        self.lives.get_mut(place)
    }

    pub(super) fn arrived(&mut self, id: RequestId) {
        self.step(id, Stand::Coming, Stand::Waiting);
    }

    pub(super) fn waits(&self, id: RequestId) -> bool {
        let place = (id.0 as usize).wrapping_sub(1);
        self.stands.get(place) == Some(&Stand::Waiting)
    }

    fn end(&mut self, id: RequestId, from: Stand, end: End) {
        let now = self.nanos();
        if let Some(life) = self.step(id, from, Stand::Gone) {
            life.ended = now;
            life.end = end;
        }
    }

    /// A request that waited ends so.
    pub(super) fn end_waiting(&mut self, id: RequestId, end: End) {
        self.end(id, Stand::Waiting, end);
    }

    /// A generation ends so: its model, what it was, and what it came to if it failed.
    pub(super) fn end_running(
        &mut self,
        id: RequestId,
        end: End,
    ) -> Option<(usize, Generation, u32)> {
        let (place, generation) = self.running.remove(&id)?;
        let host = self.hosts.get_mut(place)?;
        let tokens = host.engine.stop(self.now, id, &generation);
        host.generations += 1;
        self.end(id, Stand::Running, end);
        self.expect_end(place);
        Some((place, generation, tokens))
    }

    /// Computes anew when a model's next generation ends.
    fn expect_end(&mut self, place: usize) {
        let Some(host) = self.hosts.get(place) else {
            return;
        };
        if let Some((at, _)) = host.engine.next() {
            let due = Due::Finished(place, host.engine.stamp());
            self.push(at.saturating_sub(self.now), due);
        }
    }

    // --- Models

    /// What the loop says of a model goes into its timeline, after each input.
    pub(super) fn note_changes(&mut self, state: &State) {
        for id in std::mem::take(&mut self.changed) {
            if let Some(place) = self.numbers.get(&id) {
                let residency = state.residency(id);
                self.timelines.mark(*place, self.now, residency);
            }
        }
        if state.memory_used != self.memory {
            let (used, held) = (state.memory_used, self.memory);
            self.broke(format!(
                "the loop counts {used} bytes, and models hold {held}"
            ));
        }
    }

    fn stage(&mut self, id: ModelId, from: Stage, to: Stage) {
        self.changed.push(id);
        let Some(host) = self.host(id) else {
            return self.broke(format!("there is no model {}", id.0));
        };
        let before = std::mem::replace(&mut host.stage, to);
        let memory = host.engine.model.memory;
        let name = host.engine.model.name.clone();
        if to == Stage::Out {
            self.memory = self.memory.saturating_sub(memory);
        }
        if to == Stage::Loading {
            self.memory = self.memory.saturating_add(memory);
            self.counts.memory_high = self.counts.memory_high.max(self.memory);
            let limit = self.trace.budgets().memory.unwrap_or(u64::MAX);
            if self.memory > limit {
                let used = self.memory;
                self.broke(format!(
                    "models take {used} bytes, and the limit is {limit}"
                ));
            }
        }
        if before != from {
            self.broke(format!("{name} goes on to {to:?}, and is {before:?}"));
        }
    }

    /// What a model needs: all that is known of it.
    pub(super) fn need(&mut self, id: ModelId) -> u64 {
        self.host(id).map_or(0, |host| host.engine.model.memory)
    }

    /// A load came to its end: whether it failed.
    pub(super) fn finish_load(&mut self, id: ModelId) -> bool {
        let Some(host) = self.host(id) else {
            return true;
        };
        host.loads += 1;
        let every = host.engine.model.fails_every;
        let fails = every.is_some_and(|every| host.loads % u64::from(every) == 0);
        if fails {
            self.counts.failed_loads += 1;
            self.stage(id, Stage::Loading, Stage::Out);
        } else {
            self.stage(id, Stage::Loading, Stage::In);
        }
        fails
    }

    pub(super) fn finish_save(&mut self, id: ModelId) {
        self.stage(id, Stage::Saving, Stage::Out);
        self.left(id);
    }

    /// A model left at the policy's word.
    fn left(&mut self, id: ModelId) {
        let now = self.now;
        if let Some(host) = self.host(id) {
            host.left = Some(now);
        }
    }

    /// Whether a model's engine dies as this generation of it ends.
    pub(super) fn dies(&self, place: usize) -> bool {
        let Some(host) = self.hosts.get(place) else {
            return false;
        };
        let every = host.engine.model.dies_every;
        every.is_some_and(|every| (host.generations + 1).is_multiple_of(u64::from(every)))
    }

    pub(super) fn number(&self, place: usize) -> Option<ModelId> {
        let mut numbers = self.numbers.iter();
        numbers.find(|(_, p)| **p == place).map(|(id, _)| *id)
    }

    /// The engine of a model died, and the loop knows.
    pub(super) fn bury(&mut self, id: ModelId) {
        self.counts.deaths += 1;
        self.stage(id, Stage::In, Stage::Out);
    }
}

impl Hands for World<'_> {
    fn measure(&mut self, id: ModelId, name: &Arc<str>) {
        let Some(place) = self.places.get(name).copied() else {
            return self.broke(format!("there is no model {name}"));
        };
        self.numbers.insert(id, place);
        self.changed.push(id);
        self.push(Duration::ZERO, Due::Measured(id));
    }

    fn load(&mut self, id: ModelId) {
        self.stage(id, Stage::Out, Stage::Loading);
        let now = self.now;
        let Some(host) = self.host(id) else {
            return;
        };
        let after = host.engine.model.load;
        if host
            .left
            .is_some_and(|left| now.saturating_sub(left) < SOON)
        {
            self.counts.returns += 1;
        }
        self.push(after, Due::Loaded(id));
    }

    fn too_large(&mut self, id: ModelId, _: u64, waiting: &[RequestId]) {
        self.changed.push(id);
        self.counts.failed_loads += 1;
        for id in waiting {
            self.end_waiting(*id, End::Failed);
        }
    }

    fn no_room(&mut self, id: ModelId) {
        self.changed.push(id);
        self.counts.failed_loads += 1;
    }

    fn unload(&mut self, id: ModelId) {
        self.counts.unloads += 1;
        self.counts.evictions += u64::from(self.under_pressure);
        self.stage(id, Stage::In, Stage::Out);
        self.left(id);
    }

    fn hibernate(&mut self, id: ModelId) {
        self.counts.hibernations += 1;
        self.counts.evictions += u64::from(self.under_pressure);
        self.stage(id, Stage::In, Stage::Saving);
        let host = self.host(id);
        let save = host.map_or(Duration::ZERO, |host| host.engine.model.save);
        self.push(save, Due::Hibernated(id));
    }

    fn start(&mut self, id: RequestId, model: ModelId, tuning: Option<Box<Tuning>>) {
        let now = self.nanos();
        if let Some(life) = self.step(id, Stand::Waiting, Stand::Running) {
            life.started = now;
        }
        let place = self.numbers.get(&model).copied();
        let request = self.trace.requests().get((id.0 as usize).wrapping_sub(1));
        let (Some(place), Some(request)) = (place, request) else {
            return self.broke(format!("request {} starts on no model", id.0));
        };
        let allowed = tuning.and_then(|tuning| tuning.max_tokens);
        let tokens = request.completion_tokens.min(allowed.unwrap_or(u32::MAX));
        let now = self.now;
        let Some(host) = self.hosts.get_mut(place) else {
            return;
        };
        let stage = host.stage;
        let generation = host.engine.start(now, id, request.prompt_tokens, tokens);
        self.running.insert(id, (place, generation));
        if let Some(after) = request.deadline {
            let late = Duration::from_millis(request.at + u64::from(after));
            self.push(late.saturating_sub(now), Due::Late(id));
        }
        self.expect_end(place);
        if stage != Stage::In {
            self.broke(format!(
                "request {} starts on a model that is {stage:?}",
                id.0
            ));
        }
    }

    fn reject(&mut self, id: RequestId, reason: Rejection) {
        self.end_waiting(id, End::Rejected(reason));
    }

    fn find(&mut self, spec: &str) -> Option<Found> {
        let place = self.places.get(spec)?;
        let model = self.trace.models().get(*place)?;
        Some(Found {
            name: model.name.clone(),
            strategy: model.strategy,
        })
    }

    fn decided(&mut self, step: &Step, _: &Arc<State>) {
        self.under_pressure = matches!(step.event, Event::MemoryPressure { .. });
        self.counts.decisions += u64::from(step.by != Decider::Nobody);
        if let Event::ModelFailed(id) = step.event {
            self.changed.push(id);
        }
    }

    fn tell(&mut self, output: BrainstemOutput) {
        match output {
            BrainstemOutput::PolicyFailed {
                fault, replaced, ..
            } => {
                self.counts.faults += 1;
                self.counts.replaced |= replaced;
                let first = &mut self.counts.first_fault;
                first.get_or_insert_with(|| fault.to_string());
            }
            BrainstemOutput::Refused { .. } => self.counts.refused += 1,
            _ => {}
        }
    }
}
