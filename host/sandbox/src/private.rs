//! Directories and files that are this user's own, and closed to others.
//!
//! Elsewhere than on Unix a user's profile directory is closed to others by the rights it
//! inherits, and nothing is checked.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

#[cfg(unix)]
mod system {
    use super::{File, Metadata, Path, io};
    use std::fs::DirBuilder;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};

    /// Makes a directory, and what it is in, if they are not there.
    pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    /// Makes a file that was not there, to be written from its beginning to its end.
    pub(crate) fn create_new(path: &Path) -> io::Result<File> {
        File::options()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    }

    /// Opens a file to be read, but no link to one, and without waiting for one that is a
    /// pipe.
    pub(crate) fn open_itself(path: &Path) -> io::Result<File> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
    }

    /// Whether it is this user's, and others have none of these rights.
    pub(crate) fn check_own(metadata: &Metadata, others: u32, what: &str) -> Result<(), String> {
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err("it belongs to another user; remove it or choose another".into());
        }
        if metadata.mode() & others != 0 {
            let mode = metadata.mode() & 0o777;
            return Err(format!(
                "{what} (mode {mode:o}), and native code depends on it: chmod go-rwx it, or \
                 remove it"
            ));
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod system {
    use super::{File, Metadata, Path, io};

    pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    pub(crate) fn create_new(path: &Path) -> io::Result<File> {
        File::options().append(true).create_new(true).open(path)
    }

    pub(crate) fn open_itself(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    pub(crate) fn check_own(_: &Metadata, _: u32, _: &str) -> Result<(), String> {
        Ok(())
    }
}

pub(crate) use system::{check_own, create_dir, create_new, open_itself};
