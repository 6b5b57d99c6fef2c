//! How well a model answers questions it was not trained on.

use crate::corpus::{HeldOut, LONGEST, Unseen};
use crate::vocab::{TURN_END, Token};
use crate::{ByteModel, Cache};

/// What came of questions of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// Questions asked.
    pub questions: usize,
    /// Questions whose answer was the corpus's, to the byte; thoughts may differ.
    pub right: usize,
    /// Tokens of the corpus's answers, thoughts and the end of the turn included.
    pub tokens: usize,
    /// Bits the model needed for these tokens, all together.
    pub bits: f64,
}

impl Score {
    /// Bits per byte: of an answer's token, the mean surprise. 8 is that of a model that
    /// knows nothing.
    pub fn bits_per_byte(&self) -> f64 {
        self.bits / self.tokens.max(1) as f64
    }

    /// The share of right answers, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.questions.max(1) as f64
    }
}

/// A question and what the model made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The question.
    pub question: HeldOut,
    /// What the model wrote, thought and all. Bytes that are no UTF-8 are U+FFFD.
    pub written: String,
    /// Whether the answer is the corpus's.
    pub right: bool,
}

/// The scores by kind of question.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evaluation {
    /// Known questions in new wordings.
    pub wordings: Score,
    /// New questions in known wordings.
    pub rows: Score,
}

/// Asks the model every question, greedily decoded, and tells `seen` of each.
pub fn evaluate(
    model: &ByteModel,
    questions: impl IntoIterator<Item = HeldOut>,
    mut seen: impl FnMut(Answered),
) -> Evaluation {
    let mut evaluation = Evaluation::default();
    for question in questions {
        let score = match question.unseen {
            Unseen::Wording => &mut evaluation.wordings,
            Unseen::Row => &mut evaluation.rows,
        };
        let sample = question.sample();
        let (prompt, expected) = sample.tokens.split_at(sample.prompt);
        let mut cache = Cache::new(model);
        let first = model.forward(&mut cache, prompt).to_vec();
        let written = greedy(model, &mut cache.clone(), &first);
        let right = answer(&written) == question.answer;

        let rest = model.forward_all(&mut cache, &expected[..expected.len() - 1]);
        let logits = std::iter::once(&first[..]).chain(rest.chunks_exact(first.len()));
        score.bits += logits.zip(expected).map(|(l, &t)| bits(l, t)).sum::<f64>();
        score.tokens += expected.len();
        score.questions += 1;
        score.right += usize::from(right);
        seen(Answered {
            question,
            written,
            right,
        });
    }
    evaluation
}

/// What the model writes after these logits, always the likeliest: at most as many tokens as
/// a conversation of the corpus has.
fn greedy(model: &ByteModel, cache: &mut Cache, first: &[f32]) -> String {
    let likeliest = |logits: &[f32]| {
        let of = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        of.map_or(TURN_END, |(token, _)| token as Token)
    };
    let mut bytes = Vec::new();
    let mut token = likeliest(first);
    while let Ok(byte) = u8::try_from(token)
        && bytes.len() < LONGEST
    {
        bytes.push(byte);
        token = likeliest(model.forward(cache, &[token]));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is left of a text without the thought it begins with.
fn answer(text: &str) -> &str {
    text.strip_prefix("<think>")
        .and_then(|rest| rest.split_once("</think>"))
        .map_or(text, |(_, answer)| answer)
}

/// The surprise of a token under these logits: `-log2 softmax(logits)[token]`.
fn bits(logits: &[f32], token: Token) -> f64 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let total: f64 = logits.iter().map(|l| f64::from(l - largest).exp()).sum();
    let of = f64::from(logits[usize::from(token)] - largest);
    (total.ln() - of) / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, WeightType, Weights, vocab};
    use rusty_genius_core::Turn;

    #[test]
    fn a_model_that_knows_nothing_needs_the_bits_of_any_token() {
        let weights = Weights::random(Config::named("test-50k").unwrap(), 1).unwrap();
        let mut file = Vec::new();
        weights.write_gguf(WeightType::F32, &mut file).unwrap();
        let model = ByteModel::from_bytes(&file).unwrap();
        let question = |unseen| HeldOut {
            unseen,
            conversation: vec![Turn::user("Hi")],
            think: None,
            answer: "Ho".into(),
        };
        let mut seen = Vec::new();
        let questions = [question(Unseen::Wording), question(Unseen::Row)];
        let found = evaluate(&model, questions, |answered| seen.push(answered));
        assert_eq!((seen.len(), found.rows), (2, found.wordings));
        // Two bytes and the end of the turn.
        assert_eq!((found.rows.questions, found.rows.tokens), (1, 3));
        let uniform = (vocab::SIZE as f64).log2();
        assert!(
            (found.rows.bits_per_byte() - uniform).abs() < 0.2,
            "{found:?}"
        );
        assert!(!seen[0].right);
    }

    #[test]
    fn the_bits_of_a_token_are_those_of_its_share() {
        let logits = [0.0, 0.0, 3_f32.ln(), f32::NEG_INFINITY];
        assert!((bits(&logits, 0) - 5_f64.log2()).abs() < 1e-6);
        assert!((bits(&logits, 2) - (5.0 / 3.0_f64).log2()).abs() < 1e-6);
        assert_eq!(bits(&logits, 3), f64::INFINITY);
    }

    #[test]
    fn an_answer_is_what_comes_after_the_thought() {
        assert_eq!(answer("<think>x</think>Paris."), "Paris.");
        assert_eq!(answer("Paris."), "Paris.");
        assert_eq!(answer("<think>never closed"), "<think>never closed");
    }
}
