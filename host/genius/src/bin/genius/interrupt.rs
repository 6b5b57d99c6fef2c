//! Ctrl-C, and being told to end.

use crate::exit;
use async_signal::{Signal, Signals};
use futures::future::{Either, select};
use futures::stream::StreamExt;
use rusty_genius::GeniusError;
use std::io;
use std::pin::pin;
use std::process::ExitCode;

/// Does the work unless it is interrupted. Leaving drops it: generations and downloads
/// are cancelled, scratch directories removed.
pub(crate) async fn or(work: impl Future<Output = Result<u8, GeniusError>>) -> ExitCode {
    match select(pin!(work), pin!(caught())).await {
        Either::Left((Ok(code), _)) => ExitCode::from(code),
        Either::Left((Err(error), _)) => exit::fail(&error),
        Either::Right((code, _)) => {
            eprintln!("\ninterrupted");
            ExitCode::from(code)
        }
    }
}

/// Waits for a signal that ends the command; gives the exit code. The handlers stand from the
/// call on, before anything is to be undone.
pub(crate) fn caught() -> impl Future<Output = u8> {
    let interrupted = interrupted(signals());
    async {
        match interrupted.await {
            Signal::Term => exit::TERMINATED,
            _ => exit::INTERRUPTED,
        }
    }
}

fn signals() -> io::Result<Signals> {
    #[cfg(unix)]
    return Signals::new([Signal::Int, Signal::Term]);
    #[cfg(not(unix))]
    return Signals::new([Signal::Int]);
}

async fn interrupted(signals: io::Result<Signals>) -> Signal {
    if let Ok(mut signals) = signals {
        while let Some(signal) = signals.next().await {
            if let Ok(signal) = signal {
                return signal;
            }
        }
    }
    // Without handlers the signal ends the process by itself.
    futures::future::pending().await
}
