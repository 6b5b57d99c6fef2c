//! A config as JSON, in checkpoints and in what `safetensors` files say of themselves.

use crate::Config;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Config", rename_all = "kebab-case", deny_unknown_fields)]
struct ConfigFields {
    name: String,
    vocab: usize,
    context: usize,
    width: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    feed_forward: usize,
    rope_base: f32,
    norm_epsilon: f32,
    tied: bool,
}

/// A config that serde knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ConfigJson(#[serde(with = "ConfigFields")] pub(crate) Config);
