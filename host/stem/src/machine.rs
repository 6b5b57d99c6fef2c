//! The loop without a world around it: events in, a policy asked, effects out.
//!
//! Nothing here waits, and time is what it is told: the [event loop](crate::event_loop) gives
//! it hands that load models, the [simulator](crate::simulation) gives it hands that only
//! pretend, and both run the same decisions.

use crate::ledger::{Effect, Found, Ledger};
use crate::mind::Mind;
use crate::policy::Policy;
use rusty_genius_core::Usage;
use rusty_genius_core::brainstem::{
    BrainstemOutput, Budgets, Command, Decider, Event, ModelId, NewRequest, PolicyFault, Refusal,
    Rejection, RequestId, State, Step, Tuning,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Most refusals that one input may lead to: a policy that answers each with another bad
/// command stops here, and that is a fault. Its other commands still count.
const REFUSALS_LIMIT: usize = 64;
/// Most steps that one input may lead to, besides four for each request that waits. A policy
/// that turns in circles without a refusal stops here.
const STEPS_LIMIT: usize = 1024;
/// Most timers that are told of at once.
const TIMERS_AT_ONCE: usize = 256;
/// Shortest time between ticks.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// What carries out what was decided.
pub(crate) trait Hands {
    /// Find out what a model needs, and say it with [`Machine::measured`].
    fn measure(&mut self, id: ModelId, name: &Arc<str>);
    /// Bring a model in, and say how that ended with [`Machine::loaded`] or
    /// [`Machine::failed`].
    fn load(&mut self, id: ModelId);
    /// A model that was measured will not be loaded, for it needs more than there may be.
    fn too_large(&mut self, id: ModelId, needed: u64, waiting: &[RequestId]);
    /// A model that was measured will not be loaded, for those that stay leave no room.
    fn no_room(&mut self, id: ModelId);
    /// Take a model out.
    fn unload(&mut self, id: ModelId);
    /// Save a model's sessions, take it out and say so with [`Machine::unloaded`].
    fn hibernate(&mut self, id: ModelId);
    /// The request runs from now on, until [`Machine::ended`].
    fn start(&mut self, id: RequestId, model: ModelId, tuning: Option<Box<Tuning>>);
    /// The request is turned away.
    fn reject(&mut self, id: RequestId, reason: Rejection);
    /// The model that a spec names, if this host may load it.
    fn find(&mut self, spec: &str) -> Option<Found>;
    /// Hears what was decided in a state, before it is done.
    fn decided(&mut self, step: &Step, state: &Arc<State>);
    /// Hears what else there is to be told.
    fn tell(&mut self, output: BrainstemOutput);
}

/// What one input may still lead to.
struct Patience {
    steps: usize,
    refusals: usize,
}

pub(crate) struct Machine {
    ledger: Ledger,
    mind: Mind,
    events: VecDeque<Event>,
    next_tick: Option<Duration>,
    /// Whether models that wait for memory are to be looked at.
    look_for_room: bool,
}

impl Machine {
    pub(crate) fn new(budgets: Budgets, policy: Box<dyn Policy>) -> Self {
        let mut machine = Self {
            ledger: Ledger::new(budgets),
            mind: Mind::new(policy),
            events: VecDeque::new(),
            next_tick: None,
            look_for_room: false,
        };
        machine.wind_up();
        machine
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        self.ledger.state()
    }

    pub(crate) fn sees_prompts(&self) -> bool {
        self.mind.sees_prompts()
    }

    /// Whether no generation runs.
    pub(crate) fn at_rest(&self) -> bool {
        self.ledger.at_rest()
    }

    /// When it must be woken, with [`Machine::wake`], if nothing happens before.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        [self.ledger.next_due(), self.next_tick]
            .into_iter()
            .flatten()
            .min()
    }

    /// Moves the time on. To be called before each input.
    pub(crate) fn set_now(&mut self, now: Duration) {
        self.ledger.set_now(now);
    }

    fn now(&self) -> Duration {
        self.ledger.state().now
    }

    // --- Inputs. After each, what it leads to is done.

    pub(crate) fn arrive(&mut self, new: NewRequest, hands: &mut dyn Hands) {
        let id = new.id;
        match self.ledger.arrive(new) {
            Ok(arrival) => self.events.push_back(Event::RequestArrived(arrival)),
            Err(reason) => self.turn_away(id, reason, hands),
        }
        self.settle(hands);
    }

    /// Whoever asked gave up. Nothing happens to a request that does not wait.
    pub(crate) fn take_back(&mut self, id: RequestId, hands: &mut dyn Hands) {
        self.forget(id, hands);
        self.settle(hands);
    }

    pub(crate) fn measured(&mut self, id: ModelId, need: Option<u64>, hands: &mut dyn Hands) {
        self.events
            .push_back(Event::ModelLoading(id, need.unwrap_or(0)));
        self.with_effects(hands, |ledger, effects| ledger.measured(id, need, effects));
        self.look_for_room = true;
        self.settle(hands);
    }

    pub(crate) fn loaded(&mut self, id: ModelId, memory: u64, hands: &mut dyn Hands) {
        self.events.push_back(Event::ModelLoaded(id, memory));
        let over = self.with_effects(hands, |ledger, effects| ledger.loaded(id, memory, effects));
        if over > 0 {
            let (model, needed) = (None, over);
            self.events
                .push_back(Event::MemoryPressure { model, needed });
        }
        self.settle(hands);
    }

    /// A model could not be loaded: the requests that waited for it, to be answered with the
    /// error.
    pub(crate) fn failed(&mut self, id: ModelId, hands: &mut dyn Hands) -> Vec<RequestId> {
        let gone = self.ledger.failed(id);
        self.events.push_back(Event::ModelFailed(id));
        self.look_for_room = true;
        self.settle(hands);
        gone
    }

    /// A model that was hibernating has gone.
    pub(crate) fn unloaded(&mut self, id: ModelId, hands: &mut dyn Hands) {
        self.events.push_back(Event::ModelUnloaded(id));
        self.with_effects(hands, |ledger, effects| ledger.unloaded(id, effects));
        self.look_for_room = true;
        self.settle(hands);
    }

    /// A generation ended. Whether it ran.
    pub(crate) fn ended(&mut self, id: RequestId, usage: Usage, hands: &mut dyn Hands) -> bool {
        self.events.push_back(Event::GenerationEnded(id, usage));
        let ran = self.with_effects(hands, |ledger, effects| ledger.ended(id, effects));
        if !ran {
            self.events.pop_back();
        }
        self.settle(hands);
        ran
    }

    /// The engine of a model in memory died.
    pub(crate) fn died(&mut self, id: ModelId, hands: &mut dyn Hands) {
        if self.ledger.died(id) {
            self.events.push_back(Event::EngineDied(id));
            self.look_for_room = true;
        }
        self.settle(hands);
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self, hands: &mut dyn Hands) {
        while let Some(id) = self.ledger.deadline_due() {
            self.forget(id, hands);
            self.turn_away(id, Rejection::DeadlinePassed, hands);
        }
        // The rest is due still, and next.
        let timers = std::iter::from_fn(|| self.ledger.timer_due());
        self.events
            .extend(timers.take(TIMERS_AT_ONCE).map(Event::Timer));
        if self.next_tick.is_some_and(|at| at <= self.now()) {
            self.events.push_back(Event::Tick);
            self.wind_up();
        }
        self.settle(hands);
    }

    /// Another policy decides from now on, about what waits as well.
    pub(crate) fn change_policy(&mut self, policy: Box<dyn Policy>, hands: &mut dyn Hands) {
        self.mind = Mind::new(policy);
        hands.tell(BrainstemOutput::PolicyChanged {
            policy: self.mind.name().clone(),
            tick: self.mind.tick(),
        });
        self.introduce();
        self.settle(hands);
    }

    // --- What they lead to

    /// Sets the next tick.
    fn wind_up(&mut self) {
        let every = self.mind.tick().map(|every| every.max(SHORTEST_TICK));
        self.next_tick = every.map(|every| self.now().saturating_add(every));
    }

    /// Tells a policy that takes over what waits for it.
    fn introduce(&mut self) {
        self.ledger.clear_timers();
        self.wind_up();
        let arrivals = self.ledger.arrivals();
        self.events
            .extend(arrivals.into_iter().map(Event::RequestArrived));
        let idle = self.ledger.idle();
        self.events.extend(idle.into_iter().map(Event::ModelIdle));
        self.look_for_room = true;
    }

    fn forget(&mut self, id: RequestId, hands: &mut dyn Hands) {
        let gone = self.with_effects(hands, |ledger, effects| ledger.cancel(id, effects));
        if gone.is_some() {
            self.events.push_back(Event::RequestGone(id));
        }
    }

    fn turn_away(&mut self, id: RequestId, reason: Rejection, hands: &mut dyn Hands) {
        hands.tell(BrainstemOutput::Rejected { id, reason });
        hands.reject(id, reason);
    }

    fn with_effects<T>(
        &mut self,
        hands: &mut dyn Hands,
        change: impl FnOnce(&mut Ledger, &mut Vec<Effect>) -> T,
    ) -> T {
        let mut effects = Vec::new();
        let result = change(&mut self.ledger, &mut effects);
        for effect in effects {
            self.execute(effect, hands);
        }
        result
    }

    fn execute(&mut self, effect: Effect, hands: &mut dyn Hands) {
        match effect {
            Effect::Measure(id) => {
                if let Some(name) = self.ledger.model_name(id) {
                    hands.measure(id, name);
                }
            }
            Effect::Load(id) => hands.load(id),
            Effect::TooLarge(id, needed) => {
                let gone = self.ledger.failed(id);
                hands.too_large(id, needed, &gone);
                self.events.push_back(Event::ModelFailed(id));
            }
            Effect::Unload(id) => {
                hands.unload(id);
                self.events.push_back(Event::ModelUnloaded(id));
                self.look_for_room = true;
            }
            Effect::Hibernate(id) => hands.hibernate(id),
            Effect::Reject(id, reason) => self.turn_away(id, reason, hands),
            Effect::Start(id, model, tuning) => {
                self.events.push_back(Event::GenerationStarted(id));
                hands.start(id, model, tuning);
            }
            Effect::Idle(id) => {
                self.events.push_back(Event::ModelIdle(id));
                self.look_for_room = true;
            }
        }
    }

    /// Lets the policy answer every event, and the events its commands lead to.
    fn settle(&mut self, hands: &mut dyn Hands) {
        let mut patience = Patience {
            steps: STEPS_LIMIT + 4 * self.state().waiting.len(),
            refusals: REFUSALS_LIMIT,
        };
        loop {
            while let Some(event) = self.events.pop_front() {
                if !self.is_stale(&event) {
                    self.consider(event, &mut patience, hands);
                }
            }
            if !std::mem::take(&mut self.look_for_room) || !self.make_room(&mut patience, hands) {
                return;
            }
        }
    }

    /// Whether what was to be told is so no longer.
    fn is_stale(&self, event: &Event) -> bool {
        let state = self.state();
        match event {
            Event::ModelIdle(id) => !state.present.get(id).is_some_and(|m| m.is_idle()),
            Event::RequestArrived(arrival) => {
                let waits = state.waiting.get(&arrival.request.id);
                waits.is_none_or(|request| request.admitted)
            }
            _ => false,
        }
    }

    /// Asks the policy about one event, and does what it says.
    fn consider(&mut self, event: Event, patience: &mut Patience, hands: &mut dyn Hands) {
        let Some(steps) = patience.steps.checked_sub(1) else {
            let commands = self.mind.native(&event, self.ledger.state());
            return self.carry_out(event, commands, Decider::Fallback, patience, hands);
        };
        patience.steps = steps;
        let ledger = &self.ledger;
        let (commands, by, mut fault) = self
            .mind
            .decide(&event, ledger.state(), |command| ledger.nonsense(command));
        for note in self.mind.take_notes() {
            hands.tell(note);
        }
        self.carry_out(event, commands, by, patience, hands);
        if steps == 0 {
            fault = Some(PolicyFault::Stubborn);
        }
        if let Some(fault) = fault {
            self.blame(fault, hands);
        }
    }

    fn carry_out(
        &mut self,
        event: Event,
        commands: Vec<Command>,
        by: Decider,
        patience: &mut Patience,
        hands: &mut dyn Hands,
    ) {
        let at = self.now();
        let step = Step {
            at,
            event,
            commands,
            by,
        };
        hands.decided(&step, self.ledger.state());
        for command in step.commands {
            let mut effects = Vec::new();
            let find = &mut |spec: &str| {
                let found = hands.find(spec);
                hands.tell(BrainstemOutput::Resolved {
                    spec: spec.to_owned(),
                    found: found.as_ref().map(|f| (f.name.clone(), f.strategy)),
                });
                found
            };
            let done = self.ledger.apply(&command, find, &mut effects);
            for effect in effects {
                self.execute(effect, hands);
            }
            if let Err(refusal) = done {
                self.refuse(command, refusal, patience, hands);
            }
        }
    }

    fn refuse(
        &mut self,
        command: Command,
        refusal: Refusal,
        patience: &mut Patience,
        hands: &mut dyn Hands,
    ) {
        let Some(refusals) = patience.refusals.checked_sub(1) else {
            return;
        };
        patience.refusals = refusals;
        hands.tell(BrainstemOutput::Refused {
            command: command.clone(),
            refusal,
        });
        self.events.push_back(Event::Refused(command, refusal));
        if refusals == 0 {
            self.blame(PolicyFault::Stubborn, hands);
            self.decide_natively(patience, hands);
        }
    }

    fn blame(&mut self, fault: PolicyFault, hands: &mut dyn Hands) {
        let (told, replaced) = self.mind.blame(fault);
        hands.tell(told);
        if replaced {
            self.introduce();
        }
    }

    /// What waits undecided is decided by the native policy, for the other one turns in
    /// circles.
    fn decide_natively(&mut self, patience: &mut Patience, hands: &mut dyn Hands) {
        self.events
            .retain(|event| !matches!(event, Event::Refused(..)));
        for arrival in self.ledger.arrivals() {
            let event = Event::RequestArrived(arrival);
            let commands = self.mind.native(&event, self.ledger.state());
            self.carry_out(event, commands, Decider::Fallback, patience, hands);
        }
    }

    /// Gives memory that is free to models that wait for it, or asks for more. Whether there
    /// is something to be done then.
    fn make_room(&mut self, patience: &mut Patience, hands: &mut dyn Hands) -> bool {
        let mut asked = None;
        loop {
            let short = self.with_effects(hands, |ledger, effects| ledger.reserve(effects));
            let Some((id, needed)) = short else {
                return !self.events.is_empty();
            };
            if needed == 0 {
                // It is on its way.
                return !self.events.is_empty();
            }
            if asked != Some(id) {
                asked = Some(id);
                let model = Some(id);
                let event = Event::MemoryPressure { model, needed };
                self.consider(event, patience, hands);
                continue;
            }
            if !self.events.is_empty() {
                self.look_for_room = true;
                return true;
            }
            if self.ledger.may_make_room() {
                return false;
            }
            // Nothing will ever change that.
            hands.no_room(id);
            for request in self.ledger.failed(id) {
                self.turn_away(request, Rejection::NoMemory, hands);
            }
            self.events.push_back(Event::ModelFailed(id));
        }
    }
}
