//! Ranges of the numbers that describe a model, by architecture-independent rules.
//!
//! Each rule stands for a way in which llama.cpp ends the process: the fixed arrays and the
//! assertions of `llama_model_base::load_hparams`, the divisions by a number of heads, the
//! arithmetic on types that ggml has no kernels for.

use super::parts::{self, Part};
use super::refusal;
use rusty_genius_core::gguf::{Gguf, Tensor, TensorType, Value};
use std::path::Path;

/// `LLAMA_MAX_LAYERS` in llama.cpp, which asserts it.
const LAYERS_LIMIT: u64 = 512;
/// `LLAMA_MAX_EXPERTS` in llama.cpp, which asserts it.
const EXPERTS_LIMIT: u64 = 1024;
const WIDTH_LIMIT: u64 = 1 << 20;
const CONTEXT_LIMIT: u64 = 1 << 24;
const FEED_FORWARD_LIMIT: u64 = 1 << 24;
const HEAD_LIMIT: u64 = 1 << 16;

/// Architectures without attention, or whose other layers keep a running state.
const RECURRENT: [&str; 6] = ["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"];

/// What [`super::Facts`] documents under the same names.
pub(super) struct Shape {
    pub(super) context_length: u64,
    pub(super) layers: u64,
    pub(super) width: u64,
    pub(super) feed_forward: u64,
    pub(super) heads: u64,
    pub(super) kv_heads: u64,
    pub(super) kv_heads_total: u64,
    pub(super) key_length: u64,
    pub(super) value_length: u64,
    pub(super) pooling: bool,
    pub(super) sliding_window: Option<u64>,
    pub(super) is_recurrent: bool,
}

/// `general.architecture`: 1 to 64 of `a-z`, `0-9`, `_` and `-`.
pub(super) fn architecture(gguf: &Gguf) -> Result<&str, String> {
    const KEY: &str = "general.architecture";
    const RULE: &str = "1 to 64 of a-z, 0-9, _ and -";
    let value = gguf.get(KEY).ok_or(format!("`{KEY}` is missing"))?;
    value
        .as_str()
        .filter(|text| {
            let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
            (1..=64).contains(&text.len()) && text.bytes().all(plain)
        })
        .ok_or_else(|| refusal(KEY, value, RULE))
}

/// Reads and checks the numbers under the architecture's own prefix.
pub(super) fn shape(part: &Part, architecture: &str) -> Result<Shape, String> {
    let Part { path, gguf } = part;
    let keys = Keys {
        gguf,
        path,
        architecture,
    };
    let is_recurrent = RECURRENT.contains(&architecture)
        || gguf.metadata().keys().any(|key| {
            key.strip_prefix(architecture)
                .is_some_and(|rest| rest.starts_with(".ssm."))
        });
    let needed = |name: &str, value: Option<u64>| {
        value.ok_or_else(|| format!("`{architecture}.{name}` is missing"))
    };
    let number = |name: &str, most| needed(name, keys.number(name, 1, most)?);
    let context_length = number("context_length", CONTEXT_LIMIT)?;
    let layers = number("block_count", LAYERS_LIMIT)?;
    let width = number("embedding_length", WIDTH_LIMIT)?;
    keys.number("nextn_predict_layers", 0, layers)?;
    let feed_forward = keys
        .per_layer("feed_forward_length", layers, FEED_FORWARD_LIMIT)?
        .and_then(|all| all.into_iter().max())
        .unwrap_or(4 * width);

    let attention = attention(&keys, layers, width, is_recurrent)?;
    experts(&keys, layers)?;
    for name in [
        "attention.layer_norm_epsilon",
        "attention.layer_norm_rms_epsilon",
    ] {
        keys.positive(name)?;
    }
    for name in ["rope.freq_base", "rope.freq_base_swa"] {
        keys.positive(name)?;
    }
    for name in ["rope.scaling.factor", "rope.scale_linear"] {
        // 0 says that nothing is scaled.
        keys.finite(name, "a finite number from 0", |n| n >= 0.0)?;
    }
    keys.number("rope.scaling.original_context_length", 1, CONTEXT_LIMIT)?;
    keys.word("rope.scaling.type", &["none", "linear", "yarn", "longrope"])?;
    Ok(Shape {
        context_length,
        layers,
        width,
        feed_forward,
        heads: attention.heads,
        kv_heads: attention.kv_heads,
        kv_heads_total: attention.kv_heads_total,
        key_length: attention.key_length,
        value_length: attention.value_length,
        // 0 says that nothing is pooled, as language models do where they say anything.
        pooling: keys
            .number("pooling_type", 0, 4)?
            .is_some_and(|kind| kind > 0),
        sliding_window: keys
            .number("attention.sliding_window", 0, u32::MAX.into())?
            .filter(|&window| window > 0),
        is_recurrent,
    })
}

