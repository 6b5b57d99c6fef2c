//! A model laid out to run.

mod cache;
mod forward;
#[cfg(test)]
mod tests;

pub use cache::Cache;

use crate::crew::Crew;
use crate::gguf::{LoadError, ModelFile, numbers::floats};
use crate::kernels::{Isa, PANEL};
use crate::matrix::Matrix;
use crate::{Config, ConfigError};
use rusty_genius_core::gguf::TensorType;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

/// Largest model whose steps are one thread's, bytes.
const ALONE_LIMIT: u64 = 8 << 20;
/// Most threads to a step, unless asked for: decoding waits for memory, not for more of them.
const MOST_THREADS: usize = 8;

/// A byte-level model in memory, ready to run.
///
/// Matrices stay as the file stores them (f32, f16 or Q8_0), so the model takes the bytes of
/// its tensors and no more; a load holds beside these the file's header and one panel of 16
/// rows. [`ByteModel::forward`] is the whole of it: tokens in, logits out. All numbers depend
/// on the tokens before a position only, and not on how these were cut into calls; with Q8_0
/// the activations are rounded to 8 bits too, as llama.cpp does it.
///
/// Limits beside those of [`Config::check`]: widths of token, keys and feed-forward are
/// multiples of 32, the vocabulary a multiple of 16.
pub struct ByteModel {
    config: Config,
    isa: Isa,
    /// Who shares the work of a step, where there is enough of it.
    crew: Option<Crew>,
    embedding: Matrix,
    blocks: Vec<Block>,
    output_norm: Vec<f32>,
    /// The embedding, if `None`.
    output: Option<Matrix>,
    /// The rotation of each pair of a head per position, radians.
    frequencies: Vec<f32>,
}

struct Block {
    attention_norm: Vec<f32>,
    query: Matrix,
    key: Matrix,
    value: Matrix,
    attention_output: Matrix,
    feed_forward_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

impl ByteModel {
    /// Reads a GGUF file.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        // Opening a pipe would wait for somebody to write to it.
        let metadata = std::fs::metadata(path);
        let file = metadata.and_then(|metadata| match metadata.is_file() {
            true => File::open(path),
            false => Err(std::io::Error::other("it is not a regular file")),
        });
        let file = file.map_err(|e| LoadError::Open {
            reason: e.to_string(),
        })?;
        Self::read(BufReader::new(file))
    }

