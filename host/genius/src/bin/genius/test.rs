//! `genius test`.

use crate::brain::{self, BrainArgs};
use crate::{exit, interrupt, safe};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rusty_genius::Genius;
use rusty_genius::core::brainstem::Budgets;
use rusty_genius::core::{GeniusError, SandboxError};
use rusty_genius::cortex::{Backend, Pinky, PinkyConfig, SystemClock};
use rusty_genius::teaser::report::terminal::{self, Style};
use rusty_genius::teaser::report::{self, github, html, json, junit};
use rusty_genius::teaser::{
    Found, Options, Progress, Report, Row, Runner, Selection, Shard, Status, Tapes, bless,
    run_suite, scan_paths,
};
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Columns where stdout is no terminal.
const WIDTH: usize = 100;
/// Engines that several fixtures can use at once without taking the time of each other's
/// limits: one thread each, or none.
const SHARED: [&str; 2] = ["pinky", "bytelm"];
/// Guests that may be alive besides those of the fixtures.
const SPARE: u32 = 4;

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Fixtures, or folders of them; `fixtures` if not said
    #[arg(value_name = "PATH", default_value = "fixtures")]
    paths: Vec<PathBuf>,

    /// Only those whose name (ORG/REPO/QUANT/TEST) holds this text; may be given more than
    /// once
    #[arg(long, short, value_name = "TEXT")]
    filter: Vec<String>,

    /// Only those with this tag, or without it: !slow; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,

    /// Only one of several parts of about the same size: 2/5
    #[arg(long, value_name = "N/M")]
    shard: Option<Shard>,

    /// How many run at once; if not said, one for each processor, or one alone where a model
    /// takes all processors for itself
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    jobs: Option<u32>,

    /// Begin no more once one failed
    #[arg(long)]
    fail_fast: bool,

    /// Try one that fails so often again, unless it says itself how often; 0 if not said
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10))]
    retries: u32,

    /// Most seconds for each, whatever it says itself
    #[arg(long, value_name = "SECONDS", value_parser = crate::cli::seconds)]
    timeout: Option<Duration>,

    /// Rewrite `exact` texts that are not what came, where nothing else is wrong
    #[arg(long)]
    bless: bool,

    /// List them, and run nothing
    #[arg(long)]
    list: bool,

    /// Keep what is asked of models and what they answer, a cassette for each fixture, below
    /// this folder
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,

    /// Answer from the cassettes below this folder; no engine runs, no model is needed
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,

    /// Engine to run all models: bytelm, pinky, or what this build has besides
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,

    #[command(flatten)]
    brain: BrainArgs,

    /// Milliseconds Pinky takes for a token, 0 if not said
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pinky_delay: u64,

    /// Write a report in JUnit's XML to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write a report as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a report as a page for a browser to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

// One line a paragraph: clap breaks them to the terminal's width.
pub(crate) const AFTER_HELP: &str = "\
A fixture is a file ORG/REPO/QUANT/TEST.md: what to ask of which model, and what to expect of the \
answer. fixtures/README.md tells the format.

Rows go to stdout as they come; where GITHUB_ACTIONS is set, failures are annotations as well. \
Pinky, the engine without a model, talks nonsense: with it the pipeline is judged and the answer is \
not. An interruption ends what runs; the reports tell of what had run.

Exit codes: 0 all passed, 1 some failed, 2 wrong usage or nothing to run, 6 a report could not be \
written, 130 interrupted.";

pub(crate) async fn test(args: TestArgs) -> ExitCode {
    match args.brain.engine() {
        Ok(brain) => match work(args, brain).await {
            Ok(code) => ExitCode::from(code),
            Err(error) => exit::fail(&error),
        },
        Err(wrong) => exit::usage(&wrong, brain::HINT),
    }
}

async fn work(args: TestArgs, brain: Option<Arc<dyn Backend>>) -> Result<u8, GeniusError> {
    let interrupted = interrupt::caught();
    let found = selected(&args).await;
    if found.is_empty() {
        // Another part may have them all.
        if args.shard.is_some() {
            eprintln!("no fixture is in this shard");
            return Ok(0);
        }
        eprintln!("error: no fixture is left to run\nhint: see what there is: genius test --list");
        return Ok(exit::USAGE);
    }
    if args.list {
        return Ok(list(&found));
    }
    // As many as could ever be wanted: how many are is known only with the house.
    let most = args.jobs.unwrap_or_else(processors);
    let runner = runner(&args, house(&args, brain, most)?);
    let jobs = args.jobs.unwrap_or_else(|| jobs(&runner, &found));
    let options = Options {
        jobs: usize::try_from(jobs).unwrap_or(1),
        fail_fast: args.fail_fast,
    };

    let screen = Screen::new(found.len());
    let mut interruption = None;
    let stop = async { interruption = Some(interrupted.await) };
    let suite = run_suite(&runner, found, options, stop, |progress| match progress {
        Progress::Begun(name) => screen.begun(name),
        Progress::Done(row) => screen.done(row),
    });
    let report = Box::pin(suite).await;
    screen.end(&report);
    let blessed = match args.bless && !report.interrupted {
        true => bless_all(&report),
        false => 0,
    };
    reports(&args, &report)?;
    if let Some(code) = interruption.filter(|_| report.interrupted) {
        let (all, skipped) = (report.rows.len(), report.count(Status::Skipped));
        eprintln!("interrupted: {} of {all} fixtures had run", all - skipped);
        return Ok(code);
    }
    let failed = report.rows.iter().filter(|row| row.failed()).count();
    Ok(u8::from(failed > blessed))
}

