//! `genius run`.

use crate::bars::Bars;
use crate::cli::RunArgs;
use crate::output::Output;
use crate::{brain, exit, interrupt, safe};
use futures::future::{Either, select};
use rusty_genius::core::brainstem::Budgets;
use rusty_genius::core::{BrainstemOutput, GeniusError, Level, SandboxError};
use rusty_genius::cortex::{Backend, Pinky, PinkyConfig, SystemClock};
use rusty_genius::stem::Observer;
use rusty_genius::{Genius, Run};
use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) async fn run(args: RunArgs) -> ExitCode {
    match args.brain.engine() {
        Ok(brain) => interrupt::or(work(args, brain)).await,
        Err(wrong) => exit::usage(&wrong, brain::HINT),
    }
}

async fn work(args: RunArgs, brain: Option<Arc<dyn Backend>>) -> Result<u8, GeniusError> {
    let mut pinky = PinkyConfig::default();
    if let Some(ms) = args.pinky_delay {
        pinky.delay = Duration::from_millis(ms);
    }
    let engine = args.engine.or(args.pinky_delay.map(|_| "pinky".to_owned()));
    let mut builder = Genius::builder()
        .backend(Arc::new(Pinky::new(pinky, Arc::new(SystemClock))))
        .max_runs(1);
    builder = args.mind.apply(builder).budgets(Budgets {
        memory: args.brain.memory_limit(),
        ..Budgets::default()
    });
    builder = builder.observer(watching(args.quiet));
    if let Some(brain) = brain {
        builder = builder.backend(brain);
    }
    if let Some(engine) = engine {
        builder = builder.engine(engine);
    }
    let genius = builder.build()?;
    let mut job = genius.job(&args.model)?;
    job.budget.wall_time = args.timeout;
    job.budget.memory = args.memory << 20;
    job.grant.terms = args.mind.terms();
    job.grant.model.config = args.shape.config().or(&job.grant.model.config);
    let model = job.grant.model.clone();
    let guest = genius.guest(&args.guest).await?;

    let mut output = Output::new(args.json, args.quiet);
    let run = genius.run(&guest, args.args, job)?;
    let shown = async {
        output.start(&guest, &model).await?;
        show(run, &mut output).await
    };
    let current = args.mind.keep_current(&genius);
    let report = match select(pin!(shown), pin!(current)).await {
        Either::Left((Ok(report), _)) => report,
        Either::Left((Err(e), _)) => return stdout_failed(&e),
        Either::Right(((), _)) => return Ok(0),
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

/// Shows a model on its way, fetched if it has to be, and then loaded; and says if the policy
/// is not the one that was asked for any more.
fn watching(quiet: bool) -> Observer {
    let bars = Mutex::new(Bars::new());
    Arc::new(move |output| {
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        match output {
            BrainstemOutput::PolicyFailed {
                policy,
                fault,
                replaced,
            } => {
                let (policy, fault) = (safe::line(policy), safe::line(&fault.to_string()));
                tracing::warn!("policy {policy} was passed over: {fault}");
                if *replaced {
                    bars.say_aloud(&format!(
                        "warning: policy {policy} failed three times, and the built-in one \
                         decides from now on; the last time, {fault}"
                    ));
                }
            }
            _ if quiet => {}
            BrainstemOutput::PolicyNoted { policy, note } => {
                let (policy, text) = (safe::line(policy), safe::line(&note.text));
                tracing::info!("policy {policy}: {text}");
                if note.level == Level::Warn {
                    bars.say_aloud(&format!("note: policy {policy}: {text}"));
                }
            }
            BrainstemOutput::Asset { event, .. } => bars.show(event),
            BrainstemOutput::LoadProgress { model, percent } => bars.load(model, *percent),
            // The answer, or the error, begins a line.
            BrainstemOutput::Loaded { .. } | BrainstemOutput::LoadFailed { .. } => bars.clear(),
            _ => {}
        }
    })
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
