//! What shapes a generation: [`Behavior`] and [`Sampling`], partial and whole.
//!
//! A partial config (every field optional) is what people and guests write; merging
//! partials fills the gaps, and [`PartialConfig::build`] checks every range once.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest answer that can be asked for, tokens.
const MAX_TOKENS_LIMIT: u32 = 1 << 20;
/// Most stop texts.
const STOP_COUNT_LIMIT: usize = 16;
/// Longest stop text, bytes.
const STOP_BYTES_LIMIT: usize = 256;

/// A field of the config is out of range.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("`{field}` is {value}; it must be {rule}")]
pub struct ConfigError {
    /// The field, dotted: `sampling.temperature`.
    pub field: &'static str,
    /// The value given.
    pub value: String,
    /// The range it must be in.
    pub rule: &'static str,
}

/// Whether a model's thoughts are delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThoughtMode {
    /// Thoughts arrive as events.
    #[default]
    Show,
    /// Thoughts are generated and counted, but not delivered.
    Hide,
}

/// What the generation does: its limits and what is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behavior {
    /// Most tokens to generate, 1 to 1,048,576. Default 512.
    pub max_tokens: u32,
    /// Texts that end the generation; they are not delivered. At most 16, each 1 to
    /// 256 bytes. Default none.
    pub stop: Vec<String>,
    /// Whether thoughts are delivered. Default [`ThoughtMode::Show`].
    pub thoughts: ThoughtMode,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            max_tokens: 512,
            stop: Vec::new(),
            thoughts: ThoughtMode::Show,
        }
    }
}

/// How the next token is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Softmax temperature, 0 to 10; 0 is greedy decoding. Default 0.7.
    pub temperature: f32,
    /// Keep the k most likely tokens, 0 to 1,048,576; 0 is off. Default 40.
    pub top_k: u32,
    /// Nucleus mass, over 0 and at most 1; 1 is off. Default 0.95.
    pub top_p: f32,
    /// Drop tokens below this share of the likeliest, 0 to 1; 0 is off. Default 0.05.
    pub min_p: f32,
    /// Divisor for logits of tokens seen before, over 0 and at most 10; 1 is off.
    /// Default 1.
    pub repeat_penalty: f32,
    /// Seed of the sampler. Default 0: the same request gives the same answer.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            seed: 0,
        }
    }
}

/// All that shapes one generation, every range checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InferenceConfig {
    behavior: Behavior,
    sampling: Sampling,
}

impl InferenceConfig {
    /// Checks every range; a NaN is out of every range.
    pub fn new(behavior: Behavior, sampling: Sampling) -> Result<Self, ConfigError> {
        check(
            "behavior.max-tokens",
            behavior.max_tokens,
            (1..=MAX_TOKENS_LIMIT).contains(&behavior.max_tokens),
            "1 to 1048576",
        )?;
        check(
            "behavior.stop",
            format_args!("a list of {}", behavior.stop.len()),
            behavior.stop.len() <= STOP_COUNT_LIMIT,
            "at most 16 texts",
        )?;
        for stop in &behavior.stop {
            check(
                "behavior.stop",
                format_args!("a text of {} bytes", stop.len()),
                (1..=STOP_BYTES_LIMIT).contains(&stop.len()),
                "texts of 1 to 256 bytes",
            )?;
        }
        let s = &sampling;
        check(
            "sampling.temperature",
            s.temperature,
            (0.0..=10.0).contains(&s.temperature),
            "0 to 10",
        )?;
        check(
            "sampling.top-k",
            s.top_k,
            s.top_k <= MAX_TOKENS_LIMIT,
            "0 to 1048576",
        )?;
        check(
            "sampling.top-p",
            s.top_p,
            s.top_p > 0.0 && s.top_p <= 1.0,
            "over 0 and at most 1",
        )?;
        check(
            "sampling.min-p",
            s.min_p,
            (0.0..=1.0).contains(&s.min_p),
            "0 to 1",
        )?;
        check(
            "sampling.repeat-penalty",
            s.repeat_penalty,
            s.repeat_penalty > 0.0 && s.repeat_penalty <= 10.0,
            "over 0 and at most 10",
        )?;
        Ok(Self { behavior, sampling })
    }

    /// Limits and what is delivered.
    pub fn behavior(&self) -> &Behavior {
        &self.behavior
    }

    /// How tokens are drawn.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }
}

fn check(
    field: &'static str,
    value: impl std::fmt::Display,
    holds: bool,
    rule: &'static str,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError {
        field,
        value: value.to_string(),
        rule,
    })
}

/// [`Behavior`] as people write it: what is left out is taken from the next layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PartialBehavior {
    /// See [`Behavior::max_tokens`].
    pub max_tokens: Option<u32>,
    /// See [`Behavior::stop`].
    pub stop: Option<Vec<String>>,
    /// See [`Behavior::thoughts`].
    pub thoughts: Option<ThoughtMode>,
}

/// [`Sampling`] as people write it: what is left out is taken from the next layer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PartialSampling {
    /// See [`Sampling::temperature`].
    pub temperature: Option<f32>,
    /// See [`Sampling::top_k`].
    pub top_k: Option<u32>,
    /// See [`Sampling::top_p`].
    pub top_p: Option<f32>,
    /// See [`Sampling::min_p`].
    pub min_p: Option<f32>,
    /// See [`Sampling::repeat_penalty`].
    pub repeat_penalty: Option<f32>,
    /// See [`Sampling::seed`].
    pub seed: Option<u64>,
}

