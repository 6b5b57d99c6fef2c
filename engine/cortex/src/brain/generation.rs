//! One generation, as the scheduler knows it.

use super::device::{Device, Prompt, Sequence, Token};
use super::message::SessionId;
use super::scribe::Beginning;
use crate::constraint::Constrainer;
use crate::{RawEnd, RawEvent, Sampler, logprobs};
use rusty_genius_core::EngineError;
use std::sync::Arc;

/// Tokens that may be on their way to a reader. With one he would wait for each decode step,
/// and the step for him.
pub(super) const AHEAD: u32 = 2;

const END_OF_THOUGHT: &[u8] = b"</think>";

/// Where a generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In line; it may still hold a sequence.
    Waiting,
    /// In the batch.
    Running,
}

pub(super) struct Generation {
    pub(super) session: SessionId,
    pub(super) guest: Arc<str>,
    /// The order of arrival.
    pub(super) arrived: u64,
    pub(super) place: Place,
    /// Where its tokens are in the cache, or as many of them as are.
    pub(super) sequence: Option<Sequence>,
    /// The prompt, then the answer so far.
    pub(super) tokens: Vec<Token>,
    /// When it last read a part of its prompt, in the scheduler's time.
    pub(super) fed: u64,
    /// Tokens written since it last began to run.
    pub(super) stint: u32,
    /// Tokens its reader has not taken.
    pub(super) unread: u32,
    prompt: usize,
    /// Tokens of the prompt that were in the cache when it first ran.
    reused: Option<usize>,
    in_thought: bool,
    announced: bool,
    left: u32,
    logprobs: usize,
    sampler: Sampler,
    constraint: Option<Constrained>,
}

/// A constraint, and whether it is in force.
struct Constrained {
    constrainer: Constrainer,
    /// The end of what was written of the thought that the prompt opened. The answer, and
    /// with it the constraint, begins after it.
    thought: Option<Vec<u8>>,
}

impl Generation {
    pub(super) fn new(session: SessionId, guest: Arc<str>, beginning: Beginning) -> Self {
        let Beginning {
            prompt: Prompt { tokens, in_thought },
            constrainer,
            breakers,
            behavior,
            sampling,
        } = beginning;
        let constraint = constrainer.map(|constrainer| Constrained {
            constrainer,
            thought: in_thought.then(Vec::new),
        });
        let mut sampler = Sampler::new(&sampling);
        if let Some(breakers) = breakers {
            sampler = sampler.breaking_at(breakers);
        }
        for token in &tokens[tokens.len().saturating_sub(sampler.window())..] {
            sampler.accept(*token);
        }
        Self {
            session,
            guest,
            arrived: 0,
            place: Place::Waiting,
            sequence: None,
            fed: 0,
            stint: 0,
            unread: 0,
            prompt: tokens.len(),
            tokens,
            reused: None,
            in_thought,
            announced: false,
            left: behavior.max_tokens,
            logprobs: behavior.logprobs as usize,
            sampler,
            constraint,
        }
    }

    /// Whether its reader keeps up.
    pub(super) fn is_ready(&self) -> bool {
        self.unread < AHEAD
    }

    /// Its first sequence holds so many of its tokens already.
    pub(super) fn found(&mut self, cached: usize) {
        self.reused.get_or_insert(cached);
    }

    /// Chooses the next token from the logits after the last one; `scratch` is overwritten.
    /// Says how the generation ends, if it does.
    pub(super) fn advance(
        &mut self,
        logits: &[f32],
        scratch: &mut Vec<f32>,
        device: &dyn Device,
        context: usize,
        tell: &mut dyn FnMut(RawEvent),
    ) -> Result<Option<RawEnd>, EngineError> {
        if !std::mem::replace(&mut self.announced, true) {
            tell(RawEvent::Prefilled {
                prompt_tokens: count(self.prompt),
                cached_tokens: count(self.reused.unwrap_or(0)),
                in_thought: self.in_thought,
            });
        }
        scratch.clear();
        scratch.extend_from_slice(logits);
        let in_force = self.constraint.as_mut().filter(|c| c.thought.is_none());
        let token = match in_force {
            Some(Constrained { constrainer, .. }) => {
                constrainer.mask(scratch)?;
                let token = self.sampler.sample(scratch).map_err(failed)?;
                constrainer.accept(token)?;
                token
            }
            None => self.sampler.sample(scratch).map_err(failed)?,
        };
        self.sampler.accept(token);
        if device.is_end(token) {
            return Ok(Some(RawEnd::Stop));
        }
        if self.logprobs > 0
            && let Some(logprobs) =
                logprobs(logits, token, self.logprobs, |token| device.bytes(token))
        {
            tell(RawEvent::Logprobs(logprobs));
        }
        let bytes = device.bytes(token);
        if let Some(constrained) = &mut self.constraint {
            constrained.follow(&bytes);
        }
        tell(RawEvent::Token(bytes));
        self.tokens.push(token);
        self.unread += 1;
        self.stint += 1;
        self.left -= 1;
        let full = self.left == 0 || self.tokens.len() >= context;
        Ok(full.then_some(RawEnd::Length))
    }
}

impl Constrained {
    /// Looks for the end of the thought in what is written.
    fn follow(&mut self, bytes: &[u8]) {
        let Some(tail) = &mut self.thought else {
            return;
        };
        tail.extend_from_slice(bytes);
        if tail
            .windows(END_OF_THOUGHT.len())
            .any(|text| text == END_OF_THOUGHT)
        {
            self.thought = None;
        } else {
            tail.drain(..tail.len().saturating_sub(END_OF_THOUGHT.len() - 1));
        }
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

pub(super) fn failed(reason: impl std::fmt::Display) -> EngineError {
    EngineError::BackendFailed {
        engine: super::ENGINE.into(),
        reason: reason.to_string(),
    }
}
