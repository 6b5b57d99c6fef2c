//! Whatever lies where fixtures should be: each thing is one failing test that names its
//! file and line, and the good fixtures beside it run all the same.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use libtest_mimic::Arguments;
use rusty_genius::GeniusError;
use rusty_genius_core::ManifestError;
use rusty_genius_teaser::{Found, Scenario, scan};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::{Shared, tmp, trials};

const GOOD: &str = "+++\n[limits]\nmax-tokens = 8\n+++\nHello\n";

/// A folder for fixtures, with one that is good: `Org/Repo/Q4/good`.
struct Tree(PathBuf);

impl Tree {
    fn new(test: &str) -> Self {
        let root = tmp("hostile-fixtures").join(test);
        let _ = fs::remove_dir_all(&root);
        let tree = Self(root);
        tree.file("Org/Repo/Q4/good.md", GOOD);
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(path), content).unwrap();
        self
    }

    /// What is wrong, by name, in the scanner's order; the good fixtures are not here.
    fn errors(&self) -> Vec<(String, ManifestError)> {
        let wrong = |found: Found| match found.fixture {
            Ok(_) => None,
            Err(GeniusError::Manifest(e)) => Some((found.name, e)),
            Err(other) => panic!("{other}"),
        };
        scan(&self.0).into_iter().filter_map(wrong).collect()
    }

    /// Asserts that this is all that is wrong: name, line and part of the reason.
    fn assert_errors(&self, expected: &[(&str, usize, &str)]) {
        let errors = self.errors();
        let names: Vec<&str> = errors.iter().map(|(name, _)| &**name).collect();
        let expected_names: Vec<&str> = expected.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, expected_names);
        for ((name, error), (_, line, reason)) in errors.iter().zip(expected) {
            assert_eq!(error.line, Some(*line), "{name}: {error}");
            assert!(error.reason.contains(reason), "{name}: {error}");
            let file = self.0.join(name);
            let with_md = PathBuf::from(format!("{}.md", file.display()));
            assert!(error.file == file || error.file == with_md, "{error}");
        }
        self.assert_runs(expected.len());
    }

    /// Runs everything there is: so many fail, and all others pass.
    fn assert_runs(&self, failing: usize) {
        let found = scan(&self.0);
        let passing = found.len() - failing;
        let shared = Arc::new(Shared::new("pinky", Scenario::FIXTURE));
        // Into a file: a report full of failures in a test that passes misleads.
        let log = self.0.with_extension("log");
        let arguments = Arguments {
            logfile: Some(log.display().to_string()),
            ..Arguments::default()
        };
        let broken: Vec<String> = found
            .iter()
            .filter_map(|f| Some(f.fixture.as_ref().err()?.to_string()))
            .collect();
        let conclusion = libtest_mimic::run(&arguments, trials(found, &shared));
        let log = fs::read_to_string(log).unwrap();
        for error in broken {
            assert!(log.contains(&error), "{error} is not in {log}");
        }
        assert_eq!(conclusion.num_failed, failing as u64);
        assert_eq!(conclusion.num_passed, passing as u64);
    }
}

#[test]
fn bad_content_names_its_line_and_stops_nobody() {
    let tree = Tree::new("content");
    tree.file("Org/Repo/Q4/bad-toml.md", "+++\n[limits\n+++\nHello\n")
        .file(
            "Org/Repo/Q4/binary.md",
            b"+++\n+++\nHello\n\x7fELF\xff\xfe\0\0",
        )
        .file("Org/Repo/Q4/empty.md", "")
        .file(
            "Org/Repo/Q4/nan.md",
            "+++\n[sampling]\ntemperature = nan\n+++\nHello\n",
        )
        .file("Org/Repo/Q4/no-front.md", "Hello\n")
        .file("Org/Repo/Q4/no-prompt.md", "+++\nsystem = \"x\"\n+++\n\n")
        .file("Org/Repo/Q4/nul.md", "+++\n+++\nHello\0\n")
        .file("Org/Repo/Q4/open.md", "+++\nsystem = \"x\"\nHello\n")
        .file(
            "Org/Repo/Q4/unknown.md",
            "+++\n[expect]\n\ncontians = []\n+++\nHello\n",
        )
        .file(
            "Org/Repo/Q4/wrong-type.md",
            "+++\n[limits]\nmax-tokens = \"8\"\n+++\nHello\n",
        );
    tree.assert_errors(&[
        ("Org/Repo/Q4/bad-toml", 2, ""),
        ("Org/Repo/Q4/binary", 4, "not UTF-8"),
        ("Org/Repo/Q4/empty", 1, "empty"),
        ("Org/Repo/Q4/nan", 3, "it is NaN; it must be 0 to 10"),
        ("Org/Repo/Q4/no-front", 1, "opens the front matter"),
        ("Org/Repo/Q4/no-prompt", 3, "no prompt"),
        ("Org/Repo/Q4/nul", 3, "control character"),
        ("Org/Repo/Q4/open", 1, "not closed"),
        (
            "Org/Repo/Q4/unknown",
            4,
            "unknown key `contians`; did you mean `contains`?",
        ),
        ("Org/Repo/Q4/wrong-type", 3, "invalid type"),
    ]);
}

