//! The brainstem's mind.

use rusty_genius_core::brainstem::{
    Command, Event, EventKinds, ModelId, ModelState, PolicyFault, Request, Residency, State,
    TimerId,
};
use rusty_genius_core::{CortexStrategy, Note};
use std::sync::Arc;
use std::time::Duration;

/// Decides what the loop does. A step: the same events and states give the same commands, so
/// that decisions can be recorded, replayed and simulated.
///
/// The loop waits for it and does nothing else meanwhile: whoever runs a policy of a stranger
/// limits its time. A native policy that panics ends the loop.
pub trait Policy: Send {
    /// What it is called, for people.
    fn name(&self) -> &str;

    /// The events it wants to be asked about. Default all.
    fn events(&self) -> EventKinds {
        EventKinds::ALL
    }

    /// How often it wants [`Event::Tick`]. Default never.
    fn tick(&self) -> Option<Duration> {
        None
    }

    /// Whether arrivals are to have the words of the prompt. Default no.
    fn sees_prompts(&self) -> bool {
        false
    }

    /// Answers an event. `state` is what the loop knows after it; keeping it beyond the step
    /// costs the loop a copy.
    ///
    /// Errors: what the policy did wrong, if it is somebody else's. The native policy then
    /// answers in its place.
    fn decide(&mut self, event: &Event, state: &Arc<State>) -> Result<Vec<Command>, PolicyFault>;

    /// What it has to say about the last step, for people. Default nothing.
    fn take_notes(&mut self) -> Vec<Note> {
        Vec::new()
    }
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn events(&self) -> EventKinds {
        (**self).events()
    }

    fn tick(&self) -> Option<Duration> {
        (**self).tick()
    }

    fn sees_prompts(&self) -> bool {
        (**self).sees_prompts()
    }

    fn decide(&mut self, event: &Event, state: &Arc<State>) -> Result<Vec<Command>, PolicyFault> {
        (**self).decide(event, state)
    }

    fn take_notes(&mut self) -> Vec<Note> {
        (**self).take_notes()
    }
}

/// The native policy, and what stands in for one that fails: admits everything, loads what is
/// asked for, and treats an idle model as its [`CortexStrategy`] says. Where memory is short,
/// idle models go that are not to be kept alive, the one used longest ago first.
#[derive(Debug, Clone, Copy, Default)]
pub struct StrategyPolicy {
    always: Option<CortexStrategy>,
}

impl StrategyPolicy {
    /// One that treats all models in this way, whatever was asked for them.
    pub fn always(strategy: CortexStrategy) -> Self {
        Self {
            always: Some(strategy),
        }
    }

    /// What it commands.
    pub fn step(&self, event: &Event, state: &State) -> Vec<Command> {
        match event {
            Event::RequestArrived(arrival) => self.arrive(&arrival.request, state),
            Event::ModelIdle(model) => match self.strategy(*model, state) {
                Some(CortexStrategy::Immediate) => vec![Command::Unload(*model)],
                Some(CortexStrategy::HibernateAfter(ttl)) => {
                    vec![Command::SetTimer(timer(*model), ttl)]
                }
                Some(CortexStrategy::KeepAlive) | None => vec![],
            },
            Event::Timer(TimerId(id)) => {
                let model = u32::try_from(*id).ok().map(ModelId);
                let model = model.and_then(|id| state.present.get(&id));
                let model = model.filter(|m| m.is_idle());
                match model.map(|m| (m.id, self.always.unwrap_or(m.strategy))) {
                    Some((id, CortexStrategy::HibernateAfter(_))) => vec![Command::Hibernate(id)],
                    _ => vec![],
                }
            }
            Event::MemoryPressure { model, needed } => self.make_room(*model, *needed, state),
            Event::EngineDied(model) => match state.model(*model) {
                Some(m) if m.waiting > 0 => vec![Command::Load(*model)],
                _ => vec![],
            },
            _ => vec![],
        }
    }

    fn strategy(&self, model: ModelId, state: &State) -> Option<CortexStrategy> {
        let asked = || state.model(model).map(|m| m.strategy);
        self.always.or_else(asked)
    }

    fn arrive(&self, request: &Request, state: &State) -> Vec<Command> {
        let model = request.model;
        let mut commands = vec![Command::Admit(request.id)];
        match state.residency(model) {
            Residency::Absent | Residency::Hibernating => commands.push(Command::Load(model)),
            Residency::Loading | Residency::Resident => {
                // Where models differ, what was asked before may have set one.
                if matches!(self.always, None | Some(CortexStrategy::HibernateAfter(_))) {
                    commands.push(Command::ClearTimer(timer(model)));
                }
            }
        }
        commands
    }

    fn make_room(&self, wanted: Option<ModelId>, needed: u64, state: &State) -> Vec<Command> {
        let strategy = |m: &ModelState| self.always.unwrap_or(m.strategy);
        let mut idle: Vec<_> = state
            .present
            .values()
            .filter(|m| m.is_idle() && Some(m.id) != wanted)
            .filter(|m| strategy(m) != CortexStrategy::KeepAlive)
            .collect();
        idle.sort_by_key(|m| (m.last_used, m.id));
        let mut free = 0;
        let mut commands = Vec::new();
        for model in idle {
            if free >= needed {
                break;
            }
            free += model.memory;
            commands.push(match strategy(model) {
                CortexStrategy::HibernateAfter(_) => Command::Hibernate(model.id),
                _ => Command::Unload(model.id),
            });
        }
        commands
    }
}

/// The timer of a model.
fn timer(model: ModelId) -> TimerId {
    TimerId(u64::from(model.0))
}

impl Policy for StrategyPolicy {
    fn name(&self) -> &str {
        match self.always {
            None => "native",
            Some(CortexStrategy::Immediate) => "native immediate",
            Some(CortexStrategy::HibernateAfter(_)) => "native hibernate-after",
            Some(CortexStrategy::KeepAlive) => "native keep-alive",
        }
    }

    fn decide(&mut self, event: &Event, state: &Arc<State>) -> Result<Vec<Command>, PolicyFault> {
        Ok(self.step(event, state))
    }
}
