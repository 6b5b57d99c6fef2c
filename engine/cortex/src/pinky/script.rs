//! What Pinky says, piece by piece.

use crate::rng::Rng;

pub(super) const GREETING: &str = "Narf!";

const MUSINGS: &[&str] = &[
    "Gee, Brain, what do you want to do about ",
    "Are you pondering what I'm pondering? It is all about ",
    "Brain would know. I only know one word here: ",
    "Whoof, oh, I'd have to say the whole thing hinges on ",
    "I think so, Brain, but where do we get rubber pants big enough for ",
    "Egad 🧠, a riddle: ",
];

const DOUBTS: &[&str] = &[
    "?",
    "? But the wheel is squeaking again 🐹.",
    ", but burlap chafes me so.",
    "… oh, wait, no.",
    "? Zort!",
];

const PHRASES: &[&str] = &[
    "Poit!",
    "Zort!",
    "Egad!",
    "Troz!",
    "Fjord!",
    "Egad, brilliant! 🧠",
    "Oh wait, no, no.",
    "The same thing we do every night 🐁🐀",
    "Try to take over the world! 🌍",
    "But if we didn't have ears, we'd look like weasels.",
    "Me and Pippi Longstocking, what would the children look like?",
    "I brought the cheese 🧀, so that's half the plan.",
    "Naïve, moi? Déjà vu, Brain!",
];

/// Fewest and most phrases of a short answer.
const SHORT: (usize, usize) = (4, 9);

/// The text of one answer, in order, without end if it is to be endless.
#[derive(Debug)]
pub(super) struct Script {
    rng: Rng,
    /// What it repeats; the thought takes it.
    word: Option<String>,
    /// Phrases still to come; `None` is no end.
    phrases: Option<usize>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Muse,
    Word,
    Doubt,
    Close,
    Greet,
    Phrase,
}

impl Script {
    pub(super) fn new(seed: u64, word: String, thinks: bool, endless: bool) -> Self {
        let mut rng = Rng::new(seed);
        let short = SHORT.0 + rng.below(SHORT.1 - SHORT.0 + 1);
        Self {
            rng,
            word: Some(word),
            phrases: (!endless).then_some(short),
            state: if thinks { State::Open } else { State::Greet },
        }
    }

    /// Appends the next piece and says what it is; `None` at the end of the text.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Option<Piece> {
        let (piece, next) = match self.state {
            State::Open => ("<think>", State::Muse),
            State::Muse => (self.rng.choose(MUSINGS), State::Word),
            State::Word => {
                out.extend(self.word.take().unwrap_or_default().into_bytes());
                self.state = State::Doubt;
                return Some(Piece::Text);
            }
            State::Doubt => (self.rng.choose(DOUBTS), State::Close),
            State::Close => ("</think>", State::Greet),
            State::Greet => {
                out.extend(GREETING.as_bytes());
                self.state = State::Phrase;
                return Some(Piece::Greeting);
            }
            State::Phrase => {
                if let Some(left) = &mut self.phrases {
                    *left = left.checked_sub(1)?;
                }
                out.push(b' ');
                (self.rng.choose(PHRASES), State::Phrase)
            }
        };
        out.extend(piece.as_bytes());
        self.state = next;
        Some(Piece::Text)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Text,
    /// [`GREETING`], which no token may cut.
    Greeting,
}
