//! A file of the corpus as TOML has it.

use super::{CorpusError, CorpusProblem, SourceFile};
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) pair: Vec<Spanned<Pair>>,
    #[serde(default)]
    pub(super) family: Vec<Spanned<Family>>,
    #[serde(default)]
    pub(super) talk: Vec<Spanned<Talk>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Pair {
    pub(super) ask: Vec<String>,
    pub(super) held_out: Option<Vec<String>>,
    pub(super) think: Option<String>,
    pub(super) answer: String,
    pub(super) system: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Family {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    pub(super) system: Option<String>,
    pub(super) held_out_rows: Option<Vec<Vec<String>>>,
    pub(super) ask: Vec<String>,
    pub(super) held_out: Option<Vec<String>>,
    pub(super) think: Option<String>,
    pub(super) answer: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Talk {
    pub(super) system: Option<String>,
    pub(super) turn: Vec<Spanned<TalkTurn>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TalkTurn {
    pub(super) ask: Vec<String>,
    pub(super) held_out: Option<Vec<String>>,
    pub(super) think: Option<String>,
    pub(super) answer: String,
}

/// The file's text.
pub(super) fn text(file: &SourceFile) -> Result<&str, CorpusError> {
    std::str::from_utf8(&file.bytes).map_err(|error| {
        let line = line(&file.bytes, error.valid_up_to());
        CorpusError::at(&file.path, Some(line), CorpusProblem::NotUtf8)
    })
}

/// The file's entries.
pub(super) fn parse(file: &SourceFile, text: &str) -> Result<File, CorpusError> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line(&file.bytes, span.start));
        let problem = CorpusProblem::Toml(error.message().to_owned());
        CorpusError::at(&file.path, line, problem)
    })
}

/// The line, from 1, of that byte.
pub(super) fn line(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or(text);
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}