struct Attention {
    heads: u64,
    kv_heads: u64,
    kv_heads_total: u64,
    key_length: u64,
    value_length: u64,
}

fn attention(
    keys: &Keys<'_>,
    layers: u64,
    width: u64,
    recurrent: bool,
) -> Result<Attention, String> {
    const HEADS: &str = "attention.head_count";
    const KV_HEADS: &str = "attention.head_count_kv";
    let by_layer = match keys.per_layer(HEADS, layers, HEAD_LIMIT)? {
        Some(heads) => heads,
        None if recurrent => vec![0; layers as usize],
        None => return Err(format!("`{}` is missing", keys.key(HEADS))),
    };
    let kv_by_layer = keys
        .per_layer(KV_HEADS, layers, HEAD_LIMIT)?
        .unwrap_or_else(|| by_layer.clone());
    let heads = by_layer.iter().copied().max().unwrap_or(0);
    if heads == 0 && !recurrent {
        return Err(keys.refusal(HEADS, "at least 1"));
    }
    // Layers without attention have 0 of both; of one only, and llama.cpp divides by it.
    let uniform = !keys.is_array(HEADS) && !keys.is_array(KV_HEADS);
    for (&all, &kv) in by_layer.iter().zip(&kv_by_layer) {
        let none = kv == 0 && (all == 0 || recurrent || !uniform);
        if !none && (kv == 0 || kv > all || all % kv != 0) {
            let rule = format!("a divisor of the {all} heads");
            return Err(keys.refusal(KV_HEADS, &rule));
        }
    }
    let length = |name: &str| match keys.number(name, 1, HEAD_LIMIT)? {
        Some(length) => Ok(length),
        None if heads == 0 => Ok(0),
        None if width.is_multiple_of(heads) => Ok(width / heads),
        None => {
            let rule = format!(
                "a divisor of the width, {width}, where no `{}` is given",
                keys.key(name)
            );
            Err(keys.refusal(HEADS, &rule))
        }
    };
    let (key_length, value_length) = (
        length("attention.key_length")?,
        length("attention.value_length")?,
    );
    if heads > 0 {
        keys.number("rope.dimension_count", 0, key_length)?;
    }
    let swa = keys
        .number("attention.key_length_swa", 1, HEAD_LIMIT)?
        .unwrap_or(key_length);
    keys.number("attention.value_length_swa", 1, HEAD_LIMIT)?;
    keys.number("rope.dimension_count_swa", 0, swa)?;
    Ok(Attention {
        heads,
        kv_heads: kv_by_layer.iter().copied().max().unwrap_or(0),
        kv_heads_total: kv_by_layer.iter().sum(),
        key_length,
        value_length,
    })
}

fn experts(keys: &Keys<'_>, layers: u64) -> Result<(), String> {
    let count = keys.number("expert_count", 0, EXPERTS_LIMIT)?.unwrap_or(0);
    let used = keys
        .per_layer("expert_used_count", layers, count)?
        .and_then(|all| all.into_iter().max())
        .unwrap_or(0);
    if count > 0 && used == 0 {
        return Err(format!(
            "`{}` is missing or 0 (expected 1 to the {count} experts)",
            keys.key("expert_used_count")
        ));
    }
    let groups = keys
        .number("expert_group_count", 0, count.saturating_sub(1))?
        .unwrap_or(0);
    if groups > 1 {
        if !count.is_multiple_of(groups) {
            let rule = format!("a divisor of the {count} experts");
            return Err(keys.refusal("expert_group_count", &rule));
        }
        let used = keys.number("expert_group_used_count", 1, groups - 1)?;
        if used.is_none() {
            return Err(format!(
                "`{}` is missing",
                keys.key("expert_group_used_count")
            ));
        }
    }
    Ok(())
}

