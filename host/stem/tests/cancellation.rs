//! Going away at every moment leaks nothing.

mod support;

use futures::{FutureExt, StreamExt};
use rusty_genius_core::{
    BrainstemOutput, CortexStrategy, FinishReason, InferenceEvent, PartialConfig, Turn,
};
use rusty_genius_cortex::RawEnd;
use support::backend::{end, fault, token};
use support::{HIBERNATE, House, IDLE, answer, ask, demand, finish, model, run, soon};

#[test]
fn a_request_taken_back_while_its_model_loads_leaves_an_idle_model() {
    run(async {
        let mut house = House::new();
        let gate = house.engine.gate_loads();
        for strategy in [CortexStrategy::Immediate, HIBERNATE] {
            let spec = model("m", strategy);
            let mut asking = Box::pin(house.stem.acquire(&spec, demand("test")));
            assert!((&mut asking).now_or_never().is_none());
            house.journal.loading().await;
            drop(asking);
            // The loop has heard it before the load ends.
            house.rounds().await;
            gate.send(Ok(())).await.unwrap();
            if strategy == HIBERNATE {
                house.sleeps_until(IDLE).await;
                house.time.advance(IDLE);
            }
            house.journal.unloaded().await;
            assert_eq!(house.engine.models(), 0);
        }
        let admitted = |o: &BrainstemOutput| matches!(o, BrainstemOutput::Admitted { .. });
        assert!(!house.journal.seen().iter().any(admitted));
    });
}

#[test]
fn a_lease_that_nobody_fetches_ends() {
    run(async {
        let mut house = House::new();
        let gate = house.engine.gate_loads();
        let spec = model("m", CortexStrategy::Immediate);
        let mut asking = Box::pin(house.stem.acquire(&spec, demand("test")));
        assert!((&mut asking).now_or_never().is_none());
        drop(gate);
        house.journal.admitted().await;
        drop(asking);
        house.journal.unloaded().await;
        assert_eq!(house.engine.models(), 0);
        house.close().await;
    });
}

#[test]
fn a_session_is_free_again_when_it_stops_waiting_for_its_model() {
    run(async {
        let mut house = House::new();
        let gate = house.engine.gate_loads();
        let session = house.session(CortexStrategy::Immediate);
        let turns = vec![Turn::user("Narf?")];
        let mut asking = Box::pin(session.infer(turns, PartialConfig::default()));
        assert!((&mut asking).now_or_never().is_none());
        house.journal.loading().await;
        drop(asking);
        drop(gate);
        assert_eq!(answer(&session, "Poit?").await, FinishReason::Stop);
        assert_eq!(house.engine.prompts(), [[Turn::user("Poit?")]]);
    });
}

#[test]
fn dropping_a_generation_halfway_gives_everything_back() {
    run(async {
        let mut house = House::new();
        let tokens = house.engine.gate_tokens();
        let session = house.session(CortexStrategy::Immediate);
        let mut inference = ask(&session, "Narf?").await.unwrap();
        tokens.send(token("Half an ans")).await.unwrap();
        assert_eq!(inference.next().await, Some(InferenceEvent::ProcessStart));
        assert_eq!(
            inference.next().await,
            Some(InferenceEvent::content("Half an ans"))
        );
        assert_eq!(house.engine.streams(), 1);

        drop(inference);
        assert_eq!(house.engine.streams(), 0);
        assert_eq!(session.turns(), []);
        house.journal.ended().await;
        match house.journal.seen().iter().rfind(|o| is_end(o)) {
            Some(BrainstemOutput::Ended { usage, .. }) => assert_eq!(usage.completion_tokens, 1),
            other => panic!("{other:?}"),
        }
        house.journal.unloaded().await;

        tokens.send(end(RawEnd::Stop)).await.unwrap();
        assert_eq!(answer(&session, "Poit?").await, FinishReason::Stop);
        drop(session);
        house.close().await;
    });
}

fn is_end(output: &BrainstemOutput) -> bool {
    matches!(output, BrainstemOutput::Ended { .. })
}

#[test]
fn a_canceller_ends_the_stream_and_the_lease() {
    run(async {
        let mut house = House::new();
        let tokens = house.engine.gate_tokens();
        let session = house.session(CortexStrategy::Immediate);
        let mut inference = ask(&session, "Narf?").await.unwrap();
        tokens.send(token("Half an ans")).await.unwrap();
        let begun: Vec<_> = inference.by_ref().take(2).collect().await;
        assert_eq!(begun[1], InferenceEvent::content("Half an ans"));

        let canceller = inference.canceller();
        let (reader, ()) = futures::join!(
            // Waits for a token that never comes, until it is cancelled.
            soon(finish(inference)),
            async { canceller.cancel() }
        );
        assert_eq!(reader, FinishReason::Cancelled);
        assert_eq!(house.engine.streams(), 0);
        house.journal.unloaded().await;
        assert_eq!(session.turns(), []);
    });
}

#[test]
fn only_an_answer_that_came_to_its_end_joins_the_conversation() {
    run(async {
        let house = House::new();
        let session = house.session(CortexStrategy::KeepAlive);

        let tokens = house.engine.gate_tokens();
        tokens.send(token("Narf!")).await.unwrap();
        tokens.send(Err(fault())).await.unwrap();
        let failed = FinishReason::Failed(fault());
        assert_eq!(answer(&session, "one").await, failed);
        assert_eq!(session.turns(), []);

        tokens.send(token("Narf!")).await.unwrap();
        drop(tokens);
        match answer(&session, "two").await {
            FinishReason::Failed(e) => assert!(e.to_string().contains("engine test"), "{e}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(session.turns(), []);

        let tokens = house.engine.gate_tokens();
        for (text, why, finish, turns) in [
            ("three", RawEnd::Stop, FinishReason::Stop, 2),
            ("four", RawEnd::Length, FinishReason::Length, 4),
        ] {
            tokens.send(token("Narf!")).await.unwrap();
            tokens.send(end(why)).await.unwrap();
            assert_eq!(answer(&session, text).await, finish);
            assert_eq!(session.turns().len(), turns);
        }
        assert_eq!(session.turns()[3].content, "Narf!");
    });
}

#[test]
fn after_its_last_event_a_generation_holds_nothing_although_it_is_kept() {
    run(async {
        let mut house = House::new();
        let session = house.session(CortexStrategy::Immediate);
        let mut inference = ask(&session, "Narf?").await.unwrap();
        let events: Vec<_> = inference.by_ref().collect().await;
        assert!(matches!(events.last(), Some(InferenceEvent::Complete(_))));
        house.journal.unloaded().await;
        assert_eq!(house.engine.models(), 0);
        assert_eq!(answer(&session, "Poit?").await, FinishReason::Stop);
        drop(inference);
        assert_eq!(session.turns().len(), 4);
    });
}
