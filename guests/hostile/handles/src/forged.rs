//! Handles that nobody gave. The host must trap, never take one for another.

use crowbar::cortex::Session;
use crowbar::model::session;
use crowbar::{error, of};
use wasip2::io::streams::OutputStream;

/// A number of its own choice.
pub fn forged() -> String {
    // SAFETY: wrong on purpose; the handle is a number to the host, and no address here.
    let session = unsafe { Session::from_handle(4242) };
    format!("GOT a fork: {}", of(session.fork()))
}

pub async fn dropped_twice() -> String {
    let first = match session().await {
        Ok(session) => session,
        Err(refusal) => return error(&refusal),
    };
    // SAFETY: as in `forged`.
    let second = unsafe { Session::from_handle(first.handle()) };
    drop(first);
    drop(second);
    "GOT two drops".into()
}

/// A directory, taken for a stream.
pub fn another_kind() -> String {
    let Ok(scratch) = crowbar::files::scratch() else {
        return "no /scratch".into();
    };
    // SAFETY: as in `forged`.
    let stream = unsafe { OutputStream::from_handle(scratch.take_handle()) };
    let written = stream.check_write();
    format!("GOT a stream: {}", written.is_ok())
}
