//! How a model is trained.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a model is trained. The defaults are those that `narf-1m` was made with.
///
/// The same options, config and data give the same weights, bit for bit, on the same kind of
/// processor; [`threads`](Self::threads) and [`checkpoint_every`](Self::checkpoint_every) do
/// not matter to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// Where all chance comes from. Default: 1.
    pub seed: u64,
    /// How often every question is asked. Default: 40; from 1.
    pub epochs: u64,
    /// In how many of its wordings a question is asked in one epoch. Default: 2; from 1.
    pub wordings: usize,
    /// Tokens of a batch, filling included. Default: 2,048; from 64.
    pub batch_tokens: usize,
    /// Parts of a batch that can be computed side by side. More than there are threads cost
    /// a little time; another number gives other weights. Default: 2; 1 to 64.
    pub shards: usize,
    /// The highest learning rate, after the warm-up. Default: 0.002; over 0, at most 1.
    pub rate: f64,
    /// Steps in which the learning rate rises; after them it falls along a cosine. Default:
    /// 100.
    pub warm_up: u64,
    /// The learning rate at the end, as a part of the highest. Default: 0.01; 0 to 1.
    pub final_rate: f64,
    /// AdamW's decay of the gradients' mean. Default: 0.9; 0 to under 1.
    pub beta1: f64,
    /// AdamW's decay of the gradients' mean square. Default: 0.98; 0 to under 1.
    pub beta2: f64,
    /// Added to the root of the mean square. Default: 1e-8; over 0.
    pub epsilon: f64,
    /// How much of a weight is taken away, times the learning rate; norms are left alone.
    /// Default: 0.01; 0 to 1.
    pub weight_decay: f64,
    /// The most that the length of all gradients together may be. Default: 1; over 0.
    pub clip: f64,
    /// Questions of each kind that are never trained on and are asked after each epoch, at
    /// most. Default: 256; 0 asks none.
    pub held_out: usize,
    /// Threads. Default: 0, one for each processor. More than there are shards are not used.
    #[serde(skip)]
    pub threads: usize,
    /// Steps between checkpoints. Default: 500; from 1. One is also written at the end, and
    /// when training is stopped.
    #[serde(skip)]
    pub checkpoint_every: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            epochs: 40,
            wordings: 2,
            batch_tokens: 2048,
            shards: 2,
            rate: 2e-3,
            warm_up: 100,
            final_rate: 0.01,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-8,
            weight_decay: 0.01,
            clip: 1.0,
            held_out: 256,
            threads: 0,
            checkpoint_every: 500,
        }
    }
}

/// An option out of its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsError {
    /// The option.
    pub name: &'static str,
    /// The value it has.
    pub value: String,
    /// What it must be.
    pub rule: &'static str,
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, rule } = self;
        write!(f, "`{name}` is {value}; it must be {rule}")
    }
}

impl std::error::Error for OptionsError {}

impl TrainOptions {
    /// Checks every option.
    pub fn check(&self) -> Result<(), OptionsError> {
        let rules = [
            ("epochs", self.epochs as f64, self.epochs > 0, "1 or more"),
            (
                "wordings",
                self.wordings as f64,
                self.wordings > 0,
                "1 or more",
            ),
            (
                "batch-tokens",
                self.batch_tokens as f64,
                self.batch_tokens >= 64,
                "64 or more",
            ),
            (
                "shards",
                self.shards as f64,
                (1..=64).contains(&self.shards),
                "1 to 64",
            ),
            (
                "rate",
                self.rate,
                self.rate > 0.0 && self.rate <= 1.0,
                "over 0 and at most 1",
            ),
            (
                "final-rate",
                self.final_rate,
                (0.0..=1.0).contains(&self.final_rate),
                "0 to 1",
            ),
            (
                "beta1",
                self.beta1,
                (0.0..1.0).contains(&self.beta1),
                "0 to under 1",
            ),
            (
                "beta2",
                self.beta2,
                (0.0..1.0).contains(&self.beta2),
                "0 to under 1",
            ),
            (
                "epsilon",
                self.epsilon,
                self.epsilon > 0.0 && self.epsilon < 1.0,
                "over 0 and under 1",
            ),
            (
                "weight-decay",
                self.weight_decay,
                (0.0..=1.0).contains(&self.weight_decay),
                "0 to 1",
            ),
            (
                "clip",
                self.clip,
                self.clip > 0.0 && self.clip.is_finite(),
                "over 0",
            ),
            (
                "checkpoint-every",
                self.checkpoint_every as f64,
                self.checkpoint_every > 0,
                "1 or more",
            ),
        ];
        match rules.into_iter().find(|(_, _, holds, _)| !holds) {
            None => Ok(()),
            Some((name, value, _, rule)) => Err(OptionsError {
                name,
                value: value.to_string(),
                rule,
            }),
        }
    }

    /// The learning rate of a step, of which `done` of the way, 0 to 1, is behind.
    pub(crate) fn rate_at(&self, step: u64, done: f64) -> f64 {
        let warm = match step < self.warm_up {
            true => (step + 1) as f64 / self.warm_up as f64,
            false => 1.0,
        };
        let cosine = (1.0 + (std::f64::consts::PI * done).cos()) / 2.0;
        self.rate * warm * (self.final_rate + (1.0 - self.final_rate) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_then_falls_along_a_cosine() {
        let options = TrainOptions::default();
        assert_eq!(options.rate_at(0, 0.0), options.rate / 100.0);
        assert_eq!(options.rate_at(99, 0.0), options.rate);
        let half = options.rate_at(1000, 0.5) / options.rate;
        assert!((half - 0.505).abs() < 1e-9, "{half}");
        let end = options.rate_at(2000, 1.0) / options.rate;
        assert!((end - 0.01).abs() < 1e-9, "{end}");
    }

    #[test]
    fn the_defaults_are_valid_and_what_is_not_is_named() {
        TrainOptions::default().check().unwrap();
        let options = TrainOptions {
            rate: f64::NAN,
            ..TrainOptions::default()
        };
        let error = options.check().unwrap_err().to_string();
        assert_eq!(error, "`rate` is NaN; it must be over 0 and at most 1");
    }
}
