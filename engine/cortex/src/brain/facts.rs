//! What a model's files say of it, read and checked in Rust before llama.cpp sees them.
//!
//! llama.cpp trusts much of what a file says: a wrong number ends the process in an
//! assertion, a division by zero or a C++ exception that nobody catches. So [`read`] first
//! proves each header sound ([`Gguf`]) and then refuses what is known to end that way:
//! numbers out of their range ([`rules`]), vocabularies that cannot be used ([`vocab`]),
//! parts that are not parts of one model ([`parts`]).
//!
//! It is no proof that llama.cpp survives the file. Not covered: the values of the weights,
//! the tensors an architecture needs beyond the embedding (llama.cpp checks these, and fails
//! properly), keys of single architectures, and files that change after they were read.

mod parts;
mod rules;
#[cfg(test)]
mod tests;
mod vocab;

use rusty_genius_core::gguf::{Gguf, Value};
use std::path::PathBuf;

/// Longest chat template, bytes.
pub(crate) const TEMPLATE_BYTES_LIMIT: usize = 256 << 10;

/// What a model's files say of it; every number within the limits of [`rules`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// `general.architecture`: `llama`, `qwen2` …
    pub(crate) architecture: String,
    /// `general.name`: the model's name for people.
    pub(crate) name: Option<String>,
    /// Tokens of context the model was trained on, 1 to 2^24.
    pub(crate) context_length: u64,
    /// Layers, 1 to 512.
    pub(crate) layers: u64,
    /// Numbers in a token's embedding, 1 to 2^20.
    pub(crate) width: u64,
    /// Numbers in the middle of a feed-forward block, the most of any layer; 4 times the
    /// width where the file does not say.
    pub(crate) feed_forward: u64,
    /// Attention heads, the most of any layer; 0 in a model without attention.
    pub(crate) heads: u64,
    /// Heads with keys and values, the most of any layer.
    pub(crate) kv_heads: u64,
    /// Heads with keys and values, summed over all layers.
    pub(crate) kv_heads_total: u64,
    /// Numbers in a head's key.
    pub(crate) key_length: u64,
    /// Numbers in a head's value.
    pub(crate) value_length: u64,
    /// Tokens of the vocabulary, 1 to 2^22.
    pub(crate) vocab: u64,
    /// Bytes of all tensors in all parts.
    pub(crate) weights_bytes: u64,
    /// `tokenizer.chat_template`, at most [`TEMPLATE_BYTES_LIMIT`] long.
    pub(crate) chat_template: Option<String>,
    /// The quantisation as people write it: `Q4_K_M`.
    pub(crate) quant: Option<&'static str>,
    /// Whether the file names a way to pool embeddings, as files of embedding models do.
    pub(crate) is_embedding_model: bool,
    /// How many tokens back attention looks in layers with a sliding window.
    pub(crate) sliding_window: Option<u64>,
    /// Whether layers keep a running state, which cannot be rolled back to an earlier token.
    pub(crate) is_recurrent: bool,
    /// SHA-256 over each part's header and length. It names the file for saved sessions; it
    /// is no proof of its content, as no weight goes into it.
    pub(crate) fingerprint: [u8; 32],
}

impl Facts {
    /// Bytes of keys and values that one token takes in the cache, as 16-bit numbers:
    /// `2 * (key_length + value_length) * kv_heads`, summed over the layers. Too much for
    /// models that share or compress keys and values, or forget them (sliding windows).
    /// A recurrent model's state, whose size does not depend on the tokens, is not in it.
    pub(crate) fn cache_bytes_per_token(&self) -> u64 {
        (self.key_length + self.value_length)
            .saturating_mul(2)
            .saturating_mul(self.kv_heads_total)
    }

    /// Bytes of memory to run the model with a cache of `cells` tokens and batches of at most
    /// `batch` tokens; an estimate, meant to be rather too high:
    ///
    /// * the weights ([`Facts::weights_bytes`]),
    /// * the cache (`cells *` [`Facts::cache_bytes_per_token`]),
    /// * logits, 4 bytes for each token of the vocabulary, for each token of the batch,
    /// * activations: for each token of the batch, 4 bytes times 8 widths (what goes through
    ///   a layer, its queries, keys, values and norms), 3 feed-forward widths and, for the
    ///   attention's scores, `heads * cells`.
    ///
    /// Does not overflow: what is too large is [`u64::MAX`].
    pub(crate) fn memory_needed(&self, cells: u32, batch: u32) -> u64 {
        let cells = u64::from(cells);
        let cache = cells.saturating_mul(self.cache_bytes_per_token());
        let numbers_per_token = [
            self.vocab,
            self.width.saturating_mul(8),
            self.feed_forward.saturating_mul(3),
            self.heads.saturating_mul(cells),
        ]
        .into_iter()
        .fold(0, u64::saturating_add);
        let buffers = numbers_per_token
            .saturating_mul(4)
            .saturating_mul(batch.into());
        self.weights_bytes
            .saturating_add(cache)
            .saturating_add(buffers)
    }
}

/// Reads and checks a model: one file, or the parts of one in their order.
///
/// Fails, with the file's path, the key, its value and the rule, where a file is no regular
/// file or no sound GGUF file, the parts do not belong together, or the metadata are of the
/// kind that llama.cpp does not survive. Never waits for a pipe's writer. Takes time in
/// proportion to the headers, not the weights.
pub(crate) fn read(weights: &[PathBuf]) -> Result<Facts, String> {
    let parts = parts::read(weights)?;
    let Some(first) = parts.first() else {
        return Err("a model needs at least one file of weights".into());
    };
    let fingerprint = parts::fingerprint(&parts)?;
    let gguf = &first.gguf;
    let facts = || -> Result<Facts, String> {
        let architecture = rules::architecture(gguf)?;
        let shape = rules::shape(first, architecture)?;
        rules::tensors(&parts)?;
        let vocab = vocab::check(first)?;
        rules::embedding(&parts, shape.width, vocab)?;
        Ok(Facts {
            architecture: architecture.to_owned(),
            name: gguf.name().map(str::to_owned),
            context_length: shape.context_length,
            layers: shape.layers,
            width: shape.width,
            feed_forward: shape.feed_forward,
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            kv_heads_total: shape.kv_heads_total,
            key_length: shape.key_length,
            value_length: shape.value_length,
            vocab,
            weights_bytes: parts.iter().map(parts::Part::weights_bytes).sum(),
            chat_template: chat_template(gguf)?,
            quant: gguf.quant(),
            is_embedding_model: shape.pooling,
            sliding_window: shape.sliding_window,
            is_recurrent: shape.is_recurrent,
            fingerprint,
        })
    };
    facts().map_err(|e| format!("{}: {e}", first.path.display()))
}

fn chat_template(gguf: &Gguf) -> Result<Option<String>, String> {
    match gguf.get("tokenizer.chat_template") {
        None => Ok(None),
        Some(Value::String(text)) if text.len() <= TEMPLATE_BYTES_LIMIT => Ok(Some(text.clone())),
        Some(Value::String(text)) => Err(format!(
            "`tokenizer.chat_template` has {} bytes, the limit is {TEMPLATE_BYTES_LIMIT}",
            text.len()
        )),
        Some(other) => Err(refusal("tokenizer.chat_template", other, "a string")),
    }
}

/// Says that a key's value breaks a rule; the value, from the file, is cut.
fn refusal(key: &str, value: &Value, rule: &str) -> String {
    let value: String = value.to_string().chars().take(80).collect();
    format!("`{key}` is {value} (expected {rule})")
}
