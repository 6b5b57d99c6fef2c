//! `genius policy` as its users meet it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

fn tmp(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("policy")
        .join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn policy(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_genius"))
        .env("RUSTY_GENIUS_HOME", tmp("home"))
        .env("RUSTY_GENIUS_TMP", tmp("runs"))
        .arg("policy")
        .args(args)
        .output()
        .unwrap()
}

fn simulate(args: &[&str]) -> Output {
    policy(&[&["simulate"], args].concat())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Asserts how a command failed: the code, an `error:` with these words, and a `hint:`.
fn assert_fails(output: &Output, code: i32, error: &str, hint: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(
        stderr.contains("error: ") && stderr.contains(error),
        "{stderr}"
    );
    assert!(stderr.contains(hint), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn shipped(name: &str) -> String {
    format!(
        "{}/../../fixtures/traces/{name}.trace",
        env!("CARGO_MANIFEST_DIR")
    )
}

const SMALL: &str = "pattern=bursty,requests=150,models=5,memory=8GiB,seed=3,rate=2";

// --- check

#[test]
fn a_policy_says_what_it_asks_for_and_stands_a_trial() {
    let output = policy(&["check", "lru"]);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines[0], "policy   lru");
    assert_eq!(
        lines[1],
        "events   request-arrived, memory-pressure, engine-died"
    );
    assert_eq!(
        lines[2..4],
        ["tick     none", "prompts  does not ask for them"]
    );
    assert!(
        lines[4].starts_with("trial    300 requests: "),
        "{}",
        lines[4]
    );
    assert_eq!(text(&output.stderr), "");
    assert_eq!(policy(&["check", "policy/lru"]).stdout, output.stdout);
}

#[test]
fn every_policy_that_comes_along_stands_its_trial() {
    for guest in rusty_genius::guests::all() {
        if guest.kind != rusty_genius::guests::Kind::Policy {
            continue;
        }
        let settings = match guest.name {
            "policy/router" => ":small=model-02,code=large",
            _ => "",
        };
        let output = policy(&["check", &format!("{}{settings}", guest.name)]);
        let told = stdout(&output);
        let asks = told.contains("prompts  wants to see them");
        assert_eq!(asks, guest.name == "policy/router", "{told}");
    }
    for native in ["native", "native:immediate", "native:hibernate-after=1m"] {
        assert!(stdout(&policy(&["check", native])).contains("events   all"));
    }
}

#[test]
fn what_is_no_policy_is_told_what_it_is() {
    let dir = tmp("no-policy");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let module = file("module.wasm", &wat::parse_str("(module)").unwrap());
    let component = file("empty.wasm", &wat::parse_str("(component)").unwrap());
    let words = file("words.txt", b"decide!");
    for (what, error, hint) in [
        (&*module, "core WebAssembly module", "wasm32-wasip2"),
        (
            &component,
            "does not export `configure`",
            "the world `policy`",
        ),
        (&words, "not WebAssembly", "wasm32-wasip2"),
        ("ask", "workflow/ask", "policy"),
    ] {
        let output = policy(&["check", what]);
        let error = if what == "ask" { "ask" } else { error };
        assert_fails(&output, 3, error, hint);
    }
    let missing = policy(&["check", "./nothing.wasm"]);
    assert_fails(
        &missing,
        2,
        "no such file, and no built-in guest",
        "policy/lru",
    );
}

#[test]
fn a_policy_that_does_not_take_its_settings_says_why() {
    let output = policy(&["check", "hibernate-after:ttl=soon"]);
    assert_fails(&output, 2, "ttl", "settings stand after the policy's name");
    let output = policy(&["check", "router"]);
    assert_fails(&output, 2, "`small` must name a model", "settings stand");
    let output = policy(&["check", "native:often"]);
    assert_fails(
        &output,
        2,
        "native:often is no native policy",
        "native:immediate",
    );
}

#[test]
fn a_policy_that_misbehaves_fails_its_trial() {
    for (attack, code, told) in [
        (
            "trap",
            1,
            "error: tyrant:attack=trap failed: it was passed over 3 times in a trial",
        ),
        ("trap-once", 1, "in a trial it trapped"),
        ("flood", 1, "it answered more than 1024 commands"),
        ("nonsense", 1, "it answered nonsense"),
        ("timers", 1, "warning: the policy keeps itself busy"),
        ("silent", 0, ""),
        ("reject-all", 0, ""),
    ] {
        let output = policy(&["check", &format!("tyrant:attack={attack}")]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{attack}: {stderr}");
        assert!(stderr.contains(told), "{attack}: {stderr}");
    }
}

// --- simulate

#[test]
fn the_same_is_printed_each_time() {
    let args = ["lru", "--compare", "native:immediate", "--synthetic", SMALL];
    let first = simulate(&args);
    let table = stdout(&first);
    assert!(
        table.lines().all(|line| line.chars().count() <= 60),
        "{table}"
    );
    let row = |label: &str| {
        let line = table
            .lines()
            .find(|l| l.get(2..).is_some_and(|l| l.starts_with(label)));
        let line = line.unwrap_or_else(|| panic!("{label}: {table}"));
        let words: Vec<&str> = line[24..].split_whitespace().collect();
        (line.starts_with('*'), words.join(" "))
    };
    assert_eq!(row("requests"), (false, "150 150".into()));
    for label in [
        "answered", "rejected", "wait p50", "wait p99", "wait max", "loads",
    ] {
        row(label);
    }
    for label in [
        "evictions",
        "memory high-water",
        "longest queue",
        "simulated",
    ] {
        row(label);
    }
    assert!(row("unloads").0, "the second unloads: {table}");
    assert!(text(&first.stderr).contains("decisions a second"));
    assert_eq!(simulate(&args).stdout, first.stdout);

    let json = ["lru", "--compare", "native", "--json", "--synthetic", SMALL];
    let first = simulate(&json);
    let objects: Vec<Value> = stdout(&first)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["policy"], "lru");
    assert_eq!(objects[1]["requests"], 150);
    assert_eq!(objects[0]["memory-limit"], 8_u64 << 30);
    assert_eq!(objects[0]["broken"], Value::Array(vec![]));
    assert!(objects[0]["wait-ms"]["p99"].as_f64().unwrap() > 0.0);
    assert_eq!(simulate(&json).stdout, first.stdout);
}

#[test]
fn a_guest_decides_as_its_native_twin() {
    let day = shipped("day");
    for (guest, native) in [
        ("immediate", "native:immediate"),
        ("hibernate-after:ttl=120", "native:hibernate-after=2m"),
    ] {
        let output = simulate(&[guest, "--compare", native, "--trace", &day, "--json"]);
        let figures = |line: &str| {
            let mut object: Value = serde_json::from_str(line).unwrap();
            let map = object.as_object_mut().unwrap();
            // They are asked about other events.
            for key in ["policy", "name", "decisions"] {
                map.remove(key);
            }
            object
        };
        let lines: Vec<Value> = stdout(&output).lines().map(figures).collect();
        assert_eq!(lines[0], lines[1]);
        assert_eq!(lines[0]["requests"], 1500);
    }
}

#[test]
fn a_trace_that_is_written_is_the_same_trace() {
    let file = tmp("written").join("small.trace");
    let path = file.to_str().unwrap();
    let made = simulate(&["lru", "--synthetic", SMALL, "--write-trace", path]);
    let read = simulate(&["lru", "--trace", path]);
    assert_eq!(stdout(&made), stdout(&read));
    let tighter = simulate(&["lru", "--trace", path, "--memory-limit", "6GiB"]);
    assert_ne!(stdout(&tighter), stdout(&read));
    let names = std::fs::read_dir(tmp("written")).unwrap();
    assert_eq!(names.count(), 1, "nothing is left beside it");
}

#[test]
fn a_plot_shows_every_model() {
    let file = tmp("plot").join("day.svg");
    let path = file.to_str().unwrap();
    let output = simulate(&["lru", "--trace", &shipped("day"), "--plot", path]);
    stdout(&output);
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for words in [
        "model-01",
        "model-40",
        "queue",
        "memory",
        "limit",
        "32.00 GiB",
    ] {
        assert!(svg.contains(words), "{words}");
    }
    assert!(svg.len() < 2_000_000, "{} bytes", svg.len());
    simulate(&["lru", "--trace", &shipped("day"), "--plot", path]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), svg);
}

#[test]
fn what_is_wrong_is_told() {
    let bad = tmp("bad").join("bad.trace");
    std::fs::write(&bad, "+++\n[[model]]\nname = \"a\"\n+++\n").unwrap();
    let bad = bad.to_str().unwrap();
    for (args, code, error, hint) in [
        (
            &["lru"][..],
            2,
            "--trace <FILE>|--synthetic <SPEC>",
            "Usage",
        ),
        (
            &["lru", "--trace", "none.trace"],
            2,
            "none.trace: No such file",
            "--synthetic SPEC",
        ),
        (
            &["lru", "--trace", bad],
            2,
            "bad.trace:2",
            "hint: correct `model[0]`",
        ),
        (
            &["lru", "--synthetic", "speed=9"],
            2,
            "`speed`: no such key; there are",
            "pattern",
        ),
        (
            &["lru", "--synthetic", "rate=0"],
            2,
            "`rate`: it is \"0\"; it must be",
            "",
        ),
        (
            &["lru", "--synthetic", SMALL, "--plot", "/nowhere/at/all.svg"],
            6,
            "writing /nowhere/at/all.svg",
            "",
        ),
    ] {
        assert_fails(&simulate(args), code, error, hint);
    }
}
