//! Two who want one file make one download.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use futures::StreamExt;
use rusty_genius_core::AssetEvent;
use std::sync::Arc;
use support::child::{self, Other};
use support::{At, Content, Fault, Hub, Origin, Place, Seen, spec, test, watch};

const REPO: &str = "o/m-GGUF";
const FILE: &str = "m-q4_k_m.gguf";
const SPEC: &str = "o/m-GGUF:Q4_K_M";
const SIZE: u64 = 4 << 20;
const HALF: u64 = SIZE / 2;

/// A hub that stops in the middle of the file until it is released.
fn hub() -> Hub {
    let hub = Hub::start();
    hub.add(REPO, FILE, &Content::gguf(SIZE, 5));
    hub.fault(At::Cdn, FILE, Fault::Hold(HALF));
    hub
}

fn at_the_hold(seen: &Seen) -> bool {
    seen.origin == Origin::Cdn && seen.sent() == HALF
}

fn downloads(hub: &Hub) -> usize {
    let cdn = hub.at(Origin::Cdn);
    cdn.iter().filter(|s| s.request.method == "GET").count()
}

#[test]
#[ignore = "what the other process does"]
fn as_another_process() {
    child::run();
}

#[test]
fn two_who_want_one_file_in_one_process_make_one_download() {
    test(async {
        let hub = Arc::new(hub());
        let place = Place::new("sharing/one-process");
        let settings = || {
            let mut settings = place.settings(&hub.endpoint());
            settings.stall = support::PATIENCE;
            settings
        };
        let first = facecrab::Facecrab::new(settings());
        let first = async_std::task::spawn(watch(first.ensure_model(&spec(SPEC))));
        hub.wait("the hold", at_the_hold);
        let mut second = facecrab::Facecrab::new(settings()).ensure_model(&spec(SPEC));
        let mut events = Vec::new();
        while let Some(event) = second.next().await {
            if matches!(event, AssetEvent::Queued { .. }) {
                hub.release();
            }
            events.push(event);
        }
        let second = second.finish().await.unwrap();
        let (_, outcome) = first.await;
        assert_eq!(outcome.unwrap(), second);
        assert_eq!((downloads(&hub), hub.bytes_sent()), (1, SIZE));
        let progress =
            |e: &AssetEvent| matches!(e, AssetEvent::Bytes { done, .. } if *done >= HALF);
        assert!(events.iter().any(progress), "{events:?}");
        place.assert_sound();
    });
}

#[test]
fn another_process_waits_for_the_first_and_sees_its_progress() {
    test(async {
        let hub = hub();
        let place = Place::new("sharing/two-processes");
        let first = Other::start(&place, &hub, SPEC);
        hub.wait("the hold", at_the_hold);
        let mut second = Other::start(&place, &hub, SPEC);
        let mut said = Vec::new();
        while let Some(line) = second.next() {
            // Bytes that the first one fetched, seen by the second while both run.
            let is_bytes = line.starts_with("bytes ");
            said.push(line);
            if is_bytes && said.contains(&"queued".to_owned()) {
                hub.release();
            }
        }
        assert!(said.contains(&"queued".to_owned()), "{said:?}");
        assert!(said.contains(&format!("ready {SIZE}")), "{said:?}");
        let first = first.rest();
        assert!(first.contains(&format!("ready {SIZE}")), "{first:?}");
        assert_eq!((downloads(&hub), hub.bytes_sent()), (1, SIZE));
        place.assert_sound();
    });
}

#[test]
fn one_who_waits_takes_over_when_the_first_is_killed() {
    test(async {
        let hub = hub();
        let place = Place::new("sharing/take-over");
        let mut first = Other::start(&place, &hub, SPEC);
        hub.wait("the hold", at_the_hold);
        while let Some(line) = first.next() {
            if line == format!("bytes {HALF}") {
                break;
            }
        }
        let mut second = Other::start(&place, &hub, SPEC);
        while let Some(line) = second.next() {
            if line == "queued" {
                first.child.kill().unwrap();
            }
            if line.starts_with("ready") {
                break;
            }
        }
        let second = second.rest();
        assert!(second.iter().any(|l| l.starts_with("done")), "{second:?}");
        place.assert_sound();
        assert_eq!(place.blobs().len(), 1);
        let twice = hub.bytes_sent() - SIZE;
        assert!(twice < 1 << 20, "{twice} bytes were fetched twice");
    });
}

#[test]
fn one_who_waits_can_be_dropped_and_the_first_goes_on() {
    test(async {
        let hub = hub();
        let place = Place::new("sharing/drop-waiter");
        let mut settings = place.settings(&hub.endpoint());
        settings.stall = support::PATIENCE;
        let crab = facecrab::Facecrab::new(settings);
        let first = async_std::task::spawn(watch(crab.ensure_model(&spec(SPEC))));
        hub.wait("the hold", at_the_hold);
        let mut second = crab.ensure_model(&spec(SPEC));
        while let Some(event) = second.next().await {
            if matches!(event, AssetEvent::Queued { .. }) {
                break;
            }
        }
        drop(second);
        hub.release();
        first.await.1.unwrap();
        place.assert_sound();
        assert_eq!(hub.bytes_sent(), SIZE);
    });
}

#[test]
fn two_models_of_two_repositories_come_side_by_side() {
    test(async {
        let hub = hub();
        hub.add("o/other-GGUF", "other-q8_0.gguf", &Content::gguf(1000, 6));
        let place = Place::new("sharing/two-models");
        let mut settings = place.settings(&hub.endpoint());
        settings.stall = support::PATIENCE;
        let crab = facecrab::Facecrab::new(settings);
        let first = async_std::task::spawn(watch(crab.ensure_model(&spec(SPEC))));
        hub.wait("the hold", at_the_hold);
        crab.ensure_model(&spec("o/other-GGUF:Q8_0"))
            .finish()
            .await
            .unwrap();
        hub.release();
        first.await.1.unwrap();
        place.assert_sound();
        assert_eq!(place.blobs().len(), 2);
        for part in ["o/other-GGUF", REPO] {
            assert!(place.registry().contains(part), "{}", place.registry());
        }
    });
}

#[test]
fn many_processes_register_at_once_and_none_is_lost() {
    test(async {
        let hub = Hub::start();
        for n in 0..6 {
            let content = Content::gguf(2000 + n, n);
            hub.add(
                &format!("o/m{n}-GGUF"),
                &format!("m{n}-q4_0.gguf"),
                &content,
            );
        }
        let place = Place::new("sharing/registry");
        let spec = |n: u64| format!("o/m{n}-GGUF:Q4_0");
        let all: Vec<Other> = (0..6)
            .map(|n| Other::start(&place, &hub, &spec(n)))
            .collect();
        for other in all {
            let said = other.rest();
            assert!(said.iter().any(|l| l.starts_with("done")), "{said:?}");
        }
        place.assert_sound();
        for n in 0..6 {
            assert!(
                place.registry().contains(&spec(n)),
                "{n}: {}",
                place.registry()
            );
        }
    });
}
