//! A policy that attacks its host. The setting `attack` names the attack, one of `ATTACKS`;
//! in all that it leaves alone it decides as the policy `keep-alive` does, so that a host
//! that stands it still serves.

use kit::{
    Command, Event, EventKinds, Guest, Profile, Rejection, Settings, State, admit, bad, profile,
    revive,
};
use std::cell::Cell;

const ATTACKS: [&str; 13] = [
    "flood",
    "load-forever",
    "long-name",
    "loop",
    "loop-configure",
    "memory",
    "nonsense",
    "reject-all",
    "silent",
    "timers",
    "trap",
    "trap-once",
    "unload-in-use",
];

const MIB: usize = 1024 * 1024;
/// Fewer than the host allows, so that it has no fault to find with their number.
const TIMERS: u64 = 1000;

thread_local! {
    static ATTACK: Cell<&'static str> = const { Cell::new("") };
}

struct Tyrant;
kit::export!(Tyrant);

impl Guest for Tyrant {
    fn configure(settings: Vec<(String, String)>) -> Result<Profile, String> {
        let settings = Settings::read(settings, &["attack"])?;
        let name = settings.get("attack").unwrap_or_default();
        let attack = ATTACKS.into_iter().find(|attack| *attack == name);
        let attack =
            attack.ok_or_else(|| bad("attack", name, &format!("one of {}", ATTACKS.join(", "))))?;
        ATTACK.set(attack);
        let name = match attack {
            "loop-configure" => spin(),
            "long-name" => "tyrant".repeat(MIB / 6 + 1),
            _ => "tyrant".to_owned(),
        };
        Ok(profile(&name, EventKinds::all() - EventKinds::TICK))
    }

    fn decide(event: Event, state: &State) -> Vec<Command> {
        match (ATTACK.get(), &event) {
            ("trap", _) => std::process::abort(),
            // Goes by what is loaded, for a new instance does not remember the trap.
            ("trap-once", Event::RequestArrived(_)) if state.models().is_empty() => {
                std::process::abort()
            }
            ("loop", _) => spin(),
            ("silent", _) => vec![],
            ("flood", _) => vec![Command::ClearTimer(0); 100_000],
            ("nonsense", _) => vec![
                Command::Admit(u64::MAX),
                Command::Load(u32::MAX),
                Command::Unload(u32::MAX),
                Command::Queue((u64::MAX, 0)),
                Command::Route((u64::MAX, String::new())),
            ],
            ("reject-all", Event::RequestArrived(arrival)) => {
                vec![Command::Reject((arrival.request.id, Rejection::Busy))]
            }
            ("unload-in-use", Event::GenerationStarted(_)) => {
                let mut models = state.models();
                models.retain(|model| model.users > 0);
                models.iter().map(|m| Command::Unload(m.id)).collect()
            }
            ("load-forever", Event::ModelLoaded((model, _)))
            | ("load-forever", Event::Refused((Command::Load(model), _))) => {
                vec![Command::Load(*model)]
            }
            ("timers", Event::Timer(timer)) => vec![Command::SetTimer((*timer, 1))],
            ("timers", Event::RequestArrived(_)) => {
                let mut commands = keep_alive(event, state);
                commands.extend((0..TIMERS).map(|timer| Command::SetTimer((timer, 1))));
                commands
            }
            ("memory", _) => {
                hoard();
                keep_alive(event, state)
            }
            _ => keep_alive(event, state),
        }
    }
}

fn keep_alive(event: Event, state: &State) -> Vec<Command> {
    match event {
        Event::RequestArrived(arrival) => admit(&arrival.request, state),
        Event::EngineDied(model) => revive(model, state).into_iter().collect(),
        _ => vec![],
    }
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        // `black_box`, or the optimiser may take an empty loop for a trap.
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

/// Takes memory until there is none, and never gives it back. Does not write to it: that
/// would take longer than a step may.
fn hoard() {
    let mut piece: Vec<u8> = Vec::new();
    while piece.try_reserve_exact(MIB).is_ok() {
        std::mem::forget(std::hint::black_box(std::mem::take(&mut piece)));
    }
}
