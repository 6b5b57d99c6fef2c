//! What is in a snapshot, trusting nothing that stands there.

use super::{Snapshot, Store, StoredFile, io, names};
use rusty_genius_core::AssetError;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders within folders: repositories have one or two.
const DEPTH: usize = 8;
/// Names looked at in one snapshot; the hub advises against more in a repository.
const NAMES: usize = 100_000;

/// The snapshot in `{root}/{name}/snapshots/{commit}`, where there is a folder.
pub(super) fn snapshot(
    store: &Store,
    repo: &str,
    commit: &str,
) -> Result<Option<Snapshot>, AssetError> {
    names::component(commit)?;
    let folder = store.repo_folder(repo)?;
    let place = folder.join("snapshots").join(commit);
    if !place.is_dir() {
        return Ok(None);
    }
    let mut found = Snapshot {
        repo: repo.to_owned(),
        commit: commit.to_owned(),
        files: Vec::new(),
        refused: Vec::new(),
    };
    match store.check_real(&place) {
        Ok(()) => {
            let mut walk = Walk {
                store,
                left: NAMES,
                found: &mut found,
            };
            walk.folder(&place, "", DEPTH);
        }
        Err(e) => found.refused.push(e),
    }
    found.files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(found))
}

struct Walk<'a> {
    store: &'a Store,
    left: usize,
    found: &'a mut Snapshot,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) => return self.found.refused.push(io(folder)(e)),
        };
        for entry in entries.flatten() {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            let path = entry.path();
            let Some(name) = entry
                .file_name()
                .to_str()
                .map(|name| format!("{prefix}{name}"))
            else {
                continue;
            };
            // Links to folders are not followed: they may go round in circles.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth > 0 {
                    self.folder(&path, &format!("{name}/"), depth - 1);
                }
            } else if name.to_ascii_lowercase().ends_with(".gguf") {
                match self.file(name, path) {
                    Ok(file) => self.found.files.push(file),
                    Err(e) => self.found.refused.push(e),
                }
            }
        }
    }

    fn file(&self, name: String, path: PathBuf) -> Result<StoredFile, AssetError> {
        names::file(&name)?;
        let invalid = |reason: &str| AssetError::Invalid {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let mut metadata = fs::symlink_metadata(&path).map_err(io(&path))?;
        let mut etag = None;
        if metadata.is_symlink() {
            let real = fs::canonicalize(&path).map_err(|_| invalid("links to nothing"))?;
            self.store.check_inside(&path, &real)?;
            etag = linked_etag(&path);
            metadata = fs::metadata(&real).map_err(io(&path))?;
        }
        if !metadata.is_file() {
            return Err(invalid("is not a regular file"));
        }
        Ok(StoredFile {
            name,
            path,
            size: metadata.len(),
            etag,
        })
    }
}

/// The blob that a link of a snapshot names.
pub(super) fn linked_etag(link: &Path) -> Option<String> {
    let target = fs::read_link(link).ok()?;
    let etag = target.file_name()?.to_str()?;
    let blob = target.parent()?.file_name()? == "blobs" && names::component(etag).is_ok();
    blob.then(|| etag.to_owned())
}

/// Every file and link below a folder, without following any.
pub(super) fn leaves(folder: &Path) -> Vec<PathBuf> {
    let mut leaves = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => leaves.push(entry.path()),
            }
        }
    }
    leaves
}
