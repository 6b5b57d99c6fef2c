//! GGUF model files: their header read with every bound checked, and a small writer.
//!
//! [`Gguf::read`] reads the header (version, metadata, tensor table) from any `Read + Seek`
//! and proves that each tensor lies inside the file, aligned, and apart from the others.
//! It never reads tensor data. What it refuses, no engine should see.
//!
//! The format is that of the GGUF specification (`docs/gguf.md` in `ggml-org/ggml`),
//! versions 2 and 3, little-endian. Block sizes are those of `ggml-common.h` there.
//! Stricter than the specification asks: a tensor has 1 to 4 dimensions, none of them 0;
//! keys and tensor names have no control characters. Looser: a key need not be
//! `lower_snake_case`, and a tensor name may have 255 bytes in place of 64.
//!
//! # Limits
//!
//! | what | most | unit |
//! |---|---|---|
//! | header | [`HEADER_BYTES_LIMIT`], and the file's length | bytes |
//! | metadata keys | [`KEY_COUNT_LIMIT`] | keys per file |
//! | tensors | [`TENSOR_COUNT_LIMIT`] | tensors per file |
//! | a key | [`KEY_BYTES_LIMIT`] | bytes, ASCII |
//! | a tensor's name | [`NAME_BYTES_LIMIT`] | bytes, UTF-8 |
//! | a string value or array element | [`STRING_BYTES_LIMIT`] | bytes |
//! | keys, names and string values together | [`TEXT_BYTES_LIMIT`] | bytes per file |
//! | arrays in arrays | [`ARRAY_DEPTH_LIMIT`] | levels |
//!
//! # Memory and time
//!
//! A count or length in the file is believed only as far as the bytes left in the file can
//! bear it out, and memory is taken as those bytes are read. At any moment a read holds at
//! most twice the header's bytes, and besides these 512 bytes per key and tensor read and
//! 128 KiB. The limits above cap that at 256 MiB whatever the file. Arrays (a vocabulary,
//! say) are not held: an [`Array`] knows where its elements lie and reads them when asked.
//! Time is linear in the header (`n log n` in tensors); nothing recurses.
//!
//! Not covered: whether the metadata makes sense to an engine, the values of the weights,
//! whether strings inside arrays are UTF-8 (checked when they are read), and a file that
//! changes after it was read.
//!
//! ```
//! use rusty_genius_core::gguf::{Gguf, GgufWriter, TensorType};
//! use std::io::Cursor;
//!
//! let mut writer = GgufWriter::new();
//! writer.set("general.architecture", "llama");
//! writer.set("llama.context_length", 512_u32);
//! writer.tensor("output.weight", &[4, 2], TensorType::F32, vec![0; 32]);
//! let mut file = Vec::new();
//! writer.write(&mut file)?;
//!
//! let gguf = Gguf::read(Cursor::new(&file))?;
//! assert_eq!(gguf.context_length(), Some(512));
//! assert_eq!(gguf.quant(), Some("F32"));
//! # Ok::<(), rusty_genius_core::gguf::GgufError>(())
//! ```

mod encode;
mod error;
mod read;
mod source;
mod tensor;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use encode::Encode;
pub use error::GgufError;
pub use tensor::{Tensor, TensorType};
pub use value::{Array, Elements, Value, ValueType};
pub use write::GgufWriter;

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

/// Longest header (all before the tensor data), bytes: 512 MiB.
pub const HEADER_BYTES_LIMIT: u64 = 512 << 20;
/// Most metadata keys in a file.
pub const KEY_COUNT_LIMIT: u64 = 1 << 16;
/// Most tensors in a file.
pub const TENSOR_COUNT_LIMIT: u64 = 1 << 16;
/// Longest metadata key, bytes.
pub const KEY_BYTES_LIMIT: u64 = (1 << 16) - 1;
/// Longest tensor name, bytes.
pub const NAME_BYTES_LIMIT: u64 = 255;
/// Longest string (a chat template, say), bytes: 16 MiB.
pub const STRING_BYTES_LIMIT: u64 = 16 << 20;
/// Most bytes of keys, tensor names and string values in a file, all together: 64 MiB.
pub const TEXT_BYTES_LIMIT: u64 = 64 << 20;
/// Deepest nesting of arrays; an array of numbers is one level.
pub const ARRAY_DEPTH_LIMIT: usize = 8;
/// Alignment of tensor data where the file names none, bytes.
pub const DEFAULT_ALIGNMENT: u64 = 32;

