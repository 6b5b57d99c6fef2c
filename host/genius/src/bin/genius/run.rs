//! `genius run`.

use crate::bars::Bars;
use crate::cli::RunArgs;
use crate::guest::Outlook;
use crate::output::Output;
use crate::{brain, exit, interrupt, safe};
use async_std::io::ReadExt;
use futures::future::{Either, select};
use rusty_genius::core::brainstem::Budgets;
use rusty_genius::core::{
    BrainstemOutput, BudgetResource, GeniusError, Level, RunManifest, SandboxError, Stdio,
};
use rusty_genius::cortex::{Backend, Pinky, PinkyConfig, SystemClock};
use rusty_genius::sandbox::{Records, Report};
use rusty_genius::stem::Observer;
use rusty_genius::{Genius, Run, records_dir};
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The guest, and as many tools as it may call at once.
const RUNS: u32 = 5;
/// Most bytes a guest reads on stdin.
const STDIN_LIMIT: u64 = 16 << 20;

pub(crate) async fn run(args: RunArgs) -> ExitCode {
    if args.dry_run {
        return match dry_run(&args).await {
            Ok(code) => ExitCode::from(code),
            Err(error) => exit::fail(&error),
        };
    }
    match args.brain.engine() {
        Ok(brain) => interrupt::or(Box::pin(work(args, brain))).await,
        Err(wrong) => exit::usage(&wrong, brain::HINT),
    }
}

/// The manifest with all flags in it.
fn manifest(args: &RunArgs) -> Result<RunManifest, GeniusError> {
    let mut manifest = args.grants.manifest(Some(&args.guest))?;
    if let Some(model) = &args.model {
        manifest.model = Some(model.clone());
    }
    if let Some(timeout) = args.timeout {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        manifest.budget.set(BudgetResource::WallTime, millis.max(1));
    }
    if let Some(mib) = args.memory {
        manifest.budget.set(BudgetResource::Memory, mib << 20);
    }
    Ok(manifest)
}

/// Says what a run would get.
async fn dry_run(args: &RunArgs) -> Result<u8, GeniusError> {
    let outlook = Outlook::of(manifest(args)?).await?;
    let text = match args.json {
        true => format!("{}\n", outlook.json()),
        false => outlook.inspection_text() + &outlook.outcome_text() + &outlook.budget_text(),
    };
    // Whoever closed the pipe has seen enough.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(if outlook.would_run() {
        0
    } else {
        exit::REFUSED
    })
}

/// What the guest reads on stdin, where that is granted.
async fn stdin() -> Result<Arc<[u8]>, GeniusError> {
    let failed = |reason: String| SandboxError::Host {
        what: "reading stdin for the guest".into(),
        reason,
    };
    let mut bytes = Vec::new();
    let read = async_std::io::stdin().take(STDIN_LIMIT + 1);
    pin!(read)
        .read_to_end(&mut bytes)
        .await
        .map_err(|e| failed(e.to_string()))?;
    if bytes.len() as u64 > STDIN_LIMIT {
        return Err(failed("it has more than 16 MiB".into()).into());
    }
    Ok(bytes.into())
}

async fn work(args: RunArgs, brain: Option<Arc<dyn Backend>>) -> Result<u8, GeniusError> {
    let manifest = manifest(&args)?;
    let mut pinky = PinkyConfig::default();
    if let Some(ms) = args.pinky_delay {
        pinky.delay = Duration::from_millis(ms);
    }
    let engine = args.engine.or(args.pinky_delay.map(|_| "pinky".to_owned()));
    let mut builder = Genius::builder()
        .backend(Arc::new(Pinky::new(pinky, Arc::new(SystemClock))))
        .max_runs(RUNS);
    if let Some(dir) = records_dir().filter(|_| !args.no_record) {
        match Records::new(&dir).prepare() {
            Ok(()) => builder = builder.records(dir),
            // As with the cache: a home that cannot be written is no reason not to run.
            Err(e) => eprintln!(
                "warning: no record of this run is kept in {}: {e}",
                dir.display()
            ),
        }
    }
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
    let (guest, mut job) = genius.plan(&manifest).await?;
    job.grant.terms = args.mind.terms();
    job.grant.model.config = args.shape.config().or(&job.grant.model.config);
    if job.grant.stdio.contains(&Stdio::In) {
        job.grant.stdin = stdin().await?;
    }
    let model = job.grant.model.clone();
    let words = match args.args.is_empty() {
        true => manifest.grants.args,
        false => args.args,
    };

    let mut output = Output::new(args.json, args.quiet, args.stats);
    let run = genius.run(&guest, words, job)?;
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

async fn show(mut run: Run, output: &mut Output) -> io::Result<Report<()>> {
    let gauge = run.gauge();
    loop {
        let look = async_std::task::sleep(output.looks());
        let heard = {
            let (next, look) = (pin!(run.next()), pin!(look));
            match select(next, look).await {
                Either::Left((heard, _)) => Some(heard),
                Either::Right(((), _)) => None,
            }
        };
        match heard {
            Some(Some(fragments)) => output.fragments(fragments).await?,
            Some(None) => break,
            None => output.consumed(&gauge.read()).await?,
        }
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