/// The keys under an architecture's prefix, and its file, where arrays lie.
struct Keys<'a> {
    gguf: &'a Gguf,
    path: &'a Path,
    architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.gguf.get(&self.key(name))
    }

    fn refusal(&self, name: &str, rule: &str) -> String {
        let key = self.key(name);
        match self.get(name) {
            Some(value) => refusal(&key, value, rule),
            None => format!("`{key}` is missing (expected {rule})"),
        }
    }

    fn is_array(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.as_array().is_some())
    }

    fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, String> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(n) if (least..=most).contains(&n) => Ok(Some(n)),
            _ => Err(self.refusal(name, &format!("a number from {least} to {most}"))),
        }
    }

    /// A number for each layer: an array of as many, or one number for all.
    fn per_layer(&self, name: &str, layers: u64, most: u64) -> Result<Option<Vec<u64>>, String> {
        match self.get(name) {
            Some(Value::Array(_)) => self.numbers(name, layers, most),
            _ => Ok(self
                .number(name, 0, most)?
                .map(|n| vec![n; layers as usize])),
        }
    }

    /// The elements of an array of as many numbers as there are layers.
    fn numbers(&self, name: &str, layers: u64, most: u64) -> Result<Option<Vec<u64>>, String> {
        let Some(array) = self.get(name).and_then(Value::as_array) else {
            return Ok(None);
        };
        if array.count() != layers {
            return Err(self.refusal(name, &format!("one number for each of {layers} layers")));
        }
        let mut numbers = Vec::with_capacity(layers as usize);
        for element in parts::elements(self.path, array)? {
            let element = element.map_err(|e| e.to_string())?;
            match element.as_u64() {
                Some(n) if n <= most => numbers.push(n),
                _ => {
                    let key = format!("{}[{}]", self.key(name), numbers.len());
                    return Err(refusal(
                        &key,
                        &element,
                        &format!("a number from 0 to {most}"),
                    ));
                }
            }
        }
        Ok(Some(numbers))
    }

    fn positive(&self, name: &str) -> Result<(), String> {
        self.finite(name, "a finite number above 0", |n| n > 0.0)
    }

    fn finite(&self, name: &str, rule: &str, good: impl Fn(f32) -> bool) -> Result<(), String> {
        match self.get(name).map(Value::as_f64) {
            None => Ok(()),
            // As f32, which is what llama.cpp makes of it.
            Some(Some(n)) if (n as f32).is_finite() && good(n as f32) => Ok(()),
            Some(_) => Err(self.refusal(name, rule)),
        }
    }

    fn word(&self, name: &str, words: &[&str]) -> Result<(), String> {
        match self.get(name).map(Value::as_str) {
            None => Ok(()),
            Some(Some(word)) if words.contains(&word) => Ok(()),
            Some(_) => Err(self.refusal(name, &words.join(", "))),
        }
    }
}

/// Refuses tensors of types that ggml has no arithmetic for, which it finds out while
/// computing.
pub(super) fn tensors(parts: &[Part]) -> Result<(), String> {
    for part in parts {
        for tensor in part.gguf.tensors() {
            tensor_type(tensor).map_err(|e| format!("{}: {e}", part.path.display()))?;
        }
    }
    Ok(())
}

fn tensor_type(tensor: &Tensor) -> Result<(), String> {
    use TensorType::{F32, F64, I8, I16, I32, I64, Q8_1, Q8K};
    let (rule, good) = match tensor.dims() {
        // Norms, biases, scales and frequencies.
        [_] => (
            "F32 or I32, with one dimension",
            matches!(tensor.ty(), F32 | I32),
        ),
        // Q8_1 and Q8_K are for numbers on their way, not for weights.
        _ => (
            "a type for weights",
            !matches!(tensor.ty(), Q8_1 | Q8K | I8 | I16 | I64 | F64),
        ),
    };
    match good {
        true => Ok(()),
        false => Err(format!(
            "tensor {:?} is {} (expected {rule})",
            tensor.name(),
            tensor.ty()
        )),
    }
}

/// `token_embd.weight`: a row of the model's width for each token.
pub(super) fn embedding(parts: &[Part], width: u64, vocab: u64) -> Result<(), String> {
    const NAME: &str = "token_embd.weight";
    let Some(tensor) = parts.iter().find_map(|part| part.gguf.tensor(NAME)) else {
        return Err(format!("there is no tensor `{NAME}`"));
    };
    // Missing dimensions are 1.
    let (dims, rest) = tensor.dims().split_at(tensor.dims().len().min(2));
    match *dims {
        [w, v] if w == width && v == vocab && rest.iter().all(|&dim| dim == 1) => {}
        _ => {
            let dims = tensor.dims();
            return Err(format!(
                "tensor `{NAME}` has the dimensions {dims:?} (expected [{width}, {vocab}], the \
                 width and the tokens)"
            ));
        }
    }
    match tensor.ty() {
        TensorType::I32 => Err(format!(
            "tensor `{NAME}` is I32 (expected a type for weights)"
        )),
        _ => Ok(()),
    }
}
