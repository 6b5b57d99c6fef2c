//! Virtual time: what is due next is done next.

use super::engine::Generation;
use super::outcome::{End, ModelOutcome, Outcome, Spread};
use super::series::{Point, Series};
use super::trace::{SimRequest, Trace};
use super::world::{Due, Entry, World};
use crate::machine::Machine;
use crate::policy::Policy;
use rusty_genius_core::Usage;
use rusty_genius_core::brainstem::{ModelId, NewRequest, Rejection, RequestId, Residency, Terms};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a policy may keep itself busy after the last request got any further.
const LINGER: Duration = Duration::from_secs(600);

/// Most events that a policy is asked about: so many for each request, for each second of the
/// trace, and besides.
const ASKED_FOR_REQUEST: u64 = 250;
const ASKED_IN_SECOND: u64 = 100;
const ASKED_BESIDES: u64 = 100_000;

/// Lets a policy decide about a trace. The same policy and trace give the same outcome, and
/// time that passes on the machine has no part in it.
pub fn simulate(policy: Box<dyn Policy>, trace: &Trace) -> Outcome {
    let name = policy.name().to_owned();
    let mut simulation = Simulation::new(policy, trace);
    simulation.run();
    simulation.outcome(name)
}

struct Simulation<'a> {
    machine: Machine,
    world: World<'a>,
    /// How many requests have come.
    come: usize,
    patience: Duration,
    asked_limit: u64,
    series: Series,
    busy: Duration,
    longest_queue: u32,
    most_running: u32,
}

impl<'a> Simulation<'a> {
    fn new(policy: Box<dyn Policy>, trace: &'a Trace) -> Self {
        let deadlines = trace.requests().iter().filter_map(|r| r.deadline);
        let longest = Duration::from_millis(deadlines.max().unwrap_or(0).into());
        let undecided = Duration::from_secs(trace.budgets().undecided.into());
        let loads = trace.models().iter().map(|m| m.load + m.save);
        let seconds = trace.requests().last().map_or(0, |r| r.at / 1000);
        let requests = trace.requests().len() as u64;
        Self {
            machine: Machine::new(*trace.budgets(), policy),
            world: World::new(trace),
            come: 0,
            patience: LINGER + undecided + longest + loads.max().unwrap_or_default() * 2,
            asked_limit: ASKED_FOR_REQUEST * requests + ASKED_IN_SECOND * seconds + ASKED_BESIDES,
            series: Series::new(),
            busy: Duration::ZERO,
            longest_queue: 0,
            most_running: 0,
        }
    }

    fn run(&mut self) {
        loop {
            let request = self.world.trace.requests().get(self.come);
            let coming = request.map(|r| Duration::from_millis(r.at));
            let done = self.world.heap.peek().map(|Reverse(entry)| entry.at);
            let due = self.machine.next_due();
            let next = [done, due, coming].into_iter().flatten().min();
            let Some(next) = next.map(|at| at.max(self.world.now)) else {
                return;
            };
            let quiet = next.saturating_sub(self.world.progress);
            if coming.is_none() && quiet > self.patience && self.machine.at_rest() {
                return;
            }
            if !self.machine.at_rest() {
                self.busy += next - self.world.now;
            }
            self.world.now = next;
            self.machine.set_now(next);
            // What is done makes room for what is due, and both for what comes.
            let is_next = |at: Option<Duration>| at.is_some_and(|at| at <= next);
            if is_next(done) {
                if let Some(Reverse(Entry { due, .. })) = self.world.heap.pop() {
                    self.finish(due);
                }
            } else if is_next(due) {
                self.machine.wake(&mut self.world);
            } else if let Some(request) = request {
                self.come += 1;
                self.arrive(RequestId(self.come as u64), request);
            }
            self.note();
            if self.world.counts.decisions > self.asked_limit {
                let limit = self.asked_limit;
                let rule = format!("the policy keeps itself busy: it was asked {limit} times");
                return self.world.broken.push(rule);
            }
        }
    }

    /// Takes down how things stand after an input.
    fn note(&mut self) {
        let state = self.machine.state();
        self.world.note_changes(state);
        let point = Point {
            at: self.world.now,
            queue: u32::try_from(state.waiting.len()).unwrap_or(u32::MAX),
            running: state.running,
            memory: state.memory_used,
        };
        self.longest_queue = self.longest_queue.max(point.queue);
        self.most_running = self.most_running.max(point.running);
        self.series.record(point);
    }

    fn arrive(&mut self, id: RequestId, request: &SimRequest) {
        let Some(model) = self.world.trace.models().get(request.model as usize) else {
            return;
        };
        if let Some(after) = request.cancel {
            self.world
                .push(Duration::from_millis(after.into()), Due::Cancelled(id));
        }
        self.world.arrived(id);
        let new = NewRequest {
            id,
            guest: request.guest.clone(),
            model: model.name.clone(),
            prompt_bytes: 4 * u64::from(request.prompt_tokens),
            prompt: None,
            max_tokens: request.max_tokens,
            terms: Terms {
                priority: request.priority,
                deadline: request.deadline.map(|ms| Duration::from_millis(ms.into())),
                keep_alive: None,
            },
            strategy: model.strategy,
        };
        self.machine.arrive(new, &mut self.world);
    }

