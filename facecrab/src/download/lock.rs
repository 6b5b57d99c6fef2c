//! One process at a time fetches a file.
//!
//! The lock of a blob in the shared cache is the one that `huggingface_hub` takes
//! (`.locks/models--org--repo/ETAG.lock`, `flock`): neither disturbs the other. Any
//! other file has its lock beside it, `FILE.lock`. Lock files stay: removing one that
//! somebody waits for would let two in.

use rusty_genius_core::AssetError;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "dropping it releases the lock")] File);

impl Lock {
    /// The lock of `dest`; `None` while somebody else holds it.
    pub(super) fn try_take(dest: &Path) -> anyhow::Result<Option<Self>> {
        let path = lock_path(dest);
        let io = |e: std::io::Error| AssetError::Io {
            path: path.clone(),
            reason: e.to_string(),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(io)?;
            match file.try_lock() {
                // Other tools may remove a lock file while they hold it; then this one
                // is nobody's.
                Ok(()) if is_at(&file, &path) => return Ok(Some(Self(file))),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(io(e).into()),
            }
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |m: fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(path)) => inode(file) == inode(path),
        _ => false,
    }
}

/// An open file cannot be removed there.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

pub(super) fn lock_path(dest: &Path) -> PathBuf {
    let mut name = dest.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let in_cache = || {
        let blobs = dest.parent().filter(|p| p.ends_with("blobs"))?;
        let repo = blobs.parent()?;
        let repo_name = repo.file_name()?;
        let is_repo = repo_name.to_str()?.starts_with("models--");
        is_repo.then_some(repo.parent()?.join(".locks").join(repo_name))
    };
    match in_cache() {
        Some(folder) => folder.join(name),
        None => dest.with_file_name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::tests::folder;

    #[test]
    fn a_blob_has_the_lock_that_other_tools_take() {
        assert_eq!(
            lock_path(Path::new("/hub/models--o--r/blobs/abc")),
            Path::new("/hub/.locks/models--o--r/abc.lock")
        );
        assert_eq!(
            lock_path(Path::new("/x/m.gguf")),
            Path::new("/x/m.gguf.lock")
        );
    }

    #[test]
    fn only_one_holds_it() {
        let dest = folder("lock").join("m.gguf");
        let lock = Lock::try_take(&dest).unwrap();
        assert!(lock.is_some());
        assert!(Lock::try_take(&dest).unwrap().is_none());
        drop(lock);
        assert!(Lock::try_take(&dest).unwrap().is_some());
    }

    #[test]
    fn a_removed_lock_file_is_nobodys() {
        let dest = folder("lock-removed").join("m.gguf");
        let _first = Lock::try_take(&dest).unwrap().unwrap();
        fs::remove_file(lock_path(&dest)).unwrap();
        let second = Lock::try_take(&dest).unwrap();
        assert!(second.is_some());
        assert!(Lock::try_take(&dest).unwrap().is_none());
    }
}
