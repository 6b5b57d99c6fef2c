//! Files that are read and written here.

use super::{Failure, host};
use rusty_genius::core::ManifestError;
use rusty_genius::stem::simulation::{FILE_LIMIT, Trace};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Reads a trace. Of any kind of file, so that a shell can hand over a pipe; a file without
/// end is read no further than the limit.
pub(super) fn read_trace(path: &Path) -> Result<Trace, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes));
    read.map_err(|e| Failure::Usage {
        wrong: format!("{}: {e}", path.display()),
        hint: "give a trace, as fixtures/traces/day.trace, or --synthetic SPEC",
    })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        ManifestError {
            file: path.to_owned(),
            line: Some(before.split(|b| *b == b'\n').count()),
            column: None,
            key: None,
            reason: "it is not UTF-8".to_owned(),
        }
    })?;
    Ok(Trace::parse(path, &text)?)
}

/// Writes a file aside and gives it its name when it is whole.
pub(super) fn write(path: &Path, content: &str) -> Result<(), Failure> {
    let written = aside(path).and_then(|aside| {
        let written = (|| {
            let mut file = File::create_new(&aside)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    });
    written.map_err(|e| host(format!("writing {}", path.display()), &e))
}

fn aside(path: &Path) -> io::Result<std::path::PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    aside.push(format!(".{}.aside", std::process::id()));
    Ok(path.with_file_name(aside))
}
