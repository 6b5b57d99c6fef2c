//! What can be wrong with a corpus.

use super::{LONGEST, Place};
use std::fmt;
use std::path::PathBuf;

/// A corpus that cannot be trained on: which file, which line, and what is wrong there.
#[derive(Debug)]
pub struct CorpusError {
    /// The file, relative to the data directory; the directory where it cannot be listed.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: CorpusProblem,
}

/// What is wrong with a corpus.
#[derive(Debug)]
#[non_exhaustive]
pub enum CorpusProblem {
    /// A file or the directory cannot be read.
    Read(std::io::Error),
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The file is not TOML, or has a key or a type that no entry has.
    Toml(String),
    /// There is no question in any file.
    NoQuestions,
    /// A list without anything in it.
    EmptyList(&'static str),
    /// A text that is empty or only white space.
    EmptyText(&'static str),
    /// Two columns of a family have the same name.
    TwoColumns,
    /// A row of a family has more or fewer cells than there are columns.
    RowLength {
        /// The row, its cells separated by commas.
        row: String,
        /// Cells it has.
        cells: usize,
        /// Columns there are.
        columns: usize,
    },
    /// A `{word}` that is none of the family's columns.
    UnknownColumn(String),
    /// A control character other than the line feed.
    ControlCharacter {
        /// The text.
        text: String,
        /// The character's code.
        code: u32,
    },
    /// A conversation of more than [`LONGEST`] tokens.
    TooLong {
        /// Its question.
        question: String,
        /// Tokens it has.
        tokens: usize,
    },
    /// A question that is held out is also trained on.
    HeldOutAsked {
        /// The question as it is held out.
        question: String,
        /// Where it is trained on.
        asked: Place,
    },
}

impl CorpusError {
    pub(super) fn at(file: &str, line: Option<usize>, problem: CorpusProblem) -> Self {
        let file = file.to_owned();
        Self {
            file,
            line,
            problem,
        }
    }

    pub(super) fn in_entry(place: &Place, problem: CorpusProblem) -> Self {
        Self::at(&place.file, Some(place.line), problem)
    }

    pub(super) fn read((path, error): (PathBuf, std::io::Error)) -> Self {
        let path = path.display().to_string();
        Self::at(&path, None, CorpusProblem::Read(error))
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match &self.problem {
            CorpusProblem::Read(_) => "pass the directory of the training data with --data".into(),
            CorpusProblem::NotUtf8 => "save the file as UTF-8".into(),
            CorpusProblem::Toml(_) => "corpus/README.md shows every key that there is".into(),
            CorpusProblem::NoQuestions => {
                "a data directory has .toml files as corpus/README.md describes them".into()
            }
            CorpusProblem::EmptyList(name) | CorpusProblem::EmptyText(name) => {
                format!("write something into `{name}`, or leave out the key where it may be")
            }
            CorpusProblem::TwoColumns => "give each column a name of its own".into(),
            CorpusProblem::RowLength { .. } => "give each row one cell for each column".into(),
            CorpusProblem::UnknownColumn(word) => {
                format!("add {word:?} to `columns`, or write the text without braces")
            }
            CorpusProblem::ControlCharacter { .. } => {
                "the line feed is the only control character there may be".into()
            }
            CorpusProblem::TooLong { .. } => "shorten the thought, the answer or the talk".into(),
            CorpusProblem::HeldOutAsked { .. } => {
                "hold out another wording, or take it out of `ask`".into()
            }
        }
    }
}

impl fmt::Display for CorpusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.problem),
            None => write!(f, "{}: {}", self.file, self.problem),
        }
    }
}

impl fmt::Display for CorpusProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::Toml(message) => f.write_str(message.trim_end()),
            Self::NoQuestions => f.write_str("no questions"),
            Self::EmptyList(name) => write!(f, "the list `{name}` is empty"),
            Self::EmptyText(name) => write!(f, "a text of `{name}` is empty"),
            Self::TwoColumns => f.write_str("two columns have the same name"),
            Self::RowLength {
                row,
                cells,
                columns,
            } => write!(f, "the row [{row}] has {cells} cells for {columns} columns"),
            Self::UnknownColumn(word) => write!(f, "{{{word}}} is none of the columns"),
            Self::ControlCharacter { text, code } => {
                write!(f, "the control character U+{code:04X} is in {text:?}")
            }
            Self::TooLong { question, tokens } => write!(
                f,
                "the conversation up to the answer of {question:?} has {tokens} tokens; at most \
                 {LONGEST} are allowed"
            ),
            Self::HeldOutAsked { question, asked } => write!(
                f,
                "{question:?} is held out, but trained on at {}:{}",
                asked.file, asked.line
            ),
        }
    }
}

impl std::error::Error for CorpusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            CorpusProblem::Read(error) => Some(error),
            _ => None,
        }
    }
}
