//! The command line. The comments on its parts are the help texts, in a terminal's words.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "brackets stand for what is optional"
)]

use crate::brain::BrainArgs;
use crate::grants::GrantArgs;
use crate::guest::GuestCommand;
use crate::mind::MindArgs;
use crate::policy::PolicyCommand;
use crate::runs::RunsCommand;
use crate::shape::Shape;
use crate::test::TestArgs;
use clap::{Args, Parser, Subcommand};

/// Run prompt workflows nobody has reviewed, on models you own, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "genius", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a guest in the sandbox and stream its answer
    #[command(after_help = RUN_AFTER_HELP)]
    Run(Box<RunArgs>),
    /// Run fixtures, each in a sandbox of its own, and report
    #[command(after_help = crate::test::AFTER_HELP)]
    Test(Box<TestArgs>),
    /// Fetch, list and check models
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Look at components before they run
    Guest {
        #[command(subcommand)]
        command: GuestCommand,
    },
    /// List past runs, and show what one did
    Runs {
        #[command(subcommand)]
        command: RunsCommand,
    },
    /// Check and simulate orchestration policies
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// List the built-in guests
    Guests,
}

/// A SPEC is org/repo[:QUANT][@revision], a name from models.toml, a path to a .gguf
/// file, or https://….gguf#sha256=HEX.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Fetch models, or find them on this machine; prints their files
    Pull {
        /// Models to fetch: org/repo[:QUANT][@revision], a name from models.toml, or
        /// https://….gguf#sha256=HEX
        #[arg(required = true, value_name = "SPEC")]
        specs: Vec<String>,
        /// Print one event a line, as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the models on this machine
    List {
        /// Print one model a line, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell what a model on this machine says of itself
    Show {
        /// The model
        spec: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Read models from end to end and compare their sha256; all, if none is named
    Verify {
        /// Models to check
        #[arg(value_name = "SPEC")]
        specs: Vec<String>,
        /// Print one event or file a line, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove models, and their files where nothing else uses them
    Rm {
        /// Models to remove
        #[arg(required = true, value_name = "SPEC")]
        specs: Vec<String>,
    },
    /// Give a model a name, in models.toml
    Add {
        /// The name: letters, digits, `.`, `_` and `-`
        name: String,
        /// The model it stands for
        spec: String,
        /// Even if the name is taken
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A component file, the name of a built-in guest (see `genius guests`), a genius.toml,
    /// or a directory with one
    pub(crate) guest: String,

    /// Model to run it on: org/repo[:QUANT][@revision], a path to a .gguf file, or a
    /// name from models.toml
    #[arg(long, value_name = "SPEC")]
    pub(crate) model: Option<String>,

    /// Engine to run the model: bytelm, pinky, or what this build has besides
    #[arg(long, value_name = "NAME")]
    pub(crate) engine: Option<String>,

    /// Most seconds the guest may take, waiting for the model included; 60 if not said
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<std::time::Duration>,

    /// Most memory the guest may hold, MiB; 256 if not said
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) memory: Option<u64>,

    #[command(flatten)]
    pub(crate) grants: GrantArgs,

    /// Say what the guest would get, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Show what the guest consumes of its budget
    #[arg(long)]
    pub(crate) stats: bool,

    /// Keep no record of the run
    #[arg(long)]
    pub(crate) no_record: bool,

    #[command(flatten)]
    pub(crate) shape: Shape,

    #[command(flatten)]
    pub(crate) brain: BrainArgs,

    #[command(flatten)]
    pub(crate) mind: MindArgs,

    /// Print one event a line, as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Print the answer only: no thoughts, no usage line
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Milliseconds Pinky takes for a token, 15 if not said; chooses Pinky where no engine
    /// is named
    #[arg(long, value_name = "MS")]
    pub(crate) pinky_delay: Option<u64>,

    /// Arguments for the guest; put `--` before the first if it begins with `-`
    #[arg(trailing_var_arg = true, value_name = "ARG")]
    pub(crate) args: Vec<String>,
}

/// Seconds, whole or not, more than none and at most a year.
pub(crate) fn seconds(text: &str) -> Result<std::time::Duration, String> {
    const YEAR: f64 = 365.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        Ok(s) if s > 0.0 && s <= YEAR => Ok(std::time::Duration::from_secs_f64(s)),
        _ => Err("give seconds, more than 0 and at most a year: 30, or 0.5".into()),
    }
}

const AFTER_HELP: &str = "\
Examples:
  genius run ask What is the capital of France?
  genius run ./workflow.wasm --model Qwen/Qwen2.5-3B-Instruct:Q4_K_M -- --verbose
  genius run ask --json-schema person.json Invent a person.
  genius test fixtures --junit target/junit.xml
  genius guest inspect ./workflow.wasm
  genius run ./genius.toml --dry-run
  genius runs show last
  genius models pull qwen2.5-1.5b
  genius policy simulate lru --synthetic pattern=day
  genius guests

Exit codes:
    0  the guest did its work
    1  the guest failed, or trapped; a fixture failed
    2  wrong usage: arguments, no such guest, a bad manifest
    3  the guest was refused: no component, or it wants what nobody grants
    4  the guest spent its budget: time, memory, or another limit
    5  the engine or the model failed
    6  the host failed: disk, permissions
  130  interrupted (143: terminated)

Environment:
  RUSTY_GENIUS_HOME  moves the user's configuration, cache and records of runs (default: XDG
                     folders)
  RUSTY_GENIUS_TMP   where guests get their scratch directories (default: target/tmp)
  HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE
                     as for other tools of the Hugging Face hub
  RUSTY_GENIUS_LOG   what is logged on stderr, by level and target: warn, or
                     llama-cpp-2=debug,warn (default: nothing; HTTP headers, which may
                     hold a token, only where isahc is named)
  NO_COLOR           no dimmed thoughts, no colour";

// One line a paragraph: clap breaks them to the terminal's width.
const RUN_AFTER_HELP: &str = "\
The answer goes to stdout as it comes, thoughts and a usage line go to stderr. \
What the guest writes to /scratch is kept, and the usage line says where.

A guest gets what its component asks for and a genius.toml, or these flags, grant; the first \
look at a stranger's component is `genius guest inspect`. Each run leaves a record: see \
`genius runs`.

With --json, stdout has one JSON object a line, told apart by `type`: `start`, then \
`content` and `thought` as they come, `note` for each line of the guest's journal, \
`denial` for what it was denied, `stats` where that is asked for, and `end` with usage, outcome and exit code.

Exit codes: see `genius --help`.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(args: &[&str]) -> Result<RunArgs, clap::Error> {
        let line = ["genius", "run"].iter().chain(args);
        Cli::try_parse_from(line).map(|cli| match cli.command {
            Command::Run(args) => *args,
            other => unreachable!("`run` was given, not {other:?}"),
        })
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_guests_arguments_stand_after_its_name_or_after_a_double_dash() {
        assert_eq!(run(&["ask", "a", "b"]).unwrap().args, ["a", "b"]);
        assert_eq!(run(&["ask", "--", "-x", "b"]).unwrap().args, ["-x", "b"]);
        let args = run(&["ask", "--timeout", "3", "--", "--json"]).unwrap();
        assert_eq!(args.args, ["--json"]);
        assert!(!args.json);
    }

    #[test]
    fn a_time_is_positive_and_finite() {
        for bad in ["0", "-1", "NaN", "inf", "1e99", "soon", ""] {
            assert!(run(&["ask", &format!("--timeout={bad}")]).is_err(), "{bad}");
        }
        let half = run(&["ask", "--timeout=0.5"]).unwrap();
        assert_eq!(half.timeout, Some(std::time::Duration::from_millis(500)));
    }
}
