//! Writing that survives a crash: aside, synced, renamed, and the folder synced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What follows a file's own name in the name of its next version.
const ASIDE: &str = ".aside";

/// Replaces a file's content: readers see the old or the new, never a part. A symlink is
/// replaced, not followed; see [`target`].
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = aside(path)?;
    let written = (|| {
        let mut file = File::create_new(&aside)?;
        if let Ok(old) = fs::symlink_metadata(path)
            && old.is_file()
        {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        publish(&aside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

/// Gives a file its final name for good. It is on the same file system, and synced.
pub(crate) fn publish(aside: &Path, path: &Path) -> io::Result<()> {
    fs::rename(aside, path)?;
    sync_folder(folder(path))
}

/// Makes the names in a folder survive a crash.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and renames are journalled.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// A name beside this one that no process uses.
pub(crate) fn aside(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let mut aside = OsString::from(".");
    aside.push(name);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // A process id is used again one day, and a crash leaves its file behind.
    let salt = fastrand::u32(..);
    aside.push(format!(".{}-{count}-{salt:08x}{ASIDE}", std::process::id()));
    Ok(path.with_file_name(aside))
}

/// Removes what crashed writers of this file left. The caller holds the lock that all of
/// its writers take.
pub(crate) fn sweep(path: &Path) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    for entry in fs::read_dir(folder(path)).into_iter().flatten().flatten() {
        let other = entry.file_name();
        let Some(other) = other.to_str() else {
            continue;
        };
        let own = other
            .strip_prefix('.')
            .and_then(|other| other.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('.') && rest.ends_with(ASIDE));
        if own {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The file behind a name: people keep their configuration elsewhere and link to it.
pub(crate) fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path),
        _ => Ok(path.to_owned()),
    }
}

/// Waits until no other process holds this lock file. Dropping the file lets go.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = open_lock(path)?;
    file.lock()?;
    Ok(file)
}

/// A lock file, not yet locked.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    // Opening a FIFO would wait for a reader.
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("is not a regular file"));
    }
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

/// The bytes of a regular file of at most so many; `None` where there is nothing.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        // A file stands where a folder of the path would be: nothing is below it.
        Err(e) if e.kind() == ErrorKind::NotADirectory => return Ok(None),
        Err(e) => return Err(e),
    };
    let invalid = |reason: String| Err(io::Error::new(ErrorKind::InvalidData, reason));
    if metadata.is_dir() {
        return invalid("is a directory".into());
    }
    // Opening a FIFO would wait for a writer.
    if !metadata.is_file() {
        return invalid("is not a regular file".into());
    }
    let mut content = Vec::new();
    // One more than the limit: the file may grow while it is read.
    File::open(path)?
        .take(limit + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return invalid(format!("is longer than {limit} bytes"));
    }
    Ok(Some(content))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(test: &str) -> PathBuf {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/tmp/facecrab-durable")
            .join(test);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_leaves_the_file_and_nothing_beside_it() {
        let dir = dir("write");
        let path = dir.join("x");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(&dir), ["x"]);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let dir = dir("fails");
        fs::create_dir(dir.join("x")).unwrap();
        assert!(write(&dir.join("x"), b"one").is_err());
        assert_eq!(names(&dir), ["x"]);
    }

    #[test]
    fn sweeping_removes_what_a_crash_left_of_this_file_only() {
        let dir = dir("sweep");
        let path = dir.join("x");
        fs::write(aside(&path).unwrap(), "part").unwrap();
        for keep in ["x", ".x.aside-not", ".y.1-1-0.aside", "x.1.aside"] {
            fs::write(dir.join(keep), "").unwrap();
        }
        sweep(&path);
        let kept = [".x.aside-not", ".y.1-1-0.aside", "x", "x.1.aside"];
        assert_eq!(names(&dir), kept);
    }

    #[test]
    fn what_is_too_long_or_no_file_is_not_read() {
        let dir = dir("read");
        let path = dir.join("x");
        assert_eq!(read(&path, 3).unwrap(), None);
        fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"abc");
        let error = read(&path, 2).unwrap_err().to_string();
        assert!(error.contains("longer than 2 bytes"), "{error}");
        let error = read(&dir, 2).unwrap_err().to_string();
        assert!(error.contains("is a directory"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_permissions_of_the_old_file_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let path = dir("mode").join("x");
        write(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, b"two").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
