//! What the policies share: the bindings of their world, and what several of them do
//! alike. No guest of its own.
//!
//! Where the host's native policy has a rule for something, the rule here is the same, to
//! the order of the commands. One differs: under memory pressure `by_strategy` hibernates
//! models whatever their strategy says.

pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "policy",
        pub_export_macro: true,
        default_bindings_module: "kit::bindings",
    });
}
mod models;
mod settings;

pub use bindings::Guest;
pub use bindings::export;
pub use bindings::rusty_genius::genius::brainstem::{
    Arrival, Command, Event, EventKinds, GuestId, ModelId, ModelState, Pressure, Profile, Refusal,
    Rejection, Request, RequestId, Residency, State, Strategy, TimerId,
};
pub use bindings::rusty_genius::genius::types::Usage;
pub use models::{admit, by_strategy, come, hibernate_if_idle, leave, load, make_room, revive};
pub use settings::{Settings, bad};

/// The profile of a policy that wants neither ticks nor prompts.
pub fn profile(name: &str, events: EventKinds) -> Profile {
    Profile {
        name: name.to_owned(),
        events,
        tick: None,
        prompts: false,
    }
}
