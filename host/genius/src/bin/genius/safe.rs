//! Words of guests, models and files on a person's terminal.

use rusty_genius::core::text::reorders;

/// Whether colour is welcome, as far as NO_COLOR says: <https://no-color.org>.
pub(crate) fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Whether a character could move the cursor, colour, hide or reorder text.
fn is_unsafe(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t') || reorders(c)
}

/// The text with every unsafe character shown as its code; lines and tabs stay.
pub(crate) fn text(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

/// [`text`] on one line.
pub(crate) fn line(words: &str) -> String {
    text(words).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(text("Narf! 🧀\n\tPoit — ok"), "Narf! 🧀\n\tPoit — ok");
    }

    #[test]
    fn escapes_bidi_marks_and_carriage_returns_are_shown_not_obeyed() {
        assert_eq!(text("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(text("\u{202e}abc\u{9b}"), "\\u{202e}abc\\u{9b}");
        assert_eq!(text("ok\rno"), "ok\\u{d}no");
        assert_eq!(text("\0"), "\\u{0}");
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(line("a\nerror: forged"), "a\\nerror: forged");
    }
}
