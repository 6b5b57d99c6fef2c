//! Words of guests, models and file names, shown to a person.

use rusty_genius_core::text::reorders;
use std::ffi::OsStr;

/// Whether a character could move the cursor, colour, hide or reorder text.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || reorders(c)
}

/// The text on one line, with every unsafe character shown as Rust would write it.
pub(crate) fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\r' => safe.extend(c.escape_default()),
            c if is_unsafe(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

/// A file's name on one line.
pub(crate) fn name(name: &OsStr) -> String {
    line(&name.to_string_lossy())
}

/// At most `most` characters of the text, on one [`line`].
pub(crate) fn short(text: &str, most: usize) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(most).collect();
    let rest = if chars.next().is_some() { "…" } else { "" };
    line(&start) + rest
}

/// [`short`], in quotes.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    format!("\"{}\"", short(text, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_forge_a_line_or_hide_one_is_shown() {
        assert_eq!(
            line("a\ntest b ... ok\r\x1b[2J\u{202e}\u{2028}"),
            "a\\ntest b ... ok\\r\\u{1b}[2J\\u{202e}\\u{2028}"
        );
        assert_eq!(line("Käse 🧀 \"q\""), "Käse 🧀 \"q\"");
    }

    #[test]
    fn an_excerpt_is_cut_between_characters() {
        assert_eq!(excerpt("🧀🧀🧀", 2), "\"🧀🧀…\"");
        assert_eq!(excerpt("🧀🧀", 2), "\"🧀🧀\"");
    }
}
