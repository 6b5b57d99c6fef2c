use crate::{ConfigError, WeightsError};
use rusty_genius_core::gguf::GgufError;
use thiserror::Error;

/// A file is no model that can be run here.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is no sound GGUF file, or reading it failed.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The file cannot be opened.
    #[error("{reason}")]
    Open {
        /// What the system said.
        reason: String,
    },
    /// The model is of another architecture.
    #[error("its architecture is {found:?}; bytelm runs \"llama\" with a vocabulary of bytes")]
    Architecture {
        /// What the file says; empty if nothing.
        found: String,
    },
    /// A metadata key is missing, of the wrong type, or has a value this model cannot have.
    #[error("`{key}` is {found}; it must be {expected}")]
    Key {
        /// The key.
        key: String,
        /// Its value; `missing` if there is none.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// The vocabulary is not one of bytes.
    #[error("token {token} is {found:?}, where a vocabulary of bytes has {expected:?}")]
    Vocabulary {
        /// The token's number.
        token: u64,
        /// How the file spells it, cut to 40 characters.
        found: String,
        /// How it must be spelled.
        expected: String,
    },
    /// The numbers of the metadata make no model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensors make no model.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor of the model is not in the file.
    #[error("the tensor {name:?} is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor that this model does not have.
    #[error("the tensor {name:?} is none of this model's")]
    UnknownTensor {
        /// Its name, cut to 40 characters.
        name: String,
    },
    /// A tensor has other dimensions.
    #[error("the tensor {name:?} has dimensions {found:?}; the model needs {expected:?}")]
    Dimensions {
        /// The tensor.
        name: String,
        /// What it has.
        found: Vec<u64>,
        /// What it must have.
        expected: Vec<u64>,
    },
    /// A tensor's numbers are stored in a way that is not supported.
    #[error("the tensor {tensor:?} is of type {ty}; bytelm runs F32, F16 and Q8_0")]
    Type {
        /// The tensor.
        tensor: String,
        /// Its type.
        ty: &'static str,
    },
    /// A tensor has a number that is infinite or none.
    #[error("the tensor {tensor:?} has a number that is not finite")]
    NotFinite {
        /// The tensor.
        tensor: String,
    },
    /// The file became shorter while it was read.
    #[error("the file ended within the tensor {name:?}, although it was long enough before")]
    Shrunk {
        /// The tensor.
        name: String,
    },
}

/// Weights cannot be written as a file.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A tensor cannot be stored in the chosen type.
    #[error("the tensor {name:?} {reason}")]
    Tensor {
        /// The tensor.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// Writing failed.
    #[error(transparent)]
    Gguf(#[from] GgufError),
}