#[test]
fn a_fixture_in_the_wrong_place_is_told() {
    let tree = Tree::new("places");
    tree.file("README.md", "# Not a fixture")
        .file("notes.txt", "not one either")
        .file("Org/Repo/Q4/picture.png", "not one either")
        .file("top.md", GOOD)
        .file("Org/README.md", "# Only at the root")
        .file("Org/Repo/shallow.md", GOOD)
        .file("Org/Repo/Q4/deeper/deep.md", GOOD)
        .file("Org/Repo/Q4/UPPER.MD", GOOD)
        .file("Org/Repo/Q4/.hidden.md", GOOD)
        .file("Org/Repo/Q4@main/revision.md", GOOD)
        .file("Org/R p/Q4/space.md", GOOD);
    tree.assert_errors(&[
        ("Org/R p/Q4/space", 1, "name no model"),
        ("Org/README.md", 1, "1 folder above"),
        ("Org/Repo/Q4/.hidden", 1, "a test's name"),
        ("Org/Repo/Q4/UPPER.MD", 1, "lower case"),
        ("Org/Repo/Q4/deeper/deep.md", 1, "4 folders above"),
        ("Org/Repo/Q4@main/revision", 1, "not ORG/REPO/QUANT"),
        ("Org/Repo/shallow.md", 1, "2 folders above"),
        ("top.md", 1, "no folder above"),
    ]);
}

#[test]
fn a_large_file_is_refused_unread() {
    let tree = Tree::new("large");
    let sparse = fs::File::create(tree.path("Org/Repo/Q4/sparse.md")).unwrap();
    sparse.set_len(100 << 20).unwrap();
    tree.assert_errors(&[("Org/Repo/Q4/sparse", 1, "it has 104857600 bytes")]);
}

#[test]
fn folders_without_end_are_not_followed_to_it() {
    let tree = Tree::new("deep");
    tree.file(&format!("{}x.md", "d/".repeat(40)), GOOD);
    let cut = vec!["d"; 16].join("/");
    tree.assert_errors(&[(&cut, 1, "that deep")]);
}

#[test]
fn a_folder_that_is_not_there_or_empty_is_a_failing_test_too() {
    let missing = tmp("hostile-fixtures").join("no-such-folder");
    let empty = tmp("hostile-fixtures").join("empty");
    fs::create_dir_all(&empty).unwrap();
    for (root, reason) in [(missing, "No such file"), (empty, "no fixture")] {
        let found = scan(&root);
        assert_eq!(found.len(), 1);
        let error = found[0].fixture.as_ref().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.starts_with(&format!("{}:1: ", root.display())));
    }
}

