//! Mirostat (Basu et al. 2021, *Mirostat: A Neural Text Decoding Algorithm that Directly
//! Controls Perplexity*), as llama.cpp computes it.

#[cfg(test)]
mod tests;

use super::candidates::Candidates;
use super::elementary::{exp2, ln, log2};
use super::settings::within;
use super::weight::{ONE, weight};
use rusty_genius_core::{Mirostat, Sampling};
use std::f64::consts::LOG2_E;

/// From how many of the likeliest tokens the Zipf exponent is estimated: the m of the
/// paper.
const ESTIMATED_FROM: usize = 100;

#[derive(Debug, Clone, Copy)]
enum Version {
    One,
    Two,
}

/// Steers the surprise of the tokens, in bits, towards a target.
#[derive(Debug, Clone)]
pub(super) struct Controller {
    version: Version,
    /// τ of the paper.
    target: f64,
    /// η of the paper.
    rate: f64,
    /// μ of the paper: the surprise that is admitted.
    bound: f64,
}

impl Controller {
    /// `None` if it is off.
    pub(super) fn new(sampling: &Sampling) -> Option<Self> {
        let version = match sampling.mirostat {
            Mirostat::Off => return None,
            Mirostat::V1 => Version::One,
            Mirostat::V2 => Version::Two,
        };
        let default = Sampling::default();
        let target = within(sampling.mirostat_tau, 0.0, 20.0, default.mirostat_tau).into();
        let mut controller = Self {
            version,
            target,
            rate: within(sampling.mirostat_eta, 0.0, 1.0, default.mirostat_eta).into(),
            bound: 0.0,
        };
        controller.reset();
        Some(controller)
    }

    pub(super) fn reset(&mut self) {
        self.bound = 2.0 * self.target;
    }

    /// Drops what is too surprising; one candidate at least stays. `vocabulary` is how
    /// many tokens the model has.
    pub(super) fn truncate(
        &self,
        candidates: &mut Candidates,
        temperature: f32,
        vocabulary: usize,
    ) {
        match self.version {
            Version::One => {
                let exponent = zipf_exponent(candidates, temperature);
                candidates.keep_best(zipf_k(exponent, vocabulary, self.bound));
            }
            Version::Two => keep_expected(candidates, temperature, self.bound),
        }
    }

    /// Corrects the bound by the surprise of the token drawn, whose share of the chances
    /// was `weight` of `total`.
    pub(super) fn observe(&mut self, weight: u64, total: u64) {
        // Weights of nothing are not drawn.
        let surprise = log2(total.max(1) as f64) - log2(weight.max(1) as f64);
        self.bound -= self.rate * (surprise - self.target);
    }

    #[cfg(test)]
    pub(super) fn bound(&self) -> f64 {
        self.bound
    }
}

/// Keeps what is at most `bound` bits surprising, or the likeliest.
fn keep_expected(candidates: &mut Candidates, temperature: f32, bound: f64) {
    let Some(best) = candidates.best().map(|best| best.logit()) else {
        return;
    };
    let weigh = |logit| weight(logit, best, temperature);
    let total: u64 = candidates.iter().map(|c| weigh(c.logit())).sum();
    // -log2(weight / total) ≤ bound.
    let least = total as f64 * exp2(-bound);
    if least > ONE as f64 {
        candidates.keep_best(1);
    } else {
        candidates.retain(|c| weigh(c.logit()) as f64 >= least);
    }
}

/// ŝ of the paper: the slope, by least squares through the origin, of the differences of
/// neighbouring log-probabilities over those of neighbouring log-ranks. It is +inf where
/// a logit of +inf is above a finite one, and 0 if there is only one candidate.
fn zipf_exponent(candidates: &mut Candidates, temperature: f32) -> f64 {
    let (mut products, mut squares) = (0.0, 0.0);
    let mut above: Option<f32> = None;
    let mut rank = 0_usize;
    candidates.find(|candidate| {
        let logit = candidate.logit();
        if let Some(above) = above {
            // Equal infinities have no difference.
            if above != logit {
                let fall = (f64::from(above) - f64::from(logit)) / f64::from(temperature);
                products += log_rank_step(rank) * fall;
            }
            squares += log_rank_step(rank) * log_rank_step(rank);
        }
        above = Some(logit);
        rank += 1;
        rank == ESTIMATED_FROM
    });
    if squares > 0.0 {
        products / squares
    } else {
        0.0
    }
}

/// From this rank to the next one; ranks count from 1.
fn log_rank_step(rank: usize) -> f64 {
    ln((rank + 1) as f64 / rank as f64)
}

/// How many tokens of a vocabulary of N have at most the surprise μ, if their
/// probabilities fall with Zipf's exponent ŝ: with ε̂ = ŝ − 1,
/// k = (ε̂ · 2^μ / (1 − N^−ε̂))^(1/ŝ), rounded down; 1 at least.
fn zipf_k(exponent: f64, vocabulary: usize, bound: f64) -> usize {
    if !exponent.is_finite() {
        return 1;
    }
    // Of one token the formula says nothing, and it does not matter what k is.
    let log_size = ln(vocabulary.max(2) as f64);
    // ε̂ / (1 − N^−ε̂) = x / (1 − e^−x) / ln N.
    let x = (exponent - 1.0) * log_size;
    let ratio = if x.abs() < 1e-5 {
        // Its series: the quotient would lose its digits, or be 0/0.
        1.0 + x / 2.0
    } else {
        x / (1.0 - exp2(-x * LOG2_E))
    };
    let log_k = (log2(ratio / log_size) + bound) / exponent;
    // Saturates; a NaN, where a power of 1 has no logarithm to divide, gives 0.
    (exp2(log_k) as usize).max(1)
}
