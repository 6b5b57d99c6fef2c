//! What was recorded can be replayed: with the same policy nothing differs, with another one
//! it shows where.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use futures::FutureExt;
use rusty_genius_core::brainstem::{Budgets, Command, Event, State};
use rusty_genius_core::{CortexStrategy, Terms};
use rusty_genius_stem::{
    Demand, Policy, RecordError, Recorder, StemConfig, StrategyPolicy, replay,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::backend::{TestBackend, fault};
use support::{HIBERNATE, House, IDLE, Script, demand, model, native, run, soon};

fn file(test: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay");
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join(format!("{test}.jsonl"));
    let _ = std::fs::remove_file(&file);
    file
}

fn house(file: &Path, budgets: Budgets, policy: impl Policy + 'static) -> House {
    let recorder = Recorder::create(file, budgets, policy.name(), policy.tick()).unwrap();
    let config = StemConfig {
        budgets,
        observer: Arc::new(move |output| recorder.hear(output)),
        observe_steps: true,
        resolve: Some(Arc::new(|name: &str| {
            Ok(model(name, CortexStrategy::KeepAlive))
        })),
        ..StemConfig::default()
    };
    House::with_config(TestBackend::default(), policy, config)
}

/// A session with some of everything: loads that fail, memory that is short, requests taken
/// back, deadlines, timers, routes, a change of policy, a policy that fails.
async fn live(file: &Path) {
    let budgets = Budgets {
        memory: Some(10),
        generations: 2,
        queue: 8,
        ..Budgets::default()
    };
    let wild = |event: &Event, state: &State| match event {
        Event::RequestArrived(arrival) if &*arrival.guest == "routed" => vec![
            Command::Route(arrival.request.id, "small".into()),
            Command::Preload("small".into()),
            Command::Preload("small".into()),
            Command::Admit(arrival.request.id),
        ],
        Event::RequestArrived(arrival) if &*arrival.guest == "nonsense" => {
            vec![Command::Load(rusty_genius_core::brainstem::ModelId(999))]
        }
        _ => native(event, state),
    };
    let mut house = house(file, budgets, Script(wild));
    for (name, bytes) in [("a", 6), ("b", 6), ("small", 3), ("huge", 11)] {
        house.engine.set_size(&format!("test/{name}"), bytes);
    }
    let a = model("a", HIBERNATE);
    let lease = house.lease(&a).await.unwrap();
    let b = model("b", CortexStrategy::Immediate);
    let mut waits = Box::pin(house.stem.acquire(&b, demand("test")));
    assert!((&mut waits).now_or_never().is_none());
    let terms = Terms {
        deadline: Some(Duration::from_secs(3)),
        priority: 200,
        ..Terms::default()
    };
    let late = Demand {
        terms,
        ..demand("late")
    };
    let mut late = Box::pin(house.stem.acquire(&b, late));
    assert!((&mut late).now_or_never().is_none());
    let mut gone = Box::pin(house.stem.acquire(&b, demand("gone")));
    assert!((&mut gone).now_or_never().is_none());
    house.rounds().await;
    drop(gone);
    house.rounds().await;
    house.time.advance(Duration::from_secs(3));
    assert!(soon(late).await.is_err());
    drop(lease);
    drop(soon(waits).await.unwrap());
    house.journal.ended().await;
    for guest in ["routed", "nonsense"] {
        drop(soon(house.stem.acquire(&a, demand(guest))).await.unwrap());
        house.journal.ended().await;
        house.rounds().await;
    }
    let huge = model("huge", CortexStrategy::Immediate);
    assert!(house.lease(&huge).await.is_err());
    let gate = house.engine.gate_loads();
    gate.send(Err(fault())).await.unwrap();
    let failing = model("failing", CortexStrategy::Immediate);
    assert!(house.lease(&failing).await.is_err());
    drop(gate);
    house.stem.change_policy(StrategyPolicy::default());
    drop(house.lease(&a).await.unwrap());
    house.journal.ended().await;
    house.rounds().await;
    house.time.advance(IDLE);
    house.rounds().await;
    house.close().await;
}

#[test]
fn the_same_policy_differs_in_nothing_and_another_one_where_it_does() {
    run(async {
        let file = file("everything");
        live(&file).await;
        let same = replay(&file, Box::new(StrategyPolicy::default())).unwrap();
        assert_eq!(same.recorded, "native");
        assert!(same.steps > 40, "{}", same.steps);
        // Only where the script did as no native policy does.
        let of: Vec<_> = same.differences.iter().map(|d| &d.recorded.event).collect();
        assert_eq!(same.differing, 1, "{of:?}");

        let keep = StrategyPolicy::always(CortexStrategy::KeepAlive);
        let other = replay(&file, Box::new(keep)).unwrap();
        assert_eq!(other.steps, same.steps);
        assert!(other.differing > same.differing);
        let first = &other.differences[0];
        assert_ne!(first.other.as_ref(), Ok(&first.recorded.commands));
    });
}

#[test]
fn a_record_that_was_cut_is_replayed_as_far_as_it_goes() {
    run(async {
        let file = file("cut");
        live(&file).await;
        let whole = std::fs::read(&file).unwrap();
        let steps = replay(&file, Box::new(StrategyPolicy::default()))
            .unwrap()
            .steps;
        for cut in (0..whole.len()).step_by(211) {
            std::fs::write(&file, &whole[..cut]).unwrap();
            match replay(&file, Box::new(StrategyPolicy::default())) {
                Ok(replay) => assert!(replay.steps <= steps),
                Err(RecordError::Malformed { line: 1, .. }) => {}
                Err(other) => panic!("cut at {cut}: {other}"),
            }
        }
    });
}

#[test]
fn what_is_no_record_says_why() {
    let policy = || Box::new(StrategyPolicy::default());
    let missing = replay(&file("missing"), policy()).unwrap_err();
    assert!(matches!(missing, RecordError::Unreadable(_)), "{missing}");
    let folder = replay(Path::new(env!("CARGO_TARGET_TMPDIR")), policy()).unwrap_err();
    assert!(folder.to_string().contains("regular file"), "{folder}");
    let file = file("wrong");
    for (text, why) in [
        ("", "does not begin"),
        ("hello\n", "line 1"),
        ("{\"step\":7}\n", "line 1"),
        (
            "{\"begin\":{\"version\":2,\"budgets\":{},\"policy\":\"x\",\"tick\":null}}\n",
            "version 2",
        ),
        (
            "{\"begin\":{\"version\":1,\"budgets\":{},\"policy\":\"x\",\"tick\":null}}\n\
             {\"step\":{\"at\":{\"secs\":0,\"nanos\":0},\"event\":{\"model-idle\":3},\"commands\":[],\
             \"by\":\"policy\"}}\n",
            "does not follow",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = replay(&file, policy()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_record_never_overwrites_a_file() {
    let file = file("there");
    std::fs::write(&file, "precious").unwrap();
    assert!(Recorder::create(&file, Budgets::default(), "x", None).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}
