//! `genius test` as its users meet it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of a test's own, empty.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("fixtures-command")
        .join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A command with a home of its own. Compiled guests are everybody's.
fn genius(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genius"));
    command
        .current_dir(folder)
        .env("RUSTY_GENIUS_HOME", folder.with_file_name("home"))
        .env("RUSTY_GENIUS_TMP", folder.join("runs"))
        .env("HF_HUB_CACHE", folder.with_file_name("models"))
        .env_remove("GITHUB_ACTIONS");
    command
}

fn test(folder: &Path, args: &[&str]) -> Output {
    genius(folder).arg("test").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Writes a fixture of narf-1m.
fn narf(folder: &Path, name: &str, front: &str, prompt: &str) -> PathBuf {
    let folder = folder.join("fixtures/rusty-genius/narf-1m/Q8_0");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{name}.md"));
    let text = format!("+++\n{front}\n[sampling]\ntemperature = 0\n+++\n{prompt}\n");
    fs::write(&file, text).unwrap();
    file
}

const PARIS: &str = "What is the capital of France?";

#[test]
fn a_row_each_a_summary_and_an_exit_code() {
    let folder = folder("rows");
    narf(&folder, "good", "expect = { contains = ['Paris'] }", PARIS);
    let passed = test(&folder, &[]);
    let stdout = text(&passed.stdout);
    assert_eq!(passed.status.code(), Some(0), "{stdout}");
    assert!(
        stdout.starts_with("ok     rusty-genius/narf-1m/Q8_0/good "),
        "{stdout}"
    );
    assert!(stdout.contains("\n1 fixture: 1 passed\n"), "{stdout}");
    assert_eq!(text(&passed.stderr), "");

    narf(&folder, "bad", "expect = { contains = ['Rome'] }", PARIS);
    let failed = test(&folder, &["--jobs=2"]);
    let stdout = text(&failed.stdout);
    assert_eq!(failed.status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains("`expect.contains`: the answer lacks \"Rome\"\n"),
        "{stdout}"
    );
    assert!(
        stdout.contains("answer: \"The capital of France is Paris.\"\n"),
        "{stdout}"
    );
    assert!(
        stdout.contains("2 fixtures: 1 passed, 1 failed\n"),
        "{stdout}"
    );
    assert!(
        !stdout.contains('\x1b'),
        "colour without a terminal: {stdout:?}"
    );

    // Pinky is not held to what a model should say.
    let pinky = test(&folder, &["--engine", "pinky"]);
    assert_eq!(pinky.status.code(), Some(0), "{}", text(&pinky.stdout));
}

#[test]
fn whatever_is_no_fixture_is_one_row_and_stops_no_other() {
    let folder = folder("broken");
    narf(&folder, "good", "", PARIS);
    let place = folder.join("fixtures/rusty-genius/narf-1m/Q8_0");
    let file = |name: &str, content: &[u8]| fs::write(place.join(name), content).unwrap();
    file("bad-toml.md", b"+++\n[limits\n+++\nHello\n");
    file(
        "unknown-key.md",
        b"+++\n[expect]\ncontians = ['x']\n+++\nHello\n",
    );
    file(
        "impossible-regex.md",
        b"+++\n[expect]\nregex = '('\n+++\nHello\n",
    );
    file(
        "impossible-schema.md",
        b"+++\n[expect]\njson-schema = '{\"type\": 1}'\n+++\nHello\n",
    );
    file("no-prompt.md", b"+++\n+++\n\n");
    file("binary.md", b"\x7fELF\xff\0\0");
    let large = fs::File::create(place.join("large.md")).unwrap();
    large.set_len(100 << 20).unwrap();
    let mut rows = 7;
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("loop.md", place.join("loop.md")).unwrap();
        file("evil\nok     forged \"quoted\".md", b"+++\n+++\nHello\n");
        rows += 2;
    }
    let output = test(
        &folder,
        &["--junit=j.xml", "--json=r.json", "--html=r.html"],
    );
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let broken: Vec<&str> = stdout
        .lines()
        .filter(|l| l.starts_with("BROKEN "))
        .collect();
    assert_eq!(broken.len(), rows, "{stdout}");
    // The good one, and nothing that a file's name forged.
    assert_eq!(stdout.lines().filter(|l| l.starts_with("ok ")).count(), 1);
    for told in [
        "bad-toml.md:2",
        "unknown-key.md:3:1: `expect.contians`: unknown key `contians`; did you mean `contains`?",
        "impossible-regex.md:3:1: `expect.regex`: unclosed group",
        "impossible-schema.md:3:1: `expect.json-schema`: it is no JSON Schema",
        "no-prompt.md:2: there is no prompt",
        "binary.md:1:5: it is not UTF-8",
        "large.md:1: it has 104857600 bytes",
        #[cfg(unix)]
        "loop.md:1: the link leads nowhere",
        #[cfg(unix)]
        "evil\\nok     forged \"quoted\".md:1: a test's name is letters",
    ] {
        let lines = stdout.lines().filter(|line| line.contains(told)).count();
        assert_eq!(lines, 1, "{told}\n{stdout}");
    }
    let json: Value = serde_json::from_slice(&fs::read(folder.join("r.json")).unwrap()).unwrap();
    let fixtures = json["fixtures"].as_array().unwrap();
    assert_eq!(fixtures.len(), rows + 1);
    let junit = fs::read_to_string(folder.join("j.xml")).unwrap();
    assert!(junit.contains(&format!("errors=\"{rows}\"")), "{junit}");
    assert!(
        fs::read_to_string(folder.join("r.html"))
            .unwrap()
            .starts_with("<!doctype html>")
    );
}

