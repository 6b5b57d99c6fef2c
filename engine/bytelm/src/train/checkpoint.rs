//! Where a run stands, in a file.
//!
//! A checkpoint is a magic, the length of its header, the header as JSON, the numbers
//! (weights, then AdamW's means, then its mean squares, each in the order of
//! `Config::shapes`, little-endian f32), and the SHA-256 of all of that.

use super::adamw::AdamW;
use super::{EpochReport, TrainError, TrainOptions};
use crate::aside;
use crate::config_json::ConfigJson;
use crate::{Config, ledger};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"BYTELM\x00\x01";
const DIGEST: usize = 32;
const KEPT: usize = 2;

/// Which run a checkpoint is of: what its weights depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunId {
    pub(crate) config: ConfigJson,
    pub(crate) options: TrainOptions,
    /// Digest of the training data.
    pub(crate) data: String,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Whole epochs done.
    pub(crate) epoch: u64,
    /// Batches of the next epoch done.
    pub(crate) batch: usize,
    /// Steps done since the beginning.
    pub(crate) step: u64,
    /// Sum of the losses of those batches, in nats.
    pub(crate) loss: f64,
    /// Tokens of answers in those batches.
    pub(crate) answers: u64,
    /// Bytes read in those batches.
    pub(crate) bytes: u64,
    /// Seconds spent on those batches.
    pub(crate) seconds: f64,
}

/// All of a run's state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) weights: Vec<Vec<f32>>,
    pub(crate) adamw: AdamW,
    pub(crate) position: Position,
    pub(crate) history: Vec<EpochReport>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    run: RunId,
    position: Position,
    history: Vec<EpochReport>,
}

/// A directory's newest checkpoint that is whole.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) run: RunId,
    pub(crate) state: State,
}

/// Writes a checkpoint and removes all but the last two.
pub(crate) fn save(dir: &Path, run: &RunId, state: &State) -> Result<PathBuf, TrainError> {
    let path = dir.join(format!("checkpoint-{:09}.bytelm", state.position.step));
    let bytes = encode(run, state);
    aside::write(&path, &bytes).map_err(|error| TrainError::Write {
        path: path.clone(),
        error,
    })?;
    for old in list(dir)?.into_iter().skip(KEPT) {
        remove(&old)?;
    }
    Ok(path)
}

/// The newest checkpoint that is whole, and what is wrong with newer ones.
pub(crate) fn newest(dir: &Path) -> Result<(Option<Found>, Vec<Skipped>), TrainError> {
    let mut skipped = Vec::new();
    for path in list(dir)? {
        let read = fs::read(&path).map_err(|error| error.to_string());
        match read.and_then(|bytes| decode(&bytes)) {
            Ok((run, state)) => return Ok((Some(Found { path, run, state }), skipped)),
            Err(reason) => skipped.push(Skipped { path, reason }),
        }
    }
    Ok((None, skipped))
}

/// A checkpoint that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Removes all checkpoints of a directory.
pub(crate) fn clear(dir: &Path) -> Result<(), TrainError> {
    list(dir)?.iter().try_for_each(|path| remove(path))
}

fn remove(path: &Path) -> Result<(), TrainError> {
    fs::remove_file(path).map_err(|error| TrainError::Write {
        path: path.to_owned(),
        error,
    })
}

/// The checkpoints of a directory, newest first.
fn list(dir: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let failed = |error| TrainError::Read {
        path: dir.to_owned(),
        error,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        let number = name
            .strip_prefix("checkpoint-")
            .and_then(|rest| rest.strip_suffix(".bytelm"));
        if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            paths.push(dir.join(&*name));
        }
    }
    paths.sort();
    paths.reverse();
    Ok(paths)
}

fn encode(run: &RunId, state: &State) -> Vec<u8> {
    let header = Header {
        run: run.clone(),
        position: state.position.clone(),
        history: state.history.clone(),
    };
    // Plain structs of finite numbers and strings: JSON has all of them.
    let header = serde_json::to_vec(&header).unwrap_or_default();
    let mut bytes = MAGIC.to_vec();
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for numbers in [&state.weights, &state.adamw.mean, &state.adamw.square] {
        bytes.extend(numbers.iter().flatten().flat_map(|n| n.to_le_bytes()));
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

fn decode(bytes: &[u8]) -> Result<(RunId, State), String> {
    let cut = || "it is cut short".to_owned();
    let (bytes, digest) = bytes.split_last_chunk::<DIGEST>().ok_or_else(cut)?;
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("it is no checkpoint of this version")?;
    if Sha256::digest(bytes).as_slice() != digest {
        return Err("its bytes are not those that were written".into());
    }
    let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
    let (header, numbers) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header: Header = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    let config = &header.run.config.0;
    config.check().map_err(|error| error.to_string())?;
    let lengths = lengths(config);
    let total: usize = lengths.iter().sum();
    if numbers.len() != total * 3 * 4 {
        return Err("it has another number of weights than its config".into());
    }
    let mut numbers = numbers
        .as_chunks::<4>()
        .0
        .iter()
        .map(|chunk| f32::from_le_bytes(*chunk));
    let mut tensors = || -> Vec<Vec<f32>> {
        lengths
            .iter()
            .map(|&length| numbers.by_ref().take(length).collect())
            .collect()
    };
    let state = State {
        weights: tensors(),
        adamw: AdamW {
            mean: tensors(),
            square: tensors(),
        },
        position: header.position,
        history: header.history,
    };
    Ok((header.run, state))
}

/// How many numbers each tensor has.
pub(crate) fn lengths(config: &Config) -> Vec<usize> {
    let shapes = config.shapes();
    shapes
        .iter()
        .map(|shape| shape.rows * shape.columns)
        .collect()
}

/// What differs between two runs: the name, the value there, the value here.
pub(crate) fn differences(there: &RunId, here: &RunId) -> Vec<(String, String, String)> {
    // In order of name, whatever order a JSON object has.
    let fields = |run: &RunId| -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        let config = serde_json::to_value(&run.config).unwrap_or_default();
        let options = serde_json::to_value(&run.options).unwrap_or_default();
        for (prefix, value) in [("config ", config), ("", options)] {
            for (name, value) in value.as_object().into_iter().flatten() {
                let name = format!("{prefix}{}", name.replace('_', "-"));
                all.insert(name, value.clone());
            }
        }
        let short = run.data.get(..12).unwrap_or(&run.data);
        all.insert(
            "data".into(),
            Value::String(format!("{}:{short}", ledger::NAME)),
        );
        all
    };
    let (there, here) = (fields(there), fields(here));
    let show = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "missing".into(),
    };
    here.iter()
        .filter(|(name, value)| there.get(*name) != Some(*value))
        .map(|(name, value)| (name.clone(), show(there.get(name)), show(Some(value))))
        .collect()
}

#[cfg(test)]
mod tests;
