//! Many models, one memory budget. Admits everything and loads what is asked for; a model
//! stays until another needs its memory, and then those that were used least recently
//! hibernate.
//!
//! Settings: `keep`, names of models that always stay, with commas between them, as in
//! `org/repo:Q4_K_M on pinky, org/other:Q8_0`. By default none.

use kit::{
    Command, Event, EventKinds, Guest, ModelId, Profile, Settings, State, admit, bad, make_room,
    profile, revive,
};
use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    /// The models that stay, by name.
    static KEEP: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

struct Lru;
kit::export!(Lru);

impl Guest for Lru {
    fn configure(settings: Vec<(String, String)>) -> Result<Profile, String> {
        let settings = Settings::read(settings, &["keep"])?;
        if let Some(value) = settings.get("keep") {
            let names = value.split(',').map(|name| name.trim().to_owned());
            let keep: BTreeSet<_> = names.collect();
            if keep.contains("") {
                return Err(bad(
                    "keep",
                    value,
                    "names of models, with commas between them",
                ));
            }
            KEEP.set(keep);
        }
        Ok(profile(
            "lru",
            EventKinds::REQUEST_ARRIVED | EventKinds::MEMORY_PRESSURE | EventKinds::ENGINE_DIED,
        ))
    }

    fn decide(event: Event, state: &State) -> Vec<Command> {
        match event {
            Event::RequestArrived(arrival) => admit(&arrival.request, state),
            Event::MemoryPressure(pressure) => {
                let leaving = make_room(&pressure, state, |model| !stays(model, state));
                leaving.into_iter().map(Command::Hibernate).collect()
            }
            Event::EngineDied(model) => revive(model, state).into_iter().collect(),
            _ => vec![],
        }
    }
}

fn stays(model: ModelId, state: &State) -> bool {
    let name = state.model_name(model).unwrap_or_default();
    KEEP.with_borrow(|keep| keep.contains(&name))
}
