//! The contract of an engine: what a backend takes and what it yields.

use futures::Stream;
pub use futures::future::BoxFuture;
use rusty_genius_core::{EngineError, InferenceConfig, Turn};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// One generation as the engine speaks it. Dropping it cancels the generation within
/// one decode step.
pub type RawStream = Pin<Box<dyn Stream<Item = Result<RawEvent, EngineError>> + Send>>;

/// One decode step, raw.
///
/// Thoughts, stop texts and UTF-8 are not the backend's business:
/// [`Inference`](crate::Inference) makes events of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawEvent {
    /// The prompt is in the cache. At most once, before the first token.
    Prefilled {
        /// Tokens of the whole prompt, reused ones included.
        prompt_tokens: u32,
        /// Whether the prompt's template ends inside an open thought, so that the first
        /// token is text of that thought.
        in_thought: bool,
    },
    /// One token's bytes: any bytes, perhaps part of a UTF-8 sequence, perhaps none.
    Token(Vec<u8>),
    /// The generation is over. Always last.
    End(RawEnd),
}

/// Why an engine stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawEnd {
    /// The model wrote its end-of-turn token.
    Stop,
    /// `max_tokens` or the context was full.
    Length,
}

/// Which model to load, and from which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRequest {
    /// The model's canonical id; for messages only.
    pub model: String,
    /// Its weights, all parts in order. Empty for backends that need none.
    pub weights: Vec<PathBuf>,
}

/// A way to run models.
pub trait Backend: Send + Sync {
    /// The name it is chosen by: lowercase, one word.
    fn name(&self) -> &str;

    /// Whether [`LoadRequest::weights`] must name files.
    fn needs_weights(&self) -> bool;

    /// Brings a model into memory. Dropping the future abandons the load.
    ///
    /// Fails with [`EngineError::LoadFailed`] if the files are no model it can run.
    fn load(&self, request: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>>;
}

/// A model in memory. Dropping the last reference unloads it.
pub trait Model: Send + Sync {
    /// Bytes it holds, sessions not counted.
    fn memory(&self) -> u64;

    /// Tokens one session can hold: prompt and answer together.
    fn context_length(&self) -> u32;

    /// Opens a session with an empty cache.
    fn open(&self) -> Result<Box<dyn ModelSession>, EngineError>;

    /// How many tokens the text is, without any template.
    fn count_tokens<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<u32, EngineError>>;

    /// The text's embedding, of unit length.
    ///
    /// Fails with [`EngineError::Unsupported`] if the model has none.
    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Vec<f32>, EngineError>>;
}

/// One conversation's place in the engine: its KV cache. Dropping it frees the cache.
pub trait ModelSession: Send {
    /// Generates the turn after `conversation`, which is always the whole conversation;
    /// the session reuses the cache of the prefix it has seen.
    ///
    /// The stream borrows nothing: it talks to the engine. Nothing is computed ahead of
    /// its reader by more than one decode step.
    ///
    /// Fails with [`EngineError::ContextOverflow`] if prompt and
    /// `max_tokens` together do not fit the context.
    fn generate(
        &mut self,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, EngineError>;

    /// A second session with the same cache; the two then go their own ways.
    fn fork(&self) -> Result<Box<dyn ModelSession>, EngineError>;
}
