//! The sandbox: untrusted components run here, and can touch only what they were granted.
//!
//! [`Sandbox`] owns the Wasmtime engine. [`Sandbox::load`] compiles a component once (or
//! takes it from the cache) and refuses what cannot run; [`Sandbox::run_workflow`] and
//! [`Sandbox::run_case`] run it in a fresh store under a [`Grant`] and a [`Budget`].
//!
//! # What a guest gets
//!
//! What its component imports *and* its [`Grant`] names. Without any grant: the interfaces
//! of `rusty-genius:genius@0.2.0` that its world names, one model, and WASI 0.2 with one
//! preopen, `/scratch`: a directory that is fresh for the run. No arguments but those of its
//! own export, no environment, no stdio, no sockets, no name lookup; a clock of whole
//! milliseconds, and the host's random numbers.
//!
//! A tool ([`Tool`]) gets its files and its journal, a policy ([`PolicyGuest`]) the journal
//! and the state it is asked about.
//!
//! # What it may consume
//!
//! A [`Budget`], counted by one meter (`meter.rs`) for the run and its tools together. What
//! is refused, the guest hears of as a closed error, and the person who runs it as a
//! [`Denial`](rusty_genius_core::Denial) that names what would allow it.
//!
//! # What this does not protect against
//!
//! Side channels (timing, caches), faults in Wasmtime or in a native engine, and what a
//! model says.
#![deny(missing_docs)]

mod bindings;
mod cache;
mod convert;
mod cpu;
mod dice;
mod grant;
mod guest;
mod host;
mod meter;
mod policy;
mod private;
mod record;
mod run;
mod sandbox;
mod scratch;
mod tape;
mod ticker;

pub use cache::CodeCache;
pub use grant::{Grant, Models, Mount, Resolve, Tool};
pub use guest::{COMPONENT_LIMIT, Export, Guest, digest, refused_import};
#[doc(hidden)]
pub use meter::metering;
pub use meter::{CallClass, Consumption};
pub use policy::{PolicyGuest, PolicyHost, PolicyOptions};
pub use record::{Records, outcome};
pub use run::{Gauge, Job, Report, Running};
pub use rusty_genius_core::Budget;
pub use sandbox::{Sandbox, SandboxConfig};
pub use scratch::Scratch;
pub use tape::{Answer, Exchange, Mismatch, Request, Tape, Timed};
