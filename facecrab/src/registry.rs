//! What this machine has: `registry.toml` in the config folder.
//!
//! Writers take an inter-process lock, keep the version before theirs as
//! `registry.toml.bak`, and write aside, sync and rename. A file that cannot be read is
//! answered for by the backup, with a warning, and is kept as `registry.toml.broken-N` by
//! the next writer. Comments and keys of the user's own survive every change.
//!
//! It does not protect against an editor that saves a shorter file which is valid: that
//! is what a person deleting an entry looks like. The version before is in the backup.

mod file;
mod promises;

use crate::durable;
use file::Content;
pub use promises::check_registry_text;
use rusty_genius_core::{AssetError, GeniusError, ManifestError};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const FILE: &str = "registry.toml";
const BACKUP: &str = "registry.toml.bak";
const LOCK: &str = "registry.lock";

/// The registry in a config folder.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    folder: PathBuf,
}

/// A model that was made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The spec, canonical.
    pub(crate) spec: String,
    /// Its files, in order; at least one.
    pub(crate) files: Vec<FileRecord>,
    /// The commit, for a model of a hub.
    pub(crate) revision: Option<String>,
    /// Where it came from: a page of the hub, a URL, a path.
    pub(crate) source: String,
    /// When, RFC 3339 in UTC; see [`now`].
    pub(crate) time: String,
}

/// A file of an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRecord {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Bytes.
    pub(crate) size: u64,
    /// 64 hexadecimal digits, where it is known.
    pub(crate) sha256: Option<String>,
}

/// An answer, and what a person should know about the file behind it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer<T> {
    /// The answer.
    pub(crate) value: T,
    /// The registry could not be read: what is wrong with it, what was taken instead, and
    /// under which name a write kept it.
    pub(crate) warning: Option<ManifestError>,
}

/// Who is told what a person should know.
pub(crate) type Warn<'a> = &'a dyn Fn(GeniusError);

impl<T> Answer<T> {
    /// The answer, after its warning was told.
    pub(crate) fn heed(self, warn: Warn<'_>) -> T {
        if let Some(warning) = self.warning {
            warn(warning.into());
        }
        self.value
    }
}

impl Registry {
    /// The registry in this folder; nothing is read yet.
    pub(crate) fn open(config: impl Into<PathBuf>) -> Self {
        Self {
            folder: config.into(),
        }
    }

    /// The model of this canonical spec.
    ///
    /// Errors: as for [`Registry::list`].
    pub(crate) fn get(&self, spec: &str) -> Result<Answer<Option<Entry>>, GeniusError> {
        let Answer { value, warning } = self.list()?;
        let value = value.into_iter().find(|entry| entry.spec == spec);
        Ok(Answer { value, warning })
    }

    /// All models, by spec.
    ///
    /// Errors: [`GeniusError::Manifest`] where neither the file nor its backup can be read
    /// as a registry, [`AssetError::Io`] where the system will not read them.
    pub(crate) fn list(&self) -> Result<Answer<Vec<Entry>>, GeniusError> {
        let state = self.state()?;
        match (state.base, state.wrong) {
            (None, Some(wrong)) => Err(wrong.into()),
            (base, warning) => {
                let value = match base {
                    Some(base) => file::entries(&self.path(FILE), &base)?,
                    None => Vec::new(),
                };
                Ok(Answer { value, warning })
            }
        }
    }

    /// Adds a model, or replaces what is said of it. Waits for other writers.
    ///
    /// Errors: [`AssetError::Io`] where the folder cannot be written,
    /// [`AssetError::Invalid`] for a path that is no text; nothing has changed then.
    pub(crate) fn record(&self, entry: &Entry) -> Result<Answer<()>, GeniusError> {
        self.change(|text| Ok((file::with(text, entry)?, ())))
    }

