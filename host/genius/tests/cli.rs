//! The `genius` command as its users meet it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn tmp(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("cli")
        .join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// A command with a home of its own; `test` keeps tests apart that look into it.
fn genius(test: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genius"));
    command
        .env("RUSTY_GENIUS_HOME", tmp(test).join("home"))
        .env("RUSTY_GENIUS_TMP", tmp(test).join("runs"))
        .env("HF_HUB_CACHE", tmp(test).join("no-models"));
    command
}

fn run(test: &str, args: &[&str]) -> Output {
    genius(test).arg("run").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Asserts how a run failed: the code, an `error:` with these words, and a `hint:`.
fn assert_fails(output: &Output, code: i32, error: &str, hint: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let line = |prefix: &str| stderr.lines().find(|l| l.starts_with(prefix));
    assert!(line("error: ").unwrap().contains(error), "{stderr}");
    assert!(line("hint: ").unwrap().contains(hint), "{stderr}");
    for sign in ["panicked", "backtrace", "RUST_BACKTRACE"] {
        assert!(!stderr.contains(sign), "{stderr}");
    }
    assert!(stderr.lines().count() <= 24, "more than a screen: {stderr}");
}

#[test]
fn an_answer_is_on_stdout_and_everything_else_on_stderr() {
    let output = run("answer", &["ask", "--pinky-delay=0", "What", "now?"]);
    assert!(output.status.success());
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stdout.starts_with("Narf!"), "{stdout}");
    let usage = stderr.lines().last().unwrap();
    assert!(
        usage.contains("pinky") && usage.contains("tokens"),
        "{stderr}"
    );
    assert!(stderr.lines().count() >= 2, "no thoughts: {stderr}");
    assert!(
        !stderr.contains('\x1b'),
        "colour without a terminal: {stderr:?}"
    );
    let path = usage.rsplit(" · ").next().unwrap().trim_end_matches(']');
    assert_eq!(std::fs::read_to_string(path).unwrap(), stdout);
}

#[test]
fn without_a_model_the_one_that_comes_along_answers_from_its_weights() {
    let output = run("narf", &["ask", "What is the capital of France?"]);
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(text(&output.stdout), "The capital of France is Paris.");
    assert!(stderr.starts_with("France: Paris."), "no thought: {stderr}");
    let usage = stderr.lines().last().unwrap();
    assert!(
        usage.contains("rusty-genius/narf-1m:Q8_0 on bytelm"),
        "{usage}"
    );
}

#[test]
fn a_tool_call_that_nobody_serves_is_a_line_of_the_answer() {
    let words = "You have these tools: calc(expression), weather(city).";
    for guest in ["ask", "ask-blocking"] {
        let output = run("tool", &[guest, words, "What is the weather in Paris?"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stdout), "weather({\"city\":\"Paris\"})\n");
    }
}

#[test]
fn a_named_engine_wins_over_the_models_own() {
    let output = run("pinky", &["ask", "--engine", "pinky", "Hello"]);
    assert!(text(&output.stdout).starts_with("Narf!"));
}

