//! The engine room: whatever can run a model is a [`Backend`], and whatever it yields
//! becomes [`InferenceEvent`](rusty_genius_core::InferenceEvent)s here, in one way for
//! all of them.
//!
//! * [`Cortex`] knows the backends by name. [`Pinky`], the stub that needs no weights,
//!   is always among them.
//! * A backend yields raw tokens ([`RawEvent`]): bytes, as they fall out of the model.
//! * [`OutputMachine`] makes text of the bytes, separates thoughts (`<think>`) from
//!   content and finds stop texts.
//! * [`Inference`] is the stream a reader gets: the events, the accounting, the
//!   cancellation. Nothing is generated ahead of its reader.
//! * [`Sampler`] chooses the next token, for every backend that has logits.
//! * Time comes from a [`Clock`], so that tests need not wait.
//!
//! ```
//! use futures::StreamExt;
//! use rusty_genius_core::{InferenceConfig, InferenceEvent, Turn};
//! use rusty_genius_cortex::{
//!     Backend, Cortex, Inference, LoadRequest, Pinky, PinkyConfig, SystemClock,
//! };
//! use std::{sync::Arc, time::Duration};
//!
//! # fn main() -> Result<(), rusty_genius_core::EngineError> {
//! let clock = Arc::new(SystemClock);
//! let config = PinkyConfig { delay: Duration::ZERO, ..PinkyConfig::default() };
//! let cortex = Cortex::new(clock.clone()).with(Arc::new(Pinky::new(config, clock)));
//!
//! let events: Vec<InferenceEvent> = futures::executor::block_on(async {
//!     let backend = cortex.backend(Some("pinky"))?;
//!     let request = LoadRequest::new("pinky", vec![]);
//!     let mut session = backend.load(request).await?.open("me")?;
//!     let config = InferenceConfig::default();
//!     let raw = session.generate(&[Turn::user("What shall we do tonight?")], &config)?;
//!     Ok(Inference::new(raw, &config, cortex.clock().clone()).collect().await)
//! })?;
//!
//! assert_eq!(events.first(), Some(&InferenceEvent::ProcessStart));
//! assert!(matches!(events.last(), Some(InferenceEvent::Complete(_))));
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

mod backend;
#[cfg(any(test, feature = "real-engine"))]
mod brain;
mod clock;
mod constraint;
mod inference;
mod output;
mod overflow;
mod pinky;
mod registry;
mod rng;
mod sampler;

pub use backend::{
    Backend, BoxFuture, LoadRequest, Model, ModelSession, Progress, RawEnd, RawEvent, RawStream,
};
#[cfg(feature = "real-engine")]
pub use brain::{Brain, BrainConfig, CacheType};
#[cfg(feature = "real-engine")]
#[doc(hidden)]
pub use brain::{Round, bare};
pub use clock::{Clock, SystemClock, VirtualClock};
pub use constraint::{Constrainer, TokenText, Vocabulary};
pub use inference::{Canceller, Inference};
pub use output::{Flow, OutputMachine};
pub use overflow::fit;
pub use pinky::{Pinky, PinkyConfig};
pub use registry::{Cortex, DEFAULT_ENGINE};
pub use sampler::{NoToken, Sampler, logprobs};
