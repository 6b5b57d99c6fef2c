//! What fails, is refused or is nonsense is answered, and costs nobody else anything.

mod support;

use futures::FutureExt;
use rusty_genius_core::brainstem::{Command, Event, Refusal, Rejection, RequestId, State};
use rusty_genius_core::{
    BrainstemOutput, CortexStrategy, EngineError, FinishReason, GeniusError, ProtocolError,
};
use rusty_genius_cortex::RawEnd;
use rusty_genius_stem::{Lease, StrategyPolicy};
use std::time::Duration;
use support::backend::{TestBackend, end, fault};
use support::{HIBERNATE, House, IDLE, Script, answer, ask, finish, model, native, run, soon};

type Answer = Result<Lease, GeniusError>;

fn is_closed(answer: &Answer) -> bool {
    matches!(answer, Err(GeniusError::Protocol(ProtocolError::Closed(_))))
}

fn is_rejected(answer: &Answer) -> bool {
    matches!(
        answer,
        Err(GeniusError::Engine(EngineError::Rejected { model, .. })) if model == "test/m"
    )
}

#[test]
fn a_failed_load_answers_everyone_who_waited_and_is_tried_again_later() {
    run(async {
        let mut house = House::new();
        let gate = house.engine.gate_loads();
        let spec = model("m", CortexStrategy::Immediate);
        let mut asking: Vec<_> = (0..5)
            .map(|_| Box::pin(house.stem.acquire(&spec, "test", 1, 1)))
            .collect();
        for ask in &mut asking {
            assert!(ask.now_or_never().is_none());
        }
        // Else the load might fail before the loop has heard of all of them.
        house.rounds().await;
        gate.send(Err(fault())).await.unwrap();
        for answer in soon(futures::future::join_all(asking)).await {
            assert_eq!(answer.err(), Some(GeniusError::Engine(fault())));
        }
        let failed = |o: &BrainstemOutput| matches!(o, BrainstemOutput::LoadFailed { .. });
        house.journal.until(failed).await;

        gate.send(Ok(())).await.unwrap();
        house.lease(&spec).await.unwrap();
        assert_eq!(house.engine.loads(), 2);
        house.journal.unloaded().await;
        assert_eq!(house.engine.broken(), Vec::<String>::new());
    });
}

#[test]
fn an_unknown_engine_is_an_error_that_names_those_there_are() {
    run(async {
        let house = House::new();
        let mut spec = model("m", CortexStrategy::Immediate);
        spec.engine = Some("warp".into());
        match house.lease(&spec).await {
            Err(GeniusError::Engine(EngineError::Unknown { name, known })) => {
                assert_eq!(name, "warp");
                assert!(known.contains(&"test".to_owned()), "{known:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(house.engine.loads(), 0);
    });
}

#[test]
fn a_policy_may_turn_requests_away() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, _: &State| match event {
            Event::RequestArrived(request) => {
                vec![Command::Reject(request.id, Rejection::TooLarge)]
            }
            _ => vec![],
        }));
        let session = house.session(CortexStrategy::Immediate);
        for _ in 0..2 {
            let error = ask(&session, "Narf?").await.err().unwrap();
            let text = error.to_string();
            assert!(text.contains(Rejection::TooLarge.describe()), "{text}");
            assert!(text.contains("test/m"), "{text}");
        }
        assert_eq!(house.engine.loads(), 0);
        let reason = Rejection::TooLarge;
        assert_eq!(
            house.journal.seen(),
            [1, 2].map(|id| BrainstemOutput::Rejected {
                id: RequestId(id),
                reason
            })
        );
    });
}

/// Queues the guest `queued` as long as the model is in use, then turns it away.
fn turn_away_late(event: &Event, state: &State) -> Vec<Command> {
    match event {
        Event::RequestArrived(request) if request.guest == "queued" => vec![],
        Event::GenerationEnded(..) => state
            .waiting
            .iter()
            .map(|request| Command::Reject(request.id, Rejection::Busy))
            .collect(),
        _ => native(event, state),
    }
}

#[test]
fn a_model_whose_last_request_is_turned_away_is_idle() {
    run(async {
        let mut house = House::with_policy(Script(turn_away_late));
        let spec = model("m", CortexStrategy::Immediate);
        let lease = house.lease(&spec).await.unwrap();
        let mut queued = Box::pin(house.stem.acquire(&spec, "queued", 1, 1));
        assert!((&mut queued).now_or_never().is_none());
        house.rounds().await;
        drop(lease);
        assert!(is_rejected(&soon(queued).await));
        house.journal.unloaded().await;
        assert_eq!(house.engine.models(), 0);
    });
}

