//! The bundle holds every guest there is, each a component.

use rusty_genius_guests::{Kind, all, find};
use std::path::Path;

/// What every component begins with: magic, version 13, layer 1.
const PREAMBLE: &[u8] = b"\0asm\x0d\x00\x01\x00";

const KINDS: [Kind; 4] = [Kind::Workflow, Kind::Scenario, Kind::Policy, Kind::Hostile];

#[test]
fn every_guest_is_a_component_with_a_summary() {
    for guest in all() {
        assert!(guest.bytes.starts_with(PREAMBLE), "{guest:?}");
        assert!(!guest.summary.is_empty(), "{guest:?}");
    }
}

#[test]
fn every_guest_folder_is_in_the_bundle_and_nothing_else() {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = 0;
    for kind in KINDS {
        for entry in guests.join(kind.folder()).read_dir().unwrap() {
            let path = entry.unwrap().path();
            if !path.join("Cargo.toml").is_file() {
                continue;
            }
            folders += 1;
            let bare = path.file_name().unwrap().to_str().unwrap();
            let guest = find(bare).unwrap_or_else(|| panic!("{bare} is not in the bundle"));
            assert_eq!(guest.kind, kind);
            assert_eq!(guest.name, format!("{}{bare}", kind.prefix()));
        }
    }
    assert_eq!(folders, all().len());
}

#[test]
fn a_guest_is_found_with_and_without_its_prefix_or_folder() {
    for guest in all() {
        let bare = guest.name.trim_start_matches(guest.kind.prefix());
        let full = format!("{}/{bare}", guest.kind.folder());
        for name in [guest.name, bare, &full] {
            assert_eq!(find(name).map(|found| found.name), Some(guest.name));
        }
    }
    assert_eq!(find("spin").map(|g| g.name), Some("hostile/spin"));
    assert_eq!(find("workflows/ask").map(|g| g.name), Some("ask"));
    assert_eq!(find("policies/lru").map(|g| g.name), Some("policy/lru"));
    assert_eq!(find("tyrant").map(|g| g.name), Some("hostile/tyrant"));
}

#[test]
fn what_guests_share_is_no_guest() {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(guests.join("kit/Cargo.toml").is_file());
    assert!(find("kit").is_none());
}

#[test]
fn an_unknown_name_is_not_found() {
    for name in [
        "",
        "/",
        "nobody",
        "ask/",
        "/ask",
        "hostile/ask",
        "policy/ask",
        "policy/tyrant",
        "workflows/lru",
        "workflows/",
        "workflows/spin",
    ] {
        assert!(find(name).is_none(), "{name:?}");
    }
}