/// An [`InferenceConfig`] with gaps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PartialConfig {
    /// Limits and what is delivered.
    pub behavior: PartialBehavior,
    /// How tokens are drawn.
    pub sampling: PartialSampling,
}

impl PartialConfig {
    /// Fills this config's gaps from `base`.
    pub fn or(self, base: &PartialConfig) -> PartialConfig {
        let (b, s) = (&base.behavior, &base.sampling);
        PartialConfig {
            behavior: PartialBehavior {
                max_tokens: self.behavior.max_tokens.or(b.max_tokens),
                stop: self.behavior.stop.or_else(|| b.stop.clone()),
                thoughts: self.behavior.thoughts.or(b.thoughts),
            },
            sampling: PartialSampling {
                temperature: self.sampling.temperature.or(s.temperature),
                top_k: self.sampling.top_k.or(s.top_k),
                top_p: self.sampling.top_p.or(s.top_p),
                min_p: self.sampling.min_p.or(s.min_p),
                repeat_penalty: self.sampling.repeat_penalty.or(s.repeat_penalty),
                seed: self.sampling.seed.or(s.seed),
            },
        }
    }

    /// Fills the remaining gaps with the defaults of [`Behavior`] and [`Sampling`]
    /// and checks every range.
    pub fn build(&self) -> Result<InferenceConfig, ConfigError> {
        let (b, s) = (Behavior::default(), Sampling::default());
        InferenceConfig::new(
            Behavior {
                max_tokens: self.behavior.max_tokens.unwrap_or(b.max_tokens),
                stop: self.behavior.stop.clone().unwrap_or(b.stop),
                thoughts: self.behavior.thoughts.unwrap_or(b.thoughts),
            },
            Sampling {
                temperature: self.sampling.temperature.unwrap_or(s.temperature),
                top_k: self.sampling.top_k.unwrap_or(s.top_k),
                top_p: self.sampling.top_p.unwrap_or(s.top_p),
                min_p: self.sampling.min_p.unwrap_or(s.min_p),
                repeat_penalty: self.sampling.repeat_penalty.unwrap_or(s.repeat_penalty),
                seed: self.sampling.seed.unwrap_or(s.seed),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sampling(change: impl FnOnce(&mut Sampling)) -> Result<InferenceConfig, ConfigError> {
        let mut sampling = Sampling::default();
        change(&mut sampling);
        InferenceConfig::new(Behavior::default(), sampling)
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(
            PartialConfig::default().build().unwrap(),
            InferenceConfig::default()
        );
    }

    #[test]
    fn nan_and_infinity_are_out_of_every_range() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(sampling(|s| s.temperature = bad).is_err());
            assert!(sampling(|s| s.top_p = bad).is_err());
            assert!(sampling(|s| s.min_p = bad).is_err());
            assert!(sampling(|s| s.repeat_penalty = bad).is_err());
        }
    }

    #[test]
    fn an_error_names_the_field_the_value_and_the_range() {
        let error = sampling(|s| s.temperature = 11.0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`sampling.temperature` is 11; it must be 0 to 10"
        );
    }

    #[test]
    fn the_borders_of_the_ranges() {
        assert!(sampling(|s| s.temperature = 0.0).is_ok());
        assert!(sampling(|s| s.top_k = 0).is_ok());
        assert!(sampling(|s| s.top_p = 0.0).is_err());
        assert!(sampling(|s| s.repeat_penalty = 0.0).is_err());
        assert!(sampling(|s| s.seed = u64::MAX).is_ok());
        let behavior = |max_tokens, stop: &[&str]| {
            let stop = stop.iter().map(ToString::to_string).collect();
            InferenceConfig::new(
                Behavior {
                    max_tokens,
                    stop,
                    ..Behavior::default()
                },
                Sampling::default(),
            )
        };
        assert!(behavior(0, &[]).is_err());
        assert!(behavior(u32::MAX, &[]).is_err());
        assert!(behavior(1, &[""]).is_err());
        assert!(behavior(1, &["\n"; 16]).is_ok());
        assert!(behavior(1, &["\n"; 17]).is_err());
        assert!(behavior(1, &[&"x".repeat(257)]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_built_is_finite_and_in_range(
            temperature in any::<f32>(), top_p in any::<f32>(),
            min_p in any::<f32>(), repeat_penalty in any::<f32>(),
        ) {
            if let Ok(config) = sampling(|s| {
                *s = Sampling { temperature, top_p, min_p, repeat_penalty, ..Sampling::default() };
            }) {
                let s = config.sampling();
                prop_assert!(s.temperature >= 0.0 && s.temperature <= 10.0);
                prop_assert!(s.top_p > 0.0 && s.top_p <= 1.0);
                prop_assert!(s.min_p >= 0.0 && s.min_p <= 1.0);
                prop_assert!(s.repeat_penalty > 0.0 && s.repeat_penalty <= 10.0);
            }
        }

        #[test]
        fn a_set_field_wins_over_the_base(seed in any::<Option<u64>>(), base in any::<Option<u64>>()) {
            let config = |seed| PartialConfig {
                sampling: PartialSampling { seed, ..PartialSampling::default() },
                ..PartialConfig::default()
            };
            prop_assert_eq!(config(seed).or(&config(base)).sampling.seed, seed.or(base));
        }
    }
}
