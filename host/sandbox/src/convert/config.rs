//! A guest's list of settings, and the config of native code.

use crate::bindings::types::{self, Setting};
use rusty_genius_core as core;
use rusty_genius_core::{ConfigError, PartialConfig};

/// Most settings of one config: a few times as many as there are.
const SETTINGS_LIMIT: usize = 64;

/// Of a setting given twice, the last one counts. Ranges are for
/// [`PartialConfig::build`] to check.
///
/// Errors: more than 64 settings.
pub(crate) fn config_in(settings: types::InferenceConfig) -> Result<PartialConfig, ConfigError> {
    if settings.len() > SETTINGS_LIMIT {
        return Err(ConfigError {
            field: "inference-config",
            value: format!("a list of {}", settings.len()),
            rule: "at most 64 settings",
        });
    }
    let mut config = PartialConfig::default();
    for setting in settings {
        set(&mut config, setting);
    }
    Ok(config)
}

fn set(config: &mut PartialConfig, setting: Setting) {
    let PartialConfig { behavior, sampling } = config;
    match setting {
        Setting::MaxTokens(tokens) => behavior.max_tokens = Some(tokens),
        Setting::Stop(texts) => behavior.stop = Some(texts),
        Setting::Thoughts(mode) => {
            behavior.thoughts = Some(match mode {
                types::ThoughtMode::Show => core::ThoughtMode::Show,
                types::ThoughtMode::Hide => core::ThoughtMode::Hide,
            });
        }
        Setting::Overflow(overflow) => {
            behavior.overflow = Some(match overflow {
                types::Overflow::Error => core::Overflow::Error,
                types::Overflow::Shift => core::Overflow::Shift,
            });
        }
        Setting::Constraint(constraint) => {
            behavior.constraint = Some(match constraint {
                types::Constraint::JsonSchema(text) => core::Constraint::JsonSchema(text),
                types::Constraint::Regex(text) => core::Constraint::Regex(text),
                types::Constraint::Grammar(text) => core::Constraint::Grammar(text),
            });
        }
        Setting::Logprobs(count) => behavior.logprobs = Some(count),
        Setting::Temperature(value) => sampling.temperature = Some(value),
        Setting::TopK(count) => sampling.top_k = Some(count),
        Setting::TopP(mass) => sampling.top_p = Some(mass),
        Setting::MinP(share) => sampling.min_p = Some(share),
        Setting::RepeatPenalty(value) => sampling.repeat_penalty = Some(value),
        Setting::TypicalP(mass) => sampling.typical_p = Some(mass),
        Setting::FrequencyPenalty(value) => sampling.frequency_penalty = Some(value),
        Setting::PresencePenalty(value) => sampling.presence_penalty = Some(value),
        Setting::DryMultiplier(value) => sampling.dry_multiplier = Some(value),
        Setting::DryBase(value) => sampling.dry_base = Some(value),
        Setting::DryAllowedLength(tokens) => sampling.dry_allowed_length = Some(tokens),
        Setting::Mirostat(version) => {
            sampling.mirostat = Some(match version {
                types::Mirostat::Off => core::Mirostat::Off,
                types::Mirostat::V1 => core::Mirostat::V1,
                types::Mirostat::V2 => core::Mirostat::V2,
            });
        }
        Setting::MirostatTau(bits) => sampling.mirostat_tau = Some(bits),
        Setting::MirostatEta(rate) => sampling.mirostat_eta = Some(rate),
        Setting::LogitBias(biases) => sampling.logit_bias = Some(biases),
        Setting::Seed(seed) => sampling.seed = Some(seed),
    }
}

/// What is set, in the order of the contract.
pub(super) fn config_out(config: PartialConfig) -> types::InferenceConfig {
    let PartialConfig {
        behavior: b,
        sampling: s,
    } = config;
    let settings = [
        b.max_tokens.map(Setting::MaxTokens),
        b.stop.map(Setting::Stop),
        b.thoughts.map(|mode| {
            Setting::Thoughts(match mode {
                core::ThoughtMode::Show => types::ThoughtMode::Show,
                core::ThoughtMode::Hide => types::ThoughtMode::Hide,
            })
        }),
        b.overflow.map(|overflow| {
            Setting::Overflow(match overflow {
                core::Overflow::Error => types::Overflow::Error,
                core::Overflow::Shift => types::Overflow::Shift,
            })
        }),
        b.constraint.map(|constraint| {
            Setting::Constraint(match constraint {
                core::Constraint::JsonSchema(text) => types::Constraint::JsonSchema(text),
                core::Constraint::Regex(text) => types::Constraint::Regex(text),
                core::Constraint::Grammar(text) => types::Constraint::Grammar(text),
            })
        }),
        b.logprobs.map(Setting::Logprobs),
        s.temperature.map(Setting::Temperature),
        s.top_k.map(Setting::TopK),
        s.top_p.map(Setting::TopP),
        s.min_p.map(Setting::MinP),
        s.repeat_penalty.map(Setting::RepeatPenalty),
        s.typical_p.map(Setting::TypicalP),
        s.frequency_penalty.map(Setting::FrequencyPenalty),
        s.presence_penalty.map(Setting::PresencePenalty),
        s.dry_multiplier.map(Setting::DryMultiplier),
        s.dry_base.map(Setting::DryBase),
        s.dry_allowed_length.map(Setting::DryAllowedLength),
        s.mirostat.map(|version| {
            Setting::Mirostat(match version {
                core::Mirostat::Off => types::Mirostat::Off,
                core::Mirostat::V1 => types::Mirostat::V1,
                core::Mirostat::V2 => types::Mirostat::V2,
            })
        }),
        s.mirostat_tau.map(Setting::MirostatTau),
        s.mirostat_eta.map(Setting::MirostatEta),
        s.logit_bias.map(Setting::LogitBias),
        s.seed.map(Setting::Seed),
    ];
    settings.into_iter().flatten().collect()
}
