//! What an interrupted download leaves: the bytes, and a record of which they are.
//!
//! `DEST.facecrab.incomplete` may have holes, where several connections wrote it;
//! `DEST.facecrab.incomplete.json` says which bytes are there. `huggingface_hub` takes
//! the length of a file named `DEST.incomplete` for the length of a prefix, so ours must
//! not have that name; its own, which is a prefix, is taken over.

use super::plan::Intervals;
use crate::hub::Remote;
use rusty_genius_core::AssetError;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The record's format; another one is not read.
const VERSION: u32 = 1;

/// The paths of one download.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) dest: PathBuf,
    pub(super) data: PathBuf,
    record: PathBuf,
    record_aside: PathBuf,
    /// Where `huggingface_hub` keeps what it has of the file.
    prefix: PathBuf,
}

impl Paths {
    pub(super) fn new(dest: &Path) -> Self {
        let beside = |ending: &str| {
            let mut name = dest.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            dest.with_file_name(name)
        };
        Self {
            dest: dest.to_owned(),
            data: beside(".facecrab.incomplete"),
            record: beside(".facecrab.incomplete.json"),
            record_aside: beside(".facecrab.incomplete.json.new"),
            prefix: beside(".incomplete"),
        }
    }

    /// Removes what there is of the file, dest excepted.
    pub(super) fn discard(&self) -> anyhow::Result<()> {
        // The data first: a record without data is discarded, data without a record is
        // taken for a prefix.
        for path in [&self.data, &self.record, &self.record_aside] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(self.error(&e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// An I/O error at the partial file.
    pub(super) fn error(&self, error: &io::Error) -> anyhow::Error {
        AssetError::Io {
            path: self.data.clone(),
            reason: error.to_string(),
        }
        .into()
    }
}

/// Which file the bytes are of, and which of it are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    pub(super) size: u64,
    /// What the hub knows the file by.
    etag: Option<String>,
    sha256: Option<String>,
    /// The entity tag that the server gave with the bytes, as it gave it: for `If-Range`.
    pub(super) validator: Option<String>,
    /// `[start, end)` of what is written, in order.
    written: Vec<(u64, u64)>,
}

impl Record {
    pub(super) fn new(remote: &Remote, size: u64) -> Self {
        Self {
            version: VERSION,
            size,
            etag: remote.etag.clone(),
            sha256: remote.sha256.clone(),
            validator: None,
            written: Vec::new(),
        }
    }

    /// Writes a first record aside and renames it: it is there whole or not at all.
    fn create(&self, paths: &Paths) -> io::Result<File> {
        fs::write(&paths.record_aside, serde_json::to_vec(self)?)?;
        fs::rename(&paths.record_aside, &paths.record)?;
        File::options().write(true).open(&paths.record)
    }

    fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(e) => Err(e),
        }
    }
}

/// How much of a file is there, for those who wait while another process fetches it.
pub(super) fn peek(paths: &Paths) -> Option<(u64, u64)> {
    let record = Record::read(&paths.record).ok()??;
    let done = record.written.iter().map(|r| r.1.saturating_sub(r.0)).sum();
    Some((done, record.size))
}

/// A partial file, open for writing.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) paths: Paths,
    pub(super) file: File,
    pub(super) written: Intervals,
    pub(super) record: Record,
    record_file: File,
    /// Longest record so far, bytes.
    record_len: usize,
}

impl Partial {
    /// Records what is written, in place and by one write of some hundred bytes: a kill
    /// does not tear it. Renaming a new one each time would cost more than all else of a
    /// fast download. The loss of power may tear it, or keep it and lose the bytes it
    /// names: what cannot be read means anew, and the digest decides in the end.
    pub(super) fn save(&mut self) -> io::Result<()> {
        self.record.written = self.written.pairs();
        let mut text = serde_json::to_vec(&self.record)?;
        // Blanks over the rest of a longer one.
        text.resize(text.len().max(self.record_len), b' ');
        self.record_len = text.len();
        self.record_file.seek(SeekFrom::Start(0))?;
        self.record_file.write_all(&text)
    }

    /// Opens what there is of the file; anew, where it is of another one, damaged, or
    /// where no digest will tell whether it was right.
    pub(super) fn open(paths: Paths, remote: &Remote, size: u64) -> anyhow::Result<Self> {
        if let Some(folder) = paths.dest.parent() {
            fs::create_dir_all(folder).map_err(|e| paths.error(&e))?;
        }
        let fresh = Record::new(remote, size);
        let found = match remote.sha256 {
            Some(_) => find(&paths, &fresh).map_err(|e| paths.error(&e))?,
            None => None,
        };
        if found.is_none() {
            paths.discard()?;
        }
        let (written, validator) = found.unwrap_or_default();
        let record = Record {
            validator,
            written: written.pairs(),
            ..fresh
        };
        let (file, record_file) = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&paths.data)
            .and_then(|file| Ok((file, record.create(&paths)?)))
            .map_err(|e| super::writer::full_or(&e, &paths, size - written.total()))?;
        let record_len = record_file.metadata().map_err(|e| paths.error(&e))?.len() as usize;
        Ok(Self {
            paths,
            file,
            written,
            record,
            record_file,
            record_len,
        })
    }
}

