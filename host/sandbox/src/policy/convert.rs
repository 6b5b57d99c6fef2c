//! Between a policy's words and the brainstem's.

use super::context::bindings::brainstem as wit;
use super::context::bindings::brainstem::EventKinds;
use crate::convert::{config_in, usage_out};
use rusty_genius_core::brainstem::{
    Arrival, Command, Event, ModelId, ModelState, PolicyFault, Refusal, Rejection, Request,
    RequestId, Residency, TimerId, Tuning,
};
use rusty_genius_core::{CortexStrategy, PartialBehavior};
use std::time::Duration;

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The bits of a set of kinds, in the contract's order.
pub(super) fn kinds(kinds: EventKinds) -> u16 {
    let all = [
        EventKinds::REQUEST_ARRIVED,
        EventKinds::REQUEST_GONE,
        EventKinds::MODEL_LOADING,
        EventKinds::MODEL_LOADED,
        EventKinds::MODEL_FAILED,
        EventKinds::MODEL_UNLOADED,
        EventKinds::GENERATION_STARTED,
        EventKinds::GENERATION_ENDED,
        EventKinds::MODEL_IDLE,
        EventKinds::MEMORY_PRESSURE,
        EventKinds::ENGINE_DIED,
        EventKinds::TIMER,
        EventKinds::TICK,
        EventKinds::REFUSED,
    ];
    let bits = all.into_iter().enumerate();
    bits.filter(|(_, kind)| kinds.contains(*kind))
        .fold(0, |bits, (bit, _)| bits | 1 << bit)
}

fn strategy_out(strategy: CortexStrategy) -> wit::Strategy {
    match strategy {
        CortexStrategy::Immediate => wit::Strategy::Immediate,
        CortexStrategy::HibernateAfter(ttl) => wit::Strategy::HibernateAfter(millis(ttl)),
        CortexStrategy::KeepAlive => wit::Strategy::KeepAlive,
    }
}

pub(super) fn request_out(request: &Request) -> wit::Request {
    wit::Request {
        id: request.id.0,
        guest: request.guest.0,
        model: request.model.0,
        priority: request.priority,
        admitted: request.admitted,
        prompt_bytes: request.prompt_bytes,
        max_tokens: request.max_tokens,
        arrived: millis(request.arrived),
        deadline: request.deadline.map(millis),
        strategy: strategy_out(request.strategy),
    }
}

pub(super) fn model_out(model: &ModelState) -> wit::ModelState {
    wit::ModelState {
        id: model.id.0,
        residency: match model.residency {
            Residency::Absent => wit::Residency::Absent,
            Residency::Loading => wit::Residency::Loading,
            Residency::Resident => wit::Residency::Resident,
            Residency::Hibernating => wit::Residency::Hibernating,
        },
        memory: model.memory,
        users: model.users,
        waiting: model.waiting,
        last_used: millis(model.last_used),
        strategy: strategy_out(model.strategy),
    }
}

fn arrival_out(arrival: &Arrival) -> wit::Arrival {
    wit::Arrival {
        request: request_out(&arrival.request),
        guest_name: arrival.guest.to_string(),
        model_name: arrival.model.to_string(),
        prompt: arrival.prompt.as_deref().map(str::to_owned),
    }
}

pub(super) fn event_out(event: &Event) -> wit::Event {
    match event {
        Event::RequestArrived(arrival) => wit::Event::RequestArrived(arrival_out(arrival)),
        Event::RequestGone(id) => wit::Event::RequestGone(id.0),
        Event::ModelLoading(id, need) => wit::Event::ModelLoading((id.0, *need)),
        Event::ModelLoaded(id, memory) => wit::Event::ModelLoaded((id.0, *memory)),
        Event::ModelFailed(id) => wit::Event::ModelFailed(id.0),
        Event::ModelUnloaded(id) => wit::Event::ModelUnloaded(id.0),
        Event::GenerationStarted(id) => wit::Event::GenerationStarted(id.0),
        Event::GenerationEnded(id, usage) => wit::Event::GenerationEnded((id.0, usage_out(*usage))),
        Event::ModelIdle(id) => wit::Event::ModelIdle(id.0),
        Event::MemoryPressure { model, needed } => wit::Event::MemoryPressure(wit::Pressure {
            model: model.map(|id| id.0),
            needed: *needed,
        }),
        Event::EngineDied(id) => wit::Event::EngineDied(id.0),
        Event::Timer(id) => wit::Event::Timer(id.0),
        Event::Tick => wit::Event::Tick,
        Event::Refused(command, refusal) => {
            wit::Event::Refused((command_out(command), refusal_out(*refusal)))
        }
    }
}

