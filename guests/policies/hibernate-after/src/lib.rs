//! Admits everything, loads what is asked for, and hibernates a model that nobody used for
//! a while, whatever its strategy says. Decides as the host's native policy does for the
//! strategy `hibernate-after`.
//!
//! Settings: `ttl`, the while in seconds, as in `300` (the default) or `2.5`.

use kit::{
    Command, Event, EventKinds, Guest, Profile, Settings, State, Strategy, bad, come,
    hibernate_if_idle, leave, make_room, profile, revive,
};
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static STRATEGY: Cell<Strategy> = const { Cell::new(Strategy::HibernateAfter(300_000)) };
}

struct HibernateAfter;
kit::export!(HibernateAfter);

impl Guest for HibernateAfter {
    fn configure(settings: Vec<(String, String)>) -> Result<Profile, String> {
        let settings = Settings::read(settings, &["ttl"])?;
        if let Some(ttl) = settings.get("ttl") {
            let ttl = milliseconds(ttl)
                .ok_or_else(|| bad("ttl", ttl, "seconds, 0.001 or more, as in 300 or 2.5"))?;
            STRATEGY.set(Strategy::HibernateAfter(ttl));
        }
        Ok(profile(
            "hibernate-after",
            EventKinds::REQUEST_ARRIVED
                | EventKinds::MODEL_IDLE
                | EventKinds::TIMER
                | EventKinds::MEMORY_PRESSURE
                | EventKinds::ENGINE_DIED,
        ))
    }

    fn decide(event: Event, state: &State) -> Vec<Command> {
        let strategy = STRATEGY.get();
        match event {
            Event::RequestArrived(arrival) => {
                let request = arrival.request;
                let admit = Command::Admit(request.id);
                let come = come(request.model, strategy, state);
                [admit].into_iter().chain(come).collect()
            }
            Event::ModelIdle(model) => leave(model, strategy).into_iter().collect(),
            Event::Timer(timer) => hibernate_if_idle(timer, state).into_iter().collect(),
            Event::MemoryPressure(pressure) => {
                let leaving = make_room(&pressure, state, |_| true);
                leaving.into_iter().map(Command::Hibernate).collect()
            }
            Event::EngineDied(model) => revive(model, state).into_iter().collect(),
            _ => vec![],
        }
    }
}

fn milliseconds(seconds: &str) -> Option<u64> {
    let time = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    u64::try_from(time.as_millis()).ok().filter(|ms| *ms > 0)
}
