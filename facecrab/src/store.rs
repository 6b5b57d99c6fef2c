//! The Hugging Face cache, read and written as other tools do.
//!
//! `models--{org}--{repo}` has `blobs/{etag}` (the etag of a large file is its sha256),
//! `snapshots/{commit}/{file}`, a relative link to the blob, and `refs/{revision}`, the
//! commit a branch or tag meant. What names a path is checked, whoever says it; a link
//! that leads out of the cache is refused, not followed.
//!
//! It does not protect against a process of the same user that swaps a file between the
//! check and its use: such a process can write the model itself.

mod names;
mod read;
mod remove;

use crate::durable;
use rusty_genius_core::AssetError;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The repository under which files fetched from plain URLs are kept.
///
/// Each is a snapshot of its own: commit and etag are the file's sha256, its name is
/// [`url_file_name`]. So other tools list and delete them like any model.
pub(crate) const URLS: &str = "rusty-genius/urls";

/// A cache folder that other tools share.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: PathBuf,
}

/// The files of a repository at one commit, as far as they are here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    /// `org/repo`.
    pub(crate) repo: String,
    /// The commit.
    pub(crate) commit: String,
    /// The GGUF files that can be read, by name. Whether they hold a model is not checked.
    pub(crate) files: Vec<StoredFile>,
    /// What was not taken for a file, and why.
    pub(crate) refused: Vec<AssetError>,
}

impl Snapshot {
    /// Its files as [`crate::select`] takes them: name and size.
    pub(crate) fn listed(&self) -> Vec<(&str, u64)> {
        let files = self.files.iter();
        files.map(|file| (file.name.as_str(), file.size)).collect()
    }
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFile {
    /// Its name in the repository, with `/` between folders.
    pub(crate) name: String,
    /// Where it is: below `snapshots`, so that its name ends in `.gguf`.
    pub(crate) path: PathBuf,
    /// Bytes.
    pub(crate) size: u64,
    /// The blob it links to: the sha256 of a large file. `None` where the file itself
    /// stands in the snapshot, as on systems without links.
    pub(crate) etag: Option<String>,
}

/// What [`Facecrab::remove`](crate::Facecrab::remove) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Files that are gone from the snapshot.
    pub links: usize,
    /// Bytes of the blobs that are gone.
    pub bytes: u64,
}

impl Store {
    /// The cache at this folder, which need not exist.
    pub(crate) fn new(hub_cache: impl Into<PathBuf>) -> Self {
        Self {
            root: hub_cache.into(),
        }
    }

    /// Where a repository's files are kept.
    pub(crate) fn repo_folder(&self, repo: &str) -> Result<PathBuf, AssetError> {
        Ok(self.root.join(names::folder(repo)?))
    }

    /// The snapshots of a repository. With a revision (branch, tag or commit): the one it
    /// means, or none. Without: what `main` means, then the others, newest first.
    pub(crate) fn find(
        &self,
        repo: &str,
        revision: Option<&str>,
    ) -> Result<Vec<Snapshot>, AssetError> {
        // A ref that cannot be read is as good as none: fetching writes it anew.
        let meant = self
            .read_ref(repo, revision.unwrap_or("main"))
            .ok()
            .flatten();
        let mut commits: Vec<String> = meant.into_iter().collect();
        match revision {
            Some(revision) if commits.is_empty() => {
                commits.extend(
                    names::component(revision)
                        .is_ok()
                        .then(|| revision.to_owned()),
                );
            }
            Some(_) => {}
            None => {
                let others = self.commits(repo)?;
                let others = others.into_iter().filter(|other| !commits.contains(other));
                let others: Vec<String> = others.collect();
                commits.extend(others);
            }
        }
        let snapshots = commits.iter().map(|commit| self.snapshot(repo, commit));
        snapshots.filter_map(Result::transpose).collect()
    }

    /// What is here of a repository at one commit.
    pub(crate) fn snapshot(
        &self,
        repo: &str,
        commit: &str,
    ) -> Result<Option<Snapshot>, AssetError> {
        read::snapshot(self, repo, commit)
    }

    /// The commits that have a snapshot, newest first.
    fn commits(&self, repo: &str) -> Result<Vec<String>, AssetError> {
        let snapshots = self.repo_folder(repo)?.join("snapshots");
        let entries = fs::read_dir(snapshots).into_iter().flatten().flatten();
        let mut commits: Vec<(Option<SystemTime>, String)> = entries
            .filter_map(|entry| {
                let commit = entry.file_name().into_string().ok()?;
                names::component(&commit).ok()?;
                let time = entry.metadata().and_then(|found| found.modified());
                Some((time.ok(), commit))
            })
            .collect();
        commits.sort_by(|a, b| b.cmp(a));
        Ok(commits.into_iter().map(|(_, commit)| commit).collect())
    }

