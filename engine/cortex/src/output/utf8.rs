//! Puts characters together that were split over tokens.

/// Longest incomplete sequence, bytes.
const HELD: usize = 3;

/// Makes text of bytes, as [`String::from_utf8_lossy`] would on the whole.
#[derive(Debug, Default)]
pub(super) struct Utf8Joiner {
    /// A sequence that is valid so far; `len` bytes of it.
    held: [u8; HELD],
    len: usize,
}

impl Utf8Joiner {
    /// Hands on what is complete; pieces are not empty.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut text: impl FnMut(&str)) {
        while self.len > 0 {
            let Some((&next, rest)) = bytes.split_first() else {
                return;
            };
            let mut sequence = [0; HELD + 1];
            sequence[..self.len].copy_from_slice(&self.held[..self.len]);
            sequence[self.len] = next;
            match std::str::from_utf8(&sequence[..=self.len]) {
                Ok(character) => {
                    text(character);
                    self.len = 0;
                    bytes = rest;
                }
                Err(e) if e.error_len().is_none() => {
                    self.hold(&sequence[..=self.len]);
                    bytes = rest;
                }
                // The byte does not continue it, but may begin something else.
                Err(_) => {
                    text("\u{FFFD}");
                    self.len = 0;
                }
            }
        }
        if bytes.is_empty() {
            return;
        }
        // `from_utf8` is several times faster than `utf8_chunks`.
        if let Ok(valid) = std::str::from_utf8(bytes) {
            return text(valid);
        }
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            if !chunk.valid().is_empty() {
                text(chunk.valid());
            }
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            let may_go_on = chunks.peek().is_none()
                && std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            if may_go_on {
                self.hold(invalid);
            } else {
                text("\u{FFFD}");
            }
        }
    }

    /// Hands on what will never be complete.
    pub(super) fn finish(&mut self, mut text: impl FnMut(&str)) {
        if std::mem::take(&mut self.len) > 0 {
            text("\u{FFFD}");
        }
    }

    pub(super) fn held(&self) -> usize {
        self.len
    }

    fn hold(&mut self, sequence: &[u8]) {
        self.held[..sequence.len()].copy_from_slice(sequence);
        self.len = sequence.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(chunks: &[&[u8]]) -> String {
        let mut joiner = Utf8Joiner::default();
        let mut all = String::new();
        for chunk in chunks {
            joiner.push(chunk, |text| {
                assert!(!text.is_empty());
                all.push_str(text);
            });
            assert!(joiner.held() <= HELD);
        }
        joiner.finish(|text| all.push_str(text));
        all
    }

    #[test]
    fn a_character_split_into_bytes_arrives_whole() {
        assert_eq!(joined(&[b"a\xF0", b"\x9F", b"", b"\x90\x81", b"b"]), "a🐁b");
    }

    #[test]
    fn a_sequence_that_breaks_off_becomes_one_replacement_character() {
        assert_eq!(joined(&[b"\xF0\x9F", b"\x90", b"x"]), "\u{FFFD}x");
        assert_eq!(joined(&[b"\xF0\x9F", b"\xF0\x9F\x90\x81"]), "\u{FFFD}🐁");
        assert_eq!(joined(&[b"\xE2\x82"]), "\u{FFFD}");
    }

    #[test]
    fn surrogates_and_overlong_forms_are_replaced_byte_by_byte() {
        for bytes in [&b"\xED\xA0\x80"[..], b"\xC0\xAF", b"\xF5", b"\x80"] {
            let split: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(joined(&split), String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_what_the_whole_would(
            chunks in prop::collection::vec(
                prop::collection::vec(
                    prop::sample::select(
                        b"a<\x80\x82\x90\x9F\xA0\xBF\xC2\xE0\xE2\xED\xEF\xF0\xF4\xFF".to_vec(),
                    ),
                    0..5,
                ),
                0..8,
            )
        ) {
            let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let whole = chunks.concat();
            prop_assert_eq!(joined(&slices), String::from_utf8_lossy(&whole));
        }
    }
}
