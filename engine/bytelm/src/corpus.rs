//! Questions and answers to train on, as `corpus/README.md` describes their files.

mod check;
mod error;
mod expand;
mod file;
mod sample;

pub(crate) use sample::generator;

pub use error::{CorpusError, CorpusProblem};
pub use sample::{HeldOut, NEUTRAL_SYSTEMS, Sample, Unseen};

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Tokens of a whole conversation, markers and thoughts included: the most there may be.
pub const LONGEST: usize = 512;

/// All questions of a data directory, each with the turns before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Corpus {
    /// The questions, in the order of the files' names and of their entries.
    pub questions: Vec<Question>,
}

/// A question, in every wording it has, and what is answered to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The system's turn, where there is one.
    pub system: Option<String>,
    /// The turns before the question.
    pub earlier: Vec<Exchange>,
    /// Its wordings; never empty.
    pub ask: Vec<String>,
    /// Wordings that are never trained on.
    pub held_out: Vec<String>,
    /// What is thought before the answer.
    pub think: Option<String>,
    /// The answer.
    pub answer: String,
    /// Whether no wording of it is trained on.
    pub unseen: bool,
    /// Where it was read.
    pub place: Place,
}

/// A question that was answered before, without what was thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Wordings of the question; never empty.
    pub ask: Vec<String>,
    /// The answer.
    pub answer: String,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the data directory.
    pub file: String,
    /// The line where the entry begins, from 1.
    pub line: usize,
}

/// A file of the corpus and the bytes it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path in the data directory, with `/` between the parts.
    pub path: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Corpus {
    /// Parses the files and checks them together.
    ///
    /// Fails for what `corpus/README.md` forbids, and where there is no question at all; the
    /// error names the file and, where it can, the line.
    pub fn parse(files: &[SourceFile]) -> Result<Self, CorpusError> {
        let mut questions = Vec::new();
        for file in files {
            let text = file::text(file)?;
            let parsed = file::parse(file, text)?;
            expand::questions(&file.path, text, parsed, &mut questions)?;
        }
        check::questions(&questions)?;
        Ok(Self { questions })
    }

    /// Reads every file of training data in `dir` and parses them. For training, read them by
    /// [`Ledger::check`](crate::ledger::Ledger::check), which knows their digests.
    pub fn load(dir: &Path) -> Result<Self, CorpusError> {
        Self::parse(&read(dir).map_err(CorpusError::read)?)
    }
}

/// The files of training data in a directory, in the order of their names: every `.toml`
/// except the ledger.
pub(crate) fn read(dir: &Path) -> Result<Vec<SourceFile>, (PathBuf, io::Error)> {
    let listing = fs::read_dir(dir).map_err(|error| (dir.to_owned(), error))?;
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|error| (dir.to_owned(), error))?;
        let path = entry.path();
        // A name that is not Unicode is shown as well as it can be; it is in no ledger.
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.extension().is_some_and(|end| end == "toml") && name != crate::ledger::NAME {
            names.push((name, path));
        }
    }
    names.sort();
    names
        .into_iter()
        .map(|(name, path)| {
            let bytes = fs::read(&path).map_err(|error| (path, error))?;
            Ok(SourceFile { path: name, bytes })
        })
        .collect()
}

#[cfg(test)]
mod tests;
