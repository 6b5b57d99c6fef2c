//! What the training data is and where it came from: `ledger.toml` of a data directory.
//!
//! Training reads each file once and uses exactly the bytes that the ledger's digest stands
//! for.

mod error;

pub use error::{LedgerError, LedgerProblem};

use crate::aside;
use crate::corpus::{self, SourceFile};
use rusty_genius_core::text::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

/// The ledger's name in a data directory.
pub const NAME: &str = "ledger.toml";

/// The source of files that a ledger has not listed before.
pub const OWN_SOURCE: &str = "written for this project";

/// What a first line says before a licence.
const SPDX: &str = "SPDX-License-Identifier:";

/// The files of a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// One for each file, by path.
    #[serde(default)]
    pub file: Vec<LedgerEntry>,
}

/// A file of training data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    /// Its path in the data directory.
    pub path: String,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// Its licence as SPDX writes it: `MIT OR Apache-2.0`.
    pub license: String,
    /// Where it came from.
    pub source: String,
}

/// A data directory that is as its ledger says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedData {
    /// The files' bytes, the very ones that were hashed.
    pub files: Vec<SourceFile>,
    /// SHA-256 over the paths and digests of all files: another one means other data.
    pub digest: String,
}

impl Ledger {
    /// Reads all training data of `dir`, if it is as the ledger there says.
    ///
    /// Refused are a missing ledger, a file that is not listed, a listed one that is missing
    /// or has other bytes, one that is listed twice, a path that leaves the directory, and an
    /// empty licence or source.
    pub fn check(dir: &Path) -> Result<CheckedData, LedgerError> {
        let ledger = Self::read(dir)?;
        let mut found: BTreeMap<String, SourceFile> = Self::files(dir)?
            .into_iter()
            .map(|file| (file.path.clone(), file))
            .collect();
        let mut files = Vec::with_capacity(ledger.file.len());
        let mut all = Sha256::new();
        let mut entries = ledger.file;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        for pair in entries.windows(2) {
            if pair[0].path == pair[1].path {
                return Err(LedgerError::new(dir, &pair[0].path, LedgerProblem::Twice));
            }
        }
        for entry in entries {
            let fail = |problem| LedgerError::new(dir, &entry.path, problem);
            entry.check_words().map_err(fail)?;
            let file = found
                .remove(&entry.path)
                .ok_or_else(|| fail(LedgerProblem::Missing))?;
            entry.check_bytes(&file.bytes).map_err(fail)?;
            all.update(format!("{}\n{}\n", entry.path, entry.sha256));
            files.push(file);
        }
        match found.into_keys().next() {
            Some(path) => Err(LedgerError::new(dir, &path, LedgerProblem::Unlisted)),
            None => Ok(CheckedData {
                files,
                digest: hex(&all.finalize()),
            }),
        }
    }

    /// Rewrites the ledger of `dir` after its files, and gives back what it says now.
    ///
    /// Files that it listed keep licence and source. A new file's licence is that of the SPDX
    /// comment on its first line, and its source [`OWN_SOURCE`]; without the comment it is an
    /// error. Files that are gone leave the ledger.
    pub fn update(dir: &Path) -> Result<Self, LedgerError> {
        let known: BTreeMap<String, LedgerEntry> = Self::find(dir)?
            .unwrap_or_default()
            .file
            .into_iter()
            .map(|entry| (entry.path.clone(), entry))
            .collect();
        let entry = |file: SourceFile| {
            let (license, source) = match known.get(&file.path) {
                Some(entry) => (entry.license.clone(), entry.source.clone()),
                None => (license(&file.bytes), OWN_SOURCE.to_owned()),
            };
            if license.is_empty() {
                return Err(LedgerError::new(dir, &file.path, LedgerProblem::NoSpdx));
            }
            Ok(LedgerEntry {
                sha256: hex(&Sha256::digest(&file.bytes)),
                bytes: file.bytes.len() as u64,
                path: file.path,
                license,
                source,
            })
        };
        let files = Self::files(dir)?.into_iter().map(entry);
        let ledger = Self {
            file: files.collect::<Result<_, _>>()?,
        };
        let write = |problem| LedgerError::new(dir, NAME, problem);
        let text = toml::to_string(&ledger)
            .map_err(|error| write(LedgerProblem::Toml(error.to_string())))?;
        let text = format!(
            "# What the training data is, and where it came from. Written by\n\
             # `bytelm ledger DIR --update`; licences and sources may be edited.\n\n{text}"
        );
        aside::write(&dir.join(NAME), text.as_bytes())
            .map_err(|error| write(LedgerProblem::Write(error)))?;
        Ok(ledger)
    }

    /// The ledger of a data directory, unchecked.
    pub fn read(dir: &Path) -> Result<Self, LedgerError> {
        Self::find(dir)?.ok_or_else(|| LedgerError::new(dir, NAME, LedgerProblem::NoLedger))
    }

    fn find(dir: &Path) -> Result<Option<Self>, LedgerError> {
        let text = match fs::read_to_string(dir.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir.is_dir() => {
                return Ok(None);
            }
            Err(error) => return Err(LedgerError::new(dir, NAME, LedgerProblem::Read(error))),
        };
        let parsed = toml::from_str(&text)
            .map_err(|error| LedgerError::new(dir, NAME, LedgerProblem::Toml(error.to_string())))?;
        Ok(Some(parsed))
    }

    fn files(dir: &Path) -> Result<Vec<SourceFile>, LedgerError> {
        corpus::read(dir).map_err(|(path, error)| {
            let path = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy();
            LedgerError::new(dir, &path, LedgerProblem::Read(error))
        })
    }
}

impl LedgerEntry {
    fn check_words(&self) -> Result<(), LedgerProblem> {
        let path = Path::new(&self.path);
        let inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside || path.components().next().is_none() {
            return Err(LedgerProblem::Outside);
        }
        for (name, word) in [("license", &self.license), ("source", &self.source)] {
            if word.trim().is_empty() {
                return Err(LedgerProblem::Empty(name));
            }
        }
        Ok(())
    }

    fn check_bytes(&self, bytes: &[u8]) -> Result<(), LedgerProblem> {
        let found = bytes.len() as u64;
        if found != self.bytes {
            return Err(LedgerProblem::OtherSize {
                listed: self.bytes,
                found,
            });
        }
        let found = hex(&Sha256::digest(bytes));
        match found == self.sha256 {
            true => Ok(()),
            false => Err(LedgerProblem::OtherDigest {
                listed: self.sha256.clone(),
                found,
            }),
        }
    }
}

/// The licence of the SPDX comment on the first line, or nothing.
fn license(bytes: &[u8]) -> String {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
    String::from_utf8_lossy(first)
        .trim()
        .strip_prefix('#')
        .and_then(|comment| comment.trim().strip_prefix(SPDX))
        .map_or_else(String::new, |license| license.trim().to_owned())
}

#[cfg(test)]
mod tests;
