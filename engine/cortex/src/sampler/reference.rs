//! The sampler once more: slow, plain, and with the library's `exp` and `ln`.

use crate::rng::Rng;
use rusty_genius_core::{Mirostat, Sampling};

/// What [`Sampler`](super::Sampler) should yield: after the tokens `seen`, for each of
/// `rounds` one token, which is accepted.
pub(super) fn generate(
    breakers: &[u32],
    sampling: &Sampling,
    seen: &[u32],
    rounds: &[Vec<f32>],
) -> Vec<Option<u32>> {
    let mut state = State {
        rng: Rng::new(sampling.seed),
        mu: 2.0 * f64::from(sampling.mirostat_tau),
    };
    let mut seen = seen.to_vec();
    let mut tokens = Vec::new();
    for logits in rounds {
        let logits = adjust(sampling, breakers, &seen, logits);
        let token = sample(sampling, &logits, &mut state);
        seen.extend(token);
        tokens.push(token);
    }
    tokens
}

struct State {
    rng: Rng,
    mu: f64,
}

fn bounded(logit: f32) -> f32 {
    logit.clamp(f32::MIN, f32::MAX)
}

/// The logits with bias and penalties.
pub(super) fn adjust(
    sampling: &Sampling,
    breakers: &[u32],
    seen: &[u32],
    logits: &[f32],
) -> Vec<f32> {
    let window = &seen[seen.len().saturating_sub(64)..];
    let one = |(id, &logit): (u32, &f32)| {
        if !logit.is_finite() {
            return logit;
        }
        let biases = sampling.logit_bias.iter().filter(|bias| bias.0 == id);
        let mut logit = biases.fold(logit, |logit, bias| bounded(logit + bias.1));
        let count = window.iter().filter(|&&token| token == id).count();
        if count > 0 {
            logit = bounded(match logit > 0.0 {
                true => logit / sampling.repeat_penalty,
                false => logit * sampling.repeat_penalty,
            });
            let penalty = count as f32 * sampling.frequency_penalty + sampling.presence_penalty;
            logit = bounded(logit - penalty);
        }
        if sampling.dry_multiplier == 0.0 {
            return logit;
        }
        let repetition = repetition(breakers, seen, id);
        let allowed = sampling.dry_allowed_length as usize;
        match repetition.and_then(|repetition| repetition.checked_sub(allowed)) {
            Some(over) => {
                let mut power = 1.0;
                for _ in 0..over {
                    let next = power * f64::from(sampling.dry_base);
                    if next <= f64::from(f32::MAX) {
                        power = next;
                    }
                }
                bounded((f64::from(logit) - f64::from(sampling.dry_multiplier) * power) as f32)
            }
            None => logit,
        }
    };
    (0..).zip(logits).map(one).collect()
}

/// The most tokens, up to the last, that stood in the window before `next` did. `None` if
/// it never followed a token there, or is a breaker.
fn repetition(breakers: &[u32], seen: &[u32], next: u32) -> Option<usize> {
    let window = &seen[seen.len().saturating_sub(1024)..];
    if breakers.contains(&next) {
        return None;
    }
    let before = |position: usize| {
        window[..position]
            .iter()
            .rev()
            .zip(window.iter().rev())
            .take_while(|(then, now)| then == now && !breakers.contains(now))
            .count()
    };
    (1..window.len())
        .filter(|&position| window[position] == next)
        .map(before)
        .max()
}

/// What the sampler says a token weighs.
fn weight(logit: f32, largest: f32, temperature: f32) -> f64 {
    let distance = match logit == largest {
        true => 0.0,
        false => f64::from(logit) - f64::from(largest),
    };
    ((distance / f64::from(temperature)).exp() * 2_f64.powi(40)).floor()
}

fn weights(ranking: &[(u32, f32)], temperature: f32) -> Vec<f64> {
    let weigh = |c: &(u32, f32)| weight(c.1, ranking[0].1, temperature);
    ranking.iter().map(weigh).collect()
}

/// The first of the ranking that together have the share of all.
fn nucleus(ranking: &[(u32, f32)], weights: &[f64], share: f32) -> Vec<(u32, f32)> {
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let mut nucleus = Vec::new();
    for (&candidate, weight) in ranking.iter().zip(weights) {
        nucleus.push(candidate);
        sum += weight;
        if sum / total >= f64::from(share) {
            break;
        }
    }
    nucleus
}

