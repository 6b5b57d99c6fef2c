//! Paths that lead out of `/scratch`, through the standard library: spelled in every way
//! that has fooled a host.

use crate::report::Report;
use std::fs::{self, File};
use std::io;

/// Folders that are not the guest's.
const FOLDERS: [&str; 17] = [
    "/",
    "//",
    "/.",
    "/..",
    ".",
    "..",
    "/tmp",
    "/etc",
    "/scratch/..",
    "/scratch/../",
    "/scratch/../.",
    "/scratch/../..",
    "/scratch/../../",
    "/scratch/./..",
    "/scratch/a/../..",
    "/scratch/a/../../",
    "/scratch/a/../../.",
];

/// Files that are not the guest's, to read.
const FILES: [&str; 14] = [
    "/etc/passwd",
    "/etc/passwd/",
    "//etc/passwd",
    "etc/passwd",
    "../../../../../../../../etc/passwd",
    "/scratch/../../../../../../../../etc/passwd",
    "/scratch//../../../../../../../../etc/passwd",
    "/scratch/a/../../../../../../../../../etc/passwd",
    "/scratch//etc/passwd",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "/dev/urandom",
    "/dev/fd/0",
    "C:\\Windows\\win.ini",
];

/// Files to make where nothing may be made.
const NEW_FILES: [&str; 8] = [
    "/escaped",
    "/tmp/escaped",
    "escaped",
    "../escaped",
    "/scratch/../escaped",
    "/scratch/../escaped/",
    "/scratch/a/../../escaped",
    "/scratch/a/../../x/escaped",
];

/// The run's own folder, which it may list: nothing of another run is in it.
pub fn fresh(report: &mut Report) {
    match names("/scratch") {
        Ok(found) => report.empty("list /scratch at the start", &found),
        Err(e) => report.got("list /scratch at the start", e),
    }
}

pub fn try_all(report: &mut Report) {
    for path in FOLDERS {
        report.refused(format_args!("list {path}"), names(path), |found| {
            found.join(" ")
        });
        report.refused(format_args!("stat {path}"), fs::metadata(path), |_| {
            "its attributes".into()
        });
        report.refused(format_args!("remove {path}"), fs::remove_dir(path), |()| {
            "it removed".into()
        });
    }
    for path in FILES {
        report.refused(format_args!("open {path}"), File::open(path), |_| {
            "the file".into()
        });
        report.refused(format_args!("stat {path}"), fs::metadata(path), |_| {
            "its attributes".into()
        });
    }
    for path in NEW_FILES {
        report.refused(format_args!("write {path}"), File::create(path), |_| {
            "a file".into()
        });
        report.refused(
            format_args!("make the folder {path}"),
            fs::create_dir(path),
            |()| "a folder".into(),
        );
        report.refused(
            format_args!("rename a file to {path}"),
            fs::rename("/scratch/mine", path),
            |()| "the file there".into(),
        );
        report.refused(
            format_args!("hard link {path} to a file"),
            fs::hard_link("/scratch/mine", path),
            |()| "a second name".into(),
        );
    }
    for path in FILES {
        report.refused(
            format_args!("hard link to {path}"),
            fs::hard_link(path, "/scratch/hard"),
            |()| "a second name".into(),
        );
    }
}

fn names(path: &str) -> io::Result<Vec<String>> {
    fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}
