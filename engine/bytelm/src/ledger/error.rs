//! What can be wrong with a ledger.

use std::fmt;
use std::path::{Path, PathBuf};

/// Training data that is not as its ledger says.
#[derive(Debug)]
pub struct LedgerError {
    /// The data directory.
    pub dir: PathBuf,
    /// The file in it.
    pub file: String,
    /// What is wrong with it.
    pub problem: LedgerProblem,
}

/// What is wrong with a file of training data.
#[derive(Debug)]
#[non_exhaustive]
pub enum LedgerProblem {
    /// There is no ledger.
    NoLedger,
    /// The file cannot be read.
    Read(std::io::Error),
    /// The ledger cannot be written.
    Write(std::io::Error),
    /// The ledger is not TOML, or has other keys than it should.
    Toml(String),
    /// The file is not in the ledger.
    Unlisted,
    /// The ledger lists it, but it is no training file in the directory.
    Missing,
    /// The ledger lists it more than once.
    Twice,
    /// Its path leaves the data directory.
    Outside,
    /// Its licence or its source is empty.
    Empty(&'static str),
    /// It has another length.
    OtherSize {
        /// Bytes in the ledger.
        listed: u64,
        /// Bytes it has.
        found: u64,
    },
    /// It has other bytes.
    OtherDigest {
        /// SHA-256 in the ledger.
        listed: String,
        /// SHA-256 it has.
        found: String,
    },
    /// It is new, and its first line names no licence.
    NoSpdx,
}

impl LedgerError {
    pub(super) fn new(dir: &Path, file: &str, problem: LedgerProblem) -> Self {
        Self {
            dir: dir.to_owned(),
            file: file.to_owned(),
            problem,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let dir = self.dir.display();
        let update = format!("run `bytelm ledger {dir} --update`");
        match &self.problem {
            LedgerProblem::NoSpdx => {
                format!("write `# SPDX-License-Identifier: …` on its first line and {update}")
            }
            LedgerProblem::Empty(name) => format!(
                "write its `{name}` into {} and {update}",
                self.dir.join(super::NAME).display()
            ),
            LedgerProblem::Outside => format!("move the file into {dir} and {update}"),
            LedgerProblem::Write(_) => format!("make {dir} writable and {update}"),
            _ => format!("if the directory is right and the change is meant, {update}"),
        }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.dir.join(&self.file).display(),
            self.problem
        )
    }
}

impl fmt::Display for LedgerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLedger => f.write_str("there is no ledger of the training data"),
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::Write(error) => write!(f, "cannot be written: {error}"),
            Self::Toml(message) => f.write_str(message.trim_end()),
            Self::Unlisted => f.write_str("is not in the ledger"),
            Self::Missing => f.write_str("is in the ledger, but no training file there"),
            Self::Twice => f.write_str("is in the ledger twice"),
            Self::Outside => f.write_str("the path in the ledger leaves the data directory"),
            Self::Empty(name) => write!(f, "its `{name}` in the ledger is empty"),
            Self::OtherSize { listed, found } => {
                write!(f, "has {found} bytes; the ledger says {listed}")
            }
            Self::OtherDigest { listed, found } => {
                write!(f, "has SHA-256 {found}; the ledger says {listed}")
            }
            Self::NoSpdx => f.write_str("its first line names no licence"),
        }
    }
}

impl std::error::Error for LedgerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            LedgerProblem::Read(error) | LedgerProblem::Write(error) => Some(error),
            _ => None,
        }
    }
}