const MAGIC: [u8; 4] = *b"GGUF";
const ALIGNMENT_KEY: &str = "general.alignment";

/// The header of a GGUF file, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Gguf {
    version: u32,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<Tensor>,
    /// Places in `tensors`, in order of name.
    by_name: Vec<usize>,
    alignment: u64,
    header_bytes: u64,
    size: u64,
}

impl Gguf {
    /// Reads the header of a file that begins at offset 0 of `reader`; its length is found
    /// by seeking to its end. The reader is left at no particular place.
    pub fn read<R: Read + Seek>(mut reader: R) -> Result<Self, GgufError> {
        let size = reader
            .seek(SeekFrom::End(0))
            .map_err(|e| GgufError::io(0, &e))?;
        Self::read_sized(reader, size)
    }

    /// Like [`Gguf::read`], for a file of `size` bytes. A `size` larger than what is there
    /// vouches for tensor data that nobody has looked for.
    pub fn read_sized<R: Read + Seek>(reader: R, size: u64) -> Result<Self, GgufError> {
        read::header(reader, size)
    }

    /// The format's version, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All metadata, in order of key.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// The value of a metadata key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        let at = self
            .by_name
            .binary_search_by(|&i| self.tensors[i].name().cmp(name))
            .ok()?;
        Some(&self.tensors[self.by_name[at]])
    }

    /// Alignment of tensor data in bytes: a power of two, at least 8.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Bytes before the padding that precedes the tensor data.
    pub fn header_bytes(&self) -> u64 {
        self.header_bytes
    }

    /// The file's length, bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// `general.architecture`: `llama`, `qwen2` …
    pub fn architecture(&self) -> Option<&str> {
        self.text("general.architecture")
    }

    /// `general.name`: the model's name for people.
    pub fn name(&self) -> Option<&str> {
        self.text("general.name")
    }

    /// `general.license`: an SPDX expression, if its author kept to the specification.
    pub fn license(&self) -> Option<&str> {
        self.text("general.license")
    }

    /// `tokenizer.chat_template`: the prompt format, a Jinja template.
    pub fn chat_template(&self) -> Option<&str> {
        self.text("tokenizer.chat_template")
    }

    /// Tokens of context the model was trained on (`{architecture}.context_length`).
    pub fn context_length(&self) -> Option<u64> {
        self.get(&format!("{}.context_length", self.architecture()?))?
            .as_u64()
    }

    /// The quantisation as people write it (`Q4_K_M`, `Q8_0`, `F16`): `general.file_type`,
    /// or the type of most parameters where the file names none that is known.
    pub fn quant(&self) -> Option<&'static str> {
        self.get("general.file_type")
            .and_then(Value::as_u64)
            .and_then(tensor::file_type)
            .or_else(|| {
                let mut counts: BTreeMap<TensorType, u64> = BTreeMap::new();
                for tensor in &self.tensors {
                    let count = counts.entry(tensor.ty()).or_default();
                    *count = count.saturating_add(tensor.elements());
                }
                let (ty, _) = counts.into_iter().max_by_key(|&(_, count)| count)?;
                Some(ty.name())
            })
    }

    /// Parameters: the elements of all tensors of this file.
    pub fn parameter_count(&self) -> u64 {
        self.tensors
            .iter()
            .fold(0, |sum, tensor| sum.saturating_add(tensor.elements()))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}
