//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file aside, syncs it and puts it in place, its folders made where they are
/// missing. What is no regular file, a terminal or a pipe, is written to as it is; a link
/// stays one.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return File::options().write(true).open(path)?.write_all(content);
    }
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path);
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let aside = path.with_file_name(name);
    let written = || {
        let mut file = File::create(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    written().inspect_err(|_| {
        // What the disk had no room for is of no use to anybody.
        let _ = fs::remove_file(&aside);
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::path::PathBuf;

    fn folder(test: &str) -> PathBuf {
        let tmp = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tmp/teaser-aside");
        let folder = Path::new(tmp).join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder below target");
        folder
    }

    #[test]
    fn a_link_stays_one_and_nothing_is_left_beside_it() {
        let folder = folder("link");
        fs::write(folder.join("real"), "old").unwrap();
        symlink("real", folder.join("link")).unwrap();
        write(&folder.join("link"), b"new").unwrap();
        assert_eq!(fs::read(folder.join("real")).unwrap(), b"new");
        assert!(folder.join("link").symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        write(Path::new("/dev/null"), b"nothing").unwrap();
        let there = fs::metadata("/dev/null").unwrap();
        assert!(there.file_type().is_char_device());
        // A disk without room.
        assert!(write(Path::new("/dev/full"), b"more").is_err());
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = folder("folder");
        assert!(write(&folder, b"x").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        let beside = folder.parent().unwrap();
        let left = fs::read_dir(beside).unwrap().flatten();
        assert!(!left.into_iter().any(|e| e.path().extension().is_some()));
    }
}