fn refusal_out(refusal: Refusal) -> wit::Refusal {
    match refusal {
        Refusal::UnknownRequest => wit::Refusal::UnknownRequest,
        Refusal::UnknownModel => wit::Refusal::UnknownModel,
        Refusal::NotLoaded => wit::Refusal::NotLoaded,
        Refusal::AlreadyLoaded => wit::Refusal::AlreadyLoaded,
        Refusal::InUse => wit::Refusal::InUse,
        Refusal::OutOfRange => wit::Refusal::OutOfRange,
        Refusal::TooMany => wit::Refusal::TooMany,
    }
}

/// A command as it is told back. What was to be retuned is not: the policy knows.
fn command_out(command: &Command) -> wit::Command {
    match command {
        Command::Load(id) => wit::Command::Load(id.0),
        Command::Preload(spec) => wit::Command::Preload(spec.clone()),
        Command::Unload(id) => wit::Command::Unload(id.0),
        Command::Hibernate(id) => wit::Command::Hibernate(id.0),
        Command::Admit(id) => wit::Command::Admit(id.0),
        Command::Reject(id, reason) => wit::Command::Reject((id.0, rejection_out(*reason))),
        Command::Queue(id, priority) => wit::Command::Queue((id.0, *priority)),
        Command::Route(id, spec) => wit::Command::Route((id.0, spec.clone())),
        Command::Retune(id, _) => wit::Command::Retune((id.0, Vec::new())),
        Command::SetTimer(id, after) => wit::Command::SetTimer((id.0, millis(*after))),
        Command::ClearTimer(id) => wit::Command::ClearTimer(id.0),
    }
}

fn rejection_out(reason: Rejection) -> wit::Rejection {
    match reason {
        Rejection::Busy => wit::Rejection::Busy,
        Rejection::ModelRefused => wit::Rejection::ModelRefused,
        Rejection::TooLarge => wit::Rejection::TooLarge,
        Rejection::QueueFull => wit::Rejection::QueueFull,
        Rejection::DeadlinePassed => wit::Rejection::DeadlinePassed,
        Rejection::NoMemory => wit::Rejection::NoMemory,
    }
}

fn rejection_in(reason: wit::Rejection) -> Rejection {
    match reason {
        wit::Rejection::Busy => Rejection::Busy,
        wit::Rejection::ModelRefused => Rejection::ModelRefused,
        wit::Rejection::TooLarge => Rejection::TooLarge,
        wit::Rejection::QueueFull => Rejection::QueueFull,
        wit::Rejection::DeadlinePassed => Rejection::DeadlinePassed,
        wit::Rejection::NoMemory => Rejection::NoMemory,
    }
}

/// Errors: a setting that a policy has no say in.
pub(super) fn commands_in(commands: Vec<wit::Command>) -> Result<Vec<Command>, PolicyFault> {
    commands.into_iter().map(command_in).collect()
}

fn command_in(command: wit::Command) -> Result<Command, PolicyFault> {
    Ok(match command {
        wit::Command::Load(id) => Command::Load(ModelId(id)),
        wit::Command::Preload(spec) => Command::Preload(spec),
        wit::Command::Unload(id) => Command::Unload(ModelId(id)),
        wit::Command::Hibernate(id) => Command::Hibernate(ModelId(id)),
        wit::Command::Admit(id) => Command::Admit(RequestId(id)),
        wit::Command::Reject((id, reason)) => Command::Reject(RequestId(id), rejection_in(reason)),
        wit::Command::Queue((id, priority)) => Command::Queue(RequestId(id), priority),
        wit::Command::Route((id, spec)) => Command::Route(RequestId(id), spec),
        wit::Command::Retune((id, settings)) => {
            let config = config_in(settings);
            let config = config.map_err(|e| PolicyFault::Nonsense(e.to_string()))?;
            let others = PartialBehavior {
                max_tokens: None,
                ..config.behavior.clone()
            };
            if others != PartialBehavior::default() {
                let what = "it retunes what is not sampling or `max-tokens`";
                return Err(PolicyFault::Nonsense(what.into()));
            }
            let tuning = Tuning {
                max_tokens: config.behavior.max_tokens,
                sampling: config.sampling,
            };
            Command::Retune(RequestId(id), Box::new(tuning))
        }
        wit::Command::SetTimer((id, after)) => {
            Command::SetTimer(TimerId(id), Duration::from_millis(after))
        }
        wit::Command::ClearTimer(id) => Command::ClearTimer(TimerId(id)),
    })
}
