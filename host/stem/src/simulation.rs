//! The loop without a machine below it: the same decisions, on engines that only pretend.
//!
//! [`simulate`] gives a policy a [`Trace`]: models with what they need, and requests with
//! when they come. Time is virtual and nothing waits, so a day takes a moment, and the same
//! trace gives the same [`Outcome`] each time. What the policy decides goes through the very
//! loop that a host runs.
//!
//! # The model of an engine
//!
//! * What a model needs is known at once. Loading takes `load` and ends with all its memory
//!   held; unloading takes no time, hibernating takes `save`.
//! * A generation costs its completion tokens at the `decode` rate, and its prompt tokens at
//!   the `prefill` rate. So many as the model has `slots` run at full speed; more of them
//!   share what those would have, evenly.
//! * Nothing else is shared: models do not slow each other down.
//! * A prompt is never in a cache, and its words are not there for policies that ask for
//!   them.
//!
//! # When it ends
//!
//! When nothing is due any more; or, where a policy keeps itself busy with timers, when
//! nothing runs and no request got any further for ten minutes, besides as long as a request
//! of this trace can wait and a model of it can take to come and go. One that is asked far more
//! often than the trace is reason for is stopped before that, and the outcome says so.
//!
//! ```
//! use rusty_genius_stem::StrategyPolicy;
//! use rusty_genius_stem::simulation::{Synthetic, simulate};
//!
//! let spec: Synthetic = "pattern=bursty,requests=200,models=3,seed=7".parse()?;
//! let outcome = simulate(Box::new(StrategyPolicy::default()), &spec.trace());
//! assert_eq!(outcome.requests, 200);
//! assert!(outcome.broken.is_empty());
//! # Ok::<(), rusty_genius_stem::simulation::SyntheticError>(())
//! ```

mod drive;
mod engine;
mod generate;
mod outcome;
mod random;
mod series;
mod size;
mod synthetic;
mod text;
mod timeline;
mod trace;
mod world;

pub use drive::simulate;
pub use outcome::{End, Life, ModelOutcome, Outcome, Spread};
pub use series::{POINTS_LIMIT, Point};
pub use synthetic::{Pattern, Synthetic, SyntheticError};
pub use text::FILE_LIMIT;
pub use timeline::Interval;
pub use trace::{MODELS_LIMIT, REQUESTS_LIMIT, SimModel, SimRequest, Trace, TraceError};
