//! What fails, is refused or is nonsense is answered, and costs nobody else anything.

mod support;

use futures::FutureExt;
use rusty_genius_core::brainstem::{
    Command, Event, ModelId, PolicyFault, Refusal, Rejection, Request, RequestId, State, TimerId,
};
use rusty_genius_core::{
    BrainstemOutput, CortexStrategy, EngineError, FinishReason, GeniusError, ProtocolError,
};
use rusty_genius_cortex::RawEnd;
use rusty_genius_stem::{Lease, StemConfig, StrategyPolicy};
use std::sync::Arc;
use std::time::Duration;
use support::backend::{TestBackend, end, fault};
use support::{
    HIBERNATE, House, IDLE, Script, answer, ask, demand, finish, is_m, model, native, run, soon,
};

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
            .map(|_| Box::pin(house.stem.acquire(&spec, demand("test"))))
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
            Event::RequestArrived(arrival) => {
                vec![Command::Reject(arrival.request.id, Rejection::TooLarge)]
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
        Event::RequestArrived(arrival) if &*arrival.guest == "queued" => vec![],
        Event::GenerationEnded(..) => state
            .waiting
            .values()
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
        let mut queued = Box::pin(house.stem.acquire(&spec, demand("queued")));
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
            Event::RequestArrived(arrival) if &*arrival.guest == "queued" => vec![],
            _ => native(event, state),
        }));
        let spec = model("m", HIBERNATE);
        let lease = house.lease(&spec).await.unwrap();
        let mut queued = Box::pin(house.stem.acquire(&spec, demand("queued")));
        assert!((&mut queued).now_or_never().is_none());
        drop(lease);
        house.journal.ended().await;
        house.rounds().await;
        let (slept, undecided) = (house.slept(), Duration::from_secs(600));
        assert!(slept.contains(&undecided), "{slept:?}");
        assert!(!slept.contains(&IDLE), "somebody wants it");
        drop(queued);
        house.sleeps_until(IDLE).await;
    });
}

/// Commands that come too late, or too early: the loop says why it does not do them.
fn refusable(event: &Event, state: &State) -> Vec<Command> {
    match event {
        Event::RequestArrived(arrival) => vec![
            Command::Unload(arrival.request.model),
            Command::Hibernate(arrival.request.model),
            Command::Preload("no/such-model".into()),
            Command::Route(arrival.request.id, "no/such-model".into()),
        ],
        Event::ModelLoaded(id, _) if is_m(*id, state) => vec![Command::Load(*id)],
        _ => vec![],
    }
}

fn refusal(output: &BrainstemOutput) -> Option<Refusal> {
    match output {
        BrainstemOutput::Refused { refusal, .. } => Some(*refusal),
        _ => None,
    }
}

fn fault_of(output: &BrainstemOutput) -> Option<(&PolicyFault, bool)> {
    match output {
        BrainstemOutput::PolicyFailed {
            fault, replaced, ..
        } => Some((fault, *replaced)),
        _ => None,
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_what_stands_beside_it_is_done() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| {
            let mut commands = refusable(event, state);
            commands.extend(native(event, state));
            if matches!(event, Event::RequestArrived(_)) {
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
                Refusal::NotLoaded,
                Refusal::NotLoaded,
                Refusal::UnknownModel,
                Refusal::UnknownModel,
                Refusal::UnknownRequest,
                Refusal::AlreadyLoaded,
                Refusal::AlreadyLoaded,
            ]
        );
        assert_eq!(house.journal.seen().iter().find_map(fault_of), None);
    });
}

