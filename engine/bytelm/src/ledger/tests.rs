use super::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

const FILE: &str = "# SPDX-License-Identifier: MIT\n[[pair]]\nask = [\"A\"]\nanswer = \"B\"\n";

/// A data directory with a file and its ledger; removed when dropped.
struct Data(PathBuf);

impl Data {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bytelm-ledger-{}-{number}", std::process::id());
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../target/tmp")
            .join(name);
        fs::create_dir_all(&dir).unwrap();
        let data = Self(dir);
        data.write("one.toml", FILE);
        data.write("README.md", "no data");
        Ledger::update(&data.0).unwrap();
        data
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Changes the ledger's text.
    fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.0.join(NAME)).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(NAME, &text.replace(from, to));
    }

    fn refused(&self) -> LedgerError {
        Ledger::check(&self.0).unwrap_err()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_updated_ledger_lists_the_files_and_gives_the_bytes_it_has_hashed() {
    let data = Data::new();
    let checked = Ledger::check(&data.0).unwrap();
    let file = SourceFile {
        path: "one.toml".into(),
        bytes: FILE.into(),
    };
    assert_eq!(checked.files, [file]);
    let ledger = Ledger::read(&data.0).unwrap();
    assert_eq!(ledger.file[0].license, "MIT");
    assert_eq!(ledger.file[0].source, OWN_SOURCE);
    assert_eq!(ledger.file[0].bytes, FILE.len() as u64);

    // Other data has another digest.
    data.write("two.toml", FILE);
    Ledger::update(&data.0).unwrap();
    assert_ne!(Ledger::check(&data.0).unwrap().digest, checked.digest);
}

#[test]
fn an_update_keeps_what_people_wrote() {
    let data = Data::new();
    data.edit(OWN_SOURCE, "a friend");
    data.edit("\"MIT\"", "\"CC0-1.0\"");
    data.write("one.toml", &format!("{FILE}# more\n"));
    let ledger = Ledger::update(&data.0).unwrap();
    assert_eq!(ledger.file[0].source, "a friend");
    assert_eq!(ledger.file[0].license, "CC0-1.0");
    Ledger::check(&data.0).unwrap();
}

#[test]
fn what_is_not_as_the_ledger_says_is_refused_by_name() {
    type Change = fn(&Data);
    let changes: [(Change, &str); 9] = [
        (
            |data| data.write("two.toml", FILE),
            "two.toml: is not in the ledger",
        ),
        (
            |data| fs::remove_file(data.0.join("one.toml")).unwrap(),
            "one.toml: is in the ledger, but no training file there",
        ),
        (
            |data| data.write("one.toml", &FILE.replace('A', "C")),
            "one.toml: has SHA-256 ",
        ),
        (
            |data| data.write("one.toml", "short"),
            "one.toml: has 5 bytes; the ledger says ",
        ),
        (
            |data| data.edit("one.toml", "../one.toml"),
            "../one.toml: the path in the ledger leaves the data directory",
        ),
        (
            |data| data.edit("\"MIT\"", "\" \""),
            "one.toml: its `license` in the ledger is empty",
        ),
        (
            |data| data.edit(OWN_SOURCE, ""),
            "one.toml: its `source` in the ledger is empty",
        ),
        (|data| data.edit("bytes", "size"), "ledger.toml: "),
        (
            |data| fs::remove_file(data.0.join(NAME)).unwrap(),
            "ledger.toml: there is no ledger of the training data",
        ),
    ];
    for (change, said) in changes {
        let data = Data::new();
        change(&data);
        let error = data.refused();
        assert!(error.to_string().contains(said), "{error}");
        let update = format!("bytelm ledger {} --update", data.0.display());
        assert!(error.hint().contains(&update), "{}", error.hint());
    }
}

#[test]
fn a_file_listed_twice_is_refused() {
    let data = Data::new();
    let text = fs::read_to_string(data.0.join(NAME)).unwrap();
    let entry = &text[text.find("[[file]]").unwrap()..];
    data.write(NAME, &format!("{text}{entry}"));
    assert!(
        data.refused()
            .to_string()
            .contains("is in the ledger twice")
    );
}

#[test]
fn a_new_file_without_a_licence_is_not_listed() {
    let data = Data::new();
    let before = fs::read(data.0.join(NAME)).unwrap();
    data.write("two.toml", "[[pair]]\n");
    let error = Ledger::update(&data.0).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("two.toml: its first line names no licence"),
        "{error}"
    );
    assert_eq!(fs::read(data.0.join(NAME)).unwrap(), before);
}
