//! A recorded session once more, to see what another policy would have done.
//!
//! What happens is what was recorded; the other policy is asked about each event, in the
//! state of that moment, and its answers are compared and not carried out. The state is
//! computed by the loop itself, from the record.

use crate::ledger::Found;
use crate::machine::{Hands, Machine};
use crate::policy::Policy;
use crate::record::{self, Line, RecordError};
use rusty_genius_core::CortexStrategy;
use rusty_genius_core::Terms;
use rusty_genius_core::brainstem::{
    Arrival, BrainstemOutput, Command, Event, ModelId, NewRequest, PolicyFault, Rejection,
    RequestId, State, Step, Tuning,
};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Most differences that are told.
const DIFFERENCES_LIMIT: usize = 1000;

/// What a replay showed.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// The policy that decided when the record was made; the last one, if it changed.
    pub recorded: String,
    /// Steps of the record.
    pub steps: usize,
    /// Steps in which the other policy commanded something else.
    pub differing: usize,
    /// The first 1000 of them.
    pub differences: Vec<Difference>,
    /// Steps in which the other policy did something wrong.
    pub faults: usize,
}

/// A step in which two policies command different things.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Its number in the record, from 1.
    pub step: usize,
    /// What happened, when, and what was commanded.
    pub recorded: Step,
    /// What the other policy commands, or what it does wrong.
    pub other: Result<Vec<Command>, PolicyFault>,
}

