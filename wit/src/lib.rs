//! The vocabulary of Rusty-Genius, shared by every room of the house.
//!
//! The same words stand twice: as WIT for guests (the `*.wit` files beside this
//! crate, package `rusty-genius:genius@0.2.0`) and as Rust types for native code.
//! Nothing here does I/O, knows a runtime or depends on another internal crate.
#![deny(missing_docs)]

pub mod brainstem;
mod budget;
pub mod component;
mod config;
mod error;
mod event;
pub mod fixture;
pub mod gguf;
mod guest;
mod manifest;
mod run;
mod spec;
pub mod text;

pub use brainstem::{BrainstemInput, BrainstemOutput, CortexStrategy, Terms};
pub use budget::{Budget, BudgetError, BudgetResource, HISTORY_LIMIT, PartialBudget, Unit};
pub use config::{
    Behavior, ConfigError, Constraint, InferenceConfig, MAX_TOKENS_LIMIT, Mirostat, Overflow,
    PartialBehavior, PartialConfig, PartialSampling, Sampling, ThoughtMode,
};
pub use error::{AssetError, EngineError, GeniusError, ManifestError, ProtocolError, SandboxError};
pub use event::{
    AssetEvent, Completion, FinishReason, InferenceEvent, Logprobs, Role, ThoughtEvent,
    TokenLogprob, ToolCall, Turn, Usage,
};
pub use guest::{Check, Fragment, Level, Note, Observation, TestCase, ToolDescription};
pub use manifest::{Defaults, ModelEntry, UserManifest, locate_toml, parse_toml};
pub use run::{
    Clocks, Denial, Digest, DigestError, FileGrant, FileMode, Grants, Pattern, RUN_MANIFEST,
    Random, RunManifest, SCRATCH, Stdio, ToolGrant, check_guest_path, check_tool_name,
};
pub use spec::{ModelSource, ModelSpec, SpecError};

/// The WIT package this crate mirrors, with its version.
pub const WIT_PACKAGE: &str = "rusty-genius:genius@0.2.0";
