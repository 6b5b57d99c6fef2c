//! A disk that is full, at the start or halfway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

mod support;

use std::path::Path;
use support::child::{self, Other, can_mount};
use support::{At, Content, Fault, Hub, Origin, Place};

const REPO: &str = "o/m-GGUF";
const FILE: &str = "m-q4_k_m.gguf";
const SPEC: &str = "o/m-GGUF:Q4_K_M";
const MIB: u64 = 1 << 20;

#[test]
#[ignore = "what the other process does"]
fn as_another_process() {
    child::run();
}

fn hub(size: u64) -> Hub {
    let hub = Hub::start();
    hub.add(REPO, FILE, &Content::gguf(size, 1));
    hub
}

/// The error, after which nothing is visible.
fn failure(said: &[String]) -> &str {
    assert!(said.contains(&"visible 0 0".to_owned()), "{said:?}");
    said.iter().find_map(|l| l.strip_prefix("failed ")).unwrap()
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_a_byte_is_fetched() {
    let place = Place::new("disk/small");
    if !can_mount(&place) {
        return;
    }
    let hub = hub(16 * MIB);
    let said = Other::start_on_a_disk(8, &place, &hub, SPEC).rest();
    let error = failure(&said);
    assert!(error.contains("has no room"), "{error}");
    assert!(error.contains(&(16 * MIB).to_string()), "{error}");
    assert_eq!(hub.bytes_sent(), 0);
}

#[test]
fn a_disk_that_somebody_fills_meanwhile_is_an_error_that_says_so() {
    let place = Place::new("disk/filled");
    if !can_mount(&place) {
        return;
    }
    let hub = hub(6 * MIB);
    hub.fault(At::Cdn, FILE, Fault::Hold(2 * MIB));
    let mut other = Other::start_on_a_disk(8, &place, &hub, SPEC);
    hub.wait("the hold", |s| {
        s.origin == Origin::Cdn && s.sent() == 2 * MIB
    });
    let root = format!("/proc/{}/root", other.child.id());
    let inside = Path::new(&root).join(place.dir().strip_prefix("/").unwrap());
    while let Some(said) = other.next() {
        if said == format!("bytes {}", 2 * MIB) {
            break;
        }
    }
    // All that is left.
    let _ = std::fs::write(inside.join("fill"), vec![1; 8 << 20]);
    hub.release();
    let said = other.rest();
    let error = failure(&said);
    assert!(error.contains("has no room"), "{error}");
}
