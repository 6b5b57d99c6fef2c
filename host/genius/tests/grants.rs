//! What a stranger's component gets, as the person who runs it meets it: `guest inspect`,
//! `genius.toml`, the flags, `--dry-run`, `--stats`, `runs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A fresh directory with a home of its own.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("grants")
            .join(test);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_genius"));
        command
            .args(args)
            .current_dir(&self.0)
            .env("RUSTY_GENIUS_HOME", self.0.join("home"))
            .env("RUSTY_GENIUS_TMP", self.0.join("runs"))
            .env("HF_HUB_CACHE", self.0.join("no-models"))
            .stdin(Stdio::null());
        command
    }

    fn genius(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command that succeeds says on stdout.
    fn says(&self, args: &[&str]) -> String {
        let output = self.genius(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout).to_owned()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(args)).unwrap()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What a capability would be, in the JSON of an inspection.
fn gets<'a>(outlook: &'a Value, capability: &str) -> &'a Value {
    let outcome = outlook["outcome"].as_array().unwrap();
    outcome
        .iter()
        .find(|row| row["capability"] == capability)
        .unwrap()
}

#[test]
fn an_inspection_says_what_a_component_wants_in_plain_words() {
    let place = Place::new("inspect");
    let said = place.says(&["guest", "inspect", "ask"]);
    for words in [
        "workflow",
        "0.2.0",
        "sha256:",
        "asks models",
        "says its answer to whoever runs it",
        "/scratch read-write",
        "It would run.",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    let outlook = place.json(&["guest", "inspect", "ask", "--json"]);
    assert_eq!(outlook["would-run"], true);
    assert_eq!(gets(&outlook, "models")["asks"], true);
    assert_eq!(gets(&outlook, "stdin")["gets"], Value::Array(vec![]));
}

#[test]
fn a_component_nobody_can_grant_its_wish_is_told_apart_before_it_runs() {
    let place = Place::new("refused");
    for (guest, why) in [
        ("hostile/import-http", "no network"),
        ("hostile/contract-0-1", "0.1.0"),
        ("hostile/import-unknown", "does not know"),
    ] {
        let said = place.says(&["guest", "inspect", guest]);
        assert!(said.contains("It would not run"), "{guest}: {said}");
        assert!(said.contains(why), "{guest}: {said}");
        let output = place.genius(&["run", guest, "--engine", "pinky"]);
        assert_eq!(output.status.code(), Some(3), "{guest}");
        let output = place.genius(&["run", guest, "--dry-run"]);
        assert_eq!(output.status.code(), Some(3), "{guest}");
    }
}

#[test]
fn a_manifest_grants_and_flags_win_over_it() {
    let place = Place::new("manifest");
    place.write("docs/a.md", "# A\nthe needle is here\n");
    place.write(
        "genius.toml",
        r#"
        component = "ask"
        model = "narf-1m"
        [grants]
        models = ["qwen*"]
        [grants.files]
        "/docs" = "docs"
        [grants.tools.calc]
        [budget]
        wall-time = "7s"
        "#,
    );
    let outlook = place.json(&["run", "genius.toml", "--dry-run", "--json"]);
    assert_eq!(gets(&outlook, "tools")["gets"][0], "calc");
    assert_eq!(gets(&outlook, "models")["gets"][1], "qwen*");
    assert_eq!(outlook["budget"]["wall-time"], "7s");
    let said = place.says(&["run", ".", "--dry-run", "--timeout", "9", "--env", "LANG"]);
    assert!(said.contains("/docs read-only"), "{said}");
    assert!(said.contains("LANG"), "{said}");
    let wall = said
        .lines()
        .find(|line| line.contains("wall-time"))
        .unwrap();
    assert!(wall.contains("9s") && !wall.contains("default"), "{wall}");
    // It runs from there, too, and its relative paths are the manifest's.
    let output = place
        .command(&["run", "../manifest", "--engine", "pinky", "--", "Hello"])
        .current_dir(place.0.join("docs"))
        .output()
        .unwrap();
    assert!(
        !output.status.success(),
        "there is no ../manifest from docs"
    );
    let said = place.says(&["run", ".", "--pinky-delay=0", "--", "Hello"]);
    assert!(said.starts_with("Narf!"), "{said}");
}

#[test]
fn what_is_wrong_in_a_manifest_is_named_with_its_place() {
    let place = Place::new("wrong");
    for (manifest, words) in [
        (
            "component = 'ask'\n[grants]\nnetwrk = true",
            "genius.toml:3:1",
        ),
        (
            "component = 'ask'\n[budget]\nmemroy = '1MiB'",
            "did you mean `memory`",
        ),
        (
            "component = 'ask'\n[grants.files]\n'/x' = 'nowhere'",
            "nowhere",
        ),
        ("[budget]\nmemory = '1MiB'", "`component`"),
        ("component = 'ask'\n[grants.tools.nobody]", "nobody"),
    ] {
        place.write("genius.toml", manifest);
        let output = place.genius(&["run", "genius.toml", "--engine", "pinky", "--", "x"]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{manifest}: {stderr}");
        assert!(stderr.contains(words), "{manifest}: {stderr}");
        assert!(stderr.contains("hint: "), "{stderr}");
    }
}

#[test]
fn a_pinned_component_is_that_one_or_none() {
    let place = Place::new("pinned");
    let outlook = place.json(&["guest", "inspect", "ask", "--json"]);
    let digest = outlook["digest"].as_str().unwrap();
    place.write(
        "genius.toml",
        format!("component = 'ask'\ndigest = '{digest}'"),
    );
    place.says(&["run", ".", "--pinky-delay=0", "--", "Hello"]);
    let other = format!("sha256:{}", "0".repeat(64));
    place.write(
        "genius.toml",
        format!("component = 'ask'\ndigest = '{other}'"),
    );
    let output = place.genius(&["run", ".", "--pinky-delay=0", "--", "Hello"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains(&other));
}

#[test]
fn every_run_leaves_a_record_and_none_where_that_is_asked() {
    let place = Place::new("records");
    let output = place.genius(&["runs", "list"]);
    assert!(output.status.success() && output.stdout.is_empty());
    place.says(&["run", "ask", "--pinky-delay=0", "Hello"]);
    place.genius(&["run", "hostile/spin", "--pinky-delay=0", "--timeout=0.2"]);
    place.says(&["run", "ask", "--pinky-delay=0", "--no-record", "Hello"]);
    let listed = place.says(&["runs", "list", "--json"]);
    let runs: Vec<Value> = listed
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let outcomes: Vec<&str> = runs
        .iter()
        .map(|r| r["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["done", "budget"]);
    let first = runs[0]["run"].as_str().unwrap();
    let record = place.says(&["runs", "show", first, "--json"]);
    let lines: Vec<Value> = record
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines[0]["component"], "ask");
    assert!(lines[0]["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(lines[0]["budget"]["wall-time"], "1m");
    assert!(lines.iter().any(|l| l["type"] == "decision"), "{record}");
    let end = lines.last().unwrap();
    assert_eq!(end["outcome"], "done");
    assert!(end["calls"]["cortex"].as_u64().unwrap() >= 2);
    assert!(end["consumed"]["completion-tokens"].as_u64().unwrap() > 0);
    let shown = place.says(&["runs", "show", "last"]);
    assert!(shown.contains("its time of 200ms"), "{shown}");
    let output = place.genius(&["runs", "show", "../../etc"]);
    assert_eq!(output.status.code(), Some(6));
}

#[test]
fn what_was_denied_is_told_with_the_key_that_would_allow_it() {
    let place = Place::new("denied");
    let output = place.genius(&["run", "hostile/greedy", "--pinky-delay=0", "other-model"]);
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("denied: model other/model; `grants.models = [\"other/model\"]`"),
        "{stderr}"
    );
    let said = place.says(&[
        "run",
        "hostile/greedy",
        "--pinky-delay=0",
        "--models=other/*",
        "other-model",
    ]);
    assert_eq!(said, "other-model: ok\n");
}

#[test]
fn a_tool_works_in_what_it_was_granted() {
    let place = Place::new("tool");
    place.write("docs/deep/a.md", "# A\nthe needle is here\n");
    place.write(
        "genius.toml",
        r#"
        component = "hostile/toolcaller"
        [grants.tools.calc]
        [grants.tools.search]
        component = "fs-search"
        files = { "/docs" = "docs" }
        "#,
    );
    let call = |name: &str, arguments: &str| {
        place.says(&["run", ".", "--pinky-delay=0", "--", "call", name, arguments])
    };
    let sum = call("calc", r#"{"expression":"2*(3+4)^2"}"#);
    assert!(sum.contains("98"), "{sum}");
    let found = call("search", r#"{"pattern":"needle","in":"contents"}"#);
    assert!(
        found.contains("a.md") && found.contains("needle is here"),
        "{found}"
    );
}

#[test]
fn the_figures_of_a_run_are_shown_on_request() {
    let place = Place::new("stats");
    let output = place.genius(&["run", "ask", "--pinky-delay=0", "--stats", "Hello"]);
    let stderr = text(&output.stderr);
    for key in [
        "wall-time",
        "memory",
        "completion-tokens",
        "scratch",
        "calls",
    ] {
        assert!(stderr.contains(key), "no {key}: {stderr}");
    }
}
