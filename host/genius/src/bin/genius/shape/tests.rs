use super::*;
use clap::Parser;
use std::path::PathBuf;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    shape: Shape,
}

fn config(args: &[&str]) -> Result<PartialConfig, String> {
    let line = ["genius"].iter().chain(args);
    match Line::try_parse_from(line) {
        Ok(line) => Ok(line.shape.config()),
        Err(e) => Err(e.to_string()),
    }
}

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("genius-shape-{test}-{}", std::process::id());
        // Below the target directory, where cargo says so.
        let tmp =
            std::env::var_os("RUSTY_GENIUS_TMP").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tmp.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn without_flags_nothing_is_set() {
    assert_eq!(config(&[]).unwrap(), PartialConfig::default());
}

#[test]
fn a_constraint_is_a_files_text_or_an_expression() {
    let folder = Folder::new("read");
    let constraint = |args: &[&str]| config(args).unwrap().behavior.constraint.unwrap();
    let schema = folder.file("schema.json", b"{\"type\": \"object\"}\n");
    assert_eq!(
        constraint(&["--json-schema", &schema]),
        Constraint::JsonSchema("{\"type\": \"object\"}\n".into())
    );
    let grammar = folder.file("x.lark", b"start: \"a\"+\n");
    assert_eq!(
        constraint(&["--grammar", &grammar]),
        Constraint::Grammar("start: \"a\"+\n".into())
    );
    assert_eq!(
        constraint(&["--regex", "[a-z]+"]),
        Constraint::Regex("[a-z]+".into())
    );
}

#[test]
fn an_answer_has_one_constraint_at_most() {
    let folder = Folder::new("both");
    let grammar = folder.file("x.lark", b"start: \"a\"");
    let error = config(&["--regex", "a", "--grammar", &grammar]).unwrap_err();
    assert!(error.contains("cannot be used with"), "{error}");
}

#[test]
fn a_file_that_cannot_be_a_constraint_is_named_with_its_reason() {
    let folder = Folder::new("bad");
    let mib = vec![b'1'; 1 << 20];
    for (flag, file, reason) in [
        ("--json-schema", "no/such/file".into(), "No such file"),
        (
            "--json-schema",
            folder.0.to_str().unwrap().into(),
            "directory",
        ),
        ("--json-schema", folder.file("cut", b"{\n\"a\":"), "line 2"),
        (
            "--json-schema",
            folder.file("long", &mib),
            "more than 65536 bytes",
        ),
        (
            "--grammar",
            folder.file("over", &mib[..65_537]),
            "more than 65536 bytes",
        ),
        (
            "--grammar",
            folder.file("bytes", b"start: \xff"),
            "not UTF-8",
        ),
        ("--grammar", folder.file("nothing", b""), "is empty"),
        #[cfg(unix)]
        ("--grammar", "/dev/zero".into(), "more than 65536 bytes"),
    ] {
        let error = config(&[flag, &file]).unwrap_err();
        assert!(error.contains(reason), "{file}: {error}");
        assert!(error.contains(&file) && error.contains(flag), "{error}");
    }
    let most = folder.file("most", &mib[..65_536]);
    assert!(config(&["--grammar", &most]).is_ok());
    assert!(config(&["--regex="]).unwrap_err().contains("is empty"));
    let long = "a".repeat(65_537);
    assert!(config(&["--regex", &long]).is_err());
}

#[test]
fn an_overflow_is_an_error_or_a_shift() {
    let overflow = |how: &str| config(&["--overflow", how]).map(|c| c.behavior.overflow);
    assert_eq!(overflow("shift"), Ok(Some(Overflow::Shift)));
    assert_eq!(overflow("error"), Ok(Some(Overflow::Error)));
    assert!(overflow("drop").unwrap_err().contains("shift"));
}
