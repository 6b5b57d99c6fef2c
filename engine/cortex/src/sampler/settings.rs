//! [`Sampling`], made safe to compute with.

use super::weight::share;
use rusty_genius_core::Sampling;
use std::sync::Arc;

/// Most logit biases looked at, as many as a checked [`Sampling`] has.
const MOST_BIASES: usize = 1024;

/// [`Sampling`], every value in range and in the terms of the computation. What DRY and
/// Mirostat are set to they keep themselves.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// 0 is greedy.
    pub(super) temperature: f32,
    /// `usize::MAX` is off.
    pub(super) top_k: usize,
    /// In units of [`ONE`](super::weight::ONE), which is off.
    pub(super) typical_p: u64,
    /// In units of [`ONE`](super::weight::ONE), which is off.
    pub(super) top_p: u64,
    /// In units of [`ONE`](super::weight::ONE); 0 is off.
    pub(super) min_p: u64,
    pub(super) penalties: Penalties,
    /// Shared, so that clones are cheap.
    pub(super) bias: Arc<[(u32, f32)]>,
    pub(super) seed: u64,
}

/// What the tokens seen lately pay.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Penalties {
    /// 1 is off.
    pub(super) repeat: f32,
    /// 0 is off.
    pub(super) frequency: f32,
    /// 0 is off.
    pub(super) presence: f32,
}

impl Penalties {
    pub(super) const OFF: Self = Self {
        repeat: 1.0,
        frequency: 0.0,
        presence: 0.0,
    };
}

impl Settings {
    pub(super) fn new(sampling: &Sampling) -> Self {
        let bias = sampling.logit_bias.iter().take(MOST_BIASES);
        Self {
            temperature: within(sampling.temperature, 0.0, 10.0, 0.0),
            top_k: match sampling.top_k {
                0 => usize::MAX,
                k => usize::try_from(k).unwrap_or(usize::MAX),
            },
            typical_p: share(within(sampling.typical_p, 0.0, 1.0, 1.0)),
            top_p: share(within(sampling.top_p, 0.0, 1.0, 1.0)),
            min_p: share(within(sampling.min_p, 0.0, 1.0, 0.0)),
            penalties: Penalties {
                repeat: if sampling.repeat_penalty > 0.0 {
                    sampling.repeat_penalty.min(10.0)
                } else {
                    1.0
                },
                frequency: within(sampling.frequency_penalty, -2.0, 2.0, 0.0),
                presence: within(sampling.presence_penalty, -2.0, 2.0, 0.0),
            },
            bias: bias
                .map(|&(token, bias)| (token, within(bias, -100.0, 100.0, 0.0)))
                .collect(),
            seed: sampling.seed,
        }
    }
}

/// `value` or the nearest border; a NaN is as good as `off`.
pub(super) fn within(value: f32, least: f32, most: f32, off: f32) -> f32 {
    if value.is_nan() {
        off
    } else {
        value.clamp(least, most)
    }
}