/// Replays a record, and asks `policy` about each step.
///
/// Errors: see [`RecordError`].
pub fn replay(file: &Path, policy: Box<dyn Policy>) -> Result<Replay, RecordError> {
    let lines: Arc<[Line]> = record::read(file)?.into();
    let Some(Line::Begin {
        budgets,
        policy: recorded,
        tick,
        ..
    }) = lines.first()
    else {
        return Ok(Replay::default());
    };
    let at = Arc::new(AtomicUsize::new(1));
    let tape = |tick| {
        Box::new(Tape {
            lines: lines.clone(),
            at: at.clone(),
            tick,
        })
    };
    let mut machine = Machine::new(*budgets, tape(*tick));
    let mut hands = Listener {
        lines: lines.clone(),
        at: at.clone(),
        specs: HashMap::new(),
        policy,
        result: Replay {
            recorded: recorded.clone(),
            ..Replay::default()
        },
        wrong: None,
    };
    while hands.wrong.is_none() {
        let before = at.load(Ordering::Relaxed);
        match lines.get(before) {
            None => break,
            Some(Line::Step(step)) => {
                machine.set_now(step.at);
                feed(&mut machine, step, &mut hands);
                if at.load(Ordering::Relaxed) == before {
                    hands.expected("something that makes it happen");
                }
            }
            Some(Line::Policy { policy, tick }) => {
                hands.result.recorded = policy.clone();
                at.fetch_add(1, Ordering::Relaxed);
                if let Some(Line::Step(next)) = lines.get(before + 1) {
                    machine.set_now(next.at);
                }
                machine.change_policy(tape(*tick), &mut hands);
            }
            Some(_) => {
                at.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    match hands.wrong {
        None => Ok(hands.result),
        Some(wrong) => Err(wrong),
    }
}

/// Makes happen what the next step tells of.
fn feed(machine: &mut Machine, step: &Step, hands: &mut Listener) {
    match &step.event {
        Event::RequestArrived(arrival) => machine.arrive(new(arrival), hands),
        Event::RequestGone(id) => {
            let before = hands.at.load(Ordering::Relaxed);
            // Its deadline, or its own wish.
            machine.wake(hands);
            if hands.at.load(Ordering::Relaxed) == before {
                machine.take_back(*id, hands);
            }
        }
        Event::ModelLoading(id, need) => {
            machine.measured(*id, Some(*need).filter(|need| *need > 0), hands);
        }
        Event::ModelLoaded(id, memory) => machine.loaded(*id, *memory, hands),
        Event::ModelFailed(id) => drop(machine.failed(*id, hands)),
        Event::ModelUnloaded(id) => machine.unloaded(*id, hands),
        Event::GenerationEnded(id, usage) => drop(machine.ended(*id, *usage, hands)),
        Event::EngineDied(id) => machine.died(*id, hands),
        Event::Timer(_) | Event::Tick => machine.wake(hands),
        Event::GenerationStarted(_)
        | Event::ModelIdle(_)
        | Event::MemoryPressure { .. }
        | Event::Refused(..) => {}
    }
}

/// The request as it came.
fn new(arrival: &Arrival) -> NewRequest {
    let request = &arrival.request;
    NewRequest {
        id: request.id,
        guest: arrival.guest.clone(),
        model: arrival.model.clone(),
        prompt_bytes: request.prompt_bytes,
        prompt: None,
        max_tokens: request.max_tokens,
        terms: Terms {
            priority: request.priority,
            deadline: request
                .deadline
                .map(|at| at.saturating_sub(request.arrived)),
            keep_alive: None,
        },
        strategy: request.strategy,
    }
}

/// The policy of the record: it commands what it commanded then.
struct Tape {
    lines: Arc<[Line]>,
    at: Arc<AtomicUsize>,
    tick: Option<Duration>,
}

impl Policy for Tape {
    fn name(&self) -> &str {
        "record"
    }

    fn tick(&self) -> Option<Duration> {
        self.tick
    }

    fn decide(&mut self, _: &Event, _: &Arc<State>) -> Result<Vec<Command>, PolicyFault> {
        let rest = &self.lines[self.at.load(Ordering::Relaxed).min(self.lines.len())..];
        let mut rest = rest.iter();
        let Some(Line::Step(step)) = rest.find(|line| matches!(line, Line::Step(_))) else {
            return Ok(Vec::new());
        };
        let until_next = rest.take_while(|line| !matches!(line, Line::Step(_)));
        let fault = until_next.into_iter().find_map(|line| match line {
            // The loop finds that out by itself.
            Line::Fault { fault, .. } if *fault != PolicyFault::Stubborn => Some(fault.clone()),
            _ => None,
        });
        fault.map_or_else(|| Ok(step.commands.clone()), Err)
    }
}

/// Follows the record, and compares.
struct Listener {
    lines: Arc<[Line]>,
    /// The next line.
    at: Arc<AtomicUsize>,
    /// What specs meant.
    specs: HashMap<String, Option<(Arc<str>, CortexStrategy)>>,
    policy: Box<dyn Policy>,
    result: Replay,
    wrong: Option<RecordError>,
}

impl Listener {
    fn expected(&mut self, reason: &str) {
        let step = self.result.steps + 1;
        let reason = reason.to_owned();
        self.wrong
            .get_or_insert(RecordError::Impossible { step, reason });
    }
}

impl Hands for Listener {
    fn decided(&mut self, step: &Step, state: &Arc<State>) {
        let recorded = loop {
            match self.lines.get(self.at.fetch_add(1, Ordering::Relaxed)) {
                Some(Line::Step(recorded)) => break recorded.clone(),
                Some(_) => {}
                // The record ends in the middle of what one event led to.
                None => return,
            }
        };
        if recorded.event != step.event || recorded.commands != step.commands {
            let happened = format!("{:?} with {:?}", step.event, step.commands);
            return self.expected(&happened.chars().take(300).collect::<String>());
        }
        self.result.steps += 1;
        let asked = self.policy.events().contains(step.event.kind());
        let other = match asked {
            true => self.policy.decide(&step.event, state),
            false => Ok(Vec::new()),
        };
        self.result.faults += usize::from(other.is_err());
        if other.as_ref() != Ok(&step.commands) {
            self.result.differing += 1;
            if self.result.differences.len() < DIFFERENCES_LIMIT {
                self.result.differences.push(Difference {
                    step: self.result.steps,
                    recorded: *recorded,
                    other,
                });
            }
        }
    }

    fn find(&mut self, spec: &str) -> Option<Found> {
        // What it meant stands after the step that named it.
        let from = self.at.load(Ordering::Relaxed).min(self.lines.len());
        for line in &self.lines[from..] {
            match line {
                Line::Step(_) => break,
                Line::Resolved { spec, found } => {
                    self.specs.insert(spec.clone(), found.clone());
                }
                _ => {}
            }
        }
        let (name, strategy) = self.specs.get(spec)?.clone()?;
        Some(Found { name, strategy })
    }

    fn tell(&mut self, _: BrainstemOutput) {}
    fn measure(&mut self, _: ModelId, _: &Arc<str>) {}
    fn load(&mut self, _: ModelId) {}
    fn too_large(&mut self, _: ModelId, _: u64, _: &[RequestId]) {}
    fn no_room(&mut self, _: ModelId) {}
    fn unload(&mut self, _: ModelId) {}
    fn hibernate(&mut self, _: ModelId) {}
    fn start(&mut self, _: RequestId, _: ModelId, _: Option<Box<Tuning>>) {}
    fn reject(&mut self, _: RequestId, _: Rejection) {}
}
