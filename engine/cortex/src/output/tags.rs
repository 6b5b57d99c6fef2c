//! Finds where thoughts begin and end.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// What the text is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text of the thought or the content, whichever it is in; not empty.
    Text(&'a str),
    /// A thought begins.
    Open,
    /// The thought ends.
    Close,
}

/// Splits text at the tags of outermost thoughts.
#[derive(Debug, Default)]
pub(super) struct TagScanner {
    /// Thoughts open now; 64 bits cannot overflow in a generation.
    depth: u64,
    /// How many bytes of `tag` the text ends with. No tag has `<` inside, so these are
    /// all a scanner has to remember.
    held: usize,
    /// Meaningful from two bytes on: both tags begin with `<`.
    closing: bool,
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
                let Some(at) = text.find('<') else {
                    return piece(Piece::Text(text));
                };
                if at > 0 {
                    piece(Piece::Text(&text[..at]));
                }
                text = &text[at + 1..];
                self.held = 1;
                continue;
            }
            if self.held == 1 {
                self.closing = next == b'/';
            }
            if self.tag().as_bytes()[self.held] == next {
                // ASCII, so the rest begins at a character.
                text = &text[1..];
                self.held += 1;
                if self.held == self.tag().len() {
                    self.complete(&mut piece);
                }
            } else {
                self.finish(&mut piece);
            }
        }
    }

    /// What is held is no tag after all.
    pub(super) fn finish(&mut self, mut piece: impl FnMut(Piece<'_>)) {
        let held = std::mem::take(&mut self.held);
        if held > 0 {
            piece(Piece::Text(&self.tag()[..held]));
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn tag(&self) -> &'static str {
        if self.closing { CLOSE } else { OPEN }
    }

    fn complete(&mut self, piece: &mut impl FnMut(Piece<'_>)) {
        self.held = 0;
        let outermost = match (self.closing, self.depth) {
            (false, depth) => {
                self.depth += 1;
                depth == 0
            }
            (true, 0) => false,
            (true, depth) => {
                self.depth -= 1;
                depth == 1
            }
        };
        piece(match (outermost, self.closing) {
            (false, _) => Piece::Text(self.tag()),
            (true, false) => Piece::Open,
            (true, true) => Piece::Close,
        });
    }
}
