//! Models that hibernate: their weights go, their sessions stay on disk.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusty_genius_core::{BrainstemOutput, CortexStrategy};
use rusty_genius_stem::{StemConfig, StrategyPolicy};
use std::path::{Path, PathBuf};
use support::backend::TestBackend;
use support::{HIBERNATE, House, IDLE, answer, demand, model, run, soon};

/// A house whose sessions are saved in a folder of their own, and the folder.
fn house(test: &str, engine: TestBackend) -> (House, PathBuf) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("hibernation")
        .join(test);
    let _ = std::fs::remove_dir_all(&root);
    let config = StemConfig {
        hibernation: Some(root.clone()),
        ..StemConfig::default()
    };
    (
        House::with_config(engine, StrategyPolicy::default(), config),
        root,
    )
}

/// The files below a folder.
fn files(root: &Path) -> usize {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .map(|path| match path.is_dir() {
            true => files(&path),
            false => 1,
        })
        .sum()
}

/// Waits until the model has gone, and says how many sessions were saved.
async fn saved(house: &mut House) -> usize {
    house.sleeps_until(house.time_now() + IDLE).await;
    house.time.advance(IDLE);
    house.journal.unloaded().await;
    let unloaded = house.journal.seen().iter().rev().find_map(|o| match o {
        BrainstemOutput::Unloaded { saved, .. } => Some(*saved),
        _ => None,
    });
    unloaded.unwrap()
}

#[test]
fn a_session_goes_on_where_it_stopped() {
    run(async {
        let (mut house, root) = house("goes-on", TestBackend::with_saves());
        let (one, two) = (house.session(HIBERNATE), house.session(HIBERNATE));
        // Idle once, at the end.
        let lease = house.lease(one.model()).await.unwrap();
        answer(&one, "one").await;
        answer(&two, "two").await;
        drop(lease);
        assert_eq!(saved(&mut house).await, 2);
        assert_eq!((house.engine.models(), house.engine.sessions()), (0, 0));
        assert_eq!(files(&root), 2);

        answer(&one, "three").await;
        assert_eq!((house.engine.taken_back(), files(&root)), (1, 1));
        assert_eq!(one.turns().len(), 4);
        drop(two);
        assert_eq!(files(&root), 0, "whoever goes takes his file along");
        let engine = house.engine.clone();
        drop(one);
        house.close().await;
        assert_eq!((engine.models(), engine.sessions()), (0, 0));
    });
}

#[test]
fn a_fork_of_a_saved_session_goes_on_from_the_same_file() {
    run(async {
        let (mut house, root) = house("fork", TestBackend::with_saves());
        let session = house.session(HIBERNATE);
        answer(&session, "one").await;
        assert_eq!(saved(&mut house).await, 1);
        let fork = session.fork().unwrap();
        assert_eq!(files(&root), 1);
        answer(&session, "left").await;
        answer(&fork, "right").await;
        assert_eq!((house.engine.taken_back(), files(&root)), (2, 0));
    });
}

#[test]
fn what_cannot_be_saved_is_read_anew() {
    run(async {
        let (mut house, root) = house("no-saves", TestBackend::default());
        let session = house.session(HIBERNATE);
        answer(&session, "one").await;
        assert_eq!(saved(&mut house).await, 0);
        assert_eq!(files(&root), 0);
        answer(&session, "two").await;
        assert_eq!(house.engine.taken_back(), 0);
        assert_eq!(house.engine.prompts()[1].len(), 3);
    });
}

#[test]
fn a_saved_session_that_was_damaged_is_read_anew() {
    run(async {
        let (mut house, root) = house("damaged", TestBackend::with_saves());
        let session = house.session(HIBERNATE);
        answer(&session, "one").await;
        assert_eq!(saved(&mut house).await, 1);
        let rooms = std::fs::read_dir(&root).unwrap().flatten();
        let files = rooms.flat_map(|room| std::fs::read_dir(room.path()).unwrap().flatten());
        for file in files {
            std::fs::write(file.path(), "nonsense").unwrap();
        }
        answer(&session, "two").await;
        assert_eq!(house.engine.taken_back(), 0);
        assert_eq!(house.engine.prompts()[1].len(), 3);
    });
}

#[test]
fn an_unloaded_model_saves_nothing() {
    run(async {
        let (mut house, root) = house("immediate", TestBackend::with_saves());
        let session = house.session(CortexStrategy::Immediate);
        answer(&session, "one").await;
        house.journal.unloaded().await;
        assert_eq!(files(&root), 0);
    });
}

#[cfg(unix)]
#[test]
fn saved_sessions_are_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt;
    run(async {
        let (mut house, root) = house("private", TestBackend::with_saves());
        let session = house.session(HIBERNATE);
        answer(&session, "one").await;
        assert_eq!(saved(&mut house).await, 1);
        let room = std::fs::read_dir(&root).unwrap().flatten().next().unwrap();
        let mode = room.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(session);
        house.close().await;
        assert!(!room.path().exists(), "the folder goes with the house");
    });
}

#[test]
fn a_request_for_a_model_that_is_going_brings_it_back() {
    run(async {
        let (house, _) = house("coming-back", TestBackend::with_saves());
        let spec = model("m", HIBERNATE);
        drop(house.lease(&spec).await.unwrap());
        for _ in 0..20 {
            let at = house.time_now() + IDLE;
            house.sleeps_until(at).await;
            house.time.advance(IDLE);
            // It is going, or gone, or was kept by this very request.
            let lease = soon(house.stem.acquire(&spec, demand("test"))).await;
            drop(lease.unwrap());
        }
        assert_eq!(house.engine.broken(), Vec::<String>::new());
    });
}
