//! `bytelm train`.

use crate::cli::TrainArgs;
use crate::failure::Failure;
use crate::interrupt;
use crate::progress::Progress;
use rusty_genius_bytelm::corpus::Corpus;
use rusty_genius_bytelm::ledger::Ledger;
use rusty_genius_bytelm::train::{TrainRun, Trained, train};
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) fn run(arguments: &TrainArgs) -> Result<ExitCode, Failure> {
    let data = Ledger::check(&arguments.data)?;
    let corpus = Corpus::parse(&data.files)?;
    let options = arguments.options();
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => scratch().join("bytelm").join(&arguments.config.name),
    };
    let stop = interrupt::flag().map_err(|error| Failure {
        message: format!("cannot listen for Ctrl-C: {error}"),
        hint: "the system has no file handle left, or forbids signal handlers".into(),
    })?;
    eprintln!(
        "training {} ({} parameters) on {} questions of {}, into {}",
        arguments.config.name,
        arguments.config.parameters(),
        corpus.questions.len(),
        arguments.data.display(),
        out.display()
    );
    let mut progress = Progress::new();
    let run = TrainRun {
        config: &arguments.config,
        corpus: &corpus,
        data: &data.digest,
        options: &options,
        out: &out,
        fresh: arguments.fresh,
    };
    let trained = train(&run, &stop, &mut |event| progress.show(&event));
    progress.finish();
    match trained? {
        Trained::Finished { paths, .. } => {
            for path in paths {
                println!("{}", path.display());
            }
            Ok(ExitCode::SUCCESS)
        }
        Trained::Stopped { checkpoint } => {
            eprintln!("stopped; the checkpoint is {}", checkpoint.display());
            eprintln!("hint: the same command goes on from there");
            Ok(ExitCode::from(interrupt::EXIT))
        }
    }
}

/// Where what can be made again is kept.
fn scratch() -> PathBuf {
    match env::var_os("RUSTY_GENIUS_TMP") {
        Some(dir) if !dir.is_empty() => dir.into(),
        _ => PathBuf::from("target/tmp"),
    }
}
