//! From questions to tokens.

use super::{Corpus, LONGEST, Question};
use crate::vocab::{self, TURN_END, Token};
use rusty_genius_core::{Role, Turn};

/// System turns that some questions get where they have none of their own, so that a system
/// turn alone changes no answer.
pub const NEUTRAL_SYSTEMS: [&str; 3] = [
    "You are a helpful assistant.",
    "You answer in one sentence.",
    "Be brief.",
];

/// One in so many questions gets a system turn of [`NEUTRAL_SYSTEMS`].
const NEUTRAL: f32 = 0.1;
/// One in so many questions is typed carelessly.
const CARELESS: f32 = 0.15;

/// A conversation to learn the last answer of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// All tokens: the prompt, the thought, the answer and the end of the turn.
    pub tokens: Vec<Token>,
    /// Where the prompt ends. What comes after it is what a model answers, and learns.
    pub prompt: usize,
}

/// A question that the model has never seen, and how it should be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOut {
    /// What is new about it.
    pub unseen: Unseen,
    /// The conversation; its last turn is the question.
    pub conversation: Vec<Turn>,
    /// What the corpus thinks first.
    pub think: Option<String>,
    /// What the corpus answers.
    pub answer: String,
}

/// What is new about a question that is held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// Its wording: the same was asked otherwise.
    Wording,
    /// What it is about: other rows of its family were asked in the same wording.
    Row,
}

impl HeldOut {
    /// Its tokens.
    pub fn sample(&self) -> Sample {
        render(&self.conversation, self.think.as_deref(), &self.answer)
    }
}

impl Question {
    /// The conversation that asks the question in `wording`; `pick` chooses the wordings of
    /// the turns before it, given how many there are.
    pub(super) fn conversation(
        &self,
        wording: &str,
        mut pick: impl FnMut(usize) -> usize,
    ) -> Vec<Turn> {
        let mut turns = Vec::new();
        turns.extend(self.system.iter().map(|text| Turn::new(Role::System, text)));
        for exchange in &self.earlier {
            turns.push(Turn::user(&exchange.ask[pick(exchange.ask.len())]));
            turns.push(Turn::new(Role::Assistant, &exchange.answer));
        }
        turns.push(Turn::user(wording));
        turns
    }

    /// Up to `wordings` samples, others in each epoch until all wordings were asked.
    fn samples(&self, at: usize, seed: u64, epoch: u64, wordings: usize) -> Vec<Sample> {
        let mut order: Vec<usize> = (0..self.ask.len()).collect();
        generator([seed, at as u64, u64::MAX]).shuffle(&mut order);
        let mut rng = generator([seed, at as u64, epoch]);
        let count = wordings.min(order.len());
        let first = epoch as usize % order.len() * count;
        (first..first + count)
            .map(|nth| {
                let ask = &self.ask[order[nth % order.len()]];
                self.varied(ask, &mut rng)
            })
            .collect()
    }

    /// A sample of the question, now and then as people type it, or after a system turn.
    fn varied(&self, ask: &str, rng: &mut fastrand::Rng) -> Sample {
        let wording = match rng.f32() < CARELESS {
            true => careless(ask),
            false => ask.to_owned(),
        };
        let mut conversation = self.conversation(&wording, |count| rng.usize(..count));
        let neutral = (rng.f32(), rng.usize(..NEUTRAL_SYSTEMS.len()));
        let render = |turns: &[Turn]| render(turns, self.think.as_deref(), &self.answer);
        let sample = render(&conversation);
        if self.system.is_some() || neutral.0 >= NEUTRAL {
            return sample;
        }
        conversation.insert(0, Turn::new(Role::System, NEUTRAL_SYSTEMS[neutral.1]));
        let longer = render(&conversation);
        match longer.tokens.len() <= LONGEST {
            true => longer,
            false => sample,
        }
    }
}

impl Corpus {
    /// The samples of an epoch: every question that is trained on, in up to `wordings` of its
    /// wordings. Always the same for a seed and an epoch, and other wordings in the next
    /// epoch.
    pub fn epoch(&self, seed: u64, epoch: u64, wordings: usize) -> Vec<Sample> {
        self.questions
            .iter()
            .enumerate()
            .filter(|(_, question)| !question.unseen)
            .flat_map(|(at, question)| question.samples(at, seed, epoch, wordings.max(1)))
            .collect()
    }

    /// Every question that is never trained on.
    pub fn held_out(&self) -> impl Iterator<Item = HeldOut> {
        self.questions.iter().flat_map(|question| {
            let (wordings, unseen) = match question.unseen {
                true => (&question.ask, Unseen::Row),
                false => (&question.held_out, Unseen::Wording),
            };
            wordings.iter().map(move |wording| HeldOut {
                unseen,
                conversation: question.conversation(wording, |_| 0),
                think: question.think.clone(),
                answer: question.answer.clone(),
            })
        })
    }
}

/// The tokens of a conversation and its answer.
pub(super) fn render(conversation: &[Turn], think: Option<&str>, answer: &str) -> Sample {
    let mut tokens = vocab::encode_prompt(conversation);
    let prompt = tokens.len();
    if let Some(think) = think {
        for part in ["<think>", think, "</think>"] {
            tokens.extend(vocab::encode(part.as_bytes()));
        }
    }
    tokens.extend(vocab::encode(answer.as_bytes()));
    tokens.push(TURN_END);
    Sample { tokens, prompt }
}

/// The text as people type it: the first letter small, no full stop or question mark.
pub(super) fn careless(text: &str) -> String {
    let bare = text.trim_end_matches(['.', '?']);
    let mut chars = match bare.is_empty() {
        true => text.chars(),
        false => bare.chars(),
    };
    chars
        .next()
        .into_iter()
        .flat_map(char::to_lowercase)
        .chain(chars)
        .collect()
}

/// A generator for these numbers together.
pub(crate) fn generator(numbers: [u64; 3]) -> fastrand::Rng {
    // SplitMix64's finaliser, so that neighbouring seeds have nothing in common.
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let seed = numbers.iter().fold(0, |seed: u64, number| {
        mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15) ^ mix(*number))
    });
    fastrand::Rng::with_seed(seed)
}
