//! Finds where thoughts and tool calls begin and end.

use super::call::MAX_CALL;

/// Tags that mean something in content. None has `<` inside, so what the text ends with of
/// one is all a scanner has to remember.
const IN_CONTENT: &[&str] = &["<think>", "</think>", CALL];
const IN_THOUGHT: &[&str] = &["<think>", "</think>"];
const IN_CALL: &[&str] = &[CALL, CALL_END];
/// Begins a tool call.
pub(super) const CALL: &str = "<tool_call>";
/// Ends a tool call.
pub(super) const CALL_END: &str = "</tool_call>";

/// What the text is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text of the thought or the content, whichever it is in; not empty.
    Text(&'a str),
    /// A thought begins.
    Open,
    /// The thought ends.
    Close,
    /// What stands between the tags of a tool call, in content.
    Call(&'a str),
}

/// Splits text at the tags of outermost thoughts and of tool calls.
#[derive(Debug, Default)]
pub(super) struct TagScanner {
    /// Thoughts open now; 64 bits cannot overflow in a generation.
    depth: u64,
    /// What came since the tag of the tool call that is open.
    call: Option<String>,
    /// How many bytes of `tag` the text ends with.
    held: usize,
    /// Of the tags that begin with the same `held` bytes, the first.
    tag: &'static str,
}

impl TagScanner {
    /// A scanner one thought deep.
    pub(super) fn in_thought() -> Self {
        Self {
            depth: 1,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, mut text: &str, mut piece: impl FnMut(Piece<'_>)) {
        while let Some(&next) = text.as_bytes().first() {
            if self.held == 0 {
                let plain = text.find('<').unwrap_or(text.len());
                self.text(&text[..plain], &mut piece);
                text = &text[plain..];
                if !text.is_empty() {
                    text = &text[1..];
                    self.held = 1;
                    self.tag = "<";
                }
                continue;
            }
            let begun = &self.tag[..self.held];
            let longer = self
                .tags()
                .iter()
                .find(|tag| tag.as_bytes().get(self.held) == Some(&next) && tag.starts_with(begun));
            if let Some(tag) = longer {
                // ASCII, so the rest begins at a character.
                text = &text[1..];
                self.tag = tag;
                self.held += 1;
                if self.held == tag.len() {
                    self.complete(&mut piece);
                }
            } else {
                self.no_tag(&mut piece);
            }
        }
    }

    /// What is held is no tag after all, and an open call is none.
    pub(super) fn finish(&mut self, mut piece: impl FnMut(Piece<'_>)) {
        self.no_tag(&mut piece);
        self.no_call(&mut piece);
    }

    pub(super) fn held(&self) -> usize {
        self.held + self.call.as_ref().map_or(0, |call| CALL.len() + call.len())
    }

    fn tags(&self) -> &'static [&'static str] {
        match (self.depth, &self.call) {
            (0, None) => IN_CONTENT,
            (0, Some(_)) => IN_CALL,
            _ => IN_THOUGHT,
        }
    }

    fn no_tag(&mut self, piece: &mut impl FnMut(Piece<'_>)) {
        let held = std::mem::take(&mut self.held);
        let tag = self.tag;
        self.text(&tag[..held], piece);
    }

    fn no_call(&mut self, piece: &mut impl FnMut(Piece<'_>)) {
        if let Some(call) = self.call.take() {
            piece(Piece::Text(CALL));
            if !call.is_empty() {
                piece(Piece::Text(&call));
            }
        }
    }

    /// Text without tags: kept while a call is open, up to the byte that is too many.
    fn text(&mut self, mut text: &str, piece: &mut impl FnMut(Piece<'_>)) {
        if let Some(call) = &mut self.call {
            let room = MAX_CALL - call.len();
            if text.len() <= room {
                return call.push_str(text);
            }
            let cut = text.floor_char_boundary(room);
            call.push_str(&text[..cut]);
            text = &text[cut..];
            self.no_call(piece);
        }
        if !text.is_empty() {
            piece(Piece::Text(text));
        }
    }

    fn complete(&mut self, piece: &mut impl FnMut(Piece<'_>)) {
        self.held = 0;
        match self.tag {
            CALL => {
                // A call within a call: the outer one is none.
                self.no_call(piece);
                self.call = Some(String::new());
            }
            CALL_END => {
                let call = self.call.take().unwrap_or_default();
                piece(Piece::Call(&call));
            }
            "<think>" => {
                self.depth += 1;
                piece(match self.depth {
                    1 => Piece::Open,
                    _ => Piece::Text(self.tag),
                });
            }
            _ => {
                piece(match self.depth {
                    1 => Piece::Close,
                    _ => Piece::Text(self.tag),
                });
                self.depth = self.depth.saturating_sub(1);
            }
        }
    }
}
