//! Admits everything, loads what is asked for, and keeps what it loaded, even where memory
//! is short: what does not fit beside it is not loaded. Decides as the host's native policy
//! does for the strategy `keep-alive`.
//!
//! Settings: none.

use kit::{Command, Event, EventKinds, Guest, Profile, Settings, State, admit, profile, revive};

struct KeepAlive;
kit::export!(KeepAlive);

impl Guest for KeepAlive {
    fn configure(settings: Vec<(String, String)>) -> Result<Profile, String> {
        Settings::read(settings, &[])?;
        Ok(profile(
            "keep-alive",
            EventKinds::REQUEST_ARRIVED | EventKinds::ENGINE_DIED,
        ))
    }

    fn decide(event: Event, state: &State) -> Vec<Command> {
        match event {
            Event::RequestArrived(arrival) => admit(&arrival.request, state),
            Event::EngineDied(model) => revive(model, state).into_iter().collect(),
            _ => vec![],
        }
    }
}
