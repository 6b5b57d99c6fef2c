//! `genius policy`: what a policy is, and what it would do.

mod check;
mod choice;
mod file;
mod plot;
mod replay;
mod simulate;
mod table;
mod time_axis;

use crate::{exit, safe};
use clap::{Args, Subcommand};
use rusty_genius::GeniusError;
use rusty_genius::core::SandboxError;
use rusty_genius::stem::simulation::Synthetic;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Load a policy, tell what it asks for, and let it decide a short trial
    #[command(after_help = POLICY_HELP)]
    Check {
        /// The policy
        policy: String,
    },
    /// Let policies decide a trace in virtual time, on engines that only pretend
    #[command(after_help = SIMULATE_HELP)]
    Simulate(Box<SimulateArgs>),
    /// Ask a policy about each step of a recorded session, and tell where it differs
    #[command(after_help = POLICY_HELP)]
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The record, as `genius run --record FILE` writes it
    record: PathBuf,

    /// The policy to ask
    policy: String,

    /// Print one difference a line, as JSON, and the sums at the end
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The policy
    policy: String,

    #[command(flatten)]
    source: Source,

    /// Another policy, to compare with; may be given more than once
    #[arg(long, value_name = "POLICY")]
    compare: Vec<String>,

    /// Most memory that models may take, in place of what the trace says: bytes, or 16GiB
    #[arg(long, value_name = "SIZE", value_parser = crate::brain::size)]
    memory_limit: Option<u64>,

    /// Draw models, queue and memory over time into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Print one policy a line, as JSON
    #[arg(long)]
    json: bool,

    /// Write the trace to this file
    #[arg(long, value_name = "FILE")]
    write_trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The trace: models, limits and requests, as in fixtures/traces
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// A trace made up from this, key=value with commas between them
    #[arg(long, value_name = "SPEC")]
    synthetic: Option<Synthetic>,
}

/// Why a command ended early.
enum Failure {
    /// What was typed, and what to type instead.
    Usage {
        wrong: String,
        hint: &'static str,
    },
    Error(GeniusError),
}

impl<E: Into<GeniusError>> From<E> for Failure {
    fn from(e: E) -> Self {
        match e.into() {
            // The hint of its own is for workflows.
            GeniusError::Sandbox(e @ SandboxError::GuestUsage { .. }) => Self::Usage {
                wrong: e.to_string(),
                hint: "settings stand after the policy's name, as in hibernate-after:ttl=60",
            },
            e => Self::Error(e),
        }
    }
}

pub(crate) fn policy(command: PolicyCommand) -> ExitCode {
    let done = match command {
        PolicyCommand::Check { policy } => check::check(&policy),
        PolicyCommand::Simulate(args) => simulate::simulate(&args),
        PolicyCommand::Replay(args) => replay::replay(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(Failure::Usage { wrong, hint }) => exit::usage(&wrong, hint),
        Err(Failure::Error(e)) => exit::fail(&e),
    }
}

/// Says something for people, on one line.
fn warn(text: &str) {
    eprintln!("warning: {}", safe::line(text));
}

/// Prints what was asked for, all at once. Its words may be a policy's or a file's.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let text = safe::text(text);
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever closed the pipe has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(host("writing to stdout".to_owned(), &e)),
        Ok(()) => Ok(()),
    }
}

fn host(what: String, error: &dyn std::error::Error) -> Failure {
    let reason = error.to_string();
    SandboxError::Host { what, reason }.into()
}

const POLICY_HELP: &str = "\
A POLICY is a component file, a built-in policy (see `genius guests`; `lru` for policy/lru), or \
one of the host's own: native, native:immediate, native:keep-alive, native:hibernate-after=5m. \
Settings stand after its name: hibernate-after:ttl=60, router:small=model-01,max-tokens=64. A \
comma that no KEY= follows belongs to the value: lru:keep=model-01,model-02.

Exit codes: see `genius --help`.";

// One line a paragraph: clap breaks them to the terminal's width.
const SIMULATE_HELP: &str = "\
A POLICY is a component file, a built-in policy (see `genius guests`; `lru` for policy/lru), or \
one of the host's own: native, native:immediate, native:keep-alive, native:hibernate-after=5m. \
Settings stand after its name: hibernate-after:ttl=60, router:small=model-01,max-tokens=64. A \
comma that no KEY= follows belongs to the value: lru:keep=model-01,model-02.

Examples:
  genius policy simulate lru --trace fixtures/traces/day.trace --plot day.svg
  genius policy simulate ./mine.wasm --compare lru --synthetic pattern=bursty,seed=7
  genius policy simulate native:immediate --compare hibernate-after:ttl=60 \\
      --synthetic pattern=day,requests=100000,memory=48GiB

Keys of SPEC, all of which may be left out:
  pattern      steady, bursty or day [steady]
  seed         which of all such traces [1]
  requests     how many [1000]
  rate         of them a second, on average [1; all in 24 h for day]
  models       the first is asked for most [4; 40 for day]
  guests       who ask [8]
  memory       for all models, or none [24GiB]
  queue        requests that may wait [1024]
  generations  at once [64]
  prompt       tokens of a prompt, on average [400]
  completion   tokens of an answer, on average [150]
  deadline     seconds an answer is of use, or none [none]
  impatient    share of requests taken back after some 10 s [0]

What is printed is the same each time, byte for byte. With --json, times are in milliseconds and \
memory is in bytes. How long it took goes to stderr.

Exit codes: see `genius --help`; 1 also if a request was never answered.";
