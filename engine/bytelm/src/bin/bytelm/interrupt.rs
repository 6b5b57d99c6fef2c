//! Ctrl-C, and what else asks a program to end.

use async_signal::{Signal, Signals};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

/// What a program that ended for Ctrl-C exits with, in shells' way.
pub(crate) const EXIT: u8 = 130;

/// A signal that comes sooner after the first is the same one, sent to a whole group of
/// processes and to this one alone, as `timeout` does it.
const SAME: Duration = Duration::from_millis(500);

/// Set when the first signal comes; a second ends the program at once.
pub(crate) fn flag() -> io::Result<Arc<AtomicBool>> {
    #[cfg(unix)]
    let signals = [Signal::Int, Signal::Term];
    #[cfg(not(unix))]
    let signals = [Signal::Int];
    let signals = Signals::new(signals)?;
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    thread::spawn(move || {
        let mut first: Option<Instant> = None;
        for _ in futures::executor::block_on_stream(signals) {
            seen.store(true, Ordering::Relaxed);
            if first.get_or_insert_with(Instant::now).elapsed() > SAME {
                process::exit(EXIT.into());
            }
        }
    });
    Ok(flag)
}
