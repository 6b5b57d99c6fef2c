//! Taking files out of the cache, and nothing that another snapshot needs.

use super::read::{leaves, linked_etag};
use super::{Removed, Store, io, names};
use crate::durable;
use rusty_genius_core::AssetError;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

pub(super) fn remove(
    store: &Store,
    repo: &str,
    commit: &str,
    files: &[&str],
) -> Result<Removed, AssetError> {
    names::component(commit)?;
    for file in files {
        names::file(file)?;
    }
    let folder = store.repo_folder(repo)?;
    let place = folder.join("snapshots").join(commit);
    let mut removed = Removed::default();
    let mut etags = BTreeSet::new();
    for file in files {
        let path = place.join(file);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let parent = path.parent().unwrap_or(&place);
        store.check_real(parent)?;
        etags.extend(match metadata.is_symlink() {
            true => linked_etag(&path),
            false => twin(&folder.join("blobs"), &path, metadata.len()),
        });
        fs::remove_file(&path).map_err(io(&path))?;
        durable::sync_folder(parent).map_err(io(parent))?;
        removed.links += 1;
        // Only folders that are empty go.
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|at| at.starts_with(&place))
        {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
    if !place.exists() {
        forget(&folder.join("refs"), commit);
    }
    for etag in etags {
        removed.bytes += blob(store, repo, &folder, &etag)?;
    }
    tidy(&folder);
    Ok(removed)
}

/// Removes a blob that nothing links to and nobody fetches; the bytes it had.
fn blob(store: &Store, repo: &str, folder: &Path, etag: &str) -> Result<u64, AssetError> {
    let path = folder.join("blobs").join(etag);
    let lock = store.lock_file(repo, etag)?;
    let linked = |leaf: &PathBuf| linked_etag(leaf).as_deref() == Some(etag);
    if lock.try_lock().is_err() || leaves(&folder.join("snapshots")).iter().any(linked) {
        return Ok(0);
    }
    store.check_real(&folder.join("blobs"))?;
    // A link here leads to what all repositories share: it is not ours to remove.
    let size = fs::symlink_metadata(&path).map_or(0, |metadata| match metadata.is_file() {
        true => metadata.len(),
        false => 0,
    });
    match fs::remove_file(&path) {
        Ok(()) => Ok(size),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
        Err(e) => Err(io(&path)(e)),
    }
}

/// The blob a file is a hard link to, or a copy of, where links cannot be had.
fn twin(blobs: &Path, path: &Path, size: u64) -> Option<String> {
    let entries = fs::read_dir(blobs).ok()?.flatten();
    let same = |entry: &fs::DirEntry| {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file);
        metadata.is_some_and(|found| found.len() == size) && same_content(&entry.path(), path)
    };
    let name = entries.into_iter().find(same)?.file_name();
    name.into_string()
        .ok()
        .filter(|name| names::component(name).is_ok())
}

fn same_content(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
        if id(a).is_ok_and(|a| id(b).is_ok_and(|b| a == b)) {
            return true;
        }
    }
    let compare = || -> std::io::Result<bool> {
        const PIECE: usize = 1 << 20;
        let mut a = BufReader::with_capacity(PIECE, File::open(a)?);
        let mut b = BufReader::with_capacity(PIECE, File::open(b)?);
        loop {
            let (left, right) = (a.fill_buf()?, b.fill_buf()?);
            let len = left.len().min(right.len());
            if left[..len] != right[..len] {
                return Ok(false);
            }
            if len == 0 {
                return Ok(left.len() == right.len());
            }
            a.consume(len);
            b.consume(len);
        }
    };
    compare().unwrap_or(false)
}

/// Removes the refs that mean a commit which is no longer here; other tools take such a
/// ref for damage.
fn forget(refs: &Path, commit: &str) {
    for path in leaves(refs) {
        let content = durable::read(&path, 1024).ok().flatten();
        if content.is_some_and(|content| content.trim_ascii() == commit.as_bytes()) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Removes a repository's folder where nothing is left in it.
fn tidy(folder: &Path) {
    let snapshots = folder.join("snapshots");
    let empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut all| all.next().is_none());
    if !empty(&snapshots) || fs::remove_dir(folder.join("blobs")).is_err() {
        return;
    }
    let refs = folder.join("refs");
    if leaves(&refs).is_empty() {
        let _ = fs::remove_dir_all(&refs);
    }
    let _ = fs::remove_dir(snapshots);
    let _ = fs::remove_dir(folder);
}
