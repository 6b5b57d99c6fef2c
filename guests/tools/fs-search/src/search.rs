//! The search itself. Bounded in every direction: a tool answers in a moment, or a person
//! waits for it.

use crate::query::{Place, Query};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Deepest folder looked into, below where the search began.
const DEEPEST: usize = 32;
/// Most files and folders looked at.
const MOST: usize = 100_000;
/// Largest file read, 4 MiB.
const LARGEST: u64 = 4 << 20;
/// A file with a NUL in so many of its first bytes is binary.
const HEAD: usize = 8192;
/// Longest text of a line that is told, characters.
const LONGEST: usize = 200;
/// Most bytes of all matches, well below what a tool may answer.
const ANSWER: usize = 900 << 10;

/// What was found.
#[derive(Default)]
pub struct Found {
    matches: Vec<Value>,
    bytes: usize,
    /// Files and folders looked at.
    looked: usize,
    /// Files that were searched.
    searched: usize,
    /// Files that were not: binary, too large, or unreadable.
    skipped: usize,
    /// There may be more.
    truncated: bool,
}

/// Searches below each root, in the order of names.
pub fn search(roots: &[PathBuf], query: &Query) -> Found {
    let mut found = Found::default();
    // Last in, first out: a list instead of recursion, for a stack may be small.
    let mut waiting: Vec<(PathBuf, usize)> = roots.iter().rev().cloned().map(|r| (r, 0)).collect();
    while let Some((path, depth)) = waiting.pop() {
        if found.full(query) {
            found.truncated = true;
            break;
        }
        // Never what a link points to: it may lead in circles, or out.
        let Ok(kind) = fs::symlink_metadata(&path) else {
            continue;
        };
        found.looked += 1;
        if depth > 0 && query.place == Place::Names {
            found.look_at_name(&path, query);
        }
        if kind.is_dir() {
            if depth == DEEPEST {
                found.truncated = true;
                continue;
            }
            let names = found.names(&path);
            waiting.extend(
                names
                    .into_iter()
                    .rev()
                    .map(|name| (path.join(name), depth + 1)),
            );
        } else if kind.is_file() && query.place == Place::Contents {
            match read(&path, kind.len()) {
                Some(text) => found.look_into(&path, &text, query),
                None => found.skipped += 1,
            }
        }
    }
    found
}

impl Found {
    fn full(&self, query: &Query) -> bool {
        self.matches.len() >= query.limit || self.bytes > ANSWER || self.looked >= MOST
    }

    /// What a folder holds, sorted; no more than may still be looked at.
    fn names(&mut self, folder: &Path) -> Vec<std::ffi::OsString> {
        let Ok(entries) = fs::read_dir(folder) else {
            self.skipped += 1;
            return vec![];
        };
        let room = MOST - self.looked;
        let mut names: Vec<_> = entries
            .take(room + 1)
            .filter_map(|entry| Some(entry.ok()?.file_name()))
            .collect();
        if names.len() > room {
            self.truncated = true;
        }
        names.sort();
        names
    }

    fn look_at_name(&mut self, path: &Path, query: &Query) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if query.pattern.find(&name).is_some() {
            self.add(json!({ "path": path.to_string_lossy() }));
        }
    }

    fn look_into(&mut self, path: &Path, text: &str, query: &Query) {
        self.searched += 1;
        for (number, line) in text.lines().enumerate() {
            let Some(at) = query.pattern.find(line) else {
                continue;
            };
            if self.full(query) {
                self.truncated = true;
                return;
            }
            self.add(json!({
                "path": path.to_string_lossy(),
                "line": number + 1,
                "text": excerpt(line, at),
            }));
        }
    }

    fn add(&mut self, found: Value) {
        self.bytes += found.to_string().len();
        self.matches.push(found);
    }

    pub fn to_json(&self) -> String {
        json!({
            "matches": self.matches,
            "searched": self.searched,
            "skipped": self.skipped,
            "truncated": self.truncated,
        })
        .to_string()
    }
}

/// The file's text, if it is one and of a reasonable size.
fn read(path: &Path, size: u64) -> Option<String> {
    if size > LARGEST {
        return None;
    }
    let whole = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // It may have grown since.
        File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = whole().ok()?;
    if bytes.iter().take(HEAD).any(|b| *b == 0) {
        return None;
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    })
}