#[test]
fn a_model_whose_last_request_is_taken_back_is_idle() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| match event {
            Event::RequestArrived(request) if request.guest == "queued" => vec![],
            _ => native(event, state),
        }));
        let spec = model("m", HIBERNATE);
        let lease = house.lease(&spec).await.unwrap();
        let mut queued = Box::pin(house.stem.acquire(&spec, "queued", 1, 1));
        assert!((&mut queued).now_or_never().is_none());
        drop(lease);
        house.journal.ended().await;
        house.rounds().await;
        assert_eq!(house.time.next_deadline(), None, "somebody wants it");
        drop(queued);
        house.sleeps_until(IDLE).await;
    });
}

/// Commands that no loop can execute.
fn nonsense() -> Vec<Command> {
    let nobody = || "test/nobody".to_owned();
    vec![
        Command::Load(nobody()),
        Command::Unload(nobody()),
        Command::Admit(RequestId(u64::MAX)),
        Command::Reject(RequestId(0), Rejection::Busy),
        Command::SetTimer(nobody(), Duration::MAX),
        Command::ClearTimer(nobody()),
    ]
}

#[test]
fn nonsense_is_refused_and_what_makes_sense_beside_it_is_done() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| {
            let mut commands = native(event, state);
            if matches!(event, Event::RequestArrived(_)) {
                commands.splice(0..0, nonsense());
                // And again, once it is done.
                commands.extend(native(event, state));
            }
            commands
        }));
        let session = house.session(CortexStrategy::KeepAlive);
        assert_eq!(answer(&session, "Narf?").await, FinishReason::Stop);
        let refusals: Vec<Refusal> = house.journal.seen().iter().filter_map(refusal).collect();
        assert_eq!(
            refusals,
            [
                Refusal::UnknownRequest,
                Refusal::NotLoaded,
                Refusal::UnknownRequest,
                Refusal::UnknownRequest,
                Refusal::NotLoaded,
                Refusal::UnknownRequest,
                Refusal::AlreadyLoaded,
            ]
        );
    });
}

fn refusal(output: &BrainstemOutput) -> Option<Refusal> {
    match output {
        BrainstemOutput::Refused { refusal, .. } => Some(*refusal),
        _ => None,
    }
}

#[test]
fn a_policy_that_answers_every_refusal_with_more_nonsense_stops_nobody() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| {
            let mut commands = native(event, state);
            for _ in 0..1000 {
                commands.extend(nonsense());
            }
            commands
        }));
        let spec = model("m", CortexStrategy::Immediate);
        let other = model("other", CortexStrategy::Immediate);
        for _ in 0..3 {
            let (first, second) = futures::join!(house.lease(&spec), house.lease(&other));
            assert!(first.is_ok() && second.is_ok());
        }
        // Nothing that happened went by the policy: both were idle, and it saw that.
        house.journal.unloaded().await;
        house.journal.unloaded().await;
        let told = house.close().await;
        let refused = told.iter().filter_map(refusal).count();
        assert!(refused < 10_000, "{refused}");
    });
}

#[test]
fn events_behind_a_flood_of_refusals_are_not_put_off() {
    run(async {
        // Nonsense first, so that every later event stands behind the refusals.
        let mut house = House::with_policy(Script(|event: &Event, state: &State| {
            let mut commands = vec![Command::Unload("test/nobody".into()); 900];
            commands.extend(turn_away_late(event, state));
            commands
        }));
        let spec = model("m", CortexStrategy::Immediate);
        let lease = house.lease(&spec).await.unwrap();
        let mut queued = Box::pin(house.stem.acquire(&spec, "queued", 1, 1));
        assert!((&mut queued).now_or_never().is_none());
        house.rounds().await;
        drop(lease);
        assert!(is_rejected(&soon(queued).await));
        // No further message comes that could bring the loop back to it.
        house.journal.unloaded().await;
    });
}

#[test]
fn a_policy_that_sets_a_timer_for_ever_lets_others_work() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| match event {
            Event::ModelIdle(model) | Event::Timer(model) => {
                vec![Command::SetTimer(model.clone(), Duration::ZERO)]
            }
            _ => native(event, state),
        }));
        let spec = model("m", CortexStrategy::Immediate);
        drop(house.lease(&spec).await.unwrap());
        let tick = Duration::from_millis(1);
        for ticks in 1..5 {
            house.sleeps_until(tick * ticks).await;
            house.time.advance(tick);
        }
        assert!(house.lease(&spec).await.is_ok());
        assert_eq!(house.journal.unloads(), 0);
    });
}

