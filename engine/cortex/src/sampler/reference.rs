//! The sampler once more: slow, plain, and with the library's `exp`.

use crate::rng::Rng;
use rusty_genius_core::Sampling;

/// What [`Sampler`](super::Sampler) should yield: after the tokens `seen`, for each of
/// `rounds` one token, which is accepted.
pub(super) fn generate(sampling: &Sampling, seen: &[u32], rounds: &[Vec<f32>]) -> Vec<Option<u32>> {
    let mut rng = Rng::new(sampling.seed);
    let mut seen = seen.to_vec();
    let mut tokens = Vec::new();
    for logits in rounds {
        let token = sample(sampling, &seen, logits, &mut rng);
        seen.extend(token);
        tokens.push(token);
    }
    tokens
}

fn sample(sampling: &Sampling, seen: &[u32], logits: &[f32], rng: &mut Rng) -> Option<u32> {
    let window = &seen[seen.len().saturating_sub(64)..];
    let mut ranking: Vec<(u32, f32)> = (0_u32..)
        .zip(logits)
        .map(|(id, &logit)| match logit {
            _ if logit.is_infinite() || !window.contains(&id) => (id, logit),
            _ if logit > 0.0 => (id, (logit / sampling.repeat_penalty).min(f32::MAX)),
            _ => (id, (logit * sampling.repeat_penalty).max(f32::MIN)),
        })
        .filter(|&(id, _)| !logits[id as usize].is_nan())
        .filter(|&(_, logit)| logit != f32::NEG_INFINITY)
        .collect();
    ranking.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    let (first, largest) = *ranking.first()?;
    if sampling.temperature == 0.0 {
        return Some(first);
    }

    let weight = |logit: f32, temperature: f32| {
        let distance = match logit == largest {
            true => 0.0,
            false => f64::from(logit) - f64::from(largest),
        };
        ((distance / f64::from(temperature)).exp() * 2_f64.powi(40)).floor()
    };
    if sampling.top_k > 0 {
        ranking.truncate(sampling.top_k as usize);
    }
    if sampling.top_p < 1.0 {
        let share = f64::from(sampling.top_p);
        let total: f64 = ranking.iter().map(|c| weight(c.1, 1.0)).sum();
        let mut sum = 0.0;
        let mut nucleus = Vec::new();
        for &candidate in &ranking {
            nucleus.push(candidate);
            sum += weight(candidate.1, 1.0);
            if sum / total >= share {
                break;
            }
        }
        ranking = nucleus;
    }
    ranking.retain(|c| weight(c.1, 1.0) >= (f64::from(sampling.min_p) * 2_f64.powi(40)).floor());

    let weights: Vec<u128> = ranking
        .iter()
        .map(|c| weight(c.1, sampling.temperature) as u128)
        .collect();
    let target = (u128::from(rng.next()) * weights.iter().sum::<u128>()) >> 64;
    (0..ranking.len())
        .find(|&i| weights[..=i].iter().sum::<u128>() > target)
        .map(|i| ranking[i].0)
}
