//! What shapes a generation: [`Behavior`] and [`Sampling`], partial and whole.
//!
//! A partial config (every field optional) is what people and guests write; merging
//! partials fills the gaps, and [`PartialConfig::build`] checks every range once.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest answer that can be asked for, tokens.
pub const MAX_TOKENS_LIMIT: u32 = 1 << 20;
/// Most stop texts.
const STOP_COUNT_LIMIT: usize = 16;
/// Longest stop text, bytes.
const STOP_BYTES_LIMIT: usize = 256;
/// Longest constraint, bytes.
const CONSTRAINT_BYTES_LIMIT: usize = 64 << 10;
/// Most likely tokens told besides the chosen one.
const LOGPROBS_LIMIT: u32 = 20;
/// Most logit biases.
const BIAS_COUNT_LIMIT: usize = 1024;

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

/// What happens when a conversation does not fit the context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The request fails with
    /// [`EngineError::ContextOverflow`](crate::EngineError::ContextOverflow).
    #[default]
    Error,
    /// The oldest is forgotten. Before the generation, turns between the system turns at
    /// the beginning and the last turn are left out, oldest first and answers with their
    /// questions, until prompt and `max_tokens` fit. Where that is not enough, the answer may be as long as there is
    /// room; only a prompt that alone does not fit is an error.
    Shift,
}

/// What the answer must look like. A thought that the prompt's template opened is free of
/// it; otherwise the answer has to obey from its first byte. An answer that was cut is the
/// beginning of one that obeys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// One JSON value that the JSON Schema (as text) admits.
    JsonSchema(String),
    /// A text that the regular expression matches as a whole; syntax of the crate
    /// `regex`, without look-around and backreferences.
    Regex(String),
    /// A text of the context-free grammar, in the Lark-like notation of llguidance.
    Grammar(String),
}

impl Constraint {
    /// The schema, expression or grammar.
    pub fn text(&self) -> &str {
        match self {
            Self::JsonSchema(text) | Self::Regex(text) | Self::Grammar(text) => text,
        }
    }
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
    /// What happens when the conversation does not fit. Default [`Overflow::Error`].
    pub overflow: Overflow,
    /// What the answer must look like, at most 64 KiB of text. Default none.
    pub constraint: Option<Constraint>,
    /// How many of the likeliest tokens are told with each token, besides the chosen one,
    /// 0 to 20; 0 tells nothing. Default 0.
    pub logprobs: u32,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            max_tokens: 512,
            stop: Vec::new(),
            thoughts: ThoughtMode::Show,
            overflow: Overflow::Error,
            constraint: None,
            logprobs: 0,
        }
    }
}

/// A sampler that steers towards a surprise per token (Basu et al. 2021).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mirostat {
    /// Top-k, top-p, min-p and typical-p choose.
    #[default]
    Off,
    /// Mirostat 1: k from an estimate of the Zipf exponent.
    V1,
    /// Mirostat 2: a bound on the surprise itself.
    V2,
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
    /// Keep the tokens whose surprise is nearest to the expected one, up to this mass, over
    /// 0 and at most 1 (locally typical sampling); 1 is off. Default 1.
    pub typical_p: f32,
    /// Taken from a logit each time its token was seen, -2 to 2; 0 is off. Default 0.
    pub frequency_penalty: f32,
    /// Taken from a logit once its token was seen, -2 to 2; 0 is off. Default 0.
    pub presence_penalty: f32,
    /// Strength of DRY, the penalty for going on as before, 0 to 100; 0 is off. Default 0.
    pub dry_multiplier: f32,
    /// What one more token of repetition multiplies DRY's penalty by, 1 to 10.
    /// Default 1.75.
    pub dry_base: f32,
    /// Longest repetition that DRY lets pass, tokens, 0 to 1,024. Default 2.
    pub dry_allowed_length: u32,
    /// Whether Mirostat chooses in place of top-k, top-p, min-p and typical-p. Default
    /// [`Mirostat::Off`].
    pub mirostat: Mirostat,
    /// The surprise Mirostat steers towards, bits, over 0 and at most 20. Default 5.
    pub mirostat_tau: f32,
    /// How fast Mirostat steers, over 0 and at most 1. Default 0.1.
    pub mirostat_eta: f32,
    /// Added to the logits of these tokens (ids are the model's), -100 to 100. At most
    /// 1,024. Default none.
    pub logit_bias: Vec<(u32, f32)>,
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
            typical_p: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            mirostat: Mirostat::Off,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
            logit_bias: Vec::new(),
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
        if let Some(constraint) = &behavior.constraint {
            let bytes = constraint.text().len();
            check(
                "behavior.constraint",
                format_args!("a text of {bytes} bytes"),
                (1..=CONSTRAINT_BYTES_LIMIT).contains(&bytes),
                "a text of 1 to 65536 bytes",
            )?;
        }
        check(
            "behavior.logprobs",
            behavior.logprobs,
            behavior.logprobs <= LOGPROBS_LIMIT,
            "0 to 20",
        )?;
        sampling.check()?;
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