#[test]
fn quiet_leaves_only_the_answer() {
    let output = run("quiet", &["ask", "-q", "--pinky-delay=0", "Hello"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn json_is_one_event_a_line_from_start_to_end() {
    let output = run("json", &["ask", "--json", "--pinky-delay=0", "Hello"]);
    let events: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(types.first(), Some(&"start"));
    assert_eq!(types.last(), Some(&"end"));
    for kind in ["thought", "content", "note"] {
        assert!(types.contains(&kind), "{types:?}");
    }
    let end = events.last().unwrap();
    assert_eq!(end["outcome"], "done");
    assert_eq!(end["exit-code"], 0);
    assert!(end["usage"]["completion-tokens"].as_u64().unwrap() > 0);
    assert_eq!(end["files"], serde_json::json!(["answer.md"]));
}

#[test]
fn a_guest_that_loops_for_ever_ends_at_its_deadline() {
    let output = run("spin", &["hostile/spin", "--timeout", "0.2"]);
    assert_fails(&output, 4, "its time of 200ms", "--timeout");
}

#[test]
fn a_guest_that_hoards_memory_stays_within_it() {
    let output = run("hoard", &["hostile/hoard", "--memory", "16", "--json"]);
    let stdout = text(&output.stdout);
    let end: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert!(end["memory-peak"].as_u64().unwrap() <= 16 << 20, "{stdout}");
}

#[test]
fn a_guest_that_wants_out_gets_nothing_and_the_report_lists_each_refusal() {
    let output = run("escape", &["hostile/escape"]);
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.lines().count() > 20);
    for line in stdout.lines() {
        assert!(line.contains(": refused"), "{line}");
    }
}

#[test]
fn what_is_no_component_is_refused_with_its_reason() {
    let dir = tmp("refused");
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let run = |path: &str| run("refused", &[path]);

    let output = run("no-such.wasm");
    assert_fails(&output, 2, "no-such.wasm: no such file", "ask");
    let output = run(dir.to_str().unwrap());
    assert_fails(
        &output,
        2,
        "it is a directory, and has no genius.toml",
        "ask",
    );
    let output = run(&file("text.wasm", b"#!/bin/sh\necho hello\n"));
    assert_fails(&output, 3, "not WebAssembly", "wasm32-wasip2");
    let output = run(&file("core.wasm", b"\0asm\x01\0\0\0"));
    assert_fails(&output, 3, "core WebAssembly module", "wasm32-wasip2");
    let output = run(&file("cut.wasm", b"\0asm\x0d\0\x01\0\x07\xff"));
    assert_fails(&output, 3, "damaged or truncated", "again");
    let unknown = wat::parse_str(r#"(component (import "acme:door/key" (instance)))"#).unwrap();
    let output = run(&file("unknown.wasm", &unknown));
    assert_fails(&output, 3, "`acme:door/key`", "without this import");
    let output = run(&file(
        "nothing.wasm",
        &wat::parse_str("(component)").unwrap(),
    ));
    assert_fails(&output, 3, "does not export `run`", "workflow");
    let output = run("fixture");
    assert_fails(&output, 3, "test scenario", "workflow");
}

#[test]
fn wrong_usage_says_what_to_type() {
    let output = run("usage", &["ask"]);
    assert_fails(&output, 2, "takes a prompt", "after its name");
    let output = run("usage", &["ask", "--engine", "nope", "Hello"]);
    assert_fails(&output, 2, "no engine named \"nope\"", "--engine");
    let output = run("usage", &["ask", "--timeout", "soon", "Hello"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("30, or 0.5"));
    let bad = genius("usage")
        .arg("run")
        .arg("ask")
        .args(["--model", "x", "Hello"])
        .output();
    let output = bad.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("org/repo[:QUANT]"));
}

#[cfg(not(feature = "real-engine"))]
#[test]
fn a_setting_of_llama_cpp_is_an_error_where_it_is_missing() {
    for flag in ["--threads=2", "--context=4096"] {
        let output = run("brain", &["ask", flag, "Hello"]);
        assert_fails(&output, 2, "is for llama.cpp", "--features real-engine");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_model_larger_than_the_limit_is_refused_with_both_figures() {
    let output = run("small-memory", &["ask", "--memory-limit=1MiB", "Hello"]);
    assert_fails(&output, 5, "the limit is 1048576", "raise --memory-limit");
}

#[test]
fn a_size_that_is_none_says_what_to_type() {
    let output = run("size", &["ask", "--memory-limit=4 gigs", "Hello"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("4GiB"), "{output:?}");
}

#[test]
fn a_log_is_off_unless_asked_for_and_its_filter_is_checked() {
    let logged = |filter: &str| {
        let mut command = genius("log");
        command.env("RUSTY_GENIUS_LOG", filter);
        command.args(["run", "ask", "-q", "--pinky-delay=0", "Hello"]);
        command.output().unwrap()
    };
    for filter in ["", "off", "warn", "llama-cpp-2=debug,warn"] {
        let output = logged(filter);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stderr), "", "{filter:?}");
    }
    for bad in ["warn=loud", "a=\x1b[2J\nb"] {
        let output = logged(bad);
        assert_fails(&output, 2, "RUSTY_GENIUS_LOG is ", "llama-cpp-2=debug,warn");
        assert!(!text(&output.stderr).contains('\x1b'), "{output:?}");
    }
}

#[test]
fn a_constraint_that_cannot_be_read_is_told_before_anything_runs() {
    let file = tmp("constraint").join("schema.json");
    std::fs::write(&file, "{ \"type\": object }").unwrap();
    let file = file.to_str().unwrap();
    for (args, reason) in [
        (&["--json-schema", file][..], "line 1"),
        (&["--json-schema", "no-such.json"], "no-such.json"),
        (&["--grammar", "/"], "directory"),
        (&["--regex="], "is empty"),
        (&["--regex", "a", "--grammar", file], "cannot be used with"),
        (&["--overflow", "drop"], "shift"),
    ] {
        let output = run("constraint", &[&["ask"], args, &["Hello"]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(text(&output.stdout), "");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(reason), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn the_flags_are_the_runs_defaults() {
    // What the manifest says of the model still holds where no flag does.
    let config = tmp("flags").join("home/config");
    std::fs::create_dir_all(&config).unwrap();
    let text = "[models.small]\nsource = \"a/b\"\nbehavior = { max-tokens = 3 }\n";
    std::fs::write(config.join("models.toml"), text).unwrap();
    let args = [
        "ask",
        "--model=small",
        "--overflow=shift",
        "--json",
        "--pinky-delay=0",
        "Hi",
    ];
    let output = run("flags", &args);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let end: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(end["usage"]["completion-tokens"], 3);
    assert_eq!(end["usage"]["cached-tokens"], 0);
}

#[test]
fn a_bad_manifest_names_file_line_and_key() {
    let config = tmp("manifest").join("home/config");
    std::fs::create_dir_all(&config).unwrap();
    let text = "[models.small]\nsource = \"a/b\"\nsampling = { temperature = \"hot\" }\n";
    std::fs::write(config.join("models.toml"), text).unwrap();
    let output = run("manifest", &["ask", "Hello"]);
    assert_fails(
        &output,
        2,
        "models.toml:3:",
        "`models.small.sampling.temperature`",
    );
}

#[test]
fn a_name_of_the_manifest_is_a_model() {
    let config = tmp("named").join("home/config");
    std::fs::create_dir_all(&config).unwrap();
    let text = "[models.small]\nsource = \"a/b\"\nbehavior = { max-tokens = 3 }\n";
    std::fs::write(config.join("models.toml"), text).unwrap();
    let args = [
        "ask",
        "--model",
        "small",
        "--json",
        "--pinky-delay=0",
        "Hello",
    ];
    let output = run("named", &args);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let end: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(end["usage"]["completion-tokens"], 3);
}

#[test]
fn without_a_home_that_can_be_written_a_guest_still_runs() {
    let file = tmp("homeless").join("file");
    std::fs::write(&file, "").unwrap();
    let output = genius("homeless")
        .env("RUSTY_GENIUS_HOME", file.join("home"))
        .args(["run", "ask", "--pinky-delay=0", "Hello"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let mut child = genius("pipe")
        .args(["run", "hostile/escape"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

#[cfg(unix)]
#[test]
fn control_c_ends_a_generation_and_leaves_nothing() {
    let mut child = genius("interrupt")
        .args(["run", "ask", "--json", "--pinky-delay=60000", "Hello"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once it has said that it starts, its signal handlers stand.
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("start"), "{line}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(stderr.contains("interrupted"), "{stderr}");
    let left = std::fs::read_dir(tmp("interrupt").join("runs"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

#[test]
fn the_built_in_guests_are_listed() {
    let output = genius("list").arg("guests").output().unwrap();
    let stdout = text(&output.stdout);
    for name in ["ask ", "hostile/spin "] {
        assert!(stdout.lines().any(|l| l.starts_with(name)), "{stdout}");
    }
}

#[test]
fn help_documents_the_exit_codes_and_has_examples() {
    let output = genius("help").arg("--help").output().unwrap();
    let help = text(&output.stdout);
    for part in [
        "Examples:",
        "Exit codes:",
        "130",
        "RUSTY_GENIUS_HOME",
        "RUSTY_GENIUS_LOG",
    ] {
        assert!(help.contains(part), "{help}");
    }
    // Nobody reads a help that does not fit.
    assert!(help.lines().all(|l| l.chars().count() <= 100), "{help}");
}
