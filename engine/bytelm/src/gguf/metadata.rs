//! A config and a vocabulary as metadata, and back.

use super::{LoadError, WeightType};
use crate::{Config, vocab};
use rusty_genius_core::gguf::{Gguf, GgufWriter, Value};
use std::io::{Read, Seek};

/// Token types of `llama_token_type` in llama.cpp.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// Number of `general.file_type` for each type (`llama_ftype` in llama.cpp).
fn file_type(ty: WeightType) -> u32 {
    match ty {
        WeightType::F32 => 0,
        WeightType::F16 => 1,
        WeightType::Q8_0 => 7,
    }
}

/// What the files written here are called and licensed as.
const LICENSE: &str = "MIT OR Apache-2.0";

pub(super) fn write(writer: &mut GgufWriter<'_>, config: &Config, ty: WeightType) {
    writer
        .set("general.architecture", "llama")
        .set("general.type", "model")
        .set("general.name", config.name.as_str())
        .set("general.license", LICENSE)
        .set("general.file_type", file_type(ty))
        .set("general.quantization_version", 2_u32);
    // The config's limits are below 2^32.
    let number = |n: usize| n as u32;
    writer
        .set("llama.vocab_size", number(config.vocab))
        .set("llama.context_length", number(config.context))
        .set("llama.embedding_length", number(config.width))
        .set("llama.block_count", number(config.layers))
        .set("llama.feed_forward_length", number(config.feed_forward))
        .set("llama.attention.head_count", number(config.heads))
        .set("llama.attention.head_count_kv", number(config.kv_heads))
        .set(
            "llama.attention.layer_norm_rms_epsilon",
            config.norm_epsilon,
        )
        .set("llama.rope.dimension_count", number(config.head_width()))
        .set("llama.rope.freq_base", config.rope_base);
    let tokens: Vec<String> = (0..config.vocab).map(vocab::spelling).collect();
    let types: Vec<i32> = (0..config.vocab)
        .map(|token| if token < 256 { NORMAL } else { CONTROL })
        .collect();
    writer
        .set("tokenizer.ggml.model", "gpt2")
        // Of the pre-tokenizers, the one with which spaces survive the way back to text.
        .set("tokenizer.ggml.pre", "qwen2")
        .set("tokenizer.ggml.tokens", tokens)
        .set("tokenizer.ggml.token_type", types)
        .set("tokenizer.ggml.merges", Vec::<String>::new())
        .set("tokenizer.ggml.eos_token_id", u32::from(vocab::TURN_END))
        .set(
            "tokenizer.ggml.padding_token_id",
            u32::from(vocab::END_OF_TEXT),
        )
        .set("tokenizer.ggml.add_bos_token", false)
        .set("tokenizer.chat_template", vocab::CHAT_TEMPLATE);
}

/// The config of a file, if it is a model of this kind: metadata, vocabulary, and that the
/// tensors are those of the config, by name and dimensions.
pub(super) fn read_config(
    gguf: &Gguf,
    reader: &mut (impl Read + Seek),
) -> Result<Config, LoadError> {
    if gguf.architecture() != Some("llama") {
        let found = gguf.architecture().unwrap_or_default();
        return Err(LoadError::Architecture { found: cut(found) });
    }
    refuse_extensions(gguf)?;
    let vocab = read_vocabulary(gguf, reader)?;
    let number = |key: &str| whole_number(gguf, key);
    let heads = number("llama.attention.head_count")?;
    let config = Config {
        name: cut(gguf.name().unwrap_or("unnamed")),
        vocab,
        context: number("llama.context_length")?,
        width: number("llama.embedding_length")?,
        layers: number("llama.block_count")?,
        heads,
        kv_heads: match gguf.get("llama.attention.head_count_kv") {
            Some(_) => number("llama.attention.head_count_kv")?,
            None => heads,
        },
        feed_forward: number("llama.feed_forward_length")?,
        rope_base: match gguf.get("llama.rope.freq_base") {
            Some(_) => float(gguf, "llama.rope.freq_base")?,
            None => 10_000.0,
        },
        norm_epsilon: float(gguf, "llama.attention.layer_norm_rms_epsilon")?,
        tied: gguf.tensor("output.weight").is_none(),
    };
    config.check()?;
    if gguf.get("llama.rope.dimension_count").is_some() {
        let found = number("llama.rope.dimension_count")?;
        if found != config.head_width() {
            return Err(LoadError::Key {
                key: "llama.rope.dimension_count".into(),
                found: found.to_string(),
                expected: format!("the heads' width, {}", config.head_width()),
            });
        }
    }
    check_tensors(gguf, &config)?;
    Ok(config)
}