#[test]
fn the_order_is_the_same_every_time() {
    let tree = Tree::new("order");
    for name in ["b", "a", "C", "10", "9"] {
        tree.file(&format!("Org/Repo/Q4/{name}.md"), GOOD);
    }
    let names = || -> Vec<String> { scan(&tree.0).into_iter().map(|f| f.name).collect() };
    let tests = ["10", "9", "C", "a", "b", "good"];
    assert_eq!(names(), tests.map(|test| format!("Org/Repo/Q4/{test}")));
    assert_eq!(names(), names());
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn what_is_no_file_is_not_opened() {
        let tree = Tree::new("kinds");
        fs::create_dir_all(tree.path("Org/Repo/Q4/folder.md")).unwrap();
        // Opening a FIFO would wait for ever.
        let fifo = tree.path("Org/Repo/Q4/fifo.md");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        symlink("fifo.md", tree.path("Org/Repo/Q4/to-fifo.md")).unwrap();
        let mut expected = vec![
            ("Org/Repo/Q4/fifo", 1, "a pipe, a socket or a device"),
            ("Org/Repo/Q4/folder", 1, "it is a folder"),
            ("Org/Repo/Q4/to-fifo", 1, "no file"),
        ];
        // A socket's path has at most 100 bytes or so; not every checkout is that near.
        if UnixListener::bind(tree.path("Org/Repo/Q4/socket.md")).is_ok() {
            expected.insert(2, ("Org/Repo/Q4/socket", 1, "a pipe, a socket or a device"));
        }
        tree.assert_errors(&expected);
    }

    #[test]
    fn links_are_followed_to_files_below_the_root_only() {
        let tree = Tree::new("links");
        let secret = tmp("hostile-fixtures").join("outside.md");
        fs::write(&secret, GOOD).unwrap();
        let link = |to: &Path, name: &str| symlink(to, tree.path(name)).unwrap();
        link(Path::new("good.md"), "Org/Repo/Q4/inside.md");
        link(&secret, "Org/Repo/Q4/absolute.md");
        link(
            Path::new("../../../../outside.md"),
            "Org/Repo/Q4/upwards.md",
        );
        link(Path::new("loop.md"), "Org/Repo/Q4/loop.md");
        link(Path::new("nowhere"), "Org/Repo/Q4/dangling.md");
        link(Path::new(".."), "Org/Repo/Q4/up");
        link(Path::new("/dev/zero"), "Org/Repo/Q4/zero.md");
        link(Path::new("/dev/zero"), "Org/Repo/Q4/zero");
        link(Path::new("/"), "Other");
        tree.assert_errors(&[
            ("Org/Repo/Q4/absolute", 1, "a link out of"),
            ("Org/Repo/Q4/dangling", 1, "leads nowhere"),
            ("Org/Repo/Q4/loop", 1, "leads nowhere"),
            ("Org/Repo/Q4/up", 1, "a link to a folder"),
            ("Org/Repo/Q4/upwards", 1, "a link out of"),
            ("Org/Repo/Q4/zero", 1, "a link out of"),
            ("Other", 1, "a link to a folder"),
        ]);
        let names: Vec<String> = scan(&tree.0).into_iter().map(|f| f.name).collect();
        assert!(names.contains(&"Org/Repo/Q4/inside".to_owned()));
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_the_report() {
        let tree = Tree::new("names");
        for name in [
            &b"a\ntest forged ... ok.md"[..],
            b"b\x1b[2J.md",
            b"c\"quote'.md",
            b"d\xff.md",
            "e\u{202e}.md".as_bytes(),
        ] {
            let path = tree
                .path("Org/Repo/Q4/x")
                .with_file_name(OsStr::from_bytes(name));
            // Not every file system takes every name.
            if fs::write(path, GOOD).is_err() {
                eprintln!("left out: {}", name.escape_ascii());
            }
        }
        let errors = tree.errors();
        assert!(errors.len() >= 4);
        for (name, error) in &errors {
            let shown = error.to_string();
            assert!(!name.contains(char::is_control), "{name:?}");
            assert!(!shown.contains(char::is_control), "{shown:?}");
            assert!(!shown.contains('\u{202e}'), "{shown:?}");
            assert!(shown.contains(".md:1: a test's name is"), "{shown}");
        }
        assert_eq!(errors[0].0, "Org/Repo/Q4/a\\ntest forged ... ok");
        tree.assert_runs(errors.len());
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let tree = Tree::new("closed");
        let (file, folder) = (tree.path("Org/Repo/Q4/closed.md"), tree.path("Shut/x"));
        fs::write(&file, GOOD).unwrap();
        let folder = folder.parent().unwrap();
        let close = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        close(&file, 0o000);
        close(folder, 0o000);
        // The superuser reads everything.
        if fs::read(&file).is_err() {
            tree.assert_errors(&[
                ("Org/Repo/Q4/closed", 1, "ermission denied"),
                ("Shut", 1, "ermission denied"),
            ]);
        }
        close(folder, 0o755);
        close(&file, 0o644);
    }
}
