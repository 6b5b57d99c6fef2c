//! Files of saved sessions: what llama.cpp wrote, and after it a seal.
//!
//! | bytes | what |
//! |---|---|
//! | all but the last 72 | the sequence, in llama.cpp's form |
//! | 32 | fingerprint of the model and of the cache's layout |
//! | 32 | sha256 of all before |
//! | 8 | `RGSESSN1` |
//!
//! llama.cpp reads numbers from such a file and believes them, so nothing is given to it that
//! is not, byte for byte, what was written. That keeps damage out, not malice: whoever can
//! write the file can seal it. It belongs where only the host writes.

use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"RGSESSN1";
const SEAL_BYTES: u64 = 32 + 32 + MAGIC.len() as u64;

/// Writes `file` aside with `write`, seals it and renames it into place. What was there before
/// is replaced as a whole, or not at all.
pub(super) fn write(
    file: &Path,
    fingerprint: &[u8; 32],
    write: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let aside = aside(file)?;
    let result = write(&aside).and_then(|()| {
        seal(&aside, fingerprint)
            .and_then(|()| fs::rename(&aside, file))
            .map_err(|e| e.to_string())
    });
    if result.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(&aside);
    }
    result
}

fn aside(file: &Path) -> Result<PathBuf, String> {
    let name = file.file_name().ok_or("the path names no file")?;
    let mut name = name.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    Ok(file.with_file_name(name))
}

fn seal(file: &Path, fingerprint: &[u8; 32]) -> io::Result<()> {
    let mut digest = Sha256::new();
    let mut file = OpenOptions::new().read(true).append(true).open(file)?;
    io::copy(&mut BufReader::new(&mut file), &mut Hasher(&mut digest))?;
    digest.update(fingerprint);
    file.write_all(fingerprint)?;
    file.write_all(&digest.finalize())?;
    file.write_all(MAGIC)?;
    file.sync_all()
}

/// Whether the file is whole, and this model's.
pub(super) fn check(file: &Path, fingerprint: &[u8; 32]) -> Result<(), String> {
    let mut file = File::open(file).map_err(|e| e.to_string())?;
    let sealed = read_seal(&mut file).map_err(|e| e.to_string())?;
    let Some(seal) = sealed else {
        return Err("it is no saved session".into());
    };
    if seal.fingerprint != *fingerprint {
        return Err("it is a session of another model, or of another build of the engine".into());
    }
    let mut found = Sha256::new();
    file.rewind().map_err(|e| e.to_string())?;
    io::copy(
        &mut BufReader::new(file).take(seal.body),
        &mut Hasher(&mut found),
    )
    .map_err(|e| e.to_string())?;
    found.update(seal.fingerprint);
    match found.finalize()[..] == seal.digest {
        true => Ok(()),
        false => Err("it is damaged".into()),
    }
}

/// What a seal says.
struct Seal {
    /// Bytes before it.
    body: u64,
    fingerprint: [u8; 32],
    digest: [u8; 32],
}

/// The seal at the end of a file, if there is one.
fn read_seal(file: &mut File) -> io::Result<Option<Seal>> {
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let size = file.seek(SeekFrom::End(0))?;
    let Some(body) = size.checked_sub(SEAL_BYTES) else {
        return Ok(None);
    };
    file.seek(SeekFrom::Start(body))?;
    let (mut fingerprint, mut digest, mut magic) = ([0; 32], [0; 32], [0; 8]);
    file.read_exact(&mut fingerprint)?;
    file.read_exact(&mut digest)?;
    file.read_exact(&mut magic)?;
    Ok((magic == *MAGIC).then_some(Seal {
        body,
        fingerprint,
        digest,
    }))
}

/// Writes into a digest.
struct Hasher<'a>(&'a mut Sha256);

impl Write for Hasher<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
