//! The `genius` command: the facade's parts, a terminal around them.

mod bars;
mod brain;
mod cli;
mod exit;
mod grants;
mod guest;
mod interrupt;
mod log;
mod mind;
mod models;
mod output;
mod policy;
mod run;
mod runs;
mod safe;
mod shape;
mod stats;
mod test;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(wrong) = log::install() {
        return exit::usage(&wrong, log::HINT);
    }
    match cli.command {
        Command::Run(args) => async_std::task::block_on(run::run(*args)),
        Command::Test(args) => async_std::task::block_on(test::test(*args)),
        Command::Models { command } => async_std::task::block_on(models::models(command)),
        Command::Guest { command } => async_std::task::block_on(guest::guest(command)),
        Command::Runs { command } => runs::runs(command),
        Command::Policy { command } => policy::policy(command),
        Command::Guests => guests(),
    }
}

fn guests() -> ExitCode {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    for guest in rusty_genius::guests::all() {
        // Whoever closed the pipe has seen enough.
        if writeln!(out, "{:<24} {}", guest.name, guest.summary).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
