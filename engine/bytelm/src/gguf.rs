//! Models as GGUF files of architecture `llama`, which llama.cpp runs unchanged.
//!
//! Written: version 3, the tensors of [`Config::shapes`] in that order, norms as f32 and
//! matrices in the chosen type; the same weights give the same bytes. The vocabulary is
//! [`vocab`](crate::vocab)'s, spelled as GPT-2 does, with an empty list of merges, so that
//! llama.cpp too makes one token of each byte.
//!
//! Read: only what is such a model. [`Weights::read_gguf`] takes it apart into plain numbers;
//! [`ByteModel::read`](crate::ByteModel::read) lays it out to run.
//!
//! Q8_0 is that of `quantize_row_q8_0_ref` in `ggml-quants.c` (`ggml-org/ggml`): blocks of 32
//! numbers, each divided by the block's scale (the largest magnitude / 127, kept as f16) and
//! rounded, halves away from zero.

mod error;
mod metadata;
pub(crate) mod numbers;
#[cfg(test)]
mod tests;

pub use error::{ExportError, LoadError};

use crate::Config;
use crate::weights::{Tensor, Weights};
use rusty_genius_core::gguf::{Gguf, GgufError, GgufWriter, Tensor as TensorEntry, TensorType};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read, Seek, SeekFrom, Write};
use std::str::FromStr;

/// How an exported file holds matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightType {
    /// 32 bits a number.
    F32,
    /// 16 bits.
    F16,
    /// 8 bits, and 16 for each 32 numbers.
    Q8_0,
}

impl WeightType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Q8_0];

    fn tensor_type(self) -> TensorType {
        match self {
            Self::F32 => TensorType::F32,
            Self::F16 => TensorType::F16,
            Self::Q8_0 => TensorType::Q8_0,
        }
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tensor_type().name())
    }
}

impl FromStr for WeightType {
    type Err = String;

    /// Its name in upper or lower case.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|ty| ty.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("there is no type {text:?} (there are F32, F16 and Q8_0)"))
    }
}

impl Weights {
    /// Writes the model as a GGUF file.
    ///
    /// Fails where a matrix has a number that the type cannot hold, or rows that are no
    /// whole number of blocks.
    pub fn write_gguf(&self, ty: WeightType, out: impl Write) -> Result<(), ExportError> {
        let mut writer = GgufWriter::new();
        metadata::write(&mut writer, self.config(), ty);
        for (name, tensor) in self.tensors() {
            let (dims, ty) = match tensor.rows {
                1 => (vec![tensor.columns as u64], TensorType::F32),
                _ => (
                    vec![tensor.columns as u64, tensor.rows as u64],
                    ty.tensor_type(),
                ),
            };
            let data = numbers::encode(&tensor.data, tensor.columns, ty).map_err(|reason| {
                ExportError::Tensor {
                    name: name.clone(),
                    reason,
                }
            })?;
            writer.tensor(&name, &dims, ty, data);
        }
        Ok(writer.write(out)?)
    }

    /// Reads a model file back into plain numbers. Those of f16 and Q8_0 are what the file
    /// says, not what was once written.
    pub fn read_gguf(reader: impl Read + Seek) -> Result<Self, LoadError> {
        let (config, mut file) = ModelFile::open(reader)?;
        let mut tensors = BTreeMap::new();
        for shape in config.shapes() {
            let tensor = file.find(&shape.name)?;
            let mut bytes = vec![0; tensor.bytes() as usize];
            file.fill(&shape.name, &mut bytes)?;
            let Some(data) = numbers::decode(&bytes, tensor.ty()) else {
                return Err(LoadError::Type {
                    tensor: shape.name,
                    ty: tensor.ty().name(),
                });
            };
            let tensor = Tensor {
                rows: shape.rows,
                columns: shape.columns,
                data,
            };
            tensors.insert(shape.name, tensor);
        }
        Ok(Self::new(config, tensors)?)
    }
}

/// A model's file, its tensors found to be those of its config, by name and dimensions.
pub(crate) struct ModelFile<R> {
    gguf: Gguf,
    reader: R,
}

impl<R: Read + Seek> ModelFile<R> {
    /// Reads the header; nothing of the tensors' data.
    pub(crate) fn open(mut reader: R) -> Result<(Config, Self), LoadError> {
        let gguf = Gguf::read(&mut reader)?;
        let config = metadata::read_config(&gguf, &mut reader)?;
        Ok((config, Self { gguf, reader }))
    }

    /// Finds a tensor and moves to its data, which lies in the file: its length was checked
    /// with the header.
    pub(crate) fn find(&mut self, name: &str) -> Result<TensorEntry, LoadError> {
        let tensor = self.gguf.tensor(name).cloned();
        let tensor = tensor.ok_or_else(|| LoadError::MissingTensor { name: name.into() })?;
        let to = SeekFrom::Start(tensor.offset());
        self.reader.seek(to).map_err(|e| GgufError::Io {
            at: tensor.offset(),
            reason: e.to_string(),
        })?;
        Ok(tensor)
    }

    /// Reads on in the tensor that was found last.
    pub(crate) fn fill(&mut self, name: &str, bytes: &mut [u8]) -> Result<(), LoadError> {
        self.reader
            .read_exact(bytes)
            .map_err(|_| LoadError::Shrunk { name: name.into() })
    }
}
