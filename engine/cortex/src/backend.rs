//! The contract of an engine: what a backend takes and what it yields.

use futures::Stream;
pub use futures::future::BoxFuture;
use rusty_genius_core::{EngineError, InferenceConfig, Logprobs, Turn};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

/// One generation as the engine speaks it. Dropping it cancels the generation within
/// one decode step.
pub type RawStream = Pin<Box<dyn Stream<Item = Result<RawEvent, EngineError>> + Send>>;

/// One decode step, raw.
///
/// Thoughts, stop texts and UTF-8 are not the backend's business:
/// [`Inference`](crate::Inference) makes events of this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RawEvent {
    /// The prompt is in the cache. At most once, before the first token.
    Prefilled {
        /// Tokens of the whole prompt, reused ones included.
        prompt_tokens: u32,
        /// How many of them were reused.
        cached_tokens: u32,
        /// Whether the prompt's template ends inside an open thought, so that the first
        /// token is text of that thought.
        in_thought: bool,
    },
    /// How likely the next token is, where the config asks for it: just before it.
    Logprobs(Logprobs),
    /// One token's bytes: any bytes, perhaps part of a UTF-8 sequence, perhaps none.
    Token(Vec<u8>),
    /// The generation is over. Always last.
    End(RawEnd),
}

/// Why an engine stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RawEnd {
    /// The model wrote its end-of-turn token.
    Stop,
    /// `max_tokens` or the context was full.
    Length,
}

/// Which model to load, and from which files.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// The model's canonical id; for messages only.
    pub model: String,
    /// Its weights, all parts in order. Empty for backends that need none.
    pub weights: Vec<PathBuf>,
    /// Told how far the load is.
    pub progress: Progress,
}

impl LoadRequest {
    /// A request that nobody watches.
    pub fn new(model: impl Into<String>, weights: Vec<PathBuf>) -> Self {
        Self {
            model: model.into(),
            weights,
            progress: Progress::default(),
        }
    }
}

/// Who wants to know how far a load is: nobody, by default.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(u8) + Send + Sync>>);

impl Progress {
    /// Calls `watch` with the percentage done, from any thread; it must not block.
    pub fn new(watch: impl Fn(u8) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    /// So many percent are done.
    pub fn report(&self, percent: u8) {
        if let Some(watch) = &self.0 {
            watch(percent.min(100));
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}

/// A way to run models.
pub trait Backend: Send + Sync {
    /// The name it is chosen by: lowercase, one word.
    fn name(&self) -> &str;

    /// Whether [`LoadRequest::weights`] must name files.
    fn needs_weights(&self) -> bool;

    /// Bytes the model will hold, sessions' caches included, as far as that is known
    /// without loading it; `None` where it is not.
    ///
    /// Fails with [`EngineError::LoadFailed`] if the files are no model it can run.
    fn memory_needed<'a>(
        &'a self,
        request: &'a LoadRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, EngineError>> {
        let _ = request;
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Brings a model into memory. Dropping the future abandons the load.
    ///
    /// Fails with [`EngineError::LoadFailed`] if the files are no model it can run, and with
    /// [`EngineError::MemoryExceeded`] if it is larger than the backend may be.
    fn load(&self, request: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>>;
}

/// A model in memory. Dropping the last reference unloads it.
pub trait Model: Send + Sync {
    /// Bytes it holds, sessions not counted.
    fn memory(&self) -> u64;

    /// Tokens one session can hold: prompt and answer together.
    fn context_length(&self) -> u32;

    /// Why the model cannot be used any more, if it cannot: its engine died. Then it is
    /// dropped, and loaded anew when it is asked for again.
    fn fault(&self) -> Option<EngineError> {
        None
    }

    /// Opens a session with an empty cache. `guest` names who asks: a backend that serves
    /// several at once is fair to guests, not to sessions.
    fn open(&self, guest: &str) -> Result<Box<dyn ModelSession>, EngineError>;

    /// Opens the session that [`ModelSession::save`] left in `file`.
    ///
    /// Fails with [`EngineError::InvalidSession`] if the file is damaged or another model's,
    /// and with [`EngineError::Unsupported`] if the backend saves none.
    fn restore<'a>(
        &'a self,
        guest: &'a str,
        file: &'a Path,
    ) -> BoxFuture<'a, Result<Box<dyn ModelSession>, EngineError>> {
        let _ = (guest, file);
        Box::pin(std::future::ready(Err(cannot("restore a session"))))
    }

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
    /// The stream borrows nothing: it talks to the engine. At most two tokens are computed
    /// ahead of its reader.
    ///
    /// Fails with [`EngineError::ContextOverflow`] if prompt and `max_tokens` together do not
    /// fit the context (unless the config's `overflow` says otherwise), and with
    /// [`EngineError::InvalidConstraint`]. A backend that finds this out elsewhere says it
    /// as the stream's first item.
    fn generate(
        &mut self,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, EngineError>;

    /// A second session with the same cache; the two then go their own ways.
    fn fork(&self) -> Result<Box<dyn ModelSession>, EngineError>;

    /// Writes the session's cache to `file`, aside and renamed, for [`Model::restore`].
    ///
    /// Fails with [`EngineError::InvalidSession`] if it cannot be written, and with
    /// [`EngineError::Unsupported`] if the backend saves none.
    fn save<'a>(&'a mut self, file: &'a Path) -> BoxFuture<'a, Result<(), EngineError>> {
        let _ = file;
        Box::pin(std::future::ready(Err(cannot("save a session"))))
    }
}

fn cannot(operation: &str) -> EngineError {
    EngineError::Unsupported {
        engine: "of this model".into(),
        operation: operation.into(),
    }
}
