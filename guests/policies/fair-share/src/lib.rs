//! No guest starves another. Each guest has a share, so many generations at a time, and the
//! guest that was served least goes first; what room is left then goes round once more. An
//! idle model is treated as its
//! strategy says; where memory is short, those that were used least recently hibernate.
//!
//! Settings: `share`, the generations of a guest that go before the others', 2 by default.

mod ledger;

use kit::{
    Command, Event, EventKinds, Guest, Profile, Request, Residency, Settings, State, by_strategy,
    come, profile,
};
use ledger::Ledger;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Requests admitted in one step: a host takes only so many commands. The others follow.
const AT_ONCE: usize = 512;

thread_local! {
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

struct FairShare;
kit::export!(FairShare);

impl Guest for FairShare {
    fn configure(settings: Vec<(String, String)>) -> Result<Profile, String> {
        let settings = Settings::read(settings, &["share"])?;
        let share = settings.number("share", 2, 1)?;
        LEDGER.with_borrow_mut(|ledger| ledger.share = share);
        Ok(profile(
            "fair-share",
            EventKinds::REQUEST_ARRIVED
                | EventKinds::REQUEST_GONE
                | EventKinds::MODEL_LOADED
                | EventKinds::MODEL_FAILED
                | EventKinds::GENERATION_ENDED
                | EventKinds::MODEL_IDLE
                | EventKinds::MEMORY_PRESSURE
                | EventKinds::ENGINE_DIED
                | EventKinds::TIMER,
        ))
    }

    fn decide(event: Event, state: &State) -> Vec<Command> {
        LEDGER.with_borrow_mut(|ledger| {
            let mut commands = answer(event, state, ledger);
            commands.extend(admit(state, ledger));
            commands
        })
    }
}

fn answer(event: Event, state: &State, ledger: &mut Ledger) -> Vec<Command> {
    match event {
        Event::RequestArrived(arrival) => {
            let request = arrival.request;
            let come = come(request.model, request.strategy, state);
            return come.into_iter().collect();
        }
        Event::RequestGone(request) => ledger.gone(request),
        Event::GenerationEnded((request, usage)) => ledger.ended(request, usage),
        Event::ModelFailed(model) => ledger.failed(model),
        event => return by_strategy(&event, state),
    }
    vec![]
}

/// Admits as many requests as fit.
fn admit(state: &State, ledger: &mut Ledger) -> Vec<Command> {
    let waiting = state.waiting();
    ledger.look(&waiting, state.running());

    let mut here = state.models();
    here.retain(|model| model.residency == Residency::Resident);
    let here: BTreeSet<_> = here.iter().map(|model| model.id).collect();
    let (admitted, mut undecided): (Vec<&Request>, Vec<&Request>) =
        waiting.iter().partition(|r| r.admitted);

    let starting = admitted.iter().filter(|r| here.contains(&r.model)).count();
    let limit = usize::try_from(state.budgets().generations).unwrap_or(usize::MAX);
    let running = usize::try_from(state.running()).unwrap_or(usize::MAX);
    let mut room = limit.saturating_sub(running.saturating_add(starting));

    undecided.sort_by_cached_key(|r| (ledger.served(r.guest), r.arrived, r.id));
    let mut commands = Vec::new();
    undecided.retain(|request| {
        let is_here = here.contains(&request.model);
        // One whose model is still to come takes no room from others until then.
        let has_room = commands.len() < AT_ONCE && (room > 0 || !is_here);
        let fits = has_room && ledger.has_share(request.guest);
        if fits {
            room -= usize::from(is_here);
            ledger.admit(request);
            commands.push(Command::Admit(request.id));
        }
        !fits
    });
    // Room that nobody's share fills is for whoever can use it. A model that is kept by
    // requests nobody lets run would otherwise keep others out of memory.
    room = room.min(AT_ONCE.saturating_sub(commands.len()));
    undecided.retain(|request| here.contains(&request.model));
    for request in undecided.into_iter().take(room) {
        ledger.admit(request);
        commands.push(Command::Admit(request.id));
    }
    commands
}
