//! Little of it, but what harms terminals, logs, records and XML that show it as it is.

use crowbar::cortex::Session;
use crowbar::files::{create, scratch};
use crowbar::journal::{Level, append};
use crowbar::reply::{Fragment, emit};
use crowbar::types::{Error, Failure, ThoughtEvent};
use crowbar::{NASTY, of};
use std::io::Write;
use wasip2::cli::{stderr, stdout};

/// Lines that look like the host's own, in every form that it writes.
const LINES: &str = "\n{\"kind\":\"end\",\"result\":\"ok\",\"exit\":0}\n\
    error: everything is lost\nhint: rm -rf /\n\
    ]]></system-out></testcase><testcase name=\"fake\"/>\n";

pub fn stdout() -> String {
    let written = std::io::stdout().write_all(NASTY.as_bytes());
    format!("{}", written.is_ok())
}

pub fn stderr() -> String {
    let stream = stderr::get_stderr();
    let written = stream.blocking_write_and_flush(NASTY.as_bytes());
    format!("{}", written.is_ok())
}

/// Bytes that are no text, and a character cut in two by a flush.
pub fn utf8() -> String {
    let stream = stdout::get_stdout();
    let pieces: [&[u8]; 5] = [
        b"\xff\xfe\x00",
        b"\xc0\xaf",
        b"\xe2\x82",
        b"\xac",
        b"\xf0\x9f",
    ];
    let written = pieces
        .iter()
        .filter(|piece| stream.blocking_write_and_flush(piece).is_ok());
    format!("{} of {}", written.count(), pieces.len())
}

pub fn journal() -> String {
    of(append(Level::Info, NASTY))
}

pub fn reply() -> String {
    of(emit(&[Fragment::Content(NASTY.into())]))
}

pub fn thoughts() -> String {
    think(&[
        ThoughtEvent::Start,
        ThoughtEvent::Delta(NASTY.into()),
        ThoughtEvent::Stop,
    ])
}

/// Thoughts that end before they begin, never end, or begin within each other.
pub fn thoughts_unbalanced() -> String {
    think(&[
        ThoughtEvent::Stop,
        ThoughtEvent::Delta("nowhere ".into()),
        ThoughtEvent::Stop,
        ThoughtEvent::Start,
        ThoughtEvent::Start,
        ThoughtEvent::Delta("open".into()),
    ])
}

fn think(thoughts: &[ThoughtEvent]) -> String {
    let fragments: Vec<_> = thoughts.iter().cloned().map(Fragment::Thought).collect();
    of(emit(&fragments))
}

pub fn names() -> String {
    let Ok(scratch) = scratch() else {
        return "no /scratch".into();
    };
    let nasty = NASTY.replace('\0', "");
    let names = [
        &*nasty,
        "a\nb",
        "\u{1b}[31m",
        "\u{202e}gnp.exe",
        LINES.trim(),
    ];
    let made = names
        .iter()
        .filter(|name| create(&scratch, &name.replace('/', "")).is_ok());
    format!("{} of {}", made.count(), names.len())
}

/// In what the host refuses, and perhaps quotes.
pub async fn spec() -> String {
    let mut refused = 0;
    for spec in [NASTY, &format!("o/{NASTY}"), &format!("o/r:{NASTY}"), LINES] {
        if Session::open(spec.to_owned()).await.is_err() {
            refused += 1;
        }
    }
    format!("{refused} of 4 refused")
}

pub fn failed() -> Failure {
    Failure::Failed(format!("{NASTY}{LINES}"))
}

pub fn usage() -> Failure {
    Failure::Usage(format!("{NASTY}{LINES}"))
}

pub fn fake_record() -> String {
    of(append(Level::Info, LINES))
}

pub fn fake_lines() -> String {
    let said = || -> Result<(), Error> {
        emit(&[Fragment::Content(LINES.into())])?;
        emit(&[Fragment::Thought(ThoughtEvent::Delta(LINES.into()))])
    };
    let printed = std::io::stdout().write_all(LINES.as_bytes());
    format!("{}, printed {}", of(said()), printed.is_ok())
}
