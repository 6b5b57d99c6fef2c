//! A byte-level language model: no tokenizer, every byte is a token.
//!
//! * [`Config`] names the sizes: `narf-1m` ships with the house, `tiny-30m` and `base-120m`
//!   are the same model, larger.
//! * [`vocab`] is what the model reads and writes: 256 bytes and a few markers, and the
//!   ChatML it is spoken to in.
//! * [`Weights`] are a model as plain numbers, which training makes; [`Weights::write_gguf`]
//!   writes them as a file that llama.cpp runs too.
//! * [`ByteModel`] is such a file laid out to run, by kernels for the processor at hand.
//! * [`Bytelm`] puts it behind cortex's [`Backend`](rusty_genius_cortex::Backend).
#![deny(missing_docs)]

#[cfg(feature = "train")]
pub mod aside;
mod backend;
mod config;
#[cfg(feature = "train")]
mod config_json;
#[cfg(feature = "train")]
pub mod corpus;
mod crew;
#[cfg(feature = "train")]
pub mod eval;
mod gguf;
mod kernels;
#[cfg(feature = "train")]
pub mod ledger;
mod matrix;
mod model;
#[cfg(feature = "train")]
pub mod safetensors;
#[cfg(feature = "train")]
pub mod train;
pub mod vocab;
mod weights;

pub use backend::{Bytelm, ENGINE};
pub use config::{Config, ConfigError};
pub use gguf::{ExportError, LoadError, WeightType};
pub use model::{ByteModel, Cache};
pub use weights::{Shape, Tensor, Weights, WeightsError};

/// The weights of `narf-1m`, a GGUF file of type Q8_0: what the committed command made of the
/// committed corpus.
#[cfg(feature = "narf")]
pub const NARF_1M: &[u8] = include_bytes!("../weights/narf-1m-Q8_0.gguf");
