//! `bytelm ledger`.

use crate::cli::LedgerArgs;
use crate::failure::Failure;
use rusty_genius_bytelm::corpus::Corpus;
use rusty_genius_bytelm::ledger::Ledger;
use std::process::ExitCode;

pub(crate) fn run(arguments: &LedgerArgs) -> Result<ExitCode, Failure> {
    if arguments.update {
        // A ledger of data that nothing can be trained on would only hide the fault.
        Corpus::load(&arguments.dir)?;
        Ledger::update(&arguments.dir)?;
    }
    Ledger::check(&arguments.dir)?;
    for file in Ledger::read(&arguments.dir)?.file {
        println!(
            "{}  {:>8}  {}  {}",
            file.sha256, file.bytes, file.license, file.path
        );
    }
    Ok(ExitCode::SUCCESS)
}