    /// Where a blob is kept once it is whole; its folder need not exist. Looks at the disk,
    /// so that nothing is fetched to a place that will be refused.
    pub(crate) fn blob_path(&self, repo: &str, etag: &str) -> Result<PathBuf, AssetError> {
        names::component(etag)?;
        let folder = self.repo_folder(repo)?.join("blobs");
        let mut below = folder.ancestors().take_while(|at| *at != self.root);
        if let Some(there) = below.find(|at| at.exists()) {
            self.check_real(there)?;
        }
        Ok(folder.join(etag))
    }

    /// [`Store::blob_path`], its folder made.
    pub(crate) fn blob_place(&self, repo: &str, etag: &str) -> Result<PathBuf, AssetError> {
        let path = self.blob_path(repo, etag)?;
        if let Some(folder) = path.parent() {
            self.make_real(folder)?;
        }
        Ok(path)
    }

    /// The file to lock ([`File::lock`]) while a blob is fetched and linked; its folder is
    /// made. Other tools lock the same file, and [`Store::remove`] leaves a locked blob.
    pub(crate) fn lock_file(&self, repo: &str, etag: &str) -> Result<File, AssetError> {
        names::component(etag)?;
        let folder = self.root.join(".locks").join(names::folder(repo)?);
        self.make_real(&folder)?;
        let path = folder.join(format!("{etag}.lock"));
        durable::open_lock(&path).map_err(io(&path))
    }

    /// Makes a whole blob a file of a snapshot, atomically; where it is one already,
    /// nothing changes. Where the file system has no symlinks, it becomes a hard link, else
    /// a copy. The caller holds the blob's lock.
    pub(crate) fn link(
        &self,
        repo: &str,
        commit: &str,
        file: &str,
        etag: &str,
    ) -> Result<PathBuf, AssetError> {
        self.link_by(
            &[Way::Symlink, Way::HardLink, Way::Copy],
            repo,
            commit,
            file,
            etag,
        )
    }

    fn link_by(
        &self,
        ways: &[Way],
        repo: &str,
        commit: &str,
        file: &str,
        etag: &str,
    ) -> Result<PathBuf, AssetError> {
        names::component(commit)?;
        names::file(file)?;
        let blob = self.blob_path(repo, etag)?;
        let place = self.repo_folder(repo)?.join("snapshots").join(commit);
        let path = place.join(file);
        let real = fs::canonicalize(&blob).map_err(io(&blob))?;
        if !real.is_file() {
            return Err(invalid(&blob, "is not a regular file"));
        }
        self.check_inside(&blob, &real)?;
        if fs::canonicalize(&path).is_ok_and(|linked| linked == real) {
            return Ok(path);
        }
        let folder = path.parent().unwrap_or(&place);
        self.make_real(folder)?;
        // Beside the blob: a crash leaves nothing in the snapshot.
        let aside = durable::aside(&blob).map_err(io(&blob))?;
        let mut target = PathBuf::from("..");
        (0..=file.matches('/').count()).for_each(|_| target.push(".."));
        target.extend(["blobs", etag]);
        let mut made = Ok(());
        for way in ways {
            made = way.make(&target, &real, &aside);
            if made.is_ok() {
                break;
            }
            let _ = fs::remove_file(&aside);
        }
        let done = made.and_then(|()| durable::publish(&aside, &path));
        // Renaming a hard link onto another of the same file leaves both.
        let _ = fs::remove_file(&aside);
        done.map_err(io(&path))?;
        Ok(path)
    }

    /// The commit that a branch or tag meant when it was last asked for.
    pub(crate) fn read_ref(
        &self,
        repo: &str,
        revision: &str,
    ) -> Result<Option<String>, AssetError> {
        let path = self.ref_path(repo, revision)?;
        let folder = path.parent().unwrap_or(&path);
        if !folder.is_dir() {
            return Ok(None);
        }
        self.check_real(folder)?;
        if path.is_symlink() {
            return Err(invalid(&path, "is a link"));
        }
        // `refs/pr` is the folder of `refs/pr/1`.
        if path.is_dir() {
            return Ok(None);
        }
        let Some(content) = durable::read(&path, 1024).map_err(io(&path))? else {
            return Ok(None);
        };
        let commit = String::from_utf8_lossy(&content).trim().to_owned();
        match names::component(&commit) {
            Ok(()) => Ok(Some(commit)),
            Err(_) => Err(invalid(&path, "does not hold the name of a commit")),
        }
    }

    /// Notes which commit a branch or tag means.
    pub(crate) fn write_ref(
        &self,
        repo: &str,
        revision: &str,
        commit: &str,
    ) -> Result<(), AssetError> {
        names::component(commit)?;
        let path = self.ref_path(repo, revision)?;
        // A commit means itself; other tools write no ref for it.
        if revision == commit {
            return Ok(());
        }
        if self
            .read_ref(repo, revision)
            .is_ok_and(|old| old.as_deref() == Some(commit))
        {
            return Ok(());
        }
        self.make_real(path.parent().unwrap_or(&path))?;
        durable::write(&path, commit.as_bytes()).map_err(io(&path))
    }