/// Keys with which the same tensors would mean something else.
fn refuse_extensions(gguf: &Gguf) -> Result<(), LoadError> {
    for (key, neutral) in [
        ("llama.expert_count", "0"),
        ("llama.rope.scaling.type", "\"none\""),
        ("llama.attention.sliding_window", "0"),
    ] {
        if let Some(value) = gguf.get(key)
            && value.to_string() != neutral
        {
            return Err(LoadError::Key {
                key: key.into(),
                found: cut(&value.to_string()),
                expected: format!("{neutral} or not there"),
            });
        }
    }
    Ok(())
}

/// How many tokens there are; the bytes and markers among them must be where they belong.
fn read_vocabulary(gguf: &Gguf, reader: &mut (impl Read + Seek)) -> Result<usize, LoadError> {
    const KEY: &str = "tokenizer.ggml.tokens";
    let tokens = gguf.get(KEY).and_then(Value::as_array);
    let Some(tokens) = tokens.filter(|t| (vocab::MARKERS_END.into()..=65_536).contains(&t.count()))
    else {
        return Err(LoadError::Key {
            key: KEY.into(),
            found: found(gguf, KEY),
            expected: "a list of 259 to 65536 tokens, the first 256 of them the bytes".into(),
        });
    };
    let known = usize::from(vocab::MARKERS_END);
    for (token, text) in tokens.elements(reader)?.take(known).enumerate() {
        let (text, expected) = (text?, vocab::spelling(token));
        if text.as_str() != Some(&expected) {
            return Err(LoadError::Vocabulary {
                token: token as u64,
                found: cut(text.as_str().unwrap_or_default()),
                expected,
            });
        }
    }
    Ok(tokens.count() as usize)
}

fn check_tensors(gguf: &Gguf, config: &Config) -> Result<(), LoadError> {
    // No more layers than tensors, so that naming them all takes no more than the file did.
    if config.layers > gguf.tensors().len() {
        return Err(LoadError::Key {
            key: "llama.block_count".into(),
            found: config.layers.to_string(),
            expected: format!("at most the {} tensors there are", gguf.tensors().len()),
        });
    }
    let shapes = config.shapes();
    for shape in &shapes {
        let Some(tensor) = gguf.tensor(&shape.name) else {
            let name = shape.name.clone();
            return Err(LoadError::MissingTensor { name });
        };
        let (rows, columns) = (shape.rows as u64, shape.columns as u64);
        let expected = match rows {
            1 => vec![columns],
            _ => vec![columns, rows],
        };
        if tensor.dims() != expected {
            return Err(LoadError::Dimensions {
                name: shape.name.clone(),
                found: tensor.dims().to_vec(),
                expected,
            });
        }
    }
    if gguf.tensors().len() > shapes.len() {
        let mut names: Vec<&str> = shapes.iter().map(|shape| shape.name.as_str()).collect();
        names.sort_unstable();
        let mut all = gguf.tensors().iter();
        if let Some(unknown) = all.find(|tensor| names.binary_search(&tensor.name()).is_err()) {
            let name = cut(unknown.name());
            return Err(LoadError::UnknownTensor { name });
        }
    }
    Ok(())
}

fn whole_number(gguf: &Gguf, key: &str) -> Result<usize, LoadError> {
    let number = gguf.get(key).and_then(Value::as_u64);
    number
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| LoadError::Key {
            key: key.into(),
            found: found(gguf, key),
            expected: "a whole number".into(),
        })
}

fn float(gguf: &Gguf, key: &str) -> Result<f32, LoadError> {
    let number = gguf.get(key).and_then(Value::as_f64);
    number
        .map(|number| number as f32)
        .ok_or_else(|| LoadError::Key {
            key: key.into(),
            found: found(gguf, key),
            expected: "a floating-point number".into(),
        })
}

fn found(gguf: &Gguf, key: &str) -> String {
    gguf.get(key)
        .map_or_else(|| "missing".into(), |value| cut(&value.to_string()))
}

/// What a file says, for a message.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
