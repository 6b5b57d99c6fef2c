//! Finds the texts that end a generation.

use super::Flow;

/// Searches for several texts at once, in linear time, holding back no more than may
/// still become one of them.
///
/// Each text has its own Knuth–Morris–Pratt automaton: with at most 16 texts that is
/// cheaper to build than one automaton for all, and as fast where it matters, because
/// text that begins no stop text is skipped.
#[derive(Debug, Default)]
pub(super) struct StopTexts {
    patterns: Vec<Pattern>,
    /// The end of the text so far: the longest that begins a stop text.
    held: String,
}

impl StopTexts {
    /// Empty texts are left out; they would end everything.
    pub(super) fn new(texts: &[String]) -> Self {
        Self {
            patterns: texts
                .iter()
                .filter(|text| !text.is_empty())
                .map(|text| Pattern::new(text.as_bytes()))
                .collect(),
            held: String::new(),
        }
    }

    /// Appends to `out` what is no part of a stop text. After `Stopped` nothing more
    /// may be pushed.
    pub(super) fn push(&mut self, text: &str, out: &mut String) -> Flow {
        if self.patterns.is_empty() {
            out.push_str(text);
            return Flow::Continue;
        }
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if self.patterns.iter().all(|p| p.matched == 0) {
                let begins = |b: &u8| self.patterns.iter().any(|p| p.text[0] == *b);
                match bytes[at..].iter().position(begins) {
                    Some(skip) => at += skip,
                    None => break,
                }
            }
            let mut stop = 0;
            for pattern in &mut self.patterns {
                if pattern.step(bytes[at]) {
                    stop = stop.max(pattern.text.len());
                }
            }
            at += 1;
            if stop > 0 {
                self.deliver(&text[..at], stop, out);
                self.held.clear();
                return Flow::Stopped;
            }
        }
        let keep = self.patterns.iter().map(|p| p.matched).max().unwrap_or(0);
        self.deliver(text, keep, out);
        Flow::Continue
    }

    /// Appends what is held back: nothing that comes can make it a stop text.
    pub(super) fn release(&mut self, out: &mut String) {
        out.push_str(&self.held);
        self.held.clear();
        for pattern in &mut self.patterns {
            pattern.matched = 0;
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Delivers all of `held` and `text` but their last `keep` bytes, which are kept.
    ///
    /// The cut is at a character: `keep` bytes of a stop text begin there.
    fn deliver(&mut self, text: &str, keep: usize, out: &mut String) {
        if let Some(cut) = text.len().checked_sub(keep) {
            out.push_str(&self.held);
            self.held.clear();
            out.push_str(&text[..cut]);
            self.held.push_str(&text[cut..]);
        } else {
            let cut = self.held.len() + text.len() - keep;
            out.push_str(&self.held[..cut]);
            self.held.drain(..cut);
            self.held.push_str(text);
        }
    }
}

#[derive(Debug)]
struct Pattern {
    text: Box<[u8]>,
    /// `fallback[n]`: the longest proper prefix of `text` that `text[..=n]` ends with.
    fallback: Box<[usize]>,
    /// How many bytes of `text` the input ends with.
    matched: usize,
}

impl Pattern {
    fn new(text: &[u8]) -> Self {
        let mut fallback = vec![0; text.len()];
        let mut matched = 0;
        for at in 1..text.len() {
            while matched > 0 && text[matched] != text[at] {
                matched = fallback[matched - 1];
            }
            matched += usize::from(text[matched] == text[at]);
            fallback[at] = matched;
        }
        Self {
            text: text.into(),
            fallback: fallback.into(),
            matched: 0,
        }
    }

    /// Whether the text is complete with this byte.
    fn step(&mut self, byte: u8) -> bool {
        while self.matched > 0 && self.text[self.matched] != byte {
            self.matched = self.fallback[self.matched - 1];
        }
        self.matched += usize::from(self.text[self.matched] == byte);
        self.matched == self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], chunks: &[&str]) -> (String, Flow) {
        let stops: Vec<String> = stops.iter().map(|&s| s.into()).collect();
        let mut machine = StopTexts::new(&stops);
        let mut out = String::new();
        for chunk in chunks {
            if machine.push(chunk, &mut out) == Flow::Stopped {
                return (out, Flow::Stopped);
            }
        }
        machine.release(&mut out);
        (out, Flow::Continue)
    }

    #[test]
    fn a_stop_text_is_found_over_chunk_borders_and_not_delivered() {
        let (out, flow) = run(&["\n\nUser:"], &["Narf!\n", "\nUs", "er: again"]);
        assert_eq!((out.as_str(), flow), ("Narf!", Flow::Stopped));
    }

    #[test]
    fn a_match_that_fails_falls_back_to_a_shorter_one() {
        assert_eq!(run(&["aab"], &["a", "a", "a", "b"]).0, "a");
        assert_eq!(run(&["aabaaac"], &["aabaaa", "baaac"]).0, "aaba");
        assert_eq!(run(&["aab"], &["aaa"]), ("aaa".into(), Flow::Continue));
    }

    #[test]
    fn the_first_to_be_complete_wins() {
        assert_eq!(run(&["abcd", "bc"], &["abcd"]).0, "a");
    }

    #[test]
    fn of_those_complete_at_once_the_longest_wins() {
        assert_eq!(run(&["bc", "abc", "c"], &["xa", "bc"]).0, "x");
    }

    #[test]
    fn text_that_cannot_become_a_stop_text_is_delivered_at_once() {
        let mut machine = StopTexts::new(&["STOP".into()]);
        let mut out = String::new();
        assert_eq!(machine.push("go, ST", &mut out), Flow::Continue);
        assert_eq!((out.as_str(), machine.held()), ("go, ", 2));
        assert_eq!(machine.push("art", &mut out), Flow::Continue);
        assert_eq!((out.as_str(), machine.held()), ("go, STart", 0));
    }

    #[test]
    fn multi_byte_stop_texts_are_cut_at_characters() {
        // 🐁 and 🐀 differ in their last byte only.
        assert_eq!(run(&["é🐁"], &["aé", "🐀é", "🐁"]).0, "aé🐀");
    }

    #[test]
    fn an_empty_stop_text_stops_nothing() {
        assert_eq!(run(&[""], &["a"]), ("a".into(), Flow::Continue));
    }
}
