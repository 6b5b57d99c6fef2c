use crate::{
    Command, Event, ModelId, ModelState, Pressure, Request, Residency, State, Strategy, TimerId,
};

/// Lets the request run, and sees to it that its model comes.
pub fn admit(request: &Request, state: &State) -> Vec<Command> {
    let admit = Command::Admit(request.id);
    [admit]
        .into_iter()
        .chain(load(request.model, state))
        .collect()
}

/// Brings the model into memory, unless it is there or on its way in. One on its way out
/// follows when it has gone.
pub fn load(model: ModelId, state: &State) -> Option<Command> {
    let residency = state.model(model).map(|model| model.residency);
    let comes = matches!(residency, Some(Residency::Loading | Residency::Resident));
    (!comes).then_some(Command::Load(model))
}

/// What a request wants of its model: that it comes, or stays.
pub fn come(model: ModelId, strategy: Strategy, state: &State) -> Option<Command> {
    let stay = || match strategy {
        Strategy::HibernateAfter(_) => Some(Command::ClearTimer(model.into())),
        Strategy::Immediate | Strategy::KeepAlive => None,
    };
    load(model, state).or_else(stay)
}

/// What becomes of a model that is idle.
pub fn leave(model: ModelId, strategy: Strategy) -> Option<Command> {
    match strategy {
        Strategy::Immediate => Some(Command::Unload(model)),
        Strategy::HibernateAfter(ttl) => Some(Command::SetTimer((model.into(), ttl))),
        Strategy::KeepAlive => None,
    }
}

/// What becomes of a model whose timer has come: it may be in use again, or gone.
pub fn hibernate_if_idle(timer: TimerId, state: &State) -> Option<Command> {
    let model = state.model(ModelId::try_from(timer).ok()?)?;
    is_idle(&model).then_some(Command::Hibernate(model.id))
}

/// What becomes of models that nobody uses, each as its strategy says; where memory is short
/// they hibernate. Also brings back a model whose engine died.
pub fn by_strategy(event: &Event, state: &State) -> Vec<Command> {
    let command = match event {
        Event::ModelIdle(model) => {
            let known = state.model(*model);
            known.and_then(|known| leave(*model, known.strategy))
        }
        Event::Timer(timer) => hibernate_if_idle(*timer, state).filter(|_| {
            // It may have been used since, by somebody who asks for something else.
            let known = ModelId::try_from(*timer)
                .ok()
                .and_then(|id| state.model(id));
            known.is_some_and(|known| matches!(known.strategy, Strategy::HibernateAfter(_)))
        }),
        Event::MemoryPressure(pressure) => {
            let leaving = make_room(pressure, state, |_| true);
            return leaving.into_iter().map(Command::Hibernate).collect();
        }
        Event::EngineDied(model) => revive(*model, state),
        _ => None,
    };
    command.into_iter().collect()
}

/// Brings a model back that is gone, if requests still wait for it.
pub fn revive(model: ModelId, state: &State) -> Option<Command> {
    let waiting = state.model(model).map_or(0, |model| model.waiting);
    (waiting > 0).then_some(Command::Load(model))
}

/// The idle models to take out under memory pressure, least recently used first, until
/// enough becomes free. `may_go` says which may go at all.
pub fn make_room(
    pressure: &Pressure,
    state: &State,
    may_go: impl Fn(ModelId) -> bool,
) -> Vec<ModelId> {
    let mut idle = state.models();
    idle.retain(|model| is_idle(model) && Some(model.id) != pressure.model && may_go(model.id));
    idle.sort_by_key(|model| (model.last_used, model.id));
    let mut freed = 0_u64;
    idle.iter()
        .take_while(|model| {
            let short = freed < pressure.needed;
            freed = freed.saturating_add(model.memory);
            short
        })
        .map(|model| model.id)
        .collect()
}

fn is_idle(model: &ModelState) -> bool {
    model.residency == Residency::Resident && model.users == 0 && model.waiting == 0
}
