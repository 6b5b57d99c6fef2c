//! Which byte comes next: as the sampler draws, among those the constraint allows.

use super::failed;
use crate::vocab::{self, Token};
use rusty_genius_core::{EngineError, InferenceConfig, Logprobs};
use rusty_genius_cortex::{Constrainer, Sampler, TokenText, Vocabulary, logprobs};
use std::sync::OnceLock;

/// What draws the tokens of one answer.
pub(super) struct Chooser {
    sampler: Sampler,
    constrainer: Option<Constrainer>,
    /// How many of the likeliest tokens are told with each; none if nothing is.
    told: usize,
}

impl Chooser {
    /// Of an answer to `prompt`.
    ///
    /// Fails with [`EngineError::InvalidConstraint`].
    pub(super) fn new(config: &InferenceConfig, prompt: &[Token]) -> Result<Self, EngineError> {
        let behavior = config.behavior();
        let constraint = behavior.constraint.as_ref();
        let constrainer = constraint.map(|c| Constrainer::new(c, vocabulary()));
        let mut sampler = Sampler::new(config.sampling());
        for token in &prompt[prompt.len().saturating_sub(sampler.window())..] {
            sampler.accept((*token).into());
        }
        Ok(Self {
            sampler,
            constrainer: constrainer.transpose()?,
            // At most 20.
            told: behavior.logprobs as usize,
        })
    }

    /// The next token, and how likely it was where that is to be told. Changes the logits.
    pub(super) fn choose(
        &mut self,
        logits: &mut [f32],
    ) -> Result<(Token, Option<Logprobs>), EngineError> {
        // What the model held likely, whatever may come next and however it is drawn.
        let own = (self.told > 0).then(|| logits.to_vec());
        if let Some(constrainer) = &mut self.constrainer {
            constrainer.mask(logits)?;
        }
        let token = self.sampler.sample(logits).map_err(failed)?;
        let bytes = |token| u8::try_from(token).into_iter().collect();
        let told = own.and_then(|logits| logprobs(&logits, token, self.told, bytes));
        // A vocabulary has at most 65,536 tokens.
        Ok((token as Token, told))
    }

    /// Takes the token that was written.
    pub(super) fn accept(&mut self, token: Token) -> Result<(), EngineError> {
        self.sampler.accept(token.into());
        match &mut self.constrainer {
            Some(constrainer) => constrainer.accept(token.into()),
            None => Ok(()),
        }
    }

    /// Whether the constraint lets nothing more follow.
    pub(super) fn is_complete(&self) -> bool {
        self.constrainer
            .as_ref()
            .is_some_and(Constrainer::is_complete)
    }
}

/// The bytes, and the markers: all that a model of any size writes. What is reserved beyond
/// them is no text.
fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: OnceLock<Vocabulary> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let bytes = (0..=u8::MAX).map(|byte| TokenText::text([byte]));
        let markers = (vocab::END_OF_TEXT..vocab::MARKERS_END).map(|_| TokenText::control());
        let ends = [vocab::TURN_END, vocab::END_OF_TEXT].map(u32::from);
        Vocabulary::new(bytes.chain(markers), &ends)
    })
}