#[test]
fn a_policy_that_loads_the_same_model_for_ever_stops_with_its_request() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| match event {
            Event::ModelLoaded(model) if model == "test/m on test" => {
                vec![Command::Unload(model.clone()), Command::Load(model.clone())]
            }
            Event::RequestArrived(request) if request.model == "test/m on test" => {
                vec![Command::Load(request.model.clone())]
            }
            _ => native(event, state),
        }));
        let spec = model("m", CortexStrategy::KeepAlive);
        let mut asking = Box::pin(house.stem.acquire(&spec, "test", 1, 1));
        assert!((&mut asking).now_or_never().is_none());
        for _ in 0..10 {
            house.journal.unloaded().await;
        }
        let other = model("other", CortexStrategy::KeepAlive);
        assert!(house.lease(&other).await.is_ok());
        drop(asking);
        house.rounds().await;
        let loads = house.engine.loads();
        house.rounds().await;
        assert_eq!(house.engine.loads(), loads);
    });
}

#[test]
fn a_model_in_use_is_not_unloaded_whatever_the_policy_wants() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| {
            let mut commands = native(event, state);
            if !matches!(event, Event::Refused(..)) {
                commands.push(Command::Unload("test/m on test".into()));
            }
            commands
        }));
        let tokens = house.engine.gate_tokens();
        let session = house.session(CortexStrategy::KeepAlive);
        let inference = ask(&session, "Narf?").await.unwrap();
        house.rounds().await;
        assert_eq!(house.journal.unloads(), 0);
        assert!(
            house
                .journal
                .seen()
                .iter()
                .any(|o| refusal(o) == Some(Refusal::InUse))
        );
        tokens.send(end(RawEnd::Stop)).await.unwrap();
        assert_eq!(finish(inference).await, FinishReason::Stop);
        house.journal.unloaded().await;
        drop(session);
        house.close().await;
    });
}

#[test]
fn a_shutdown_answers_what_waits_and_lets_what_runs_end() {
    run(async {
        let mut house = House::new();
        let tokens = house.engine.gate_tokens();
        let session = house.session(CortexStrategy::KeepAlive);
        let inference = ask(&session, "Narf?").await.unwrap();
        let gate = house.engine.gate_loads();
        let spec = model("other", CortexStrategy::KeepAlive);
        let mut waiting = Box::pin(house.stem.acquire(&spec, "test", 1, 1));
        assert!((&mut waiting).now_or_never().is_none());
        house
            .journal
            .until(|o| {
                *o == BrainstemOutput::Loading {
                    model: spec.load_key(),
                }
            })
            .await;

        house.stem.shutdown();
        assert!(is_closed(&soon(waiting).await));
        assert!(is_closed(&house.lease(&spec).await));
        tokens.send(end(RawEnd::Stop)).await.unwrap();
        assert_eq!(finish(inference).await, FinishReason::Stop);
        assert_eq!(session.turns().len(), 2);

        // Nothing runs any more: the loop stops although its handles are there.
        let House {
            stem,
            engine,
            journal,
            ..
        } = house;
        let told = journal.into_end().await;
        let model = "test/m on test".to_owned();
        assert_eq!(told.last(), Some(&BrainstemOutput::Unloaded { model }));
        assert_eq!((engine.models(), engine.sessions()), (0, 0));
        assert!(is_closed(&soon(stem.acquire(&spec, "test", 1, 1)).await));
        assert!(ask(&session, "Poit?").await.is_err());
        drop(gate);
    });
}

#[test]
fn a_shutdown_of_a_loop_at_rest_stops_it_at_once() {
    run(async {
        let house = House::with(TestBackend::default(), StrategyPolicy);
        let handle = house.stem.clone();
        handle.shutdown();
        handle.shutdown();
        assert_eq!(house.close().await, []);
        let spec = model("m", CortexStrategy::Immediate);
        assert!(is_closed(&soon(handle.acquire(&spec, "test", 1, 1)).await));
    });
}

#[test]
fn a_policy_that_panics_leaves_nobody_waiting() {
    run(async {
        let (reached, is_there) = async_channel::bounded::<()>(1);
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let house = House::with_policy(Script(move |event: &Event, state: &State| match event {
            Event::RequestArrived(request) if request.guest == "trap" => {
                reached.try_send(()).unwrap();
                may_go.recv().unwrap();
                panic!("the policy was told to");
            }
            _ => native(event, state),
        }));
        let spec = model("m", CortexStrategy::Immediate);
        let gate = house.engine.gate_loads();
        let ask = |guest| Box::pin(house.stem.acquire(&spec, guest, 1, 1));
        let (mut early, mut trap) = (ask("early"), ask("trap"));
        assert!((&mut early).now_or_never().is_none());
        assert!((&mut trap).now_or_never().is_none());
        soon(is_there.recv()).await.unwrap();
        // In the queue when the loop dies.
        let mut late = ask("late");
        assert!((&mut late).now_or_never().is_none());
        go.send(()).unwrap();
        for asking in [early, trap, late] {
            assert!(is_closed(&soon(asking).await));
        }
        assert!(is_closed(&house.lease(&spec).await));
        drop(gate);
    });
}
