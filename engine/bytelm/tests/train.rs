//! A whole training run, of the smallest model on a handful of questions.
#![cfg(feature = "train")]
#![allow(
    clippy::unwrap_used,
    reason = "a test says what it expects by unwrapping"
)]

use rusty_genius_bytelm::corpus::{Corpus, SourceFile};
use rusty_genius_bytelm::train::{TrainError, TrainEvent, TrainOptions, TrainRun, Trained, train};
use rusty_genius_bytelm::{Config, Weights, safetensors};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const DATA: &str = r#"
[[family]]
columns = ["country", "city"]
rows = [["France", "Paris"], ["Japan", "Tokyo"], ["Italy", "Rome"], ["Peru", "Lima"]]
held-out-rows = [["Spain", "Madrid"]]
ask = ["Capital of {country}?", "Name {country}'s capital.", "{country}: which city?"]
held-out = ["{country}'s capital?"]
answer = "{city}."

[[pair]]
ask = ["Hi", "Hello"]
think = "A greeting."
answer = "Hello!"
"#;

/// A directory of a test's own, empty.
fn dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn corpus() -> Corpus {
    let file = SourceFile {
        path: "data.toml".into(),
        bytes: DATA.into(),
    };
    Corpus::parse(&[file]).unwrap()
}

fn options() -> TrainOptions {
    TrainOptions {
        epochs: 3,
        batch_tokens: 128,
        warm_up: 2,
        ..TrainOptions::default()
    }
}

fn run(out: &Path, options: &TrainOptions) -> Result<Trained, TrainError> {
    run_until(out, options, u64::MAX)
}

/// Runs, and asks to stop in that step.
fn run_until(out: &Path, options: &TrainOptions, last: u64) -> Result<Trained, TrainError> {
    run_on("digest", out, options, last)
}

fn run_on(
    data: &str,
    out: &Path,
    options: &TrainOptions,
    last: u64,
) -> Result<Trained, TrainError> {
    let stop = AtomicBool::new(false);
    let run = TrainRun {
        config: &Config::named("test-50k").unwrap(),
        corpus: &corpus(),
        data,
        options,
        out,
        fresh: false,
    };
    train(&run, &stop, &mut |event| {
        if let TrainEvent::Step(report) = event {
            stop.store(report.step >= last, Ordering::Relaxed);
        }
    })
}

fn weights(trained: Trained) -> Weights {
    match trained {
        Trained::Finished { weights, .. } => weights,
        Trained::Stopped { .. } => panic!("the run was stopped"),
    }
}

#[test]
fn the_loss_falls() {
    let out = dir("the_loss_falls");
    let options = TrainOptions {
        epochs: 60,
        rate: 5e-3,
        ..options()
    };
    let Trained::Finished { paths, .. } = run(&out, &options).unwrap() else {
        panic!("the run was stopped")
    };
    let table = fs::read_to_string(out.join("curve.csv")).unwrap();
    let losses: Vec<f64> = table
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(3).unwrap().parse().unwrap())
        .collect();
    assert_eq!(losses.len(), 60);
    assert!(losses[0] > 3.0, "{}", losses[0]);
    assert!(losses[59] < losses[0] / 4.0, "{} {}", losses[0], losses[59]);

    let bytes = fs::read(&paths[0]).unwrap();
    safetensors::import(&bytes).unwrap();
    let picture = fs::read_to_string(out.join("curve.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("held-out rows"));
}

#[test]
fn the_same_seed_gives_the_same_weights_with_any_number_of_threads() {
    let trained = |name: &str, options: &TrainOptions| weights(run(&dir(name), options).unwrap());
    let one = trained("seed_1", &options());
    let threads = TrainOptions {
        threads: 1,
        ..options()
    };
    assert_eq!(one, trained("seed_1_again", &threads));
    let seed = TrainOptions {
        seed: 2,
        ..options()
    };
    assert_ne!(one, trained("seed_2", &seed));
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let whole = dir("whole");
    let expected = weights(run(&whole, &options()).unwrap());
    let cut = dir("cut");
    // In the middle of the second epoch, and then in the last one.
    for step in [5, 10] {
        let stopped = run_until(&cut, &options(), step).unwrap();
        let Trained::Stopped { checkpoint } = stopped else {
            panic!("the run was not stopped")
        };
        assert!(checkpoint.to_string_lossy().contains(&format!("{step}.")));
    }
    assert_eq!(weights(run(&cut, &options()).unwrap()), expected);
    for name in ["weights.safetensors", "test-50k.gguf"] {
        let bytes = |dir: &Path| fs::read(dir.join(name)).unwrap();
        assert_eq!(bytes(&whole), bytes(&cut), "{name}");
    }

    // A run that is done is done.
    let mut steps = 0;
    let config = Config::named("test-50k").unwrap();
    let again = TrainRun {
        config: &config,
        corpus: &corpus(),
        data: "digest",
        options: &options(),
        out: &cut,
        fresh: false,
    };
    let done = train(&again, &AtomicBool::new(false), &mut |event| {
        steps += usize::from(matches!(event, TrainEvent::Step(_)));
    });
    assert_eq!(weights(done.unwrap()), expected);
    assert_eq!(steps, 0);
}

#[test]
fn a_checkpoint_that_is_not_whole_is_passed_over() {
    let out = dir("not_whole");
    let options = TrainOptions {
        checkpoint_every: 2,
        ..options()
    };
    run_until(&out, &options, 6).unwrap();
    let mut names: Vec<PathBuf> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "bytelm"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 2, "the last two are kept");
    let bytes = fs::read(&names[1]).unwrap();
    fs::write(&names[1], &bytes[..bytes.len() - 1]).unwrap();

    let mut said = Vec::new();
    let config = Config::named("test-50k").unwrap();
    let run = TrainRun {
        config: &config,
        corpus: &corpus(),
        data: "digest",
        options: &options,
        out: &out,
        fresh: false,
    };
    let trained = train(&run, &AtomicBool::new(false), &mut |event| match event {
        TrainEvent::Skipped(skipped) => said.push(skipped.path.clone()),
        TrainEvent::Resumed { path, step } => said.push(path.join(step.to_string())),
        _ => {}
    });
    assert_eq!(said, [names[1].clone(), names[0].join("4")]);
    let expected = dir("whole_for_not_whole");
    assert_eq!(
        weights(trained.unwrap()),
        weights(self::run(&expected, &options).unwrap())
    );
}

#[test]
fn checkpoints_of_another_run_are_refused_until_it_is_begun_anew() {
    let out = dir("another_run");
    run_until(&out, &options(), 1).unwrap();
    let other = TrainOptions {
        rate: 1e-3,
        ..options()
    };
    let error = run(&out, &other).unwrap_err();
    assert!(matches!(error, TrainError::OtherRun { .. }));
    let said = error.to_string();
    assert!(
        said.contains("`rate` is 0.002 there and 0.001 here"),
        "{said}"
    );
    assert!(error.hint().contains("--fresh"), "{}", error.hint());

    let said = run_on("other", &out, &options(), 1)
        .unwrap_err()
        .to_string();
    assert!(said.contains("`data` is"), "{said}");

    let fresh = TrainRun {
        config: &Config::named("test-50k").unwrap(),
        corpus: &corpus(),
        data: "digest",
        options: &other,
        out: &out,
        fresh: true,
    };
    train(&fresh, &AtomicBool::new(false), &mut |_| {}).unwrap();
}
