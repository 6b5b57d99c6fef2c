//! Annotations, as GitHub's workflow commands have them:
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

use super::faults;
use crate::show;
use crate::suite::{Row, Status};
use std::fmt::Write;

/// An `::error` for each thing wrong with the row, a `::warning` where it is flaky, a line
/// each; empty for any other.
pub fn annotations(row: &Row) -> String {
    let mut text = String::new();
    let file = property(&show::name(row.path.as_os_str()));
    let title = property(&show::line(&row.name));
    if let (Status::Flaky, Some(outcome)) = (row.status(), row.outcome()) {
        let attempts = outcome.attempts;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "::warning file={file},title={title}::it passed at attempt {attempts}"
        );
    }
    for fault in faults(row) {
        let line = fault.line(row).unwrap_or(1);
        let mut message = fault.text;
        if let Some(diff) = fault.diff {
            message = message + "\n" + diff.trim_end();
        }
        let message = data(&message);
        let _ = writeln!(
            text,
            "::error file={file},line={line},title={title}::{message}"
        );
    }
    text
}

/// A command's message: of it only these would end the line, or be taken for an escape.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property's value, which commas and colons would end as well.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
