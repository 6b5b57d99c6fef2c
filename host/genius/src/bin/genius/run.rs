//! `genius run`.

use crate::cli::RunArgs;
use crate::exit;
use crate::output::Output;
use async_signal::{Signal, Signals};
use futures::future::{Either, select};
use futures::stream::StreamExt;
use rusty_genius::core::{GeniusError, SandboxError};
use rusty_genius::cortex::{Pinky, PinkyConfig, SystemClock};
use rusty_genius::{Genius, Run};
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn run(args: RunArgs) -> ExitCode {
    // The handlers stand before anything is to be undone.
    let interrupted = pin!(interrupted(signals()));
    let work = pin!(work(args));
    // Leaving drops the run: the generation is cancelled, its directory removed.
    match select(work, interrupted).await {
        Either::Left((Ok(code), _)) => ExitCode::from(code),
        Either::Left((Err(error), _)) => exit::fail(&error),
        Either::Right((signal, _)) => {
            eprintln!("\ninterrupted");
            ExitCode::from(match signal {
                Signal::Term => exit::TERMINATED,
                _ => exit::INTERRUPTED,
            })
        }
    }
}

/// Ctrl-C, and being told to end.
fn signals() -> io::Result<Signals> {
    #[cfg(unix)]
    return Signals::new([Signal::Int, Signal::Term]);
    #[cfg(not(unix))]
    return Signals::new([Signal::Int]);
}

async fn interrupted(signals: io::Result<Signals>) -> Signal {
    if let Ok(mut signals) = signals {
        while let Some(signal) = signals.next().await {
            if let Ok(signal) = signal {
                return signal;
            }
        }
    }
    // Without handlers the signal ends the process by itself.
    futures::future::pending().await
}

async fn work(args: RunArgs) -> Result<u8, GeniusError> {
    let pinky = PinkyConfig {
        delay: Duration::from_millis(args.pinky_delay),
        ..PinkyConfig::default()
    };
    let mut builder = Genius::builder()
        .backend(Arc::new(Pinky::new(pinky, Arc::new(SystemClock))))
        .max_runs(1);
    if let Some(engine) = args.engine {
        builder = builder.engine(engine);
    }
    let genius = builder.build()?;
    let mut job = genius.job(&args.model)?;
    job.budget.wall_time = args.timeout;
    job.budget.memory = args.memory << 20;
    let model = job.grant.model.clone();
    let guest = genius.guest(&args.guest).await?;

    let mut output = Output::new(args.json, args.quiet);
    let run = genius.run(&guest, args.args, job)?;
    let shown = async {
        output.start(&guest, &model).await?;
        show(run, &mut output).await
    };
    let report = match shown.await {
        Ok(report) => report,
        Err(e) => return stdout_failed(&e),
    };
    let files = report.scratch.files().unwrap_or_default();
    let code = report.result.as_ref().err().map_or(0, exit::code);
    let path = (!files.is_empty()).then(|| report.scratch.path().to_owned());
    if let Err(e) = output
        .report(&report, &model, path.as_deref(), &files, code)
        .await
    {
        return stdout_failed(&e);
    }
    let result = report.result;
    if path.is_some() {
        report.scratch.keep();
    }
    result.map(|()| 0)
}

async fn show(mut run: Run, output: &mut Output) -> io::Result<rusty_genius::sandbox::Report<()>> {
    while let Some(fragments) = run.next().await {
        output.fragments(fragments).await?;
    }
    output.end().await?;
    Ok(run.report().await)
}

/// Whoever closed the pipe has seen enough; anything else is worth an error.
fn stdout_failed(error: &io::Error) -> Result<u8, GeniusError> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(0);
    }
    Err(SandboxError::Host {
        what: "writing to stdout".into(),
        reason: error.to_string(),
    }
    .into())
}
