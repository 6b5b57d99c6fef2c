//! Whether a file is a model, before anybody is given it.

use crate::progress::io;
use rusty_genius_core::AssetError;
use rusty_genius_core::gguf::Gguf;
use std::fs::{File, Metadata};
use std::io::{BufReader, Read};
use std::path::Path;

/// The file's size, if it is a regular file that begins as a GGUF does.
pub(crate) fn gguf(path: &Path) -> Result<u64, AssetError> {
    let (mut file, metadata) = open(path)?;
    let mut magic = [0; 4];
    file.read_exact(&mut magic)
        .map_err(|_| invalid(path, "it is too short to be a GGUF file"))?;
    if magic != *b"GGUF" {
        return Err(invalid(path, "it is not a GGUF file (wrong magic)"));
    }
    Ok(metadata.len())
}

/// The file's header, every length in it checked against the file.
pub(crate) fn header(path: &Path) -> Result<Gguf, AssetError> {
    let (file, _) = open(path)?;
    Gguf::read(BufReader::new(file)).map_err(|e| invalid(path, e.to_string()))
}

/// Opens a regular file. Opening a pipe would wait for a writer: look before.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata), AssetError> {
    let metadata = std::fs::metadata(path).map_err(io(path))?;
    if !metadata.is_file() {
        return Err(invalid(path, "it is not a regular file"));
    }
    Ok((File::open(path).map_err(io(path))?, metadata))
}

fn invalid(path: &Path, reason: impl Into<String>) -> AssetError {
    AssetError::Invalid {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