/// Likeliest first; without what is never drawn.
fn ranking(candidates: impl Iterator<Item = (u32, f32)>) -> Vec<(u32, f32)> {
    let mut ranking: Vec<(u32, f32)> = candidates
        .filter(|(_, logit)| !logit.is_nan() && *logit != f32::NEG_INFINITY)
        .collect();
    ranking.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    ranking
}

fn sample(sampling: &Sampling, logits: &[f32], state: &mut State) -> Option<u32> {
    let mut left = ranking((0..).zip(logits.iter().copied()));
    let &(first, largest) = left.first()?;
    if sampling.temperature == 0.0 {
        return Some(first);
    }
    match sampling.mirostat {
        Mirostat::Off => left = truncate(sampling, left),
        Mirostat::V1 => {
            let temperature = f64::from(sampling.temperature);
            left.truncate(zipf_k(&left, temperature, logits.len(), state.mu));
        }
        Mirostat::V2 => {
            let weights = weights(&left, sampling.temperature);
            let total: f64 = weights.iter().sum();
            let expected = weights
                .iter()
                .take_while(|weight| -(*weight / total).log2() <= state.mu);
            left.truncate(expected.count().max(1));
        }
    }

    let weights: Vec<u128> = left
        .iter()
        .map(|c| weight(c.1, left[0].1, sampling.temperature) as u128)
        .collect();
    let total = weights.iter().sum::<u128>();
    let target = (u128::from(state.rng.next()) * total) >> 64;
    let drawn = (0..left.len()).find(|&i| weights[..=i].iter().sum::<u128>() > target)?;
    let surprise = -(weights[drawn] as f64 / total as f64).log2();
    state.mu -= f64::from(sampling.mirostat_eta) * (surprise - f64::from(sampling.mirostat_tau));
    assert!(sampling.mirostat == Mirostat::Off || left[0].1 == largest);
    Some(left[drawn].0)
}

fn truncate(sampling: &Sampling, mut left: Vec<(u32, f32)>) -> Vec<(u32, f32)> {
    if sampling.top_k > 0 {
        left.truncate(sampling.top_k as usize);
    }
    if sampling.typical_p < 1.0 {
        left = typical(&left, sampling.typical_p);
    }
    if sampling.top_p < 1.0 {
        left = nucleus(&left, &weights(&left, 1.0), sampling.top_p);
    }
    let least = (f64::from(sampling.min_p) * 2_f64.powi(40)).floor();
    let best = left[0].1;
    left.retain(|c| weight(c.1, best, 1.0) >= least);
    left
}

/// By the definition: the surprises, the entropy, and what is nearest to it.
fn typical(left: &[(u32, f32)], mass: f32) -> Vec<(u32, f32)> {
    let best = left[0].1;
    let fraction = |logit: f32| match logit == best {
        true => 1.0,
        false => (f64::from(logit) - f64::from(best)).exp(),
    };
    let sum: f64 = left.iter().map(|c| fraction(c.1)).sum();
    let surprise = |logit: f32| -(fraction(logit) / sum).ln();
    let entropy: f64 = left
        .iter()
        .map(|c| fraction(c.1) / sum)
        .filter(|&p| p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    let mut order = left.to_vec();
    let off = |c: &(u32, f32)| (surprise(c.1) - entropy).abs();
    // Stable: equals stay in the order of their ranks.
    order.sort_by(|a, b| off(a).total_cmp(&off(b)));
    let weights: Vec<f64> = order.iter().map(|c| weight(c.1, best, 1.0)).collect();
    ranking(nucleus(&order, &weights, mass).into_iter())
}

/// The formulas of the paper as they stand there.
fn zipf_k(left: &[(u32, f32)], temperature: f64, vocabulary: usize, mu: f64) -> usize {
    let (mut products, mut squares) = (0.0, 0.0);
    for (pair, i) in left.windows(2).zip(1..100) {
        let t = ((f64::from(i) + 1.0) / f64::from(i)).ln();
        let b = match pair[0].1 == pair[1].1 {
            true => 0.0,
            false => (f64::from(pair[0].1) - f64::from(pair[1].1)) / temperature,
        };
        products += t * b;
        squares += t * t;
    }
    let s: f64 = products / squares;
    if s.is_nan() || s.is_infinite() {
        return 1;
    }
    let epsilon = s - 1.0;
    let base = epsilon * 2_f64.powf(mu) / (1.0 - (vocabulary as f64).powf(-epsilon));
    (base.powf(1.0 / s) as usize).max(1)
}
