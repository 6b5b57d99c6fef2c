//! Models as `safetensors` files, named and laid out as Hugging Face's Llama has them.
//!
//! Hugging Face turns the halves of a head against each other where we turn neighbours, so
//! the rows of queries and keys stand in another order there: first a head's even rows, then
//! its odd ones.

use crate::config_json::ConfigJson;
use crate::gguf::numbers::floats;
use crate::{Config, Tensor, Weights, WeightsError};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Key of the file's metadata under which our config is.
const CONFIG: &str = "bytelm";

/// Bytes that are no model of ours.
#[derive(Debug)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// They are no `safetensors` file.
    Format(String),
    /// The file does not say which config it has.
    NoConfig,
    /// What it says is no config.
    Config(String),
    /// A tensor is of another type than f32.
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// The tensors are not those of the config.
    Weights(WeightsError),
}

impl fmt::Display for SafetensorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(message) => write!(f, "not a safetensors file: {message}"),
            Self::NoConfig => write!(f, "the metadata has no {CONFIG:?}, which is the config"),
            Self::Config(message) => write!(f, "{CONFIG:?} in the metadata: {message}"),
            Self::Type { name, found } => {
                write!(f, "the tensor {name:?} is {found}; it must be F32")
            }
            Self::Weights(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SafetensorsError {}

/// The file's bytes; always the same for the same weights.
///
/// Written here and not by the `safetensors` crate, which has the metadata in a hash map: its
/// files differ from run to run.
pub fn export(weights: &Weights) -> Result<Vec<u8>, SafetensorsError> {
    let config = weights.config();
    let text = serde_json::to_string(&ConfigJson(config.clone()))
        .map_err(|error| SafetensorsError::Config(error.to_string()))?;
    let mut header = Map::new();
    header.insert(
        "__metadata__".into(),
        json!({ "format": "pt", CONFIG: text }),
    );
    let mut data: Vec<u8> = Vec::new();
    for (name, tensor) in weights.tensors() {
        let begin = data.len();
        for row in order(config, &name, tensor.rows) {
            let numbers = &tensor.data[row * tensor.columns..][..tensor.columns];
            data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        }
        let shape = match tensor.rows {
            1 => json!([tensor.columns]),
            rows => json!([rows, tensor.columns]),
        };
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] });
        header.insert(their_name(&name), entry);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // Numbers are aligned, as the format recommends.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    Ok(bytes)
}

/// The model in a file that [`export`] has written.
pub fn import(bytes: &[u8]) -> Result<Weights, SafetensorsError> {
    let format = |error: safetensors::SafeTensorError| SafetensorsError::Format(error.to_string());
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(format)?;
    let file = SafeTensors::deserialize(bytes).map_err(format)?;
    let text = metadata.metadata().as_ref().and_then(|map| map.get(CONFIG));
    let text = text.ok_or(SafetensorsError::NoConfig)?;
    let ConfigJson(config) =
        serde_json::from_str(text).map_err(|error| SafetensorsError::Config(error.to_string()))?;
    config
        .check()
        .map_err(|error| SafetensorsError::Config(error.to_string()))?;
    let mut tensors = BTreeMap::new();
    for shape in config.shapes() {
        let name = their_name(&shape.name);
        let missing = |_| SafetensorsError::Weights(WeightsError::Missing { name: name.clone() });
        let view = file.tensor(&name).map_err(missing)?;
        if view.dtype() != Dtype::F32 {
            let found = format!("{:?}", view.dtype());
            return Err(SafetensorsError::Type { name, found });
        }
        let (rows, columns) = match *view.shape() {
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => (0, 0),
        };
        let numbers = floats(view.data());
        if (rows, columns) != (shape.rows, shape.columns) {
            return Err(SafetensorsError::Weights(WeightsError::WrongShape {
                name,
                found: (rows, columns, numbers.len()),
                expected: (shape.rows, shape.columns),
            }));
        }
        let mut data = vec![0.0; numbers.len()];
        for (theirs, ours) in order(&config, &shape.name, rows).into_iter().enumerate() {
            data[ours * columns..][..columns]
                .copy_from_slice(&numbers[theirs * columns..][..columns]);
        }
        let tensor = Tensor {
            rows,
            columns,
            data,
        };
        tensors.insert(shape.name, tensor);
    }
    if file.len() > tensors.len() {
        let ours: Vec<String> = tensors.keys().map(|name| their_name(name)).collect();
        let unknown = file
            .names()
            .into_iter()
            .find(|name| ours.iter().all(|our| our != name));
        let name = unknown.unwrap_or_default().to_owned();
        return Err(SafetensorsError::Weights(WeightsError::Unknown { name }));
    }
    Weights::new(config, tensors).map_err(SafetensorsError::Weights)
}

/// Our rows in the order that Hugging Face has them.
fn order(config: &Config, name: &str, rows: usize) -> Vec<usize> {
    if !name.ends_with("attn_q.weight") && !name.ends_with("attn_k.weight") {
        return (0..rows).collect();
    }
    let width = config.head_width();
    (0..rows)
        .map(|row| {
            let (head, within) = (row / width, row % width);
            let (half, pair) = (within / (width / 2), within % (width / 2));
            head * width + 2 * pair + half
        })
        .collect()
}

/// Hugging Face's name of a tensor.
fn their_name(name: &str) -> String {
    let Some(rest) = name.strip_prefix("blk.") else {
        return match name {
            "token_embd.weight" => "model.embed_tokens.weight".into(),
            "output_norm.weight" => "model.norm.weight".into(),
            "output.weight" => "lm_head.weight".into(),
            other => other.into(),
        };
    };
    let (layer, name) = rest.split_once('.').unwrap_or((rest, ""));
    let name = match name {
        "attn_norm.weight" => "input_layernorm.weight",
        "attn_q.weight" => "self_attn.q_proj.weight",
        "attn_k.weight" => "self_attn.k_proj.weight",
        "attn_v.weight" => "self_attn.v_proj.weight",
        "attn_output.weight" => "self_attn.o_proj.weight",
        "ffn_norm.weight" => "post_attention_layernorm.weight",
        "ffn_gate.weight" => "mlp.gate_proj.weight",
        "ffn_up.weight" => "mlp.up_proj.weight",
        "ffn_down.weight" => "mlp.down_proj.weight",
        other => other,
    };
    format!("model.layers.{layer}.{name}")
}

#[cfg(test)]
mod tests;
