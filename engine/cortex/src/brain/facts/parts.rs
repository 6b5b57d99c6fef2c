//! The files of a model: each opened once, its header proven, and all of them one model.

use rusty_genius_core::gguf::{Array, Elements, Gguf, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Most parts of a model; llama.cpp numbers them with 16 bits.
const PARTS_LIMIT: usize = 1 << 10;

/// One file and its header.
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) gguf: Gguf,
}

impl Part {
    /// Bytes of the tensors in this part.
    pub(super) fn weights_bytes(&self) -> u64 {
        // They lie apart from each other in a file whose length is a u64.
        self.gguf
            .tensors()
            .iter()
            .map(|tensor| tensor.bytes())
            .sum()
    }
}

/// Reads the headers of all parts and checks that they are the parts of one model.
pub(super) fn read(weights: &[PathBuf]) -> Result<Vec<Part>, String> {
    if weights.len() > PARTS_LIMIT {
        let count = weights.len();
        return Err(format!(
            "{count} files of weights, the limit is {PARTS_LIMIT}"
        ));
    }
    let parts = weights
        .iter()
        .map(|path| {
            let gguf = open(path)
                .and_then(|file| Gguf::read(BufReader::new(file)).map_err(|e| e.to_string()))
                .map_err(|e| format!("{}: {e}", path.display()))?;
            Ok(Part {
                path: path.clone(),
                gguf,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let in_order = parts.iter().enumerate();
    for (number, part) in in_order {
        belongs(part, number, parts.len()).map_err(|e| format!("{}: {e}", part.path.display()))?;
    }
    tensors_add_up(&parts)?;
    Ok(parts)
}

/// Opens a regular file.
pub(super) fn open(path: &Path) -> Result<File, String> {
    // Asked first: opening a pipe would wait for its writer.
    regular(&fs::metadata(path).map_err(|e| e.to_string())?)?;
    let file = File::open(path).map_err(|e| e.to_string())?;
    regular(&file.metadata().map_err(|e| e.to_string())?)?;
    Ok(file)
}

fn regular(metadata: &fs::Metadata) -> Result<(), String> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err("not a regular file".into()),
    }
}

/// Whether a file says of itself that it is part `number` (from 0) of `count`.
fn belongs(part: &Part, number: usize, count: usize) -> Result<(), String> {
    let key = |key: &str| match part.gguf.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| super::refusal(key, value, "a number")),
    };
    // A file that was never split has neither key.
    let whole = (count == 1).then_some(1);
    match key("split.count")?.filter(|&n| n > 0).or(whole) {
        Some(n) if n == count as u64 => {}
        Some(n) => {
            return Err(format!(
                "`split.count` is {n} (expected {count}, as many files were given)"
            ));
        }
        None => {
            return Err(format!(
                "`split.count` is missing (expected {count}, as many files were given)"
            ));
        }
    }
    match key("split.no")?.or(whole.map(|_| 0)) {
        Some(n) if n == number as u64 => Ok(()),
        Some(n) => Err(format!(
            "`split.no` is {n} (expected {number}, by its place among the files)"
        )),
        None => Err(format!(
            "`split.no` is missing (expected {number}, by its place among the files)"
        )),
    }
}

fn tensors_add_up(parts: &[Part]) -> Result<(), String> {
    let Some(first) = parts.first() else {
        return Ok(());
    };
    let path = first.path.display();
    let tensors = || parts.iter().flat_map(|part| part.gguf.tensors());
    let have = tensors().count() as u64;
    match first.gguf.get("split.tensors.count").map(Value::as_u64) {
        Some(Some(said)) if said == have => {}
        None if parts.len() == 1 => {}
        None => {
            return Err(format!(
                "{path}: `split.tensors.count` is missing (expected {have}, the tensors of all parts)"
            ));
        }
        Some(said) => {
            let said = said.map_or_else(|| "no number".into(), |n| n.to_string());
            return Err(format!(
                "{path}: `split.tensors.count` is {said} (expected {have}, the tensors of all parts)"
            ));
        }
    }
    let mut names = BTreeSet::new();
    match tensors().find(|tensor| !names.insert(tensor.name())) {
        None => Ok(()),
        Some(tensor) => Err(format!(
            "{path}: two parts have a tensor {:?}",
            tensor.name()
        )),
    }
}

/// The elements of an array in a file that was read before.
pub(super) fn elements(path: &Path, array: &Array) -> Result<Elements<BufReader<File>>, String> {
    let file = BufReader::new(open(path)?);
    array.elements(file).map_err(|e| e.to_string())
}

/// SHA-256 over each part's length, its header's length, and its header.
pub(super) fn fingerprint(parts: &[Part]) -> Result<[u8; 32], String> {
    let mut hash = Sha256::new();
    for Part { path, gguf } in parts {
        let header = gguf.header_bytes();
        hash.update(gguf.size().to_le_bytes());
        hash.update(header.to_le_bytes());
        let mut chunk = vec![0; 64 << 10];
        let mut source = open(path)
            .map_err(|e| format!("{}: {e}", path.display()))?
            .take(header);
        let mut seen = 0;
        loop {
            match source.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => {
                    hash.update(&chunk[..n]);
                    seen += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("{}: {e}", path.display())),
            }
        }
        if seen != header {
            return Err(format!(
                "{}: the file changed while it was read",
                path.display()
            ));
        }
    }
    Ok(hash.finalize().into())
}
