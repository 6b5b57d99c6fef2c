//! The same paths, put to the host directly. The C library below the standard library
//! looks for a folder of the guest's that a path begins with, and gives up by itself when
//! there is none; here every path reaches the host, below the folder it did grant.

use crate::report::Report;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};

const PATHS: [&str; 18] = [
    "/",
    "..",
    "../",
    "../.",
    "../..",
    "../../",
    "./..",
    "./../",
    "a/../..",
    "a/../../",
    "a/../../x",
    "/tmp",
    "/tmp/",
    "/etc/passwd",
    "/scratch",
    "../../../../../../../../etc/passwd",
    "a/../../../../../../../../../etc/passwd",
    "/proc/self/environ",
];

pub fn try_all(report: &mut Report) {
    let granted = get_directories();
    let others: Vec<String> = granted
        .iter()
        .map(|(_, name)| name.clone())
        .filter(|name| name != "/scratch")
        .collect();
    report.empty("folders besides /scratch", &others);
    for (folder, name) in granted.iter().filter(|(_, name)| name == "/scratch") {
        for path in PATHS {
            below(report, folder, &format!("{path} below {name}"), path);
        }
    }
}

fn below(report: &mut Report, folder: &Descriptor, label: &str, path: &str) {
    let read = DescriptorFlags::READ;
    let write = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let change = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    let opened = |_: Descriptor| "a descriptor".to_owned();
    for (how, follow, open, flags) in [
        ("open", PathFlags::SYMLINK_FOLLOW, OpenFlags::empty(), read),
        (
            "open unfollowed",
            PathFlags::empty(),
            OpenFlags::empty(),
            read,
        ),
        (
            "open folder",
            PathFlags::empty(),
            OpenFlags::DIRECTORY,
            read,
        ),
        (
            "open folder to change",
            PathFlags::empty(),
            OpenFlags::DIRECTORY,
            change,
        ),
        ("create", PathFlags::empty(), OpenFlags::CREATE, write),
    ] {
        let outcome = folder.open_at(follow, path, open, flags);
        report.refused(format_args!("{how} {label}"), outcome, opened);
    }
    report.refused(
        format_args!("stat {label}"),
        folder.stat_at(PathFlags::empty(), path),
        |_| "its attributes".into(),
    );
    report.refused(
        format_args!("read link {label}"),
        folder.readlink_at(path),
        |target| target,
    );
    report.refused(
        format_args!("make folder {label}"),
        folder.create_directory_at(path),
        |()| "a folder".into(),
    );
    report.refused(
        format_args!("rename to {label}"),
        folder.rename_at("mine", folder, path),
        |()| "the file there".into(),
    );
    report.refused(
        format_args!("hard link to {label}"),
        folder.link_at(PathFlags::SYMLINK_FOLLOW, path, folder, "hard"),
        |()| "a second name".into(),
    );
    report.refused(
        format_args!("symbolic link at {label}"),
        folder.symlink_at("mine", path),
        |()| "a link there".into(),
    );
}