#[test]
fn a_policy_that_names_what_it_was_never_told_of_is_passed_over_and_replaced_in_the_end() {
    run(async {
        let made_up: [fn() -> Command; 4] = [
            || Command::Load(ModelId(77)),
            || Command::Unload(ModelId(0)),
            || Command::Admit(RequestId(u64::MAX)),
            || Command::Reject(RequestId(0), Rejection::Busy),
        ];
        for nonsense in made_up {
            let mut house = House::with_policy(Script(move |event: &Event, state: &State| {
                let mut commands = native(event, state);
                if matches!(event, Event::RequestArrived(_)) {
                    commands.push(nonsense());
                }
                commands
            }));
            for faults in 1..5 {
                // The native policy lets it run.
                let spec = model(&format!("m{faults}"), CortexStrategy::Immediate);
                assert!(house.lease(&spec).await.is_ok());
                house.journal.unloaded().await;
                let told: Vec<_> = house.journal.seen().iter().filter_map(fault_of).collect();
                assert_eq!(told.len(), faults.min(3));
                for (fault, replaced) in &told[..told.len().min(2)] {
                    assert!(matches!(fault, PolicyFault::Nonsense(_)), "{fault}");
                    assert!(!replaced);
                }
                assert!(told.get(2).is_none_or(|(_, replaced)| *replaced));
            }
        }
    });
}

#[test]
fn a_policy_that_floods_commands_is_passed_over() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, _: &State| match event {
            Event::RequestArrived(_) => vec![Command::ClearTimer(TimerId(7)); 1025],
            _ => vec![],
        }));
        assert!(
            house
                .lease(&model("m", CortexStrategy::KeepAlive))
                .await
                .is_ok()
        );
        let told: Vec<_> = house.journal.seen().iter().filter_map(fault_of).collect();
        assert_eq!(told, [(&PolicyFault::Flood(1024), false)]);
    });
}

#[test]
fn a_policy_that_answers_every_refusal_with_the_same_command_is_passed_over() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| match event {
            Event::RequestArrived(arrival) => vec![Command::Unload(arrival.request.model)],
            Event::Refused(command, _) => vec![command.clone(), command.clone()],
            _ => native(event, state),
        }));
        let spec = model("m", CortexStrategy::Immediate);
        let other = model("other", CortexStrategy::Immediate);
        for _ in 0..3 {
            let (first, second) = futures::join!(house.lease(&spec), house.lease(&other));
            assert!(first.is_ok() && second.is_ok());
        }
        house.journal.unloaded().await;
        house.journal.unloaded().await;
        let told = house.close().await;
        let faults: Vec<_> = told.iter().filter_map(fault_of).collect();
        let stubborn = &PolicyFault::Stubborn;
        assert_eq!(
            faults,
            [(stubborn, false), (stubborn, false), (stubborn, true)]
        );
        let refused = told.iter().filter_map(refusal).count();
        assert!(refused <= 3 * 64, "{refused}");
    });
}

#[test]
fn a_policy_that_turns_in_circles_without_a_refusal_is_passed_over() {
    run(async {
        // Each request is sent from one model to the other as soon as one is idle.
        let config = StemConfig {
            resolve: Some(Arc::new(|name: &str| {
                Ok(model(name, CortexStrategy::KeepAlive))
            })),
            ..StemConfig::default()
        };
        let round = |event: &Event, state: &State| match event {
            Event::ModelIdle(id) => {
                let to = if is_m(*id, state) { "m" } else { "other" };
                let undecided = state.waiting.values().filter(|r| !r.admitted);
                let route = |r: &Request| Command::Route(r.id, to.into());
                undecided.map(route).collect()
            }
            Event::RequestArrived(arrival) if &*arrival.guest == "round" => vec![],
            _ => native(event, state),
        };
        let house = House::with_config(TestBackend::default(), Script(round), config);
        let other = model("other", CortexStrategy::KeepAlive);
        let spec = model("m", CortexStrategy::KeepAlive);
        drop(house.lease(&spec).await);
        let lease = house.lease(&other).await;
        let mut asking = Box::pin(house.stem.acquire(&spec, demand("round")));
        assert!((&mut asking).now_or_never().is_none());
        drop(lease);
        // Somebody else is served, whatever becomes of this one.
        assert!(house.lease(&spec).await.is_ok());
    });
}

