//! The Brain: llama.cpp behind [`Backend`](crate::Backend).
//!
//! | module | what it does |
//! |---|---|
//! | `facts` | a GGUF file read, and refused, before llama.cpp sees it |
//! | `plan` | how large the cache and the steps are, and what memory that takes |
//! | `template` | conversations in the form a model was trained on |
//! | `message` | what the engine's thread and the rest say to each other, as plain data |
//! | `device` | what a loaded model must be able to do |
//! | `sequences` | which of the cache's sequences holds which tokens, and for whom |
//! | `scribe` | texts made into tokens, on a thread beside the engine's |
//! | `generation` | one answer, token by token |
//! | `scheduler` | who computes next |
//! | `engine` | the thread that owns the device |
//! | `client` | the other side: models, sessions and streams that talk to it |
//! | `saved` | files of saved sessions |
//! | `llama` | a device: llama.cpp |
//! | `bare` | llama.cpp with nothing around it, for benchmarks |
//!
//! All but the last two are Rust alone, and tested in every build on a device that only pretends.
#![cfg_attr(
    not(feature = "real-engine"),
    allow(dead_code, reason = "only tests use it without llama.cpp")
)]

#[cfg(feature = "real-engine")]
mod backend;
#[cfg(feature = "real-engine")]
mod bare;
mod client;
mod device;
mod engine;
mod facts;
mod generation;
#[cfg(feature = "real-engine")]
mod llama;
mod message;
mod plan;
mod saved;
mod scheduler;
mod scribe;
mod sequences;
mod template;
#[cfg(test)]
mod tests;

#[cfg(feature = "real-engine")]
pub use backend::Brain;
#[cfg(feature = "real-engine")]
pub use bare::{Round, bare};
#[cfg(feature = "real-engine")]
pub use plan::{BrainConfig, CacheType};

/// The engine's name.
const ENGINE: &str = "brain";