    fn finish(&mut self, due: Due) {
        let world = &mut self.world;
        match due {
            Due::Measured(id) => {
                let need = world.need(id);
                self.machine.measured(id, Some(need), world);
            }
            Due::Loaded(id) => {
                if !world.finish_load(id) {
                    let memory = world.need(id);
                    return self.machine.loaded(id, memory, world);
                }
                for id in self.machine.failed(id, world) {
                    world.end_waiting(id, End::Failed);
                }
            }
            Due::Hibernated(id) => {
                world.finish_save(id);
                self.machine.unloaded(id, world);
            }
            Due::Cancelled(id) => {
                if world.waits(id) {
                    world.end_waiting(id, End::TakenBack);
                    self.machine.take_back(id, world);
                }
            }
            Due::Late(id) => {
                if world.running.contains_key(&id) {
                    self.end(id, End::Failed);
                }
            }
            Due::Finished(place, stamp) => {
                let engine = world.hosts.get(place).map(|host| &host.engine);
                let next = engine.filter(|engine| engine.stamp() == stamp);
                let Some((_, id)) = next.and_then(|engine| engine.next()) else {
                    return;
                };
                match world.dies(place) {
                    true => self.die(id, place),
                    false => self.end(id, End::Answered),
                }
            }
        }
    }

    fn end(&mut self, id: RequestId, end: End) {
        let Some((place, generation, tokens)) = self.world.end_running(id, end) else {
            return;
        };
        let tokens = match end {
            End::Answered => generation.completion,
            _ => tokens,
        };
        let usage = self.usage(place, &generation, tokens);
        self.machine.ended(id, usage, &mut self.world);
    }

    /// An engine dies: the loop hears of the generation first with which it is seen, then of
    /// the death, and of the others as they fail.
    fn die(&mut self, id: RequestId, place: usize) {
        self.end(id, End::Failed);
        let model = self.world.number(place);
        let here = |id: &ModelId| self.machine.state().residency(*id) == Residency::Resident;
        if let Some(model) = model.filter(here) {
            // First, for others may take its room at once.
            self.world.bury(model);
            self.machine.died(model, &mut self.world);
        }
        while let Some(id) = self.world.hosts.get(place).and_then(|h| h.engine.any()) {
            self.end(id, End::Failed);
        }
    }

    fn usage(&self, place: usize, generation: &Generation, tokens: u32) -> Usage {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let prefill = self
            .world
            .trace
            .models()
            .get(place)
            .map_or(0.0, |model| f64::from(generation.prompt) / model.prefill);
        let took = self.world.now.saturating_sub(generation.began);
        let prefill = Duration::from_secs_f64(prefill).min(took);
        Usage {
            prompt_tokens: generation.prompt,
            completion_tokens: tokens,
            prefill_us: micros(prefill),
            decode_us: micros(took - prefill),
            ..Usage::default()
        }
    }

    fn outcome(mut self, policy: String) -> Outcome {
        let state = self.machine.state();
        let (waiting, running) = (state.waiting.len(), state.running);
        if waiting > 0 || running > 0 {
            let rule = format!("at the end {waiting} requests wait and {running} run");
            self.world.broken.push(rule);
        }
        let World {
            trace,
            now,
            hosts,
            lives,
            timelines,
            counts,
            broken,
            progress,
            ..
        } = self.world;
        let (mut answered, mut failed, mut taken_back) = (0, 0, 0);
        let mut rejected = BTreeMap::<Rejection, u64>::new();
        let (mut waits, mut totals) = (Vec::new(), Vec::new());
        for (life, request) in lives.iter().zip(trace.requests()) {
            let arrived = request.at * 1_000_000;
            if life.started().is_some() {
                waits.push(life.started.saturating_sub(arrived));
            }
            match life.end {
                End::Answered => {
                    answered += 1;
                    totals.push(life.ended.saturating_sub(arrived));
                }
                End::Failed => failed += 1,
                End::TakenBack => taken_back += 1,
                End::Rejected(reason) => *rejected.entry(reason).or_default() += 1,
                End::Never => {}
            }
        }
        let lines = timelines.intervals(now);
        let span = progress;
        Outcome {
            policy,
            requests: lives.len() as u64,
            answered,
            failed,
            taken_back,
            rejected,
            wait: Spread::of(waits),
            total: Spread::of(totals),
            loads: hosts.iter().map(|host| host.loads).sum(),
            failed_loads: counts.failed_loads,
            returns: counts.returns,
            unloads: counts.unloads,
            hibernations: counts.hibernations,
            evictions: counts.evictions,
            deaths: counts.deaths,
            memory_high: counts.memory_high,
            memory_limit: trace.budgets().memory,
            longest_queue: self.longest_queue,
            most_running: self.most_running,
            busy: match span.is_zero() {
                true => 0.0,
                false => self.busy.as_secs_f64() / span.as_secs_f64(),
            },
            decisions: counts.decisions,
            refused: counts.refused,
            faults: counts.faults,
            first_fault: counts.first_fault,
            replaced: counts.replaced,
            span,
            models: hosts
                .iter()
                .zip(lines)
                .map(|(host, intervals)| ModelOutcome {
                    name: host.engine.model.name.clone(),
                    loads: host.loads,
                    generations: host.generations,
                    intervals,
                })
                .collect(),
            series: self.series.points(),
            lives,
            broken,
        }
    }
}
