//! What is told when a command fails.

use rusty_genius_bytelm::corpus::CorpusError;
use rusty_genius_bytelm::ledger::LedgerError;
use rusty_genius_bytelm::train::TrainError;

/// What failed, and what to do about it.
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl From<CorpusError> for Failure {
    fn from(error: CorpusError) -> Self {
        Self {
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self {
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        Self {
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}
