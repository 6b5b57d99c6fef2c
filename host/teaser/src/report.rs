//! What came of a suite, told: on a terminal, to GitHub, and in files.
//!
//! * [`terminal`]: a line a fixture, and what is wrong below it.
//! * [`github`]: annotations, as GitHub's workflow commands have them.
//! * [`junit`]: the XML that CI systems read.
//! * [`json`]: everything, for programs.
//! * [`html`]: a page for people, in one file.
//!
//! A file is written whole or not at all.

pub mod github;
pub mod html;
pub mod json;
pub mod junit;
pub mod terminal;

use crate::aside;
use crate::failure::Failure;
use crate::suite::{Report, Row, RowResult, Status};
use rusty_genius_core::GeniusError;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Writes a report to a file, its folders made where they are missing.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    aside::write(file, text.as_bytes())
}

/// What is wrong with one fixture.
struct Fault {
    /// In a line.
    text: String,
    /// What differs, a line each.
    diff: Option<String>,
    /// What to do about it.
    hint: Option<String>,
    /// What of its file it is about.
    about: About,
}

/// What of a fixture's file a fault is about.
enum About {
    /// A line, if one is known.
    Line(Option<usize>),
    /// A key, its parts apart; none where it is about the whole.
    Key(Vec<String>),
}

impl Fault {
    /// The line of the fixture that it is about, if that is known. Of a key it is looked for
    /// in the file as it is now.
    fn line(&self, row: &Row) -> Option<usize> {
        match &self.about {
            About::Line(line) => *line,
            About::Key(key) if key.is_empty() => Some(1),
            About::Key(key) => {
                let fixture = row.fixture.as_ref()?;
                let bytes = std::fs::read(&row.path).unwrap_or_default();
                let key: Vec<&str> = key.iter().map(|part| &**part).collect();
                let placed = crate::Fixture::wrong(&fixture.file, &bytes, &key, String::new());
                Some(placed.line.unwrap_or(1))
            }
        }
    }
}

/// What is wrong with a row.
fn faults(row: &Row) -> Vec<Fault> {
    match &row.result {
        RowResult::Skipped => Vec::new(),
        RowResult::Broken(error) => vec![Fault {
            text: crate::show::line(&error.to_string()),
            diff: None,
            hint: error.hint(),
            about: About::Line(match error {
                GeniusError::Manifest(e) => e.line,
                _ => None,
            }),
        }],
        RowResult::Ran(outcome) => {
            let fault = |failure: &Failure| Fault {
                text: failure.to_string(),
                diff: failure.diff(),
                hint: failure.hint(),
                about: About::Key(failure.key()),
            };
            outcome.failures.iter().map(fault).collect()
        }
    }
}

/// The figures of a report.
struct Totals {
    /// Tokens that were generated.
    tokens: u64,
    /// Tokens of prompts.
    prompt_tokens: u64,
    /// Time that generating took, of all runs together.
    decode: Duration,
    /// The slowest, slowest first: name, and time of the run.
    slowest: Vec<(String, Duration)>,
}

/// Most fixtures that are named as slow.
const SLOWEST: usize = 3;

impl Totals {
    fn of(report: &Report) -> Self {
        let outcomes = || report.rows.iter().filter_map(Row::outcome);
        let usages = || outcomes().map(|outcome| outcome.evidence.usage);
        let mut slowest: Vec<(String, Duration)> = outcomes()
            .map(|outcome| (outcome.name.clone(), outcome.evidence.wall_time))
            .collect();
        slowest.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        slowest.truncate(SLOWEST);
        Self {
            tokens: usages().map(|u| u64::from(u.completion_tokens)).sum(),
            prompt_tokens: usages().map(|u| u64::from(u.prompt_tokens)).sum(),
            decode: Duration::from_micros(usages().map(|u| u.decode_us).sum()),
            slowest,
        }
    }

    /// Tokens a second of generating; `None` where that took no time.
    fn speed(&self) -> Option<f64> {
        let seconds = self.decode.as_secs_f64();
        // Over the precision of what is displayed, and of any cause to divide by it.
        (seconds > 1e-6).then(|| self.tokens as f64 / seconds)
    }
}

/// What the statuses count up to, those of which there is none left out: `3 passed, 1 failed`.
/// Of a suite that was interrupted it says so.
fn counts(report: &Report) -> String {
    const ALL: [Status; 5] = [
        Status::Passed,
        Status::Flaky,
        Status::Failed,
        Status::Broken,
        Status::Skipped,
    ];
    let told: Vec<String> = ALL
        .into_iter()
        .map(|status| (report.count(status), status.name()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let note = match report.interrupted {
        true => " (interrupted)",
        false => "",
    };
    told.join(", ") + note
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests;
