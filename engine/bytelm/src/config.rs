//! The model's shape.

use crate::vocab;
use crate::weights::Shape;
use thiserror::Error;

/// The shape of a Llama-like model: RMSNorm before each block, rotary positions, SwiGLU,
/// no biases.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What the model is called: `narf-1m`.
    pub name: String,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Tokens of context, prompt and answer together.
    pub context: usize,
    /// Length of the vector that stands for a token (`d_model`).
    pub width: usize,
    /// Blocks of attention and feed-forward.
    pub layers: usize,
    /// Attention heads; their width is `width / heads`, an even number.
    pub heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` of the others.
    pub kv_heads: usize,
    /// Length of the feed-forward's inner vector.
    pub feed_forward: usize,
    /// Base of the rotary positions' wavelengths.
    pub rope_base: f32,
    /// Added to the mean square before the root in RMSNorm.
    pub norm_epsilon: f32,
    /// Whether the output matrix is the embedding's.
    pub tied: bool,
}

/// A config that no model can have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{field}` is {value}; it must be {rule}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// The value it has.
    pub value: String,
    /// What it must be.
    pub rule: &'static str,
}

impl Config {
    /// The sizes there are, smallest first. `test-50k` is for tests.
    pub const NAMES: [&str; 4] = ["test-50k", "narf-1m", "tiny-30m", "base-120m"];

    /// The config of that name.
    pub fn named(name: &str) -> Option<Self> {
        // width, layers, heads, feed-forward, context
        let (width, layers, heads, feed_forward, context) = match name {
            "test-50k" => (32, 3, 2, 96, 128),
            "narf-1m" => (128, 5, 2, 352, 1024),
            "tiny-30m" => (512, 9, 8, 1472, 4096),
            "base-120m" => (768, 17, 12, 2048, 8192),
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            vocab: vocab::SIZE,
            context,
            width,
            layers,
            heads,
            kv_heads: heads,
            feed_forward,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
            tied: true,
        })
    }

    /// Width of one attention head.
    pub fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Width of all keys of a token, and of all its values.
    pub fn kv_width(&self) -> usize {
        self.head_width() * self.kv_heads
    }

    /// Numbers in the model.
    pub fn parameters(&self) -> u64 {
        self.shapes()
            .iter()
            .map(|shape| (shape.rows * shape.columns) as u64)
            .sum()
    }

    /// Every tensor of the model, in the order a file has them, by its name in GGUF.
    pub fn shapes(&self) -> Vec<Shape> {
        let (d, kv, ff) = (self.width, self.kv_width(), self.feed_forward);
        let mut shapes = vec![Shape::new("token_embd.weight", self.vocab, d)];
        for layer in 0..self.layers {
            shapes.extend(
                [
                    ("attn_norm", 1, d),
                    ("attn_q", d, d),
                    ("attn_k", kv, d),
                    ("attn_v", kv, d),
                    ("attn_output", d, d),
                    ("ffn_norm", 1, d),
                    ("ffn_gate", ff, d),
                    ("ffn_up", ff, d),
                    ("ffn_down", d, ff),
                ]
                .map(|(name, rows, columns)| {
                    Shape::new(format!("blk.{layer}.{name}.weight"), rows, columns)
                }),
            );
        }
        shapes.push(Shape::new("output_norm.weight", 1, d));
        if !self.tied {
            shapes.push(Shape::new("output.weight", self.vocab, d));
        }
        shapes
    }

    /// Checks every field.
    ///
    /// Limits: vocabulary [`vocab::MARKERS_END`] to 65,536; context 8 to 1,048,576; width 8
    /// to 16,384; layers 1 to 512; feed-forward 8 to 65,536.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |field, value: usize, min: usize, max: usize, rule| {
            (min..=max)
                .contains(&value)
                .then_some(())
                .ok_or_else(|| ConfigError {
                    field,
                    value: value.to_string(),
                    rule,
                })
        };
        let holds = |field, value: String, holds: bool, rule| {
            holds
                .then_some(())
                .ok_or(ConfigError { field, value, rule })
        };
        range(
            "vocabulary",
            self.vocab,
            vocab::MARKERS_END as usize,
            65_536,
            "259 to 65536",
        )?;
        range("context", self.context, 8, 1 << 20, "8 to 1048576")?;
        range("width", self.width, 8, 16_384, "8 to 16384")?;
        range("layers", self.layers, 1, 512, "1 to 512")?;
        range("feed-forward", self.feed_forward, 8, 65_536, "8 to 65536")?;
        holds(
            "heads",
            self.heads.to_string(),
            self.heads > 0 && self.width.is_multiple_of(self.heads),
            "a divisor of the width",
        )?;
        holds(
            "head width",
            self.head_width().to_string(),
            self.head_width().is_multiple_of(2),
            "even",
        )?;
        holds(
            "kv heads",
            self.kv_heads.to_string(),
            self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
            "a divisor of the heads",
        )?;
        holds(
            "rope base",
            self.rope_base.to_string(),
            self.rope_base.is_finite() && self.rope_base >= 1.0,
            "a finite number from 1",
        )?;
        holds(
            "norm epsilon",
            self.norm_epsilon.to_string(),
            self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0,
            "over 0 and under 1",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_configs_are_valid_and_as_large_as_their_names_say() {
        let parameters = Config::NAMES.map(|name| {
            let config = Config::named(name).unwrap();
            config.check().unwrap();
            config.parameters()
        });
        assert_eq!(parameters, [48_864, 1_039_744, 29_935_104, 120_559_872]);
        assert_eq!(Config::named("huge-1t"), None);
    }

    #[test]
    fn every_row_fills_whole_blocks_of_q8_0() {
        for name in Config::NAMES {
            for shape in Config::named(name).unwrap().shapes() {
                assert!(shape.columns.is_multiple_of(32), "{name}: {}", shape.name);
            }
        }
    }

    #[test]
    fn a_config_that_cannot_be_names_field_value_and_rule() {
        let narf = || Config::named("narf-1m").unwrap();
        for (config, said) in [
            (Config { heads: 3, ..narf() }, "`heads` is 3"),
            (Config { heads: 0, ..narf() }, "`heads` is 0"),
            (
                Config {
                    heads: 128,
                    ..narf()
                },
                "`head width` is 1",
            ),
            (
                Config {
                    kv_heads: 0,
                    ..narf()
                },
                "`kv heads` is 0",
            ),
            (
                Config {
                    layers: 0,
                    ..narf()
                },
                "`layers` is 0",
            ),
            (
                Config {
                    vocab: 256,
                    ..narf()
                },
                "`vocabulary` is 256",
            ),
            (
                Config {
                    context: 1 << 40,
                    ..narf()
                },
                "`context` is",
            ),
            (
                Config {
                    rope_base: f32::NAN,
                    ..narf()
                },
                "`rope base` is NaN",
            ),
            (
                Config {
                    norm_epsilon: 0.0,
                    ..narf()
                },
                "`norm epsilon` is 0",
            ),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
