//! What the scheduler needs of a loaded model.

use super::scribe::Scribe;
use std::path::Path;
use std::sync::Arc;

/// A token's id in the model's vocabulary.
pub(super) type Token = u32;
/// One of the cache's sequences, from 0.
pub(super) type Sequence = usize;

/// What a device can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Tokens of one conversation, prompt and answer.
    pub(super) context: usize,
    /// Sequences in the cache.
    pub(super) sequences: usize,
    /// Tokens in one decode step.
    pub(super) batch: usize,
    /// Whether a sequence can be cut anywhere; else it can only be emptied (recurrent models).
    pub(super) cuts: bool,
    /// Whether the model writes; an encoder only embeds.
    pub(super) writes: bool,
}

/// One token of a decode step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) token: Token,
    /// Its place in the conversation, from 0.
    pub(super) position: usize,
    pub(super) sequence: Sequence,
    /// Whether the logits after it are wanted.
    pub(super) logits: bool,
}

/// Why a decode step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The cache has no room for so many tokens more. Nothing changed.
    CacheFull,
    /// What the engine said. The sequences of the step are in doubt.
    Failed(String),
}

/// The prompt of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Never empty.
    pub(super) tokens: Vec<Token>,
    /// Whether it ends inside an open thought.
    pub(super) in_thought: bool,
}

/// A model with its cache. All calls come from one thread.
pub(super) trait Device {
    fn limits(&self) -> Limits;

    /// What makes tokens of texts, for another thread.
    fn scribe(&self) -> Arc<dyn Scribe>;

    /// The bytes a token stands for; none for those that are not text.
    fn bytes(&self, token: Token) -> Vec<u8>;

    /// Whether the token ends a turn.
    fn is_end(&self, token: Token) -> bool;

    /// Reads the entries, at most [`Limits::batch`], all at once.
    fn decode(&mut self, entries: &[Entry]) -> Result<(), DecodeError>;

    /// The logits after the entry of this number in the last decode step.
    fn logits(&self, entry: usize) -> &[f32];

    /// Keeps the first `length` tokens of a sequence; says whether that could be done. Where
    /// it could not, the sequence is empty.
    fn cut(&mut self, sequence: Sequence, length: usize) -> bool;

    /// Gives the empty sequence `to` the first `length` tokens of `from`, at no cost in cache.
    fn share(&mut self, from: Sequence, to: Sequence, length: usize);

    /// Writes a sequence that holds these tokens to a new file.
    fn save(&mut self, sequence: Sequence, tokens: &[Token], file: &Path) -> Result<(), String>;

    /// Reads what `save` wrote into an empty sequence; gives the tokens it holds.
    fn restore(&mut self, sequence: Sequence, file: &Path) -> Result<Vec<Token>, String>;
}
