//! What holds of every text of a registry, whoever wrote it.

use super::{Entry, FILE, FileRecord, file};
use rusty_genius_core::ManifestError;
use std::path::Path;

/// Entries of a text that are changed, one after the other.
const CHANGED: usize = 4;

/// Reads the text of a registry, and panics where a promise is broken: an entry that is
/// written as it is changes nothing; one that is removed takes nothing with it, and can be
/// written again; a new one leaves the others alone. For fuzzing, and no interface.
///
/// Errors: those of the text.
pub fn check_registry_text(text: &str) -> Result<(), ManifestError> {
    let entries = read(text)?;
    for entry in entries.iter().take(CHANGED) {
        let same = with(text, entry);
        assert_eq!(must_read(&same), entries, "written as it is: {same}");
        assert_eq!(with(&same, entry), same, "written twice");

        let (without, removed) = without(text, &entry.spec);
        assert!(removed, "{} is not there", entry.spec);
        let others: Vec<Entry> = entries.iter().filter(|e| *e != entry).cloned().collect();
        assert_eq!(must_read(&without), others, "removed: {without}");
        let again = with(&without, entry);
        assert_eq!(must_read(&again), entries, "written again: {again}");
    }
    let new = Entry {
        spec: "new/model:Q8_0".into(),
        files: vec![FileRecord {
            path: "a \"file\".gguf".into(),
            size: 7,
            sha256: Some("0a".repeat(32)),
        }],
        revision: None,
        source: "https://example.com".into(),
        time: "2026-01-01T00:00:00Z".into(),
    };
    if entries.iter().all(|entry| entry.spec != new.spec) {
        assert_eq!(without(text, &new.spec), (text.to_owned(), false));
        let more = with(text, &new);
        let mut all = must_read(&more);
        all.retain(|entry| *entry != new);
        assert_eq!(all, entries, "with a new one: {more}");
        assert_eq!(must_read(&more).len(), entries.len() + 1);
    }
    Ok(())
}

fn read(text: &str) -> Result<Vec<Entry>, ManifestError> {
    file::entries(Path::new(FILE), text)
}

fn must_read(text: &str) -> Vec<Entry> {
    read(text).unwrap_or_else(|e| panic!("what was written cannot be read: {e}: {text}"))
}

fn with(text: &str, entry: &Entry) -> String {
    file::with(text, entry).unwrap_or_else(|e| panic!("cannot be written: {e}"))
}

fn without(text: &str, spec: &str) -> (String, bool) {
    file::without(text, spec).unwrap_or_else(|e| panic!("cannot be removed: {e}"))
}
