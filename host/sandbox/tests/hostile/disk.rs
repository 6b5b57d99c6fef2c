//! Files: their size, their number, their paths, and what may only be read.

use crate::attack::{Attack, Seen, Verdict, done, each, ensure};
use crate::house::House;
use rusty_genius_sandbox::{Job, Mount};
use std::fs;
use std::path::Path;
use std::time::Duration;

pub(crate) fn hostile_disk() -> Vec<Attack> {
    let attacks = Attack::family(
        "disk",
        [
            ("sparse-size", done("insufficient-space"), "budget.scratch"),
            ("sparse-write", done("insufficient-space"), "budget.scratch"),
            (
                "sparse-stream",
                done("insufficient-space"),
                "budget.scratch",
            ),
            (
                "fill",
                done("4 MiB, then insufficient-space"),
                "budget.scratch",
            ),
            ("fill-stream", done("4 MiB, then *"), "budget.scratch"),
            ("fill-zeroes", done("4 MiB, then *"), "budget.scratch"),
            ("fill-splice", done("3 MiB, then *"), "budget.scratch"),
            (
                "fill-granted",
                done("4 MiB, then insufficient-space"),
                "budget.scratch",
            ),
            (
                "rewrite",
                done("4 MiB, then insufficient-space"),
                "budget.scratch",
            ),
            (
                "shrink-and-grow",
                done("4 MiB, then insufficient-space"),
                "budget.scratch",
            ),
            (
                "truncate-and-write",
                done("4 MiB, then insufficient-space"),
                "budget.scratch",
            ),
            ("append-streams", done("4 MiB, then *"), "budget.scratch"),
            (
                "unlinked",
                done("4 MiB, then insufficient-space"),
                "budget.scratch",
            ),
            (
                "files",
                done("200, then insufficient-space"),
                "budget.scratch-files",
            ),
            (
                "folders",
                done("200, then insufficient-space"),
                "budget.scratch-files",
            ),
            (
                "hard-links",
                done("199, then insufficient-space"),
                "budget.scratch-files",
            ),
            (
                "symlinks",
                done("200, then insufficient-space"),
                "budget.scratch-files",
            ),
            (
                "made-and-removed",
                done("200, then insufficient-space"),
                "budget.scratch-files",
            ),
            (
                "deep",
                done("200, then insufficient-space"),
                "budget.scratch-files",
            ),
            (
                "list-many",
                done("insufficient-memory"),
                "more than 16 listings of folders at once",
            ),
            ("ro-open-to-write", done("7 refused"), READ_ONLY),
            (
                "ro-truncate",
                done("5 refused"),
                "budget.scratch, grants.files.\"/ro\".mode = \"read-write\"",
            ),
            ("ro-write", done("3 refused"), READ_ONLY),
            ("ro-create", done("6 refused"), READ_ONLY),
            ("ro-remove", done("2 refused"), READ_ONLY),
            ("ro-rename", done("5 refused"), BOTH),
            ("ro-times", done("3 refused"), READ_ONLY),
            ("ro-link-out", done("3 refused"), "grants.files"),
            ("ro-through-link", done("8 refused"), "grants.files"),
            (
                "rename-across",
                done("0, then cross-device"),
                "grants.files",
            ),
            ("rename-folder-across", done("cross-device"), "grants.files"),
            (
                "link-across",
                done("out cross-device, back cross-device"),
                "grants.files",
            ),
            (
                "symlink-across",
                done("4 refused"),
                "making the link \"link0\" in /rw",
            ),
            ("climb", done("58 refused"), BOTH),
            ("absolute", done("54 refused"), BOTH),
            ("trailing-slashes", done("10 refused"), ""),
            ("file-as-folder", done("7 refused"), ""),
            ("file-where-a-folder-was", done("4 refused"), "grants.files"),
            ("link-where-a-folder-was", done("6 refused"), "grants.files"),
            ("moved-under-the-feet", done("4 refused"), "grants.files"),
            ("link-loop", done("6 refused"), ""),
            ("long-names", done("8 refused"), ""),
            ("strange-names", done("8 of 8, NUL false, empty false"), ""),
        ],
    );
    each(attacks, granted, kept)
}

const READ_ONLY: &str = "grants.files.\"/ro\".mode = \"read-write\"";

/// What stands outside, too.
const BOTH: &str = "grants.files, grants.files.\"/ro\".mode = \"read-write\"";

/// A directory to read, and one to write.
fn granted(_: &House, attack: &Attack, dir: &Path, job: &mut Job) {
    if attack.words == ["list-many"] {
        job.budget.scratch_files = 1000;
        job.budget.wall_time = Duration::from_secs(10);
    }
    fs::create_dir_all(dir.join("ro/folder")).unwrap();
    fs::create_dir_all(dir.join("rw")).unwrap();
    fs::write(dir.join("ro/file"), "mine").unwrap();
    fs::write(dir.join("outside"), "mine").unwrap();
    for (name, writable) in [("ro", false), ("rw", true)] {
        job.grant.files.push(Mount {
            host: dir.join(name),
            guest: format!("/{name}"),
            writable,
        });
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = dir.read_dir().unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Nothing changed in what could only be read, nor beside what was granted. A link in what
/// could be written may lead out of it: not its guest, but whoever else follows it.
fn kept(seen: &Seen) -> Verdict {
    let (dir, ro) = (&seen.dir, seen.dir.join("ro"));
    ensure!(
        names(dir) == ["outside", "ro", "rw"],
        "beside: {:?}",
        names(dir)
    );
    ensure!(names(&ro) == ["file", "folder"], "in /ro: {:?}", names(&ro));
    ensure!(names(&ro.join("folder")).is_empty(), "in /ro/folder");
    for file in [ro.join("file"), dir.join("outside")] {
        let content = fs::read(&file).unwrap();
        ensure!(content == b"mine", "{} is {content:?}", file.display());
    }
    let rw = dir.join("rw");
    for name in names(&rw) {
        let leads = fs::read_link(rw.join(&name)).unwrap_or_default();
        ensure!(!leads.is_absolute(), "{name} leads to {}", leads.display());
    }
    let _ = fs::remove_dir_all(dir);
    Ok(())
}
