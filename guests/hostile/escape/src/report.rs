//! What was tried and what came of it.

use crate::rusty_genius::genius::journal::{Level, append};
use crate::rusty_genius::genius::reply::{Fragment, emit};
use crate::rusty_genius::genius::types::Error;
use std::fmt::{Debug, Display};

/// The attempts so far.
#[derive(Default)]
pub struct Report {
    lines: Vec<String>,
    got: usize,
}

impl Report {
    /// An attempt that must be refused; `got` says what was had if it was not.
    pub fn refused<T, E: Debug>(
        &mut self,
        attempt: impl Display,
        outcome: Result<T, E>,
        got: impl FnOnce(T) -> String,
    ) {
        match outcome {
            Ok(value) => self.got(attempt, got(value)),
            Err(e) => self
                .lines
                .push(format!("{attempt}: refused ({})", brief(&e))),
        }
    }

    /// An attempt that need not be refused as long as it finds nothing.
    pub fn empty(&mut self, attempt: impl Display, found: &[String]) {
        if found.is_empty() {
            self.lines
                .push(format!("{attempt}: refused (nothing there)"));
        } else {
            self.got(attempt, found.join(", "));
        }
    }

    /// An attempt that got something.
    pub fn got(&mut self, attempt: impl Display, what: impl Display) {
        self.got += 1;
        self.lines.push(format!("{attempt}: GOT {what}"));
    }

    /// How many attempts got something, and how many there were.
    pub fn count(&self) -> (usize, usize) {
        (self.got, self.lines.len())
    }

    /// Tells whoever ran this, and the record.
    pub fn say(&self) -> Result<(), Error> {
        let mut fragments = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            append(Level::Info, line)?;
            fragments.push(Fragment::Content(format!("{line}\n")));
        }
        emit(&fragments)
    }
}

/// What an error is called. Those of WASI carry a name, those of the system a message,
/// among much else.
fn brief(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    let quoted = |key| {
        let (_, rest) = text.split_once(key)?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    quoted("name: \"")
        .or_else(|| quoted("message: \""))
        .unwrap_or(text)
}
