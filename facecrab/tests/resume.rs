//! A download that was broken off goes on where it stopped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use futures::StreamExt;
use rusty_genius_core::AssetEvent;
use support::{At, Content, Fault, Hub, Origin, Place, Seen, spec, test};

const REPO: &str = "o/m-GGUF";
const FILE: &str = "m-q4_k_m.gguf";
const SPEC: &str = "o/m-GGUF:Q4_K_M";
const SIZE: u64 = 8 << 20;

fn hub() -> (Hub, Content) {
    let hub = Hub::start();
    let content = Content::gguf(SIZE, 3);
    hub.add(REPO, FILE, &content);
    (hub, content)
}

/// Polls the download until so many bytes are here, then drops it.
async fn break_off(place: &Place, hub: &Hub, at: u64) -> u64 {
    let mut ensure = place.crab(hub).ensure_model(&spec(SPEC));
    while let Some(event) = ensure.next().await {
        if let AssetEvent::Bytes { done, .. } = event
            && done >= at
        {
            return done;
        }
    }
    panic!("it ended before {at}: {:?}", ensure.finish().await);
}

/// The ranges that were sent, as half-open intervals.
fn sent(hub: &Hub) -> Vec<(u64, u64)> {
    let cdn = hub.at(Origin::Cdn);
    let get = cdn.iter().filter(|s| s.request.method == "GET");
    get.map(|s| (s.start(), s.start() + s.sent())).collect()
}

#[test]
fn nothing_happens_until_it_is_polled() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("resume/lazy");
        drop(place.crab(&hub).ensure_model(&spec(SPEC)));
        assert!(hub.seen().is_empty());
        place.assert_empty();
    });
}

#[test]
fn dropping_it_closes_the_connection_and_the_next_one_goes_on() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("resume/drop");
        hub.fault(At::Cdn, FILE, Fault::Stall(SIZE / 2));
        let done = break_off(&place, &hub, SIZE / 2).await;
        assert_eq!(done, SIZE / 2);
        hub.wait("the connection's end", |s| {
            s.origin == Origin::Cdn && s.left()
        });
        place.assert_empty();
        let parts = place.parts();
        assert!(parts.iter().any(|(_, len)| *len >= SIZE / 2), "{parts:?}");
        let asset = place.ensure(&hub, SPEC).await.unwrap();
        assert_eq!(asset.size, SIZE);
        place.assert_sound();
        assert_eq!(sent(&hub), [(0, SIZE / 2), (SIZE / 2, SIZE)]);
        let resumed = hub.at(Origin::Cdn).pop().unwrap();
        assert!(
            resumed
                .header("range")
                .unwrap()
                .starts_with(&format!("bytes={}-", SIZE / 2))
        );
        assert_eq!(
            resumed.header("if-range"),
            Some(&*format!("\"{}\"", content.sha256()))
        );
        assert_eq!(place.parts(), [], "nothing of the way is left behind");
    });
}

#[test]
fn however_often_it_breaks_off_no_byte_is_fetched_twice() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("resume/often");
        for n in 1..8 {
            hub.fault(At::Cdn, FILE, Fault::Stall(1 << 20));
            break_off(&place, &hub, n << 20).await;
        }
        place.ensure(&hub, SPEC).await.unwrap();
        place.assert_sound();
        assert_eq!(hub.bytes_sent(), SIZE, "{:?}", sent(&hub));
    });
}

#[test]
fn a_connection_that_breaks_is_taken_up_within_the_same_download() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("resume/within");
        for at in [1, 100_000, 2_000_001] {
            hub.fault(At::Cdn, FILE, Fault::Cut(at));
        }
        place.ensure(&hub, SPEC).await.unwrap();
        place.assert_sound();
        assert_eq!(hub.bytes_sent(), SIZE, "{:?}", sent(&hub));
        let quoted = format!("\"{}\"", content.sha256());
        let resumed = |s: &&std::sync::Arc<Seen>| s.start() > 0;
        for seen in hub.at(Origin::Cdn).iter().filter(resumed) {
            assert_eq!(seen.header("if-range"), Some(&*quoted));
        }
    });
}

#[test]
fn a_new_commit_with_another_file_starts_anew_and_mixes_nothing() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("resume/new-commit");
        hub.fault(At::Cdn, FILE, Fault::Stall(SIZE / 2));
        break_off(&place, &hub, SIZE / 2).await;
        let new = Content::gguf(SIZE, 4);
        hub.add(REPO, FILE, &new);
        let asset = place.ensure(&hub, SPEC).await.unwrap();
        place.assert_sound();
        assert!(std::fs::read(&asset.files[0]).unwrap() == new.to_vec());
    });
}

#[test]
fn a_new_commit_with_the_same_file_goes_on_with_what_is_here() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("resume/same-blob");
        hub.fault(At::Cdn, FILE, Fault::Stall(SIZE / 2));
        break_off(&place, &hub, SIZE / 2).await;
        hub.push(REPO, &[("README.md", &Content::bytes("new words"), false)]);
        place.ensure(&hub, SPEC).await.unwrap();
        place.assert_sound();
        assert_eq!(hub.bytes_sent(), SIZE, "{:?}", sent(&hub));
    });
}

#[test]
fn a_whole_file_is_not_asked_for_again() {
    test(async {
        let (hub, _) = hub();
        let place = Place::new("resume/whole");
        let first = place.ensure(&hub, SPEC).await.unwrap();
        hub.forget();
        let second = place.ensure(&hub, SPEC).await.unwrap();
        assert_eq!(first, second);
        assert!(hub.seen().is_empty(), "no request at all");
    });
}

#[test]
fn a_part_that_somebody_damaged_does_not_become_a_model() {
    test(async {
        let (hub, content) = hub();
        let place = Place::new("resume/damaged");
        hub.fault(At::Cdn, FILE, Fault::Stall(SIZE / 2));
        break_off(&place, &hub, SIZE / 2).await;
        hub.wait("the connection's end", |s| {
            s.origin == Origin::Cdn && s.left()
        });
        for (name, len) in place.parts() {
            let blobs = place.cache().join("models--o--m-GGUF/blobs").join(name);
            std::fs::write(blobs, vec![7; len as usize]).unwrap();
        }
        // It may fail once; then what was wrong is gone.
        let first = place.ensure(&hub, SPEC).await;
        place.assert_sound();
        let asset = match first {
            Ok(asset) => asset,
            Err(_) => place.ensure(&hub, SPEC).await.unwrap(),
        };
        assert!(std::fs::read(&asset.files[0]).unwrap() == content.to_vec());
    });
}

#[test]
fn several_connections_fetch_each_byte_once() {
    test(async {
        let hub = Hub::start();
        let size = 192 << 20;
        hub.add(REPO, FILE, &Content::gguf(size, 8));
        let place = Place::new("resume/many");
        // Slow enough for a second connection to be worth it, large enough for a third.
        hub.pace(24 << 20);
        let mut settings = place.settings(&hub.endpoint());
        settings.connections = 4;
        let crab = facecrab::Facecrab::new(settings);
        crab.ensure_model(&spec(SPEC)).finish().await.unwrap();
        place.assert_sound();
        assert!(
            sent(&hub).len() > 1,
            "one connection did it all: {:?}",
            sent(&hub)
        );
        // A range whose rest another connection took over is cut off a little late.
        let extra = hub.bytes_sent() - size;
        assert!(extra < 8 << 20, "{extra} bytes twice: {:?}", sent(&hub));
    });
}
