//! A line a fixture, and what is wrong below it.

use super::{Totals, counts, faults};
use crate::show;
use crate::suite::{Report, Row, Status};
use std::fmt::Write;
use std::time::Duration;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether words are coloured, with ANSI escapes.
    pub color: bool,
    /// Columns there are. Names are cut to them, failures are not.
    pub width: usize,
}

/// Fewest columns of a name, however narrow the terminal.
const NARROW: usize = 16;
/// Columns of a name where there is room for all.
const WIDE: usize = 64;
/// Columns of what stands before and after the name.
const AROUND: usize = 33;
/// Characters of an answer that a failure shows.
const ANSWER: usize = 400;

/// A row, and what is wrong with it. Every line ends with a newline; nothing in it but colour
/// is a control character.
pub fn row(row: &Row, style: Style) -> String {
    let status = row.status();
    let word = match status {
        Status::Passed => "ok",
        Status::Flaky => "flaky",
        Status::Failed => "FAIL",
        Status::Broken => "BROKEN",
        Status::Skipped => "skip",
    };
    let word = paint(&format!("{word:<6}"), color(status), style);
    let room = style.width.saturating_sub(AROUND).clamp(NARROW, WIDE);
    let name = cut(&show::line(&row.name), room);
    let mut text = match row.outcome() {
        Some(outcome) => {
            let tokens = outcome.evidence.usage.completion_tokens;
            let time = seconds(outcome.evidence.wall_time);
            format!("{word} {name:<room$} {tokens:>6} tokens {time:>9}")
        }
        None => format!("{word} {name}"),
    };
    if let Some(outcome) = row.outcome().filter(|outcome| outcome.attempts > 1) {
        let _ = write!(text, "  {} attempts", outcome.attempts);
    }
    text.push('\n');
    for fault in faults(row) {
        let _ = writeln!(text, "       {}", fault.text);
        for line in fault.diff.iter().flat_map(|diff| diff.lines()) {
            let hue = match line.as_bytes().first() {
                Some(b'-') => Some("31"),
                Some(b'+') => Some("32"),
                _ => None,
            };
            let _ = writeln!(text, "         {}", paint(line, hue, style));
        }
        if let Some(hint) = &fault.hint {
            let _ = writeln!(text, "       hint: {}", show::line(hint));
        }
    }
    if status == Status::Failed
        && let Some(outcome) = row.outcome()
    {
        if let Ok(seen) = &outcome.evidence.observation {
            let _ = writeln!(
                text,
                "       answer: {}",
                show::excerpt(&seen.answer, ANSWER)
            );
        }
        let file = show::name(row.path.as_os_str());
        let _ = writeln!(
            text,
            "       {file}, {}",
            show::line(&outcome.engine_note())
        );
    }
    text
}

/// The figures of all rows, two lines or three.
pub fn summary(report: &Report, style: Style) -> String {
    let totals = Totals::of(report);
    let counted = counts(report);
    let hue = if report.passed() { "32" } else { "31" };
    let noun = if report.rows.len() == 1 {
        "fixture"
    } else {
        "fixtures"
    };
    let mut text = format!(
        "\n{} {noun}: {}\n",
        report.rows.len(),
        paint(&counted, Some(hue), style)
    );
    let _ = write!(
        text,
        "{} prompt + {} generated tokens",
        totals.prompt_tokens, totals.tokens
    );
    if let Some(speed) = totals.speed() {
        let _ = write!(text, " · {speed:.0} tokens/s");
    }
    let _ = writeln!(text, " · {}", seconds(report.wall_time));
    let slow: Vec<String> = totals
        .slowest
        .iter()
        .map(|(name, time)| format!("{} {}", show::line(name), seconds(*time)))
        .collect();
    if slow.len() > 1 {
        let _ = writeln!(text, "slowest: {}", slow.join(", "));
    }
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn color(status: Status) -> Option<&'static str> {
    match status {
        Status::Passed => Some("32"),
        Status::Flaky => Some("33"),
        Status::Failed | Status::Broken => Some("1;31"),
        Status::Skipped => Some("2"),
    }
}

fn paint(text: &str, color: Option<&str>, style: Style) -> String {
    match color.filter(|_| style.color) {
        Some(color) => format!("\x1b[{color}m{text}\x1b[0m"),
        None => text.to_owned(),
    }
}

/// The name in so many columns. Of a long one the end tells more.
fn cut(name: &str, room: usize) -> String {
    let chars = name.chars().count();
    if chars <= room {
        return name.to_owned();
    }
    let end: String = name.chars().skip(chars + 1 - room).collect();
    format!("…{end}")
}
