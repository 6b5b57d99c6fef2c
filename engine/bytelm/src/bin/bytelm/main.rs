//! `bytelm`: trains the byte-level models of Rusty-Genius and keeps the ledger of what they
//! are trained on.

mod cli;
mod eval;
mod export;
mod failure;
mod interrupt;
mod ledger;
mod progress;
mod train;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Ledger(arguments) => ledger::run(&arguments),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("error: {}", failure.message);
        eprintln!("hint: {}", failure.hint);
        ExitCode::FAILURE
    })
}
