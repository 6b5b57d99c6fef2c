//! The sandbox: untrusted components run here, and can touch only what they were granted.
//!
//! [`Sandbox`] owns the Wasmtime engine. [`Sandbox::load`] compiles a component once (or
//! takes it from the cache) and refuses what cannot run; [`Sandbox::run_workflow`] and
//! [`Sandbox::run_case`] run it in a fresh store under a [`Grant`] and a [`Budget`].
//!
//! # What a guest gets
//!
//! The interfaces of `rusty-genius:genius@0.1.0` that its world names, and WASI 0.2 with
//! one preopen, `/scratch`: a directory that is fresh for the run. No arguments but
//! those of its own export, no environment, no stdio, no sockets, no name lookup. Clocks
//! and random numbers are the host's own.
//!
//! A policy ([`PolicyGuest`]) gets less: the journal, and the state it is asked about.
//!
//! # What this does not protect against
//!
//! Side channels (timing, caches), faults in Wasmtime or in a native engine, what a
//! model says, and the disk space of `/scratch`: that is not limited yet.
#![deny(missing_docs)]

mod bindings;
mod budget;
mod cache;
mod convert;
mod guest;
mod host;
mod policy;
mod run;
mod sandbox;
mod scratch;
mod ticker;

pub use budget::Budget;
pub use guest::{COMPONENT_LIMIT, Export, Guest};
pub use policy::{PolicyGuest, PolicyHost, PolicyOptions};
pub use run::{Grant, Job, Report};
pub use sandbox::{Sandbox, SandboxConfig};
pub use scratch::Scratch;
