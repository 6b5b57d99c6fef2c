//! Keeps a conversation's text from spelling special tokens.
//!
//! Before rendering, each special text in a content is replaced by one private-use character
//! that stands nowhere else. Whatever the template then does with the content, it cannot put
//! together a special text that the content contained; each one in the rendered text is the
//! template's own. Afterwards the characters are replaced back, as parts of their own.

use super::Part;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The texts of special tokens, to be found in others.
pub(super) struct Specials {
    texts: HashSet<String>,
    /// Their lengths in bytes, the longest first.
    lengths: Vec<usize>,
    /// The bytes they begin with.
    firsts: [bool; 256],
}

impl Specials {
    /// Texts of whitespace only are left out: models have tokens for runs of it, which are
    /// no commands, and templates trim it.
    pub(super) fn new(texts: &[String]) -> Self {
        let texts: HashSet<String> = texts
            .iter()
            .filter(|text| !text.trim().is_empty())
            .cloned()
            .collect();
        let lengths: BTreeSet<usize> = texts.iter().map(String::len).collect();
        let mut firsts = [false; 256];
        for text in &texts {
            firsts[usize::from(text.as_bytes()[0])] = true;
        }
        Self {
            texts,
            lengths: lengths.into_iter().rev().collect(),
            firsts,
        }
    }

    /// The longest special text that `text` begins with.
    fn at_start<'a>(&self, text: &'a str) -> Option<&'a str> {
        if !self.firsts[usize::from(*text.as_bytes().first()?)] {
            return None;
        }
        self.lengths
            .iter()
            .filter_map(|&length| text.get(..length))
            .find(|&head| self.texts.contains(head))
    }

    /// Whether `text` ends with the beginning of a special text.
    fn begins_at_end(&self, text: &str) -> bool {
        self.inner_parts(|head, _| text.ends_with(head))
    }

    /// Whether `text` begins with the end of a special text.
    fn ends_at_start(&self, text: &str) -> bool {
        self.inner_parts(|_, tail| text.starts_with(tail))
    }

    fn inner_parts(&self, good: impl Fn(&str, &str) -> bool) -> bool {
        self.texts.iter().any(|text| {
            let inner = text.char_indices().skip(1);
            inner
                .map(|(at, _)| text.split_at(at))
                .any(|(head, tail)| good(head, tail))
        })
    }
}

/// Which private-use characters stand for which texts.
pub(super) struct Seals {
    unused: Box<dyn Iterator<Item = char>>,
    by_text: BTreeMap<String, char>,
    by_char: BTreeMap<char, String>,
}

fn is_private(c: char) -> bool {
    matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}')
}

impl Seals {
    /// Seals that occur in none of these texts.
    pub(super) fn apart_from<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let used: HashSet<char> = texts
            .flat_map(str::chars)
            .filter(|&c| is_private(c))
            .collect();
        let all = ('\u{E000}'..='\u{F8FF}').chain('\u{F0000}'..='\u{FFFFD}');
        let all = all.chain('\u{100000}'..='\u{10FFFD}');
        Self {
            unused: Box::new(all.filter(move |c| !used.contains(c))),
            by_text: BTreeMap::new(),
            by_char: BTreeMap::new(),
        }
    }

    fn seal(&mut self, text: &str) -> Result<char, String> {
        if let Some(&seal) = self.by_text.get(text) {
            return Ok(seal);
        }
        let seal = self
            .unused
            .next()
            .ok_or("the conversation uses all private-use characters")?;
        self.by_text.insert(text.to_owned(), seal);
        self.by_char.insert(seal, text.to_owned());
        Ok(seal)
    }

    /// The content with a seal for each special text, and for a character at either end that
    /// could be part of one together with the template's text beside it.
    pub(super) fn close(
        &mut self,
        content: &str,
        specials: &Specials,
        exempt: &[&str],
    ) -> Result<String, String> {
        let mut out = String::with_capacity(content.len());
        let mut at = 0;
        while let Some(c) = content[at..].chars().next() {
            match specials.at_start(&content[at..]) {
                Some(text) if !exempt.contains(&text) => {
                    out.push(self.seal(text)?);
                    at += text.len();
                }
                _ => {
                    out.push(c);
                    at += c.len_utf8();
                }
            }
        }
        // Templates trim whitespace, so the ends are those of what is left then.
        let begin = out.len() - out.trim_start().len();
        if let Some(first) = out[begin..].chars().next()
            && specials.ends_at_start(&out[begin..])
        {
            let seal = self.seal(first.encode_utf8(&mut [0; 4]))?;
            out.replace_range(
                begin..begin + first.len_utf8(),
                seal.encode_utf8(&mut [0; 4]),
            );
        }
        let end = out.trim_end().len();
        if let Some(last) = out[..end].chars().next_back()
            && specials.begins_at_end(&out[..end])
        {
            let seal = self.seal(last.encode_utf8(&mut [0; 4]))?;
            out.replace_range(end - last.len_utf8()..end, seal.encode_utf8(&mut [0; 4]));
        }
        Ok(out)
    }

    /// The rendered text in parts: what a seal stood for is never special.
    pub(super) fn open(&self, rendered: &str) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut push = |text: &str, special: bool| match parts.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.special == special => last.text.push_str(text),
            _ => parts.push(Part {
                text: text.to_owned(),
                special,
            }),
        };
        let mut rest = rendered;
        while let Some(at) = rest.find(|c| self.by_char.contains_key(&c)) {
            let (before, tail) = rest.split_at(at);
            push(before, true);
            let mut chars = tail.chars();
            if let Some(text) = chars.next().and_then(|seal| self.by_char.get(&seal)) {
                push(text, false);
            }
            rest = chars.as_str();
        }
        push(rest, true);
        parts
    }
}
