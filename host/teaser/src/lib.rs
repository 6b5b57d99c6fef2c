//! The brainteaser: finds fixtures, runs each in the sandbox and judges what came of it.
//!
//! A fixture is a file `fixtures/{ORG}/{REPO}/{QUANT}/{TEST}.md`: TOML front matter, then
//! the prompt. Its path names the model. `fixtures/README.md` tells the format.
//!
//! 1. [`scan`] lists every fixture below a folder, the broken ones with what is wrong; a
//!    [`Selection`] says which of them are run.
//! 2. A [`Runner`] gives one fixture to its scenario, in a sandbox of its own.
//! 3. [`judge`] compares what the guest reports with what the host saw itself (the
//!    [`Evidence`]) and, where the engine has a model behind it, with what the fixture
//!    expects. It is a pure function.
//! 4. [`run_suite`] does that with many, several at once, and [`report`] tells of it.
//!
//! A run can be kept in a [`Cassette`] and answered from it, with no engine ([`Tapes`]).
//!
//! The house a runner works in is a [`House`]: the facade, `Genius`, is one.
//!
//! # What is judged
//!
//! Always, the pipeline: the run ended well; every check of the scenario was made and
//! held; its usage is what the host counted; the generation ended with `stop`,
//! with `length`, or with `tool-call` after a call; calls have names, and arguments that are
//! JSON objects; tokens, memory and stop texts kept to the fixture's limits; `/scratch` holds
//! the answer and nothing else; the host refused nothing but what the fixture says. A
//! scenario of the fixture's own may leave other files.
//!
//! With a model, also what `[expect]` says. Pinky talks nonsense whatever it is asked,
//! so with it expectations are read and checked for form, but not judged.
//!
//! # Which engine
//!
//! [`engine_from_env`]: the build's own, `RUSTY_GENIUS_ENGINE` apart. A model whose files
//! cannot be had is a failure and not a skip: a green run has run everything.
//!
//! ```
//! use rusty_genius::{Genius, core::UserManifest};
//! use rusty_genius_teaser::{Runner, scan};
//!
//! # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
//! # let scratch = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tmp/teaser-doc");
//! async_std::task::block_on(async {
//!     let genius = Genius::builder()
//!         .manifest(UserManifest::default())
//!         .scratch_root(scratch)
//!         .cache_dir(None)
//!         .build()?;
//!     let runner = Runner::new(genius).on_engine("pinky");
//!     for found in scan(fixtures).into_iter().take(1) {
//!         let outcome = runner.run(&found.fixture?).await;
//!         assert!(outcome.passed(), "{}", outcome.describe());
//!     }
//!     Ok::<_, rusty_genius::GeniusError>(())
//! })?;
//! # Ok::<(), rusty_genius::GeniusError>(())
//! ```
#![deny(missing_docs)]

mod aside;
mod bless;
mod call;
mod cassette;
mod evidence;
mod failure;
mod house;
mod judge;
pub mod report;
mod runner;
mod scan;
mod schema;
mod select;
mod show;
mod suite;
mod words;

pub use bless::bless;
pub use cassette::{Cassette, Header, path as cassette_path};
pub use evidence::Evidence;
pub use failure::{Failure, Place};
pub use house::House;
pub use judge::{Standard, judge};
pub use runner::{ENGINE_VARIABLE, Outcome, Runner, Scenario, Tapes, engine_from_env};
pub use rusty_genius_core::fixture::{Call, Expect, FIXTURE_LIMIT, Finish, Fixture, Limits, Words};
pub use scan::{Found, scan, scan_paths};
pub use select::{Selection, Shard};
pub use suite::{Options, Progress, Report, Row, RowResult, Status, run_suite};
pub use words::WordsFault;