/// At most `LONGEST` characters of a line, those around byte `at` among them.
fn excerpt(line: &str, at: usize) -> String {
    const BEFORE: usize = 40;
    let characters_before = line.get(..at).unwrap_or_default().chars().count();
    let from = match characters_before + BEFORE > LONGEST {
        true => characters_before - BEFORE,
        false => 0,
    };
    line.chars().skip(from).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::{excerpt, search};
    use crate::query::Query;
    use serde_json::{Value, json};
    use std::fs;
    use std::path::{Path, PathBuf};

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../../target/tmp")
                .join(format!("fs-search-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            let _ = fs::create_dir_all(&path);
            Self(path)
        }

        fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
            let path = self.0.join(name);
            let folder = path.parent().unwrap_or(Path::new(""));
            let made = fs::create_dir_all(folder).and_then(|()| fs::write(&path, content));
            assert!(made.is_ok(), "{made:?}");
            self
        }

        /// The answer, its paths below this folder.
        fn search(&self, query: Value) -> Value {
            let query = Query::read(&query.to_string());
            let answer = query.map(|query| search(std::slice::from_ref(&self.0), &query).to_json());
            let answer = answer.unwrap_or_default();
            let root = format!("{}/", self.0.display());
            serde_json::from_str(&answer.replace(&root, "")).unwrap_or_default()
        }

        fn paths(&self, query: Value) -> Vec<String> {
            let answer = self.search(query);
            let matches = answer["matches"].as_array().cloned().unwrap_or_default();
            let path = |found: &Value| found["path"].as_str().map(str::to_owned);
            matches.iter().filter_map(path).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names_are_found_in_order_folders_too() {
        let folder = Folder::new("names");
        folder
            .file("b.md", "")
            .file("a/c.md", "")
            .file("a.md/x", "");
        let found = folder.paths(json!({"pattern": "*.md", "in": "names"}));
        assert_eq!(found, ["a/c.md", "a.md", "b.md"]);
        assert_eq!(
            folder.paths(json!({"pattern": "x", "in": "names"})),
            ["a.md/x"]
        );
    }

    #[test]
    fn contents_are_found_with_their_lines() {
        let folder = Folder::new("contents");
        folder
            .file("a.txt", "one\ntwo two\r\nthree\n")
            .file("b.txt", "nothing");
        let answer = folder.search(json!({"pattern": "two", "in": "contents"}));
        let expected = json!([{"path": "a.txt", "line": 2, "text": "two two"}]);
        assert_eq!(answer["matches"], expected);
        assert_eq!(answer["searched"], 2);
        assert_eq!(answer["truncated"], false);
    }

    #[test]
    fn binary_and_large_files_are_skipped_and_broken_text_is_not() {
        let folder = Folder::new("skipped");
        folder
            .file("binary", b"needle\0")
            .file("broken", b"needle \xff");
        folder.file("large", "needle\n".repeat((4 << 20) / 7 + 1));
        let answer = folder.search(json!({"pattern": "needle", "in": "contents"}));
        assert_eq!(answer["skipped"], 2);
        assert_eq!(answer["matches"][0]["text"], "needle \u{fffd}");
    }

    #[test]
    fn no_more_is_given_than_was_asked_for() {
        let folder = Folder::new("limit");
        folder.file("a", "x\n".repeat(10)).file("b", "x");
        let answer = folder.search(json!({"pattern": "x", "in": "contents", "limit": 3}));
        assert_eq!(answer["matches"].as_array().map(Vec::len), Some(3));
        assert_eq!(answer["truncated"], true);
    }

    #[test]
    #[cfg(unix)]
    fn links_are_not_followed() {
        let (outside, folder) = (Folder::new("outside"), Folder::new("links"));
        outside.file("secret", "needle");
        for (target, link) in [
            (outside.0.clone(), "folder"),
            (outside.0.join("secret"), "file"),
        ] {
            assert!(std::os::unix::fs::symlink(target, folder.0.join(link)).is_ok());
        }
        assert!(std::os::unix::fs::symlink(".", folder.0.join("circle")).is_ok());
        let contents = folder.search(json!({"pattern": "needle", "in": "contents"}));
        assert_eq!(contents["matches"], json!([]));
        let names = folder.paths(json!({"pattern": "*", "in": "names"}));
        assert_eq!(names, ["circle", "file", "folder"]);
    }

    #[test]
    fn a_long_line_is_cut_around_what_was_found() {
        assert_eq!(excerpt("short needle", 6), "short needle");
        let long = format!("{}needle{}", "é".repeat(500), "x".repeat(500));
        let cut = excerpt(&long, 1000);
        assert_eq!(cut.chars().count(), 200);
        assert!(cut.starts_with(&format!("{}needlex", "é".repeat(40))));
        assert!(excerpt(&"x".repeat(1000), 0).len() == 200);
    }
}
