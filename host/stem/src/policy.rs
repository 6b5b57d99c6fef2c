//! The brainstem's mind.

use futures::future::{BoxFuture, FutureExt, ready};
use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::{Command, Event, Request, State};

/// Decides what the loop does. A pure step: the same events and states give the same
/// commands, so that decisions can be recorded, replayed and simulated.
///
/// The future lets a policy live in a sandbox; a native one is ready at once. The loop
/// waits for it and does nothing else meanwhile, so whoever runs a policy of a stranger
/// limits its time and answers in its place. A policy that panics ends the loop.
pub trait Policy: Send {
    /// Answers an event. `state` is what the loop knows after it.
    fn decide<'a>(&'a mut self, event: &'a Event, state: &'a State) -> BoxFuture<'a, Vec<Command>>;
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn decide<'a>(&'a mut self, event: &'a Event, state: &'a State) -> BoxFuture<'a, Vec<Command>> {
        (**self).decide(event, state)
    }
}

/// The native policy: admits everything, loads what is asked for, and treats an idle
/// model as its [`CortexStrategy`] says.
#[derive(Debug, Clone, Copy, Default)]
pub struct StrategyPolicy;

impl Policy for StrategyPolicy {
    fn decide<'a>(&'a mut self, event: &'a Event, state: &'a State) -> BoxFuture<'a, Vec<Command>> {
        ready(step(event, state)).boxed()
    }
}

fn step(event: &Event, state: &State) -> Vec<Command> {
    match event {
        Event::RequestArrived(request) => arrive(request, state),
        Event::ModelIdle(model) => match state.model(model).map(|m| m.strategy) {
            Some(CortexStrategy::Immediate) => vec![Command::Unload(model.clone())],
            Some(CortexStrategy::HibernateAfter(ttl)) => {
                vec![Command::SetTimer(model.clone(), ttl)]
            }
            Some(CortexStrategy::KeepAlive) | None => vec![],
        },
        Event::Timer(model) if state.model(model).is_some_and(|m| m.users == 0) => {
            vec![Command::Unload(model.clone())]
        }
        _ => vec![],
    }
}

fn arrive(request: &Request, state: &State) -> Vec<Command> {
    let mut commands = vec![Command::Admit(request.id)];
    if state.model(&request.model).is_some() {
        commands.push(Command::ClearTimer(request.model.clone()));
    } else {
        commands.push(Command::Load(request.model.clone()));
    }
    commands
}