    fn ref_path(&self, repo: &str, revision: &str) -> Result<PathBuf, AssetError> {
        names::file(revision)?;
        Ok(self.repo_folder(repo)?.join("refs").join(revision))
    }

    /// Every snapshot that holds a GGUF file, over all repositories, by repository.
    pub(crate) fn installed(&self) -> Result<Vec<Snapshot>, AssetError> {
        let mut repos: Vec<String> = match fs::read_dir(&self.root) {
            Ok(entries) => entries
                .flatten()
                .filter_map(|entry| names::repo(entry.file_name().to_str()?))
                .collect(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(io(&self.root)(e)),
        };
        repos.sort();
        let mut installed = Vec::new();
        for repo in repos {
            installed.extend(self.find(&repo, None)?);
        }
        installed.retain(|found| !found.files.is_empty() || !found.refused.is_empty());
        Ok(installed)
    }

    /// Takes files out of a snapshot, with their blobs where no other snapshot links to
    /// them and nobody holds their lock, and the folders and refs that this leaves empty.
    /// What is not there is passed over.
    pub(crate) fn remove(
        &self,
        repo: &str,
        commit: &str,
        files: &[&str],
    ) -> Result<Removed, AssetError> {
        remove::remove(self, repo, commit, files)
    }

    /// Makes a folder of the cache, through no link.
    fn make_real(&self, folder: &Path) -> Result<(), AssetError> {
        fs::create_dir_all(&self.root).map_err(io(&self.root))?;
        // What is there is checked before anything is made below it.
        let there = folder.ancestors().find(|at| at.exists());
        self.check_real(there.unwrap_or(&self.root))?;
        fs::create_dir_all(folder).map_err(io(folder))
    }

    /// Refuses a file of a repository whose content is elsewhere. Newer tools keep large
    /// files once for all repositories, in `blobs` of the cache.
    fn check_inside(&self, file: &Path, real: &Path) -> Result<(), AssetError> {
        let root = fs::canonicalize(&self.root).map_err(io(&self.root))?;
        let repo = file.strip_prefix(&self.root).ok();
        let repo = repo.and_then(|below| below.components().next());
        let own = repo.and_then(|repo| fs::canonicalize(self.root.join(repo)).ok());
        let inside = own.is_some_and(|own| own.starts_with(&root) && real.starts_with(own));
        match inside || real.starts_with(root.join("blobs")) {
            true => Ok(()),
            false => Err(invalid(
                file,
                "links to a file outside its repository's cache",
            )),
        }
    }

    /// Refuses a path of the cache that a link leads elsewhere. The cache itself may be
    /// behind one.
    fn check_real(&self, path: &Path) -> Result<(), AssetError> {
        let root = fs::canonicalize(&self.root).map_err(io(&self.root))?;
        let real = fs::canonicalize(path).map_err(io(path))?;
        let plain = path.strip_prefix(&self.root).map(|below| root.join(below));
        // A file system that ignores case answers with the one it keeps.
        let same = |plain: PathBuf| {
            plain == real || plain.as_os_str().eq_ignore_ascii_case(real.as_os_str())
        };
        match plain.is_ok_and(same) {
            true => Ok(()),
            false => Err(invalid(path, "is behind a link that leads elsewhere")),
        }
    }
}

/// How a blob gets its name in a snapshot.
#[derive(Debug, Clone, Copy)]
enum Way {
    Symlink,
    HardLink,
    Copy,
}

impl Way {
    fn make(self, target: &Path, blob: &Path, aside: &Path) -> std::io::Result<()> {
        match self {
            #[cfg(unix)]
            Self::Symlink => std::os::unix::fs::symlink(target, aside),
            #[cfg(windows)]
            Self::Symlink => std::os::windows::fs::symlink_file(target, aside),
            #[cfg(not(any(unix, windows)))]
            Self::Symlink => Err(std::io::ErrorKind::Unsupported.into()),
            Self::HardLink => fs::hard_link(blob, aside),
            Self::Copy => {
                fs::copy(blob, aside)?;
                File::options().write(true).open(aside)?.sync_all()
            }
        }
    }
}

/// The name under which a URL's file is kept: the last part of its path where that is
/// plain, else its digest.
pub(crate) fn url_file_name(url: &str, sha256: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let plain = names::component(name).is_ok() && name.to_ascii_lowercase().ends_with(".gguf");
    match plain {
        true => name.to_owned(),
        false => format!("{sha256}.gguf"),
    }
}

fn invalid(path: &Path, reason: &str) -> AssetError {
    AssetError::Invalid {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> AssetError {
    let path = path.to_owned();
    move |e| AssetError::Io {
        path,
        reason: e.to_string(),
    }
}

#[cfg(test)]
mod tests;
