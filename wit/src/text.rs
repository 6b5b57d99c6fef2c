//! Small things about text that several rooms have to agree on.

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether the text is a sha256: 64 hexadecimal digits of either case.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a character turns the direction of the text around it, and so can make a
/// person read another thing than is there: the marks, embeddings, overrides and isolates
/// of the Unicode bidirectional algorithm (UAX #9, section 2).
pub fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text as it can be shown on one line: control characters and those that [`reorders`]
/// are escaped (`\u{1b}`). At most `limit` characters of that are kept, then follows `…`.
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut room = limit;
    for c in text.chars() {
        let escape = (c.is_control() || reorders(c)).then(|| c.escape_unicode());
        let length = escape.as_ref().map_or(1, ExactSizeIterator::len);
        let Some(left) = room.checked_sub(length) else {
            line.push('…');
            break;
        };
        room = left;
        match escape {
            Some(escape) => line.extend(escape),
            None => line.push(c),
        }
    }
    line
}

/// A text that is no number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It is written otherwise.
    #[error(
        "give bytes, or a whole number with kB, MB, GB, TB, KiB, MiB, GiB or TiB: 4000000000, or 4GiB"
    )]
    Malformed,
    /// There are too many.
    #[error("it is more bytes than 64 bits can count")]
    TooLarge,
}

/// Bytes as people write them: a whole number, and a unit if one follows it, as in `24GiB`.
/// Units are B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB and TiB (powers of 1024), in
/// upper or lower case.
///
/// Errors: see [`SizeError`].
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let named = |(name, _): &(&str, u64)| name.eq_ignore_ascii_case(unit);
    let (_, unit) = UNITS.into_iter().find(named).ok_or(SizeError::Malformed)?;
    if number.is_empty() {
        return Err(SizeError::Malformed);
    }
    let bytes = number.parse().ok().and_then(|n: u64| n.checked_mul(unit));
    bytes.ok_or(SizeError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_spelled_in_lower_case_and_known_in_either() {
        let spelled = hex(&[0xab; 32]);
        assert_eq!(spelled, "ab".repeat(32));
        assert!(is_sha256(&spelled) && is_sha256(&spelled.to_uppercase()));
        assert!(!is_sha256(&spelled[1..]) && !is_sha256(&"g".repeat(64)));
    }

    #[test]
    fn a_line_has_no_more_than_it_may_and_nothing_that_is_obeyed() {
        assert_eq!(one_line("a\tb\u{202e}ä", 99), "a\\u{9}b\\u{202e}ä");
        assert_eq!(one_line("äöü", 3), "äöü");
        assert_eq!(one_line("äöü", 2), "äö…");
        assert_eq!(one_line("ab\u{1b}", 7), "ab…");
        assert_eq!((one_line("", 0), one_line("a", 0)), ("".into(), "…".into()));
    }

    #[test]
    fn what_turns_text_around_is_told_from_text() {
        assert!(
            "\u{61c}\u{200e}\u{200f}\u{202e}\u{2066}\u{2069}"
                .chars()
                .all(reorders)
        );
        assert!(!"a ä א 🧀\u{200d}\n".chars().any(reorders));
    }
}