    /// Reads a GGUF file that is in memory.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::read(Cursor::new(bytes))
    }

    /// Reads a GGUF file.
    pub fn read(mut reader: impl Read + Seek) -> Result<Self, LoadError> {
        Self::read_for(Isa::detect(), &mut reader)
    }

    pub(crate) fn read_for(isa: Isa, reader: &mut (impl Read + Seek)) -> Result<Self, LoadError> {
        let (config, mut file) = ModelFile::open(reader)?;
        check_sizes(&config)?;
        let file = &mut file;
        let embedding = read_matrix(file, "token_embd.weight".into())?;
        let blocks = (0..config.layers).map(|layer| {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            Ok(Block {
                attention_norm: read_norm(file, name("attn_norm"))?,
                query: read_matrix(file, name("attn_q"))?,
                key: read_matrix(file, name("attn_k"))?,
                value: read_matrix(file, name("attn_v"))?,
                attention_output: read_matrix(file, name("attn_output"))?,
                feed_forward_norm: read_norm(file, name("ffn_norm"))?,
                gate: read_matrix(file, name("ffn_gate"))?,
                up: read_matrix(file, name("ffn_up"))?,
                down: read_matrix(file, name("ffn_down"))?,
            })
        });
        let blocks = blocks.collect::<Result<_, LoadError>>()?;
        let output_norm = read_norm(file, "output_norm.weight".into())?;
        let output = match config.tied {
            true => None,
            false => Some(read_matrix(file, "output.weight".into())?),
        };
        let half = config.head_width() / 2;
        let frequencies = (0..half)
            .map(|i| config.rope_base.powf(-(i as f32) / half as f32))
            .collect();
        let model = Self {
            config,
            isa,
            crew: None,
            embedding,
            blocks,
            output_norm,
            output,
            frequencies,
        };
        let threads = match model.memory() > ALONE_LIMIT {
            true => std::thread::available_parallelism().map_or(1, usize::from),
            false => 1,
        };
        Ok(model.with_threads(threads.min(MOST_THREADS)))
    }

    /// The model with this many threads to a step, from 1. Default: 1 for a model of up to
    /// 8 MiB; for a larger one as many as there are processors, but at most 8. The numbers
    /// are the same with any.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.crew = Crew::new(threads);
        self
    }

    /// Whether a step takes no longer than it would be worth to hand it to another thread.
    pub(crate) fn is_small(&self) -> bool {
        self.memory() <= ALONE_LIMIT
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of its weights in memory. A token reads nearly all of them.
    pub fn memory(&self) -> u64 {
        let blocks = self.blocks.iter().map(|block| {
            let matrices = [
                &block.query,
                &block.key,
                &block.value,
                &block.attention_output,
                &block.gate,
                &block.up,
                &block.down,
            ];
            let norms = block.attention_norm.len() + block.feed_forward_norm.len();
            matrices.map(Matrix::bytes).iter().sum::<u64>() + 4 * norms as u64
        });
        blocks.sum::<u64>()
            + self.embedding.bytes()
            + self.output.as_ref().map_or(0, Matrix::bytes)
            + 4 * self.output_norm.len() as u64
    }

    /// The instruction set its kernels use: `avx512`, `avx2` or `portable`.
    pub fn instruction_set(&self) -> &'static str {
        self.isa.name()
    }
}

/// What the kernels ask of a config beside [`Config::check`].
fn check_sizes(config: &Config) -> Result<(), ConfigError> {
    for (field, value, of) in [
        ("width", config.width, 32),
        ("keys' width", config.kv_width(), 32),
        ("feed-forward", config.feed_forward, 32),
        ("vocabulary", config.vocab, 16),
    ] {
        if !value.is_multiple_of(of) {
            return Err(ConfigError {
                field,
                value: value.to_string(),
                rule: if of == 16 {
                    "a multiple of 16"
                } else {
                    "a multiple of 32"
                },
            });
        }
    }
    Ok(())
}

/// Reads a matrix, whose dimensions were checked with the config, panel after panel.
fn read_matrix<R: Read + Seek>(file: &mut ModelFile<R>, name: String) -> Result<Matrix, LoadError> {
    let tensor = file.find(&name)?;
    let [columns, rows] = *tensor.dims() else {
        return Err(LoadError::MissingTensor { name });
    };
    let (bytes, ty) = (tensor.bytes(), tensor.ty());
    let Some(mut matrix) = Matrix::new(rows as usize, columns as usize, ty) else {
        return Err(LoadError::Type {
            tensor: name,
            ty: ty.name(),
        });
    };
    // Whole panels: the rows are a multiple of 16.
    let mut panel = vec![0; (bytes / rows) as usize * PANEL];
    for _ in 0..rows as usize / PANEL {
        file.fill(&name, &mut panel)?;
        if !matrix.push_panel(&panel) {
            return Err(LoadError::NotFinite { tensor: name });
        }
    }
    Ok(matrix)
}

/// Reads the weights of a norm.
fn read_norm<R: Read + Seek>(file: &mut ModelFile<R>, name: String) -> Result<Vec<f32>, LoadError> {
    let tensor = file.find(&name)?;
    if tensor.ty() != TensorType::F32 {
        return Err(LoadError::Type {
            ty: tensor.ty().name(),
            tensor: name,
        });
    }
    let mut bytes = vec![0; tensor.bytes() as usize];
    file.fill(&name, &mut bytes)?;
    let numbers = floats(&bytes);
    match numbers.iter().all(|n| n.is_finite()) {
        true => Ok(numbers),
        false => Err(LoadError::NotFinite { tensor: name }),
    }
}
