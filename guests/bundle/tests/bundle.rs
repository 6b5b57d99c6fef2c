//! The bundle holds every guest there is, each a component.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use rusty_genius_guests::{Kind, all, find};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What every component begins with: magic, version 13, layer 1.
const PREAMBLE: &[u8] = b"\0asm\x0d\x00\x01\x00";

const KINDS: [Kind; 5] = [
    Kind::Workflow,
    Kind::Tool,
    Kind::Scenario,
    Kind::Policy,
    Kind::Hostile,
];

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The hostile guests that are files: the names, and what the files say.
fn texts() -> BTreeMap<String, String> {
    let files = guests().join(Kind::Hostile.folder()).read_dir().unwrap();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let name = format!("{}{stem}", Kind::Hostile.prefix());
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn every_guest_is_a_component_with_a_summary() {
    let texts = texts();
    for guest in all() {
        let text = texts.get(guest.name).map_or("", |text| text);
        let none = text.lines().nth(1) == Some(";; not a component");
        assert_eq!(guest.bytes.starts_with(PREAMBLE), !none, "{guest:?}");
        assert!(!guest.summary.is_empty(), "{guest:?}");
    }
}

#[test]
fn every_guest_folder_and_file_is_in_the_bundle_and_nothing_else() {
    let texts = texts();
    for (name, text) in &texts {
        let guest = find(name).unwrap_or_else(|| panic!("{name} is not in the bundle"));
        assert_eq!(guest.kind, Kind::Hostile);
        assert!(
            text.starts_with(&format!(";; {}\n", guest.summary)),
            "{name}"
        );
    }
    let mut folders = 0;
    for kind in KINDS {
        for entry in guests().join(kind.folder()).read_dir().unwrap() {
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
    assert_eq!(folders + texts.len(), all().len());
}

macro_rules! names {
    ($($name:ident)*) => { &[$(stringify!($name)),*] };
}

#[test]
fn the_macro_names_every_hostile_guest_and_no_other() {
    let named: &[&str] = rusty_genius_guests::foreach_hostile!(names);
    let hostile = all().iter().filter(|guest| guest.kind == Kind::Hostile);
    let expected: Vec<String> = hostile
        .map(|guest| guest.name.replace(['/', '-'], "_"))
        .collect();
    assert_eq!(named, expected);
    assert!(named.contains(&"hostile_spin"));
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
    assert_eq!(find("tools/calc").map(|g| g.name), Some("tool/calc"));
    assert_eq!(find("tyrant").map(|g| g.name), Some("hostile/tyrant"));
}

#[test]
fn what_guests_share_is_no_guest() {
    for shared in ["kit", "crowbar"] {
        assert!(guests().join(shared).join("Cargo.toml").is_file());
        assert!(find(shared).is_none());
    }
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
        "tool/ask",
        "calc/",
        "workflows/lru",
        "workflows/",
        "workflows/spin",
    ] {
        assert!(find(name).is_none(), "{name:?}");
    }
}
