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
    fn what_turns_text_around_is_told_from_text() {
        assert!(
            "\u{61c}\u{200e}\u{200f}\u{202e}\u{2066}\u{2069}"
                .chars()
                .all(reorders)
        );
        assert!(!"a ä א 🧀\u{200d}\n".chars().any(reorders));
    }
}
