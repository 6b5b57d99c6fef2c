//! When models come into memory, and when they go.

mod support;

use futures::FutureExt;
use rusty_genius_core::{
    AssetError, CortexStrategy, GeniusError, ModelSource, ModelSpec, Role, Turn,
};
use rusty_genius_stem::StrategyPolicy;
use std::path::PathBuf;
use std::time::Duration;
use support::backend::TestBackend;
use support::{HIBERNATE, House, IDLE, answer, demand, model, run, soon};

#[test]
fn an_immediate_model_goes_as_soon_as_nobody_uses_it() {
    run(async {
        let mut house = House::new();
        let spec = model("m", CortexStrategy::Immediate);
        let (first, second) = (
            house.lease(&spec).await.unwrap(),
            house.lease(&spec).await.unwrap(),
        );
        drop(first);
        house.rounds().await;
        assert_eq!(house.journal.unloads(), 0);
        drop(second);
        house.journal.unloaded().await;
        assert_eq!((house.engine.loads(), house.engine.models()), (1, 0));
        house.close().await;
    });
}

#[test]
fn a_hibernating_model_goes_after_exactly_its_idle_time() {
    run(async {
        let mut house = House::new();
        let session = house.session(HIBERNATE);
        answer(&session, "Are you pondering?").await;
        house.sleeps_until(IDLE).await;
        house.time.advance(IDLE - Duration::from_nanos(1));
        house.rounds().await;
        assert_eq!(house.journal.unloads(), 0);
        house.time.advance(Duration::from_nanos(1));
        house.journal.unloaded().await;
        assert_eq!((house.engine.models(), house.engine.sessions()), (0, 0));
        assert_eq!(house.time.next_deadline(), None);
    });
}

#[test]
fn a_new_request_begins_the_idle_time_anew() {
    run(async {
        let mut house = House::new();
        let spec = model("m", HIBERNATE);
        drop(house.lease(&spec).await.unwrap());
        house.sleeps_until(IDLE).await;
        house.time.advance(Duration::from_secs(200));

        let lease = house.lease(&spec).await.unwrap();
        house.time.advance(IDLE * 2);
        house.rounds().await;
        assert_eq!(house.journal.unloads(), 0, "it is in use");

        drop(lease);
        let idle_since = Duration::from_secs(800);
        house.sleeps_until(idle_since + IDLE).await;
        house.time.advance(IDLE - Duration::from_nanos(1));
        house.rounds().await;
        assert_eq!(house.journal.unloads(), 0);
        house.time.advance(Duration::from_nanos(1));
        house.journal.unloaded().await;
        assert_eq!(house.engine.loads(), 1);
    });
}

#[test]
fn a_model_kept_alive_stays_until_the_loop_ends() {
    run(async {
        let mut house = House::new();
        answer(&house.session(CortexStrategy::KeepAlive), "Narf?").await;
        house.journal.ended().await;
        house.rounds().await;
        assert_eq!(house.time.next_deadline(), None);
        house.time.advance(IDLE * 1_000_000);
        house.rounds().await;
        assert_eq!(house.journal.unloads(), 0);
        let engine = house.engine.clone();
        house.close().await;
        assert_eq!(engine.models(), 0);
    });
}

#[test]
fn what_the_last_request_asked_for_happens_to_the_model() {
    run(async {
        let mut house = House::new();
        drop(house.lease(&model("m", CortexStrategy::KeepAlive)).await);
        drop(house.lease(&model("m", CortexStrategy::Immediate)).await);
        house.journal.unloaded().await;
        drop(house.lease(&model("m", HIBERNATE)).await);
        house.sleeps_until(IDLE).await;
        drop(house.lease(&model("m", CortexStrategy::KeepAlive)).await);
        house.rounds().await;
        assert_eq!(house.time.next_deadline(), None);
    });
}

#[test]
fn fifty_requests_at_once_load_the_model_once() {
    run(async {
        let mut house = House::new();
        let gate = house.engine.gate_loads();
        let spec = model("m", CortexStrategy::Immediate);
        let mut asking: Vec<_> = (0..50)
            .map(|_| Box::pin(house.stem.acquire(&spec, demand("test"))))
            .collect();
        for ask in &mut asking {
            assert!(ask.now_or_never().is_none());
        }
        house.journal.loading().await;
        gate.send(Ok(())).await.unwrap();
        let leases = soon(futures::future::join_all(asking)).await;
        assert!(leases.iter().all(Result::is_ok));
        assert_eq!((house.engine.loads(), house.engine.models()), (1, 1));
        drop(leases);
        house.journal.unloaded().await;
        assert_eq!(house.engine.loads(), 1);
    });
}

#[test]
fn a_session_goes_on_when_its_model_was_away() {
    run(async {
        let mut house = House::new();
        let session = house.session(CortexStrategy::Immediate);
        answer(&session, "one").await;
        house.journal.unloaded().await;
        assert_eq!(house.engine.sessions(), 0);
        answer(&session, "two").await;
        let poit = || Turn::new(Role::Assistant, "Poit.");
        let (one, two) = (Turn::user("one"), Turn::user("two"));
        assert_eq!(house.engine.loads(), 2);
        assert_eq!(
            house.engine.prompts(),
            [vec![one.clone()], vec![one.clone(), poit(), two.clone()]]
        );
        assert_eq!(session.turns(), [one, poit(), two, poit()]);
    });
}

#[test]
fn an_engine_that_needs_weights_fails_without_them_and_another_does_not_ask() {
    run(async {
        let spec = model("m", CortexStrategy::KeepAlive);
        let house = House::with(TestBackend::with_weights(), StrategyPolicy::default());
        match house.lease(&spec).await {
            Err(GeniusError::Asset(AssetError::Offline { what })) => {
                assert!(what.starts_with("test/m"), "{what}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(house.engine.loads(), 0);

        let house = House::new();
        house.lease(&spec).await.unwrap();
        assert_eq!(house.engine.weights(), [Vec::<PathBuf>::new()]);
    });
}

#[test]
fn an_engine_that_needs_weights_gets_their_path() {
    run(async {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stem-lifecycle.gguf");
        std::fs::write(&path, b"GGUF and little else").unwrap();
        let house = House::with(TestBackend::with_weights(), StrategyPolicy::default());
        let spec = ModelSpec {
            engine: Some("test".into()),
            ..ModelSpec::new(ModelSource::File(path.clone()))
        };
        house.lease(&spec).await.unwrap();
        assert_eq!(house.engine.weights(), [vec![path]]);
    });
}
