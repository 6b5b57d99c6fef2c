//! `genius run` with a policy, and requests on terms.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn tmp(test: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("mind")
        .join(test);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn genius(test: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genius"));
    command
        .env("RUSTY_GENIUS_HOME", tmp(test).join("home"))
        .env("RUSTY_GENIUS_TMP", tmp(test).join("runs"))
        .env_remove("RUSTY_GENIUS_LOG")
        .stdin(Stdio::null());
    command
}

fn run(test: &str, flags: &[&str]) -> Output {
    let mut command = genius(test);
    command.args(["run", "ask", "--pinky-delay=0"]);
    command.args(flags).args(["--", "Hello"]).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn guest(name: &str) -> &'static [u8] {
    rusty_genius::guests::find(name).unwrap().bytes
}

/// Gives a file its content at once.
fn replace(file: &Path, bytes: &[u8]) {
    let aside = file.with_extension("aside");
    std::fs::write(&aside, bytes).unwrap();
    std::fs::rename(aside, file).unwrap();
}

#[test]
fn a_built_in_policy_and_one_from_a_file_let_a_run_through() {
    let file = tmp("lets-through").join("mine.wasm");
    replace(&file, guest("policy/hibernate-after"));
    let file = file.to_str().unwrap();
    for flags in [
        &["--policy=lru"][..],
        &["--policy=policy/fair-share", "--policy-set=share=3"],
        &["--policy", file, "--policy-set=ttl=60"],
    ] {
        let output = run("lets-through", flags);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn what_is_no_policy_or_takes_no_such_setting_is_told_before_anything_runs() {
    let text_file = tmp("no-policy").join("text.wasm");
    std::fs::write(&text_file, "hello").unwrap();
    for (flags, code, words) in [
        (&["--policy=ask"][..], 3, "no hands of its own"),
        (
            &["--policy", text_file.to_str().unwrap()],
            3,
            "not WebAssembly",
        ),
        (&["--policy=no-such"], 2, "policy/lru"),
        (&["--policy=lru", "--policy-set=kep=x"], 2, "kep"),
        (
            &[
                "--policy=router",
                "--policy-set=small=narf-1m",
                "--policy-set=code=large",
            ],
            3,
            "--policy-prompts",
        ),
        (&["--policy-set=a=b"], 2, "--policy"),
        (&["--keep-alive=soon"], 2, "forever"),
        (&["--priority=256"], 2, "256"),
    ] {
        let output = run("no-policy", flags);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {stderr}");
        assert!(stderr.contains(words), "{flags:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn a_policy_that_fails_three_times_is_told_once_and_the_answer_comes() {
    let output = run(
        "fails",
        &["--policy=hostile/tyrant", "--policy-set=attack=trap"],
    );
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(!output.stdout.is_empty());
    let told = stderr.matches("failed three times").count();
    assert_eq!(told, 1, "{stderr}");
    assert!(
        stderr.contains("the built-in one decides from now on"),
        "{stderr}"
    );
}

#[test]
fn a_record_is_replayed_and_shows_where_another_policy_differs() {
    let dir = tmp("record");
    let file = dir.join("session.jsonl");
    let _ = std::fs::remove_file(&file);
    let name = file.to_str().unwrap();
    let output = run("record", &["--record", name, "--keep-alive=0"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let again = run("record", &["--record", name]);
    assert_eq!(
        again.status.code(),
        Some(6),
        "a record is never overwritten"
    );

    let replay = |policy: &str| {
        let output = genius("record")
            .args(["policy", "replay", name, policy])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    assert!(replay("native").contains("native commands something else in 0 of them"));
    let other = replay("lru");
    assert!(other.contains("decided by native"), "{other}");
    assert!(other.contains("now       nothing"), "{other}");

    std::fs::write(dir.join("bad.jsonl"), "nonsense\n").unwrap();
    let bad = dir.join("bad.jsonl");
    let output = genius("record")
        .args(["policy", "replay", bad.to_str().unwrap(), "lru"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("line 1"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_policy_file_that_changes_is_loaded_again_in_the_middle_of_a_run() {
    let file = tmp("reload").join("mine.wasm");
    replace(&file, guest("policy/lru"));
    let mut child = genius("reload")
        .args(["run", "ask", "--pinky-delay=300", "--policy"])
        .arg(&file)
        .args(["--timeout=600", "--", "Tell me a long story."])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It runs as soon as the first word is here.
    let mut first = [0];
    let mut stdout = child.stdout.take().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    stdout.read_exact(&mut first).unwrap();
    replace(&file, b"half a file");
    let refused = stderr.find(|line| {
        line.as_ref()
            .is_ok_and(|l| l.contains("was not loaded again"))
    });
    assert!(refused.is_some());
    replace(&file, guest("policy/fair-share"));
    let loaded = stderr.find(|line| line.as_ref().is_ok_and(|l| l.contains("was loaded again")));
    assert!(loaded.is_some());
    // And the answer goes on.
    stdout.read_exact(&mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_answer_that_is_late_is_an_error_that_says_so() {
    let output = genius("late")
        .args([
            "run",
            "ask",
            "--pinky-delay=60",
            "--deadline=0.3",
            "--",
            "Hello",
        ])
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(stderr.contains("not there after 300ms"), "{stderr}");
}
