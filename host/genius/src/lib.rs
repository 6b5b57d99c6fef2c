//! Run prompt workflows nobody has reviewed, on models you own, on your own machine.
//!
//! This crate is the front door: [`Genius`] puts the rooms of the house together, and
//! the rooms themselves are re-exported for whoever wants one alone. The `genius`
//! command is made of nothing else.
//!
//! ```
//! use rusty_genius::Genius;
//!
//! async_std::task::block_on(async {
//!     let genius = Genius::builder().engine("pinky").build()?;
//!     let ask = genius.guest("ask").await?;
//!     let run = genius.run(&ask, ["What is the capital of France?"], genius.job("")?)?;
//!     let outcome = run.finish().await;
//!     println!("{} ({} tokens)", outcome.content, outcome.report.usage.completion_tokens);
//!     outcome.report.result
//! })?;
//! # Ok::<(), rusty_genius::GeniusError>(())
//! ```
#![deny(missing_docs)]

mod builder;
pub mod bundled;
mod home;
mod run;

pub use builder::{Builder, Genius, Policies};
pub use bundled::DEFAULT_MODEL;
pub use run::{Outcome, Run};

pub use facecrab;
pub use rusty_genius_bytelm as bytelm;
pub use rusty_genius_core as core;
pub use rusty_genius_core::GeniusError;
pub use rusty_genius_cortex as cortex;
pub use rusty_genius_guests as guests;
pub use rusty_genius_sandbox as sandbox;
pub use rusty_genius_stem as stem;