#[test]
fn a_model_that_waits_behind_a_flood_of_refusals_is_not_put_off() {
    run(async {
        // Refused first, so that every later event stands behind the refusals.
        let mut house = House::with_policy(Script(|event: &Event, state: &State| {
            let mut commands = match event {
                Event::RequestArrived(arrival) => {
                    vec![Command::Load(arrival.request.model); 40]
                }
                _ => vec![],
            };
            commands.splice(0..0, turn_away_late(event, state));
            commands
        }));
        let spec = model("m", CortexStrategy::Immediate);
        let lease = house.lease(&spec).await.unwrap();
        let mut queued = Box::pin(house.stem.acquire(&spec, demand("queued")));
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
            Event::ModelIdle(_) | Event::Timer(_) => {
                vec![Command::SetTimer(TimerId(7), Duration::ZERO)]
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
fn a_policy_that_loads_the_same_model_for_ever_is_stopped() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| match event {
            Event::ModelLoaded(id, _) if is_m(*id, state) => {
                vec![Command::Unload(*id), Command::Load(*id)]
            }
            Event::RequestArrived(arrival) if is_m(arrival.request.model, state) => {
                vec![Command::Load(arrival.request.model)]
            }
            _ => native(event, state),
        }));
        let spec = model("m", CortexStrategy::KeepAlive);
        let mut asking = Box::pin(house.stem.acquire(&spec, demand("test")));
        assert!((&mut asking).now_or_never().is_none());
        for _ in 0..3 {
            house.journal.unloaded().await;
        }
        let too_many = |o: &BrainstemOutput| refusal(o) == Some(Refusal::TooMany);
        house.journal.until(too_many).await;
        let other = model("other", CortexStrategy::KeepAlive);
        assert!(house.lease(&other).await.is_ok());
        assert_eq!(house.engine.loads(), 4);
    });
}

#[test]
fn a_model_in_use_is_not_unloaded_whatever_the_policy_wants() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| {
            let mut commands = native(event, state);
            if !matches!(event, Event::Refused(..)) {
                let m = state.present.values().filter(|m| is_m(m.id, state));
                commands.extend(m.map(|m| Command::Unload(m.id)));
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
        let mut waiting = Box::pin(house.stem.acquire(&spec, demand("test")));
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
        let unloaded = BrainstemOutput::Unloaded { model, saved: 0 };
        assert_eq!(told.last(), Some(&unloaded));
        assert_eq!((engine.models(), engine.sessions()), (0, 0));
        assert!(is_closed(&soon(stem.acquire(&spec, demand("test"))).await));
        assert!(ask(&session, "Poit?").await.is_err());
        drop(gate);
    });
}

#[test]
fn a_shutdown_of_a_loop_at_rest_stops_it_at_once() {
    run(async {
        let house = House::with(TestBackend::default(), StrategyPolicy::default());
        let handle = house.stem.clone();
        handle.shutdown();
        handle.shutdown();
        assert_eq!(house.close().await, []);
        let spec = model("m", CortexStrategy::Immediate);
        assert!(is_closed(
            &soon(handle.acquire(&spec, demand("test"))).await
        ));
    });
}

#[test]
fn a_policy_that_panics_leaves_nobody_waiting() {
    run(async {
        let (reached, is_there) = async_channel::bounded::<()>(1);
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let house = House::with_policy(Script(move |event: &Event, state: &State| match event {
            Event::RequestArrived(arrival) if &*arrival.guest == "trap" => {
                reached.try_send(()).unwrap();
                may_go.recv().unwrap();
                panic!("the policy was told to");
            }
            _ => native(event, state),
        }));
        let spec = model("m", CortexStrategy::Immediate);
        let gate = house.engine.gate_loads();
        let ask = |guest| Box::pin(house.stem.acquire(&spec, demand(guest)));
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