    /// Forgets a model; whether it was known. Its files stay.
    ///
    /// Errors: as for [`Registry::record`].
    pub(crate) fn remove(&self, spec: &str) -> Result<Answer<bool>, GeniusError> {
        self.change(|text| file::without(text, spec))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn state(&self) -> Result<State, GeniusError> {
        let main = file::read(&self.path(FILE))?;
        if let Content::Good(text) = &main
            && !text.trim().is_empty()
        {
            return Ok(State {
                base: Some(text.clone()),
                wrong: None,
                broken: Vec::new(),
            });
        }
        let backup = file::read(&self.path(BACKUP))?;
        // Nothing here writes an empty file, but a crash below the file system does.
        let wrong = match (main, &backup) {
            (Content::Missing, Content::Missing) => None,
            (Content::Good(text), Content::Missing) => {
                return Ok(State {
                    base: Some(text),
                    wrong: None,
                    broken: Vec::new(),
                });
            }
            (Content::Broken(e), _) => Some((e, true)),
            (Content::Good(_), _) => Some((self.wrong("is empty"), true)),
            (Content::Missing, _) => Some((self.wrong("is missing"), false)),
        };
        let mut broken = Vec::new();
        let mut base = None;
        let wrong = wrong.map(|(mut wrong, there)| {
            if there {
                broken.push(FILE);
            }
            match backup {
                Content::Good(text) => {
                    wrong.reason += &format!("; the version before it is used ({BACKUP})");
                    base = Some(text);
                }
                Content::Broken(e) => {
                    wrong.reason += &format!("; and its backup: {e}");
                    broken.push(BACKUP);
                }
                Content::Missing => {}
            }
            wrong
        });
        Ok(State {
            base,
            wrong,
            broken,
        })
    }

    fn wrong(&self, reason: &str) -> ManifestError {
        file::wrong(&self.path(FILE), reason)
    }

    /// Reads, changes and writes, while no other process does.
    fn change<T>(
        &self,
        change: impl FnOnce(&str) -> Result<(String, T), GeniusError>,
    ) -> Result<Answer<T>, GeniusError> {
        fs::create_dir_all(&self.folder).map_err(io(&self.folder))?;
        let lock = self.path(LOCK);
        let _lock = durable::lock(&lock).map_err(io(&lock))?;
        let path = self.path(FILE);
        let target = durable::target(&path).map_err(io(&path))?;
        durable::sweep(&target);
        let State {
            base,
            wrong: mut warning,
            broken,
        } = self.state()?;
        let old = base.as_deref().unwrap_or_default();
        let (new, value) = change(old)?;
        if new == old && warning.is_none() {
            return Ok(Answer { value, warning });
        }
        // What was written can be read again, or is not written.
        file::entries(&path, &new)?;
        for name in broken {
            let kept = self.keep(name)?;
            if let Some(warning) = &mut warning {
                warning.reason += &format!("; {name} is kept as {kept}");
            }
        }
        if warning.is_none() && !old.trim().is_empty() {
            let backup = self.path(BACKUP);
            durable::sweep(&backup);
            durable::write(&backup, old.as_bytes()).map_err(io(&backup))?;
        }
        durable::write(&target, new.as_bytes()).map_err(io(&target))?;
        Ok(Answer { value, warning })
    }

    /// Gives a broken file a second name under which nothing overwrites it.
    fn keep(&self, name: &str) -> Result<String, GeniusError> {
        let path = self.path(name);
        let path = durable::target(&path).map_err(io(&path))?;
        for n in 1.. {
            let kept = format!("{FILE}.broken-{n}");
            let place = self.path(&kept);
            match second_name(&path, &place) {
                Ok(()) => {
                    durable::sync_folder(&self.folder).map_err(io(&self.folder))?;
                    // The backup's own name is not written to until the next change.
                    if name == BACKUP {
                        let _ = fs::remove_file(&path);
                    }
                    return Ok(kept);
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(io(&place)(e).into()),
            }
        }
        unreachable!("some number is free")
    }
}

/// What the files say.
struct State {
    /// The text to go on from.
    base: Option<String>,
    /// What is wrong, and what the base is instead.
    wrong: Option<ManifestError>,
    /// The files that are there and cannot be read.
    broken: Vec<&'static str>,
}

/// A file keeps its own name too, so that no crash leaves it without one; what is no file
/// (a folder in its place) moves.
fn second_name(path: &Path, place: &Path) -> io::Result<()> {
    if fs::symlink_metadata(place).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    if !fs::symlink_metadata(path)?.is_file() {
        return fs::rename(path, place);
    }
    match fs::hard_link(path, place) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => {
            let content = fs::read(path)?;
            let mut copy = File::create_new(place)?;
            copy.write_all(&content)?;
            copy.sync_all()
        }
        done => done,
    }
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> AssetError {
    let path = path.to_owned();
    move |e| AssetError::Io {
        path,
        reason: e.to_string(),
    }
}

/// The time, for [`Entry::time`].
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests;