impl Sampling {
    fn check(&self) -> Result<(), ConfigError> {
        let s = self;
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
        check(
            "sampling.typical-p",
            s.typical_p,
            s.typical_p > 0.0 && s.typical_p <= 1.0,
            "over 0 and at most 1",
        )?;
        check(
            "sampling.frequency-penalty",
            s.frequency_penalty,
            (-2.0..=2.0).contains(&s.frequency_penalty),
            "-2 to 2",
        )?;
        check(
            "sampling.presence-penalty",
            s.presence_penalty,
            (-2.0..=2.0).contains(&s.presence_penalty),
            "-2 to 2",
        )?;
        check(
            "sampling.dry-multiplier",
            s.dry_multiplier,
            (0.0..=100.0).contains(&s.dry_multiplier),
            "0 to 100",
        )?;
        check(
            "sampling.dry-base",
            s.dry_base,
            (1.0..=10.0).contains(&s.dry_base),
            "1 to 10",
        )?;
        check(
            "sampling.dry-allowed-length",
            s.dry_allowed_length,
            s.dry_allowed_length <= 1024,
            "0 to 1024",
        )?;
        check(
            "sampling.mirostat-tau",
            s.mirostat_tau,
            s.mirostat_tau > 0.0 && s.mirostat_tau <= 20.0,
            "over 0 and at most 20",
        )?;
        check(
            "sampling.mirostat-eta",
            s.mirostat_eta,
            s.mirostat_eta > 0.0 && s.mirostat_eta <= 1.0,
            "over 0 and at most 1",
        )?;
        check(
            "sampling.logit-bias",
            format_args!("a list of {}", s.logit_bias.len()),
            s.logit_bias.len() <= BIAS_COUNT_LIMIT,
            "at most 1024 biases",
        )?;
        for (token, bias) in &s.logit_bias {
            check(
                "sampling.logit-bias",
                format_args!("{bias} for token {token}"),
                (-100.0..=100.0).contains(bias),
                "-100 to 100 for each token",
            )?;
        }
        Ok(())
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
    /// See [`Behavior::overflow`].
    pub overflow: Option<Overflow>,
    /// See [`Behavior::constraint`].
    pub constraint: Option<Constraint>,
    /// See [`Behavior::logprobs`].
    pub logprobs: Option<u32>,
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
    /// See [`Sampling::typical_p`].
    pub typical_p: Option<f32>,
    /// See [`Sampling::frequency_penalty`].
    pub frequency_penalty: Option<f32>,
    /// See [`Sampling::presence_penalty`].
    pub presence_penalty: Option<f32>,
    /// See [`Sampling::dry_multiplier`].
    pub dry_multiplier: Option<f32>,
    /// See [`Sampling::dry_base`].
    pub dry_base: Option<f32>,
    /// See [`Sampling::dry_allowed_length`].
    pub dry_allowed_length: Option<u32>,
    /// See [`Sampling::mirostat`].
    pub mirostat: Option<Mirostat>,
    /// See [`Sampling::mirostat_tau`].
    pub mirostat_tau: Option<f32>,
    /// See [`Sampling::mirostat_eta`].
    pub mirostat_eta: Option<f32>,
    /// See [`Sampling::logit_bias`].
    pub logit_bias: Option<Vec<(u32, f32)>>,
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
        /// Each field is its own, or else the base's.
        macro_rules! layered {
            ($type:ident, $own:expr, $base:expr, $($field:ident)*) => {{
                let (own, base) = ($own, $base);
                $type { $($field: own.$field.or_else(|| base.$field.clone()),)* }
            }};
        }
        PartialConfig {
            behavior: layered!(PartialBehavior, self.behavior, &base.behavior,
                max_tokens stop thoughts overflow constraint logprobs),
            sampling: layered!(PartialSampling, self.sampling, &base.sampling,
                temperature top_k top_p min_p repeat_penalty typical_p frequency_penalty
                presence_penalty dry_multiplier dry_base dry_allowed_length mirostat
                mirostat_tau mirostat_eta logit_bias seed),
        }
    }

    /// Fills the remaining gaps with the defaults of [`Behavior`] and [`Sampling`]
    /// and checks every range.
    pub fn build(&self) -> Result<InferenceConfig, ConfigError> {
        macro_rules! filled {
            ($type:ident, $own:expr, $($field:ident)* $(; $whole:ident: $value:expr)?) => {{
                let default = $type::default();
                $type {
                    $($field: $own.$field.clone().unwrap_or(default.$field),)*
                    $($whole: $value,)?
                }
            }};
        }
        let behavior = filled!(Behavior, self.behavior,
            max_tokens stop thoughts overflow logprobs;
            constraint: self.behavior.constraint.clone());
        let sampling = filled!(Sampling, self.sampling,
            temperature top_k top_p min_p repeat_penalty typical_p frequency_penalty
            presence_penalty dry_multiplier dry_base dry_allowed_length mirostat
            mirostat_tau mirostat_eta logit_bias seed);
        InferenceConfig::new(behavior, sampling)
    }
}

#[cfg(test)]
mod tests;
