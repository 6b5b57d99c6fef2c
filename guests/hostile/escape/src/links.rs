//! Symbolic links out of `/scratch`. Making one may be allowed; what it points to must
//! stay out of reach, under every spelling of the link's own name.

use crate::report::Report;
use std::fs::{self, File};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, ErrorCode};

const TARGETS: [&str; 6] = [
    "/etc/passwd",
    "/etc",
    "/",
    "..",
    "../..",
    "../../../../../../../../etc/passwd",
];

pub fn try_all(report: &mut Report) {
    // The standard library offers symbolic links on WASI to unstable compilers only.
    for (scratch, _) in get_directories()
        .iter()
        .filter(|(_, name)| name == "/scratch")
    {
        for (number, target) in TARGETS.into_iter().enumerate() {
            through(report, scratch, target, &format!("link{number}"));
        }
        // Each link is harmless where it stands; together they climb.
        match chain(scratch) {
            Ok(()) => report.refused(
                "open a chain of links",
                File::open("/scratch/chain"),
                |_| "the file".into(),
            ),
            Err(e) => report.refused("make a chain of links", Err::<(), _>(e), |()| String::new()),
        }
    }
}

fn through(report: &mut Report, scratch: &Descriptor, target: &str, link: &str) {
    if let Err(e) = scratch.symlink_at(target, link) {
        let refused: Result<(), ErrorCode> = Err(e);
        report.refused(format_args!("make a link to {target}"), refused, |()| {
            String::new()
        });
        return;
    }
    for tail in ["", "/", "/.", "/passwd", "/etc/passwd"] {
        let path = format!("/scratch/{link}{tail}");
        report.refused(
            format_args!("open {path}, a link to {target}"),
            File::open(&path),
            |_| "a descriptor".into(),
        );
        report.refused(
            format_args!("list {path}, a link to {target}"),
            fs::read_dir(&path).map(Iterator::count),
            |count| format!("{count} names"),
        );
    }
    let path = format!("/scratch/{link}/escaped");
    report.refused(
        format_args!("write {path}, a link to {target}"),
        File::create(&path),
        |_| "a file".into(),
    );
}

fn chain(scratch: &Descriptor) -> Result<(), ErrorCode> {
    scratch.create_directory_at("deep")?;
    scratch.symlink_at("..", "deep/up")?;
    scratch.symlink_at("deep/up/../../../../../../../../etc/passwd", "chain")
}
