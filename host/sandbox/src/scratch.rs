//! `/scratch`: one fresh directory a run.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rusty_genius_core::SandboxError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A run's directory, opened through cap-std: whatever the guest leaves in it, links
/// included, reading it never leaves it. Removed on drop unless kept.
#[derive(Debug)]
pub struct Scratch {
    id: String,
    path: PathBuf,
    parent: Dir,
    dir: Dir,
    keep: bool,
}

impl Scratch {
    /// Makes `root` if need be, and a directory in it that did not exist before.
    pub(crate) fn create(root: &Path, name: &str) -> Result<Self, SandboxError> {
        let failed = |e: io::Error| SandboxError::Host {
            what: format!("making a scratch directory in {}", root.display()),
            reason: e.to_string(),
        };
        std::fs::create_dir_all(root).map_err(failed)?;
        let parent = Dir::open_ambient_dir(root, ambient_authority()).map_err(failed)?;
        loop {
            let id = run_id(name);
            match parent.create_dir(&id) {
                Ok(()) => {
                    let dir = parent.open_dir(&id).map_err(failed)?;
                    let path = root.join(&id);
                    return Ok(Self {
                        id,
                        path,
                        parent,
                        dir,
                        keep: false,
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(e)),
            }
        }
    }

    /// The run's id, and the directory's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The path to open it by for WASI: on Linux the very directory that is open here,
    /// whatever its name stands for by now.
    pub(crate) fn open_path(&self) -> PathBuf {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            let path = PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()));
            if path.exists() {
                return path;
            }
        }
        self.path.clone()
    }

    /// Names of what the guest left at the top, sorted.
    pub fn files(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.dir.entries()? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Leaves the directory where it is, and says where.
    pub fn keep(mut self) -> PathBuf {
        self.keep = true;
        self.path.clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // It may be gone already: whoever cleans `target` can do what they like. A file
        // operation that the run left behind may still add something.
        let remove = || {
            clear(&self.dir)?;
            self.parent.remove_dir(&self.id)
        };
        let _ = remove().or_else(|_| remove());
    }
}

/// Empties a directory. A guest can nest directories deeper than the stack of whoever
/// walks down into them, and than there are descriptors; so each is emptied at the top:
/// its own directories move up there, and wait for their turn.
fn clear(top: &Dir) -> io::Result<()> {
    let mut directories = Vec::new();
    for entry in top.entries()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            directories.push(entry.file_name());
        } else {
            entry.remove_file()?;
        }
    }
    let mut number = 0_u64;
    while let Some(name) = directories.pop() {
        if top.remove_dir(&name).is_ok() {
            continue;
        }
        let directory = top.open_dir(&name)?;
        for entry in directory.entries()? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                entry.remove_file()?;
                continue;
            }
            let moved = loop {
                number += 1;
                let free = number.to_string();
                if top.symlink_metadata(&free).is_err() {
                    break free;
                }
            };
            directory.rename(entry.file_name(), top, &moved)?;
            directories.push(moved.into());
        }
        top.remove_dir(&name)?;
    }
    Ok(())
}

/// `NAME-SECONDS-PID-N`, of characters that are safe in any file name.
fn run_id(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(32)
        .collect();
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{name}-{seconds:x}-{pid:x}-{n}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp/scratch-tests")
    }

    #[test]
    fn each_run_gets_an_empty_directory_of_its_own() {
        let (a, b) = (
            Scratch::create(&root(), "a").unwrap(),
            Scratch::create(&root(), "a").unwrap(),
        );
        assert_ne!(a.path(), b.path());
        assert!(a.files().unwrap().is_empty());
    }

    #[test]
    fn it_is_removed_unless_kept() {
        let scratch = Scratch::create(&root(), "gone").unwrap();
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
        let kept = Scratch::create(&root(), "kept").unwrap().keep();
        assert!(kept.exists());
        std::fs::remove_dir_all(kept).unwrap();
    }

    #[test]
    fn whatever_is_in_it_is_removed_however_wide_and_deep() {
        let scratch = Scratch::create(&root(), "wide").unwrap();
        let dir = scratch.dir();
        // `1` and `2` are in the way of what moves up.
        for path in ["1/2/3", "2/1/1", "a/b/c/d/e/f", "a/1/a/1", "empty"] {
            dir.create_dir_all(path).unwrap();
            dir.write(format!("{path}/file"), "x").unwrap();
        }
        dir.remove_file("empty/file").unwrap();
        dir.write("file", "x").unwrap();
        let mut deep = dir.try_clone().unwrap();
        for _ in 0..100 {
            deep.create_dir("d").unwrap();
            deep.write("file", "x").unwrap();
            deep = deep.open_dir("d").unwrap();
        }
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_it_is_neither_read_nor_followed_when_it_is_removed() {
        let outside = root().join("outside");
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("secret"), "s").unwrap();
        let scratch = Scratch::create(&root(), "link").unwrap();
        std::os::unix::fs::symlink(&outside, scratch.path().join("out")).unwrap();
        assert!(scratch.dir().read("out/secret").is_err());
        drop(scratch);
        assert!(outside.join("secret").exists());
    }

    #[test]
    fn a_name_never_leaves_the_root() {
        let scratch = Scratch::create(&root(), "../../x y\n").unwrap();
        assert_eq!(scratch.path().parent(), Some(root().as_path()));
        assert!(scratch.id().starts_with("------x-y-"));
    }
}
