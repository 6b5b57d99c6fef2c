//! Many fixtures: several at once, tried again, kept on cassettes and answered from them.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use rusty_genius::cortex::{
    Backend, BoxFuture, LoadRequest, Model, Pinky, PinkyConfig, SystemClock,
};
use rusty_genius::{Genius, core::UserManifest};
use rusty_genius_core::{EngineError, GeniusError};
use rusty_genius_teaser::{
    Failure, Found, Options, Progress, Report, Runner, Status, Tapes, cassette_path, run_suite,
    scan, scan_paths,
};
use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use support::tmp;

/// Fixtures of their own for a test, by name and front matter.
fn fixtures(test: &str, all: &[(&str, &str)]) -> PathBuf {
    let root = tmp("suites").join(test);
    let _ = fs::remove_dir_all(&root);
    let folder = root.join("Org/Repo/Q4");
    fs::create_dir_all(&folder).unwrap();
    for (name, front) in all {
        let text = format!("+++\n{front}\n[limits]\nmax-tokens = 8\n+++\nHello\n");
        fs::write(folder.join(format!("{name}.md")), text).unwrap();
    }
    root
}

fn runner() -> Runner {
    let genius = support::genius(rusty_genius::bundled::settings()).unwrap();
    Runner::new(genius).on_engine("pinky")
}

fn run(runner: &Runner, found: Vec<Found>, jobs: usize, fail_fast: bool) -> Report {
    let options = Options { jobs, fail_fast };
    async_std::task::block_on(run_suite(runner, found, options, pending(), |_| {}))
}

fn statuses(report: &Report) -> Vec<(&str, Status)> {
    let short = |name: &'_ str| name.rsplit('/').next().unwrap().len();
    report
        .rows
        .iter()
        .map(|row| (&row.name[row.name.len() - short(&row.name)..], row.status()))
        .collect()
}

