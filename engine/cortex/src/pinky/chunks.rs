//! Cuts the script into tokens, without regard to tags or characters.

use super::script::{GREETING, Piece, Script};
use crate::rng::Rng;

/// Longest token cut at random, bytes.
const LONGEST: usize = 8;
/// Bytes to look ahead: a token that began before the greeting takes it whole, and a
/// last one ends with its character.
const AHEAD: usize = LONGEST + GREETING.len() + 4;

#[derive(Debug)]
pub(super) struct Chunks {
    script: Script,
    rng: Rng,
    /// Text written and not yet cut; short, however long the answer.
    buffer: Vec<u8>,
    at: usize,
    /// Where in `buffer` the greeting begins.
    greeting: Option<usize>,
    ended: bool,
}

impl Chunks {
    pub(super) fn new(script: Script, seed: u64) -> Self {
        let mut chunks = Self {
            script,
            rng: Rng::new(seed),
            buffer: Vec::new(),
            at: 0,
            greeting: None,
            ended: false,
        };
        chunks.fill();
        chunks
    }

    /// Whether all was cut.
    pub(super) fn is_over(&self) -> bool {
        self.at == self.buffer.len()
    }

    /// Bytes of memory it takes for text.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// The next token, never empty. One that is `last` ends with a character.
    pub(super) fn next(&mut self, last: bool) -> Option<Vec<u8>> {
        let wanted = 1 + self.rng.below(LONGEST);
        let rest = &self.buffer[self.at..];
        if rest.is_empty() {
            return None;
        }
        let mut end = wanted.min(rest.len());
        if let Some(greeting) = self.greeting {
            let greeting = greeting - self.at;
            if greeting < end {
                end = end.max(greeting + GREETING.len());
                self.greeting = None;
            }
        }
        if last {
            let inside = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
            while rest.get(end).is_some_and(inside) {
                end += 1;
            }
        }
        let token = rest[..end].to_vec();
        self.at += end;
        self.fill();
        Some(token)
    }

    fn fill(&mut self) {
        if self.ended || self.buffer.len() - self.at >= AHEAD {
            return;
        }
        self.buffer.drain(..self.at);
        self.greeting = self.greeting.map(|g| g - self.at);
        self.at = 0;
        while self.buffer.len() < AHEAD {
            let begin = self.buffer.len();
            match self.script.next(&mut self.buffer) {
                Some(Piece::Greeting) => self.greeting = Some(begin),
                Some(Piece::Text) => {}
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
    }
}
