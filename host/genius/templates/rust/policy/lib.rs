//! Lets every request run, loads what is asked for, and unloads a model as soon as nobody
//! uses it.

use rusty_genius::genius::brainstem::{EventKinds, ModelId, ModelState, Residency};

wit_bindgen::generate!({ path: "wit", world: "{{world}}" });

struct Policy;
export!(Policy);

impl Guest for Policy {
    fn configure(settings: Vec<(String, String)>) -> Result<Profile, String> {
        if let Some((key, _)) = settings.first() {
            return Err(format!("there is no setting {key:?}: this policy has none"));
        }
        Ok(Profile {
            name: "{{name}}".into(),
            // It is asked about these, and hears of no others.
            events: EventKinds::REQUEST_ARRIVED
                | EventKinds::MODEL_IDLE
                | EventKinds::MEMORY_PRESSURE
                | EventKinds::ENGINE_DIED,
            tick: None,
            prompts: false,
        })
    }

    fn decide(event: Event, state: &State) -> Vec<Command> {
        match event {
            Event::RequestArrived(arrival) => {
                let request = arrival.request;
                let mut commands = vec![Command::Admit(request.id)];
                commands.extend(load(request.model, state));
                commands
            }
            Event::ModelIdle(model) => vec![Command::Unload(model)],
            Event::MemoryPressure(pressure) => make_room(state.models(), pressure.needed)
                .into_iter()
                .map(Command::Unload)
                .collect(),
            // Requests still wait for it, or it need not come back.
            Event::EngineDied(model) => match state.model(model) {
                Some(known) if known.waiting > 0 => vec![Command::Load(model)],
                _ => vec![],
            },
            _ => vec![],
        }
    }
}

/// Brings the model into memory, unless it is there or on its way in.
fn load(model: ModelId, state: &State) -> Option<Command> {
    let residency = state.model(model).map(|known| known.residency);
    let comes = matches!(residency, Some(Residency::Loading | Residency::Resident));
    (!comes).then_some(Command::Load(model))
}

/// The models to take out, least recently used first, until enough becomes free. Only those
/// that nobody uses or waits for.
fn make_room(mut models: Vec<ModelState>, needed: u64) -> Vec<ModelId> {
    models.retain(|m| m.residency == Residency::Resident && m.users == 0 && m.waiting == 0);
    models.sort_by_key(|model| (model.last_used, model.id));
    let mut freed = 0_u64;
    let mut leaving = Vec::new();
    for model in models {
        if freed >= needed {
            break;
        }
        freed = freed.saturating_add(model.memory);
        leaving.push(model.id);
    }
    leaving
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusty_genius::genius::brainstem::Strategy;

    fn model(id: ModelId, last_used: u64, users: u32) -> ModelState {
        ModelState {
            id,
            residency: Residency::Resident,
            memory: 10,
            users,
            waiting: 0,
            last_used,
            strategy: Strategy::KeepAlive,
        }
    }

    #[test]
    fn the_least_recently_used_leave_and_only_as_many_as_must() {
        let models = || vec![model(1, 30, 0), model(2, 20, 1), model(3, 10, 0)];
        assert_eq!(make_room(models(), 1), [3]);
        assert_eq!(make_room(models(), 11), [3, 1]);
        assert_eq!(make_room(models(), 100), [3, 1]);
    }
}
