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
mod component;
mod home;
mod house;
mod plan;
mod run;

pub use builder::{Builder, Genius, Policies};
pub use bundled::DEFAULT_MODEL;
pub use plan::{Inspection, inspect};
pub use run::{Outcome, Run};

pub use facecrab;
pub use rusty_genius_bytelm as bytelm;
pub use rusty_genius_core as core;
pub use rusty_genius_core::GeniusError;
pub use rusty_genius_cortex as cortex;
pub use rusty_genius_guests as guests;
pub use rusty_genius_sandbox as sandbox;
pub use rusty_genius_stem as stem;
pub use rusty_genius_teaser as teaser;

/// Where the `genius` command keeps the records of its runs: `RUSTY_GENIUS_HOME/state/runs`,
/// else `$XDG_STATE_HOME/rusty-genius/runs`, else `~/.local/state/rusty-genius/runs`. `None`
/// where there is no home at all.
pub fn records_dir() -> Option<std::path::PathBuf> {
    home::state().map(|state| state.join("runs"))
}
