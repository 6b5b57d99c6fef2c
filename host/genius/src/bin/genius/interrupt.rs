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
    // The handlers stand before anything is to be undone.
    let interrupted = pin!(interrupted(signals()));
    match select(pin!(work), interrupted).await {
        Either::Left((Ok(code), _)) => ExitCode::from(code),
        Either::Left((Err(error), _)) => exit::fail(&error),
        Either::Right((signal, _)) => {
            eprintln!("\ninterrupted");
            ExitCode::from(match signal {
                Signal::Term => exit::TERMINATED,
                _ => exit::INTERRUPTED,
            })
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
