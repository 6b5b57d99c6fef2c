//! The brainstem: one event loop between whoever asks and whatever answers.
//!
//! A request goes to the [`Policy`], which answers commands; the loop executes them:
//! it asks facecrab for the files, has cortex load the model, lets the request run,
//! and unloads the model when the policy says so. The loop never sees a token: a
//! [`Session`] reads its answer straight from the engine.
//!
//! ```
//! use facecrab::Facecrab;
//! use futures::StreamExt;
//! use rusty_genius_core::{ModelSource, ModelSpec, PartialConfig, Turn};
//! use rusty_genius_cortex::{Cortex, SystemClock};
//! use rusty_genius_stem::{Stem, StrategyPolicy};
//! use std::sync::Arc;
//!
//! async_std::task::block_on(async {
//!     let cortex = Cortex::new(Arc::new(SystemClock::default()));
//!     let stem = Stem::start(Arc::new(cortex), Facecrab::from_env(), StrategyPolicy::default());
//!     let mut model = ModelSpec::new(ModelSource::parse("any/model")?);
//!     model.engine = Some("pinky".into());
//!     let session = stem.session(model, "doctest");
//!     let answer = session.infer(vec![Turn::user("Hello")], PartialConfig::default()).await?;
//!     assert!(answer.count().await > 2);
//!     Ok::<(), rusty_genius_core::GeniusError>(())
//! })?;
//! # Ok::<(), rusty_genius_core::GeniusError>(())
//! ```
#![deny(missing_docs)]

mod event_loop;
mod freezer;
mod ledger;
mod machine;
mod mind;
mod names;
mod policy;
mod record;
mod replay;
mod session;
pub mod simulation;
mod stem;

pub use facecrab::{Details, EnsureModel};
pub use policy::{Policy, StrategyPolicy};
pub use record::{RecordError, Recorder};
pub use replay::{Difference, Replay, replay};
pub use session::{Inference, Session};
pub use stem::{Demand, Lease, Observer, Resolve, Stem, StemConfig};