async fn selected(args: &TestArgs) -> Vec<Found> {
    let paths = args.paths.clone();
    let selection = Selection {
        filters: args.filter.clone(),
        tags: args.tag.clone(),
        shard: args.shard,
    };
    blocking::unblock(move || selection.of(scan_paths(paths))).await
}

fn house(
    args: &TestArgs,
    brain: Option<Arc<dyn Backend>>,
    jobs: u32,
) -> Result<Genius, GeniusError> {
    let pinky = PinkyConfig {
        delay: Duration::from_millis(args.pinky_delay),
        ..PinkyConfig::default()
    };
    let mut builder = Genius::builder()
        .backend(Arc::new(Pinky::new(pinky, Arc::new(SystemClock))))
        .max_runs(jobs + SPARE)
        .budgets(Budgets {
            memory: args.brain.memory_limit(),
            ..Budgets::default()
        });
    if let Some(brain) = brain {
        builder = builder.backend(brain);
    }
    if let Some(engine) = &args.engine {
        builder = builder.engine(engine);
    }
    builder.build()
}

fn runner(args: &TestArgs, genius: Genius) -> Runner {
    let tapes = match (&args.record, &args.replay) {
        (Some(dir), _) => Tapes::Record(dir.clone()),
        (None, Some(dir)) => Tapes::Replay(dir.clone()),
        (None, None) => Tapes::Off,
    };
    let runner = Runner::new(genius).retrying(args.retries).taping(tapes);
    match args.timeout {
        Some(timeout) => runner.within(timeout),
        None => runner,
    }
}

fn processors() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(processors).unwrap_or(1)
}

/// As many as the engines bear.
fn jobs(runner: &Runner, found: &[Found]) -> u32 {
    let shared = |found: &Found| match &found.fixture {
        Ok(fixture) => runner
            .engine_of(fixture)
            .is_ok_and(|engine| SHARED.contains(&&*engine)),
        Err(_) => true,
    };
    match runner.replays() || found.iter().all(shared) {
        true => processors(),
        false => 1,
    }
}

fn list(found: &[Found]) -> u8 {
    let mut out = io::stdout().lock();
    let mut broken = false;
    for found in found {
        let name = safe::line(&found.name);
        let line = match &found.fixture {
            Ok(fixture) if fixture.tags.is_empty() => name,
            Ok(fixture) => format!("{name}  [{}]", fixture.tags.join(", ")),
            Err(error) => {
                broken = true;
                format!("{name}  broken: {}", safe::line(&error.to_string()))
            }
        };
        // Whoever closed the pipe has seen enough.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    u8::from(broken)
}

fn bless_all(report: &Report) -> usize {
    let mut blessed = 0;
    for row in report.rows.iter().filter(|row| row.failed()) {
        let file = safe::line(&row.path.display().to_string());
        match bless(row) {
            Ok(keys) if keys.is_empty() => {}
            Ok(keys) => {
                blessed += 1;
                println!("blessed {file}: {}", safe::line(&keys.join(", ")));
            }
            Err(reason) => eprintln!("error: {file} was not blessed: {}", safe::line(&reason)),
        }
    }
    blessed
}

/// Writes the reports that are asked for, all that can be.
fn reports(args: &TestArgs, report: &Report) -> Result<(), GeniusError> {
    type Form = fn(&Report) -> String;
    let forms: [(&Option<PathBuf>, Form); 3] = [
        (&args.junit, junit::text),
        (&args.json, json::text),
        (&args.html, html::text),
    ];
    let mut failed = None;
    for (file, text) in forms {
        let Some(file) = file else { continue };
        if let Err(e) = report::write(file, &text(report)) {
            failed = Some(SandboxError::Host {
                what: format!("writing the report {}", file.display()),
                reason: e.to_string(),
            });
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Where people see what happens: rows on stdout, and on a terminal what runs at the moment.
struct Screen {
    style: Style,
    annotate: bool,
    bar: ProgressBar,
}

impl Screen {
    fn new(count: usize) -> Self {
        let terminal = io::stdout().is_terminal();
        let bar = match io::stderr().is_terminal() {
            true => ProgressBar::with_draw_target(
                u64::try_from(count).ok(),
                ProgressDrawTarget::stderr(),
            ),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{pos}/{len} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            style: Style {
                color: terminal && safe::wants_color(),
                width: match terminal {
                    true => terminal_size::terminal_size()
                        .map_or(WIDTH, |(width, _)| usize::from(width.0)),
                    false => WIDTH,
                },
            },
            annotate: std::env::var_os("GITHUB_ACTIONS").is_some_and(|v| !v.is_empty()),
            bar,
        }
    }

    fn begun(&self, name: &str) {
        self.bar.set_message(safe::line(name));
    }

    fn done(&self, row: &Row) {
        let mut text = terminal::row(row, self.style);
        if self.annotate {
            text += &github::annotations(row);
        }
        self.say(&text);
        self.bar.inc(1);
    }

    fn end(&self, report: &Report) {
        self.clear();
        self.say(&terminal::summary(report, self.style));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| {
            let mut out = io::stdout().lock();
            // Whoever closed the pipe has seen enough; the exit code tells the rest.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    }
}
