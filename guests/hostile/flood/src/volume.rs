//! Much of it.

use crowbar::files::stream_told;
use crowbar::journal::{Level, append};
use crowbar::reply::{Fragment, emit};
use crowbar::types::ThoughtEvent;
use crowbar::{MIB, error, until_refused};
use std::io::Write;
use wasip2::cli::{stderr, stdout};

/// Pieces of a MiB that are printed before an attack gives up.
const PIECES: usize = 256;

/// Prints through the standard library.
pub fn stdout() -> String {
    printed(std::io::stdout())
}

pub fn stderr() -> String {
    let stream = stderr::get_stderr();
    let page = [b'e'; 4096];
    pages(|| stream.blocking_write_and_flush(&page).map_err(stream_told))
}

fn printed(mut out: impl Write) -> String {
    let line = "o".repeat(1023) + "\n";
    pages(|| {
        (0..4)
            .try_for_each(|_| out.write_all(line.as_bytes()))
            .map_err(|e| format!("{:?}", e.kind()))
    })
}

/// A byte a call: the host pays for the calls.
pub fn stdout_bytes() -> String {
    let stream = stdout::get_stdout();
    until_refused(|| stream.blocking_write_and_flush(b"\n").map_err(stream_told))
}

pub fn stdout_zeroes() -> String {
    let stream = stdout::get_stdout();
    pages(|| {
        stream
            .blocking_write_zeroes_and_flush(4096)
            .map_err(stream_told)
    })
}

/// Never flushed; and more than there was room for, which traps.
pub fn stdout_unflushed() -> String {
    let stream = stdout::get_stdout();
    let piece = vec![b'u'; MIB];
    for taken in 0..PIECES {
        match stream.check_write() {
            Ok(room) if room < piece.len() as u64 => return format!("{taken}, then no room"),
            Ok(_) => {}
            Err(refusal) => return format!("{taken}, then {}", stream_told(refusal)),
        }
        if let Err(refusal) = stream.write(&piece) {
            return format!("{taken}, then {}", stream_told(refusal));
        }
    }
    "no limit".into()
}

pub fn journal() -> String {
    until_refused(|| append(Level::Warn, &"j".repeat(1000)).map_err(|e| error(&e)))
}

pub fn journal_empty() -> String {
    until_refused(|| append(Level::Debug, "").map_err(|e| error(&e)))
}

pub fn reply() -> String {
    let content = [Fragment::Content("~".repeat(40_000))];
    until_refused(|| emit(&content).map_err(|e| error(&e)))
}

pub fn reply_empty() -> String {
    let contents = vec![Fragment::Content(String::new()); 10_000];
    until_refused(|| emit(&contents).map_err(|e| error(&e)))
}

/// No fragment at all, which costs nothing but the call.
pub fn reply_nothing() -> String {
    until_refused(|| emit(&[]).map_err(|e| error(&e)))
}

pub fn thoughts() -> String {
    let thought = [ThoughtEvent::Start, ThoughtEvent::Stop].map(Fragment::Thought);
    let thoughts: Vec<_> = std::iter::repeat_n(thought, 5000).flatten().collect();
    until_refused(|| emit(&thoughts).map_err(|e| error(&e)))
}

/// Takes 4 KiB at a time until it is refused; says how many KiB there were.
fn pages(mut take: impl FnMut() -> Result<(), String>) -> String {
    for taken in 0..PIECES * 256 {
        if let Err(refusal) = take() {
            return format!("{} KiB, then {refusal}", taken * 4);
        }
    }
    "no limit".into()
}
