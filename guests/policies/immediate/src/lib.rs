//! Admits everything, loads what is asked for, and unloads a model as soon as nobody uses
//! it, whatever its strategy says. Decides as the host's native policy does for the
//! strategy `immediate`.
//!
//! Settings: none.

use kit::{
    Command, Event, EventKinds, Guest, Profile, Settings, State, admit, make_room, profile, revive,
};

struct Immediate;
kit::export!(Immediate);

impl Guest for Immediate {
    fn configure(settings: Vec<(String, String)>) -> Result<Profile, String> {
        Settings::read(settings, &[])?;
        Ok(profile(
            "immediate",
            EventKinds::REQUEST_ARRIVED
                | EventKinds::MODEL_IDLE
                | EventKinds::MEMORY_PRESSURE
                | EventKinds::ENGINE_DIED,
        ))
    }

    fn decide(event: Event, state: &State) -> Vec<Command> {
        match event {
            Event::RequestArrived(arrival) => admit(&arrival.request, state),
            Event::ModelIdle(model) => vec![Command::Unload(model)],
            // Some may be left from a policy that decided before.
            Event::MemoryPressure(pressure) => {
                let leaving = make_room(&pressure, state, |_| true);
                leaving.into_iter().map(Command::Unload).collect()
            }
            Event::EngineDied(model) => revive(model, state).into_iter().collect(),
            _ => vec![],
        }
    }
}