#[test]
fn github_is_told_where() {
    let folder = folder("github");
    let file = narf(
        &folder,
        "bad",
        "tags = ['x']\nexpect = { exact = 'Rome' }",
        PARIS,
    );
    let output = genius(&folder)
        .arg("test")
        .env("GITHUB_ACTIONS", "true")
        .output()
        .unwrap();
    let stdout = text(&output.stdout);
    let file = file.strip_prefix(&folder).unwrap().display();
    let begin = format!("::error file={file},line=3,title=rusty-genius/narf-1m/Q8_0/bad::");
    let lines = stdout
        .lines()
        .filter(|line| line.starts_with(&begin))
        .count();
    assert_eq!(lines, 1, "{stdout}");
}

#[test]
fn a_cassette_answers_where_there_is_no_model() {
    let folder = folder("replay");
    let front = "expect = { exact = 'The capital of France is Paris.', max-latency = '1h' }";
    narf(&folder, "good", front, PARIS);
    let recorded = test(&folder, &["--record=tapes"]);
    assert_eq!(
        recorded.status.code(),
        Some(0),
        "{}",
        text(&recorded.stdout)
    );
    let tape = folder.join("tapes/rusty-genius/narf-1m/Q8_0/good.jsonl");
    let tape = fs::read_to_string(tape).unwrap();
    let header: Value = serde_json::from_str(tape.lines().next().unwrap()).unwrap();
    assert_eq!(header["cassette"]["engine"], "bytelm");
    let digest = header["cassette"]["digests"][0].as_str().unwrap();
    assert_eq!(digest.len(), 64, "{header}");

    let replayed = test(&folder, &["--replay=tapes", "--json=r.json"]);
    assert_eq!(
        replayed.status.code(),
        Some(0),
        "{}",
        text(&replayed.stdout)
    );
    let json: Value = serde_json::from_slice(&fs::read(folder.join("r.json")).unwrap()).unwrap();
    assert_eq!(json["fixtures"][0]["replayed"], true);
    assert_eq!(
        json["fixtures"][0]["answer"],
        "The capital of France is Paris."
    );

    narf(&folder, "good", front, "What is the capital of Japan?");
    let changed = test(&folder, &["--replay=tapes"]);
    let stdout = text(&changed.stdout);
    assert_eq!(changed.status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains("What is the capital of France?"),
        "{stdout}"
    );
    assert!(stdout.contains("What is the capital of Japan?"), "{stdout}");
    let both = test(&folder, &["--replay=tapes", "--record=tapes"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn blessing_rewrites_what_is_exact_and_nothing_else() {
    let folder = folder("bless");
    let exact = narf(&folder, "exact", "expect = { exact = 'Rome' } # why", PARIS);
    let other = narf(
        &folder,
        "other",
        "expect = { exact = 'Rome', contains = ['x'] }",
        PARIS,
    );
    let before = fs::read_to_string(&other).unwrap();
    let output = test(&folder, &["--bless"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let blessed = fs::read_to_string(&exact).unwrap();
    assert!(
        blessed.contains("exact = \"The capital of France is Paris.\" } # why\n"),
        "{blessed}"
    );
    assert_eq!(fs::read_to_string(&other).unwrap(), before);
    let again = test(&folder, &["--filter=exact"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stdout));
}

#[test]
fn fixtures_are_chosen_by_path_name_tag_and_part() {
    let folder = folder("choose");
    for (name, tags) in [("one", "'smoke'"), ("two", "'slow'"), ("three", "")] {
        narf(&folder, name, &format!("tags = [{tags}]"), PARIS);
    }
    let list = |args: &[&str]| -> Vec<String> {
        let output = test(&folder, &[&["--list"], args].concat());
        let lines = text(&output.stdout).lines();
        lines
            .map(|l| l.rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(list(&[]), ["one  [smoke]", "three", "two  [slow]"]);
    assert_eq!(list(&["--filter=t"]).len(), 3, "`rusty-genius` holds one");
    assert_eq!(list(&["-f", "/two", "-f", "/three"]).len(), 2);
    assert_eq!(list(&["--tag=smoke"]), ["one  [smoke]"]);
    assert_eq!(list(&["--tag=!smoke", "--tag=!slow"]), ["three"]);
    assert_eq!(list(&["--shard=1/3"]).len(), 1);
    assert_eq!(
        list(&["fixtures/rusty-genius/narf-1m/Q8_0/two.md"]),
        ["two  [slow]"]
    );
    let nothing = test(&folder, &["--filter=nobody"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stderr).contains("error: no fixture is left to run\nhint: "));
    let empty = test(&folder, &["--shard=9/9", "--list"]);
    assert_eq!(empty.status.code(), Some(0), "a part may be empty");
    for bad in [
        "--shard=0/3",
        "--shard=x",
        "--jobs=0",
        "--retries=11",
        "--timeout=0",
    ] {
        assert_eq!(test(&folder, &[bad]).status.code(), Some(2), "{bad}");
    }
}

#[test]
fn a_time_for_each_is_the_last_word() {
    let folder = folder("timeout");
    narf(&folder, "slow", "", PARIS);
    let output = test(
        &folder,
        &["--engine=pinky", "--pinky-delay=3600000", "--timeout=0.2"],
    );
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("the guest has spent its time"), "{stdout}");
}

#[test]
fn a_report_that_cannot_be_written_is_told_after_all_have_run() {
    let folder = folder("unwritable");
    narf(&folder, "good", "", PARIS);
    fs::write(folder.join("file"), "").unwrap();
    let output = test(&folder, &["--junit=file/j.xml", "--json=r.json"]);
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("1 fixture: 1 passed"));
    assert!(text(&output.stderr).contains("writing the report file/j.xml"));
    assert!(folder.join("r.json").is_file(), "the other one is written");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_what_runs_and_the_report_tells_of_what_had_run() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let folder = folder("interrupt");
    // The first comes to its end; then the test knows that the second has begun.
    narf(&folder, "a", "", PARIS);
    narf(&folder, "b", "limits = { timeout = '1h' }", PARIS);
    let first = folder.join("fixtures/rusty-genius/narf-1m/Q8_0/a.md");
    fs::write(&first, "+++\n[limit]\n+++\nbroken\n").unwrap();
    let mut child = genius(&folder)
        .args([
            "test",
            "--engine=pinky",
            "--pinky-delay=3600000",
            "--jobs=1",
        ])
        .args(["--json=r.json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rows = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(rows.next().unwrap().unwrap().starts_with("BROKEN"));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("interrupted: 1 of 2 fixtures had run"),
        "{stderr}"
    );
    let report = fs::read_to_string(folder.join("r.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["interrupted"], true);
    let status = |at: usize| report["fixtures"][at]["status"].as_str();
    assert_eq!((status(0), status(1)), (Some("broken"), Some("skipped")));
    let left: Vec<_> = fs::read_dir(folder.join("runs"))
        .into_iter()
        .flatten()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