#[test]
fn rows_stand_in_the_order_of_the_fixtures_however_many_run_at_once() {
    let names: Vec<String> = (10..40).map(|n| format!("t{n}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
    let root = fixtures("order", &all);
    let found = scan(&root);
    let (mut begun, mut done) = (0, 0);
    let mut most = 0;
    let runner = runner();
    let options = Options {
        jobs: 4,
        fail_fast: false,
    };
    let suite = run_suite(
        &runner,
        found,
        options,
        pending(),
        |progress| match progress {
            Progress::Begun(_) => {
                begun += 1;
                most = most.max(begun - done);
            }
            Progress::Done(row) => {
                assert_eq!(row.status(), Status::Passed, "{row:?}");
                done += 1;
            }
        },
    );
    let report = async_std::task::block_on(suite);
    assert_eq!((begun, done, most), (30, 30, 4));
    assert!(report.passed());
    let rows: Vec<&str> = statuses(&report)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(rows, names);
}

#[test]
fn after_a_failure_no_more_are_begun_if_that_is_asked_for() {
    let root = fixtures(
        "fail-fast",
        &[("a", ""), ("b", "tags = ['x y']"), ("c", ""), ("d", "")],
    );
    let of = |fail_fast| run(&runner(), scan(&root), 1, fail_fast);
    let [on, off] = [of(false), of(true)];
    use Status::{Broken, Passed, Skipped};
    assert_eq!(
        statuses(&on),
        [("a", Passed), ("b", Broken), ("c", Passed), ("d", Passed)]
    );
    assert_eq!(
        statuses(&off),
        [("a", Passed), ("b", Broken), ("c", Skipped), ("d", Skipped)]
    );
    assert!(!off.passed());
}

/// Pinky, but that its first loads fail.
struct Moody {
    pinky: Pinky,
    failures: AtomicU32,
}

impl Backend for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    fn needs_weights(&self) -> bool {
        false
    }

    fn load(&self, request: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>> {
        let left = self
            .failures
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        match left {
            Err(_) => self.pinky.load(request),
            Ok(_) => Box::pin(std::future::ready(Err(EngineError::LoadFailed {
                model: request.model,
                reason: "not today".into(),
            }))),
        }
    }
}

fn moody(failures: u32) -> Runner {
    let config = PinkyConfig {
        delay: Duration::ZERO,
        ..PinkyConfig::default()
    };
    let genius = Genius::builder()
        .manifest(UserManifest::default())
        .backend(Arc::new(Moody {
            pinky: Pinky::new(config, Arc::new(SystemClock)),
            failures: failures.into(),
        }))
        .scratch_root(tmp("teaser-runs"))
        .cache_dir(Some(tmp("teaser-guests")))
        .build()
        .unwrap();
    Runner::new(genius).on_engine("moody")
}

#[test]
fn what_fails_is_tried_again_as_often_as_it_or_the_runner_says() {
    let root = fixtures("retries", &[("own", "retries = 2"), ("silent", "")]);
    let one = |failures, retries, name: &str| {
        let mut found = scan(&root);
        found.retain(|found| found.name.ends_with(name));
        let report = run(&moody(failures).retrying(retries), found, 1, false);
        let row = &report.rows[0];
        (row.status(), row.outcome().unwrap().attempts)
    };
    assert_eq!(one(0, 0, "own"), (Status::Passed, 1));
    assert_eq!(one(2, 0, "own"), (Status::Flaky, 3));
    assert_eq!(one(3, 9, "own"), (Status::Failed, 3));
    assert_eq!(one(1, 0, "silent"), (Status::Failed, 1));
    assert_eq!(one(1, 1, "silent"), (Status::Flaky, 2));
}

#[test]
fn a_cassette_answers_as_the_engine_did_and_there_is_no_engine() {
    let root = fixtures("cassettes", &[("a", ""), ("b", "system = 'Be brief.'")]);
    let dir = root.join("cassettes");
    let first = run(
        &runner().taping(Tapes::Record(dir.clone())),
        scan(&root),
        2,
        false,
    );
    assert!(first.passed());
    // An engine of this name is in no build.
    let replay = runner()
        .on_engine("no-such-engine")
        .taping(Tapes::Replay(dir));
    let again = run(&replay, scan(&root), 2, false);
    assert!(again.passed(), "{again:?}");
    for (first, again) in first.rows.iter().zip(&again.rows) {
        let (first, again) = (first.outcome().unwrap(), again.outcome().unwrap());
        // The answer, its thoughts, its usage to the microsecond, and the checks of it.
        assert_eq!(first.evidence.observation, again.evidence.observation);
        assert_eq!(first.evidence.usage, again.evidence.usage);
        assert_eq!((&*again.engine, again.replayed), ("pinky", true));
    }
}

#[test]
fn a_cassette_of_another_request_fails_with_what_differs() {
    let root = fixtures("changed", &[("a", "")]);
    let dir = root.join("cassettes");
    run(
        &runner().taping(Tapes::Record(dir.clone())),
        scan(&root),
        1,
        false,
    );
    let file = root.join("Org/Repo/Q4/a.md");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("Hello", "Goodbye\nyou")).unwrap();
    let report = run(&runner().taping(Tapes::Replay(dir)), scan(&root), 1, false);
    let outcome = report.rows[0].outcome().unwrap();
    let [failure @ Failure::Replay(_)] = &outcome.failures[..] else {
        panic!("{:?}", outcome.failures);
    };
    let diff = failure.diff().unwrap();
    assert!(diff.contains("- ") && diff.contains("Hello"), "{diff}");
    assert!(diff.contains("+ ") && diff.contains("Goodbye\\n"), "{diff}");
    assert!(failure.hint().unwrap().contains("--record"));
}

#[test]
fn a_cassette_that_is_not_there_or_is_none_is_that_fixtures_failure() {
    let root = fixtures("no-cassette", &[("a", ""), ("b", ""), ("c", "")]);
    let dir = root.join("cassettes");
    run(
        &runner().taping(Tapes::Record(dir.clone())),
        scan(&root),
        1,
        false,
    );
    fs::remove_file(cassette_path(&dir, "Org/Repo/Q4/a")).unwrap();
    fs::write(cassette_path(&dir, "Org/Repo/Q4/b"), "{\"cassette\":").unwrap();
    let report = run(&runner().taping(Tapes::Replay(dir)), scan(&root), 1, false);
    use Status::{Failed, Passed};
    assert_eq!(
        statuses(&report),
        [("a", Failed), ("b", Failed), ("c", Passed)]
    );
    let told = |at: usize| report.rows[at].outcome().unwrap().describe();
    assert!(told(0).contains("there is no cassette"), "{}", told(0));
    assert!(told(1).contains("line 1"), "{}", told(1));
}

#[test]
fn what_is_on_the_cassette_and_not_asked_for_is_a_failure_too() {
    let root = fixtures("unplayed", &[("a", "")]);
    let dir = root.join("cassettes");
    run(
        &runner().taping(Tapes::Record(dir.clone())),
        scan(&root),
        1,
        false,
    );
    let file = cassette_path(&dir, "Org/Repo/Q4/a");
    let text = fs::read_to_string(&file).unwrap();
    let request = text.lines().nth(1).unwrap();
    fs::write(&file, format!("{text}{request}\n")).unwrap();
    let report = run(&runner().taping(Tapes::Replay(dir)), scan(&root), 1, false);
    let outcome = report.rows[0].outcome().unwrap();
    assert!(
        matches!(outcome.failures[..], [Failure::Unplayed { requests: 1 }]),
        "{:?}",
        outcome.failures
    );
}

#[test]
fn a_run_that_came_to_nothing_leaves_no_cassette() {
    let root = fixtures("no-run", &[("a", "")]);
    let dir = root.join("cassettes");
    let report = run(
        &moody(9).taping(Tapes::Record(dir.clone())),
        scan(&root),
        1,
        false,
    );
    assert!(!report.passed());
    assert!(!cassette_path(&dir, "Org/Repo/Q4/a").exists());
}

#[test]
fn several_prompts_are_one_conversation() {
    let root = fixtures("talk", &[]);
    let text = "+++\n[limits]\nmax-tokens = 8\n+++\nHello\n+++\nAnd now?\n+++\nWell?\n";
    fs::write(root.join("Org/Repo/Q4/talk.md"), text).unwrap();
    let report = run(&runner(), scan(&root), 1, false);
    let outcome = report.rows[0].outcome().unwrap();
    assert!(outcome.passed(), "{}", outcome.describe());
    let seen = outcome.evidence.observation.as_ref().unwrap();
    assert_eq!(seen.earlier.len(), 2);
    assert_eq!(seen.usage.completion_tokens, 24);
    // Each prompt has the ones before it, and their answers, before it.
    assert!(seen.usage.prompt_tokens > 3 * 10, "{:?}", seen.usage);
}

#[test]
fn a_fixture_names_its_own_scenario_and_a_path_is_its_folders() {
    let liar = rusty_genius::guests::find("liar").unwrap().bytes;
    let root = fixtures(
        "scenario",
        &[
            ("built-in", "scenario = 'liar'"),
            ("file", "scenario = '../mine.wasm'"),
            ("missing", "scenario = './none.wasm'"),
            ("no-scenario", "scenario = 'ask'"),
        ],
    );
    fs::write(root.join("Org/Repo/mine.wasm"), liar).unwrap();
    let report = run(&runner(), scan(&root), 1, false);
    use Status::{Failed, Passed};
    assert_eq!(
        statuses(&report),
        [
            ("built-in", Passed),
            ("file", Passed),
            ("missing", Failed),
            ("no-scenario", Failed)
        ]
    );
    let told = |at: usize| report.rows[at].outcome().unwrap().describe();
    assert!(told(2).contains("none.wasm: no such file"), "{}", told(2));
    assert!(told(3).contains("run-case"), "{}", told(3));
}

#[test]
fn what_is_denied_is_what_the_fixture_says() {
    let root = fixtures("denied", &[]);
    let file = |name: &str, denied: &str| {
        let text = format!(
            "+++\nscenario = 'liar'\n[expect]\n{denied}\n[limits]\nmax-tokens = 8\n+++\nanother model\n"
        );
        fs::write(root.join(format!("Org/Repo/Q4/{name}.md")), text).unwrap();
    };
    file("a-silent", "");
    file("b-told", "denied = ['model other/model']");
    file("c-more", "denied = ['model other/model', 'tool']");
    let report = run(&runner(), scan(&root), 1, false);
    let failures = |at: usize| &report.rows[at].outcome().unwrap().failures[..];
    assert!(matches!(failures(0), [Failure::Refused { .. }]));
    assert_eq!(failures(1), []);
    assert!(matches!(failures(2), [Failure::NotDenied { .. }]));
}

#[test]
fn a_suite_that_is_stopped_tells_what_was_done_and_leaves_nothing() {
    let all = [("a", "tags = ['x y']"), ("b", ""), ("c", ""), ("d", "")];
    let root = fixtures("stopped", &all);
    let config = PinkyConfig {
        delay: Duration::from_secs(3600),
        ..PinkyConfig::default()
    };
    let runs = root.join("runs");
    let genius = Genius::builder()
        .manifest(UserManifest::default())
        .backend(Arc::new(Pinky::new(config, Arc::new(SystemClock))))
        .scratch_root(&runs)
        .cache_dir(Some(tmp("teaser-guests")))
        .build()
        .unwrap();
    let runner = Runner::new(genius).on_engine("pinky");
    let options = Options {
        jobs: 2,
        fail_fast: false,
    };
    // Once `b` and `c` have begun, which wait for an hour.
    let (both, begun) = async_channel::bounded(2);
    let stop = async {
        for _ in 0..2 {
            begun.recv().await.unwrap();
        }
    };
    let suite = run_suite(&runner, scan(&root), options, stop, |progress| {
        if matches!(progress, Progress::Begun(_)) {
            both.try_send(()).unwrap();
        }
    });
    let report = async_std::task::block_on(suite);
    use Status::{Broken, Skipped};
    assert_eq!(
        statuses(&report),
        [
            ("a", Broken),
            ("b", Skipped),
            ("c", Skipped),
            ("d", Skipped)
        ]
    );
    assert!(report.interrupted);
    let left: Vec<_> = fs::read_dir(&runs).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_suite_that_is_stopped_at_its_end_was_not_interrupted() {
    let found = scan(fixtures("stopped-late", &[("a", "")]));
    let options = Options {
        jobs: 1,
        fail_fast: false,
    };
    let (done, all) = async_channel::bounded(1);
    let stop = async { all.recv().await.unwrap() };
    let runner = runner();
    let suite = run_suite(&runner, found, options, stop, |progress| {
        if matches!(progress, Progress::Done(_)) {
            done.try_send(()).unwrap();
        }
    });
    let report = async_std::task::block_on(suite);
    assert_eq!(statuses(&report), [("a", Status::Passed)]);
    assert!(report.passed());
}

#[test]
fn paths_choose_a_part_of_the_fixtures_and_keep_their_names() {
    let root = tmp("suites").join("paths/fixtures");
    let _ = fs::remove_dir_all(&root);
    for file in ["A/B/Q/one.md", "A/B/Q/two.md", "C/D/Q/three.md"] {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "+++\n+++\nHello\n").unwrap();
    }
    let names = |paths: &[&Path]| -> Vec<String> {
        scan_paths(paths)
            .into_iter()
            .map(|found| found.name)
            .collect()
    };
    let all = ["A/B/Q/one", "A/B/Q/two", "C/D/Q/three"];
    assert_eq!(names(&[&root]), all);
    assert_eq!(names(&[root.parent().unwrap()]), all);
    assert_eq!(names(&[&root.join("A")]), all[..2]);
    let three = root.join("C/D/Q/three.md");
    assert_eq!(names(&[&three, &root.join("C")]), all[2..]);
    let nothing = scan_paths([root.join("E")]);
    match nothing[0].fixture.as_ref().unwrap_err() {
        GeniusError::Manifest(e) => assert!(e.reason.contains("No such file"), "{e}"),
        e => panic!("{e:?}"),
    }
}