/// What there is of the file that `wanted` describes, and the validator it came with.
fn find(paths: &Paths, wanted: &Record) -> io::Result<Option<(Intervals, Option<String>)>> {
    let len = match fs::symlink_metadata(&paths.data) {
        Ok(data) if data.is_file() => data.len(),
        Ok(_) => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return take_over(paths, wanted.size),
        Err(e) => return Err(e),
    };
    match Record::read(&paths.record) {
        // The file was taken over, and the process ended there.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Ok((len <= wanted.size).then(|| (Intervals::prefix(len), None)))
        }
        Err(e) => Err(e),
        Ok(record) => Ok(record
            .filter(|r| {
                (r.version, r.size, &r.etag, &r.sha256)
                    == (VERSION, wanted.size, &wanted.etag, &wanted.sha256)
            })
            .and_then(|r| {
                let written = Intervals::checked(&r.written, r.size)?;
                (written.end() <= len).then_some((written, r.validator))
            })),
    }
}

/// Takes over what `huggingface_hub` has; its lock is ours.
fn take_over(paths: &Paths, size: u64) -> io::Result<Option<(Intervals, Option<String>)>> {
    match fs::symlink_metadata(&paths.prefix) {
        Ok(prefix) if prefix.is_file() && prefix.len() <= size => {
            // A record that lost its data must not describe these.
            let _ = fs::remove_file(&paths.record);
            fs::rename(&paths.prefix, &paths.data)?;
            Ok(Some((Intervals::prefix(prefix.len()), None)))
        }
        _ => Ok(None),
    }
}

/// Bytes that may still be written to the folder's disk; `None` where nothing tells.
#[cfg(unix)]
pub(super) fn free_space(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
pub(super) fn free_space(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::tests::{folder, remote};

    /// A partial file of 6 of 10 bytes, with its record.
    fn partial(test: &str) -> Paths {
        let paths = Paths::new(&folder(test).join("m.gguf"));
        let mut partial = Partial::open(paths.clone(), &remote(10), 10).unwrap();
        fs::write(&paths.data, b"abcdefgh").unwrap();
        partial.written.insert(0..4);
        partial.written.insert(6..8);
        partial.record.validator = Some("\"v\"".to_owned());
        partial.save().unwrap();
        paths
    }

    fn reopen(paths: &Paths, remote: &Remote) -> Partial {
        Partial::open(paths.clone(), remote, 10).unwrap()
    }

    #[test]
    fn what_was_written_is_found_again() {
        let paths = partial("found");
        assert_eq!(peek(&paths), Some((6, 10)));
        let again = reopen(&paths, &remote(10));
        assert_eq!(again.written.pairs(), [(0, 4), (6, 8)]);
        assert_eq!(again.record.validator.as_deref(), Some("\"v\""));
    }

    #[test]
    fn a_record_cut_at_any_byte_means_anew() {
        let paths = partial("cut");
        let record = fs::read(&paths.record).unwrap();
        for len in 0..record.len() {
            fs::write(&paths.data, b"abcdefgh").unwrap();
            fs::write(&paths.record, &record[..len]).unwrap();
            assert_eq!(reopen(&paths, &remote(10)).written.total(), 0, "{len}");
            assert_eq!(fs::metadata(&paths.data).unwrap().len(), 0);
        }
    }

    #[test]
    fn another_file_means_anew() {
        for change in [
            (|r: &mut Remote| r.etag = Some("other".into())) as fn(&mut Remote),
            |r| r.sha256 = Some("b".repeat(64)),
            // Nothing could tell whether what is there is right.
            |r| r.sha256 = None,
        ] {
            let paths = partial("other");
            let mut other = remote(10);
            change(&mut other);
            assert_eq!(reopen(&paths, &other).written.total(), 0);
        }
        let paths = partial("other");
        let other = Partial::open(paths, &remote(11), 11).unwrap();
        assert_eq!(other.written.total(), 0);
    }

    #[test]
    fn a_record_of_more_than_there_is_means_anew() {
        let paths = partial("short");
        fs::write(&paths.data, b"abc").unwrap();
        assert_eq!(reopen(&paths, &remote(10)).written.total(), 0);
    }

    #[test]
    fn a_prefix_of_another_tool_is_taken_over() {
        let paths = Paths::new(&folder("prefix").join("m.gguf"));
        fs::write(&paths.prefix, b"abc").unwrap();
        assert_eq!(reopen(&paths, &remote(10)).written.pairs(), [(0, 3)]);
        assert!(!paths.prefix.exists());
        // One that is too long is not a prefix, and not ours to remove.
        let paths = Paths::new(&folder("prefix").join("m.gguf"));
        fs::write(&paths.prefix, b"abcdefghijk").unwrap();
        assert_eq!(reopen(&paths, &remote(10)).written.total(), 0);
        assert!(paths.prefix.exists());
    }
}
