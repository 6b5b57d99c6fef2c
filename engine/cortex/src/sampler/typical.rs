//! Locally typical sampling (Meister et al. 2022, *Locally Typical Sampling*).

use super::candidates::{Candidate, Candidates};
use super::ranked::Ranked;
use super::weight::{ONE, weight};

/// The candidates by how far their surprise is from the expected one.
pub(super) type ByTypicality = Ranked<(u64, Candidate)>;

/// Keeps the candidates whose surprise -ln p is nearest to the entropy, as few as have
/// the share `mass`, in units of [`ONE`]; of equally near ones the likelier first.
///
/// `order` is scratch memory, empty before and after.
pub(super) fn keep_typical(candidates: &mut Candidates, mass: u64, order: &mut ByTypicality) {
    let Some(best) = candidates.best().map(Candidate::logit) else {
        return;
    };
    let weigh = |candidate: Candidate| weight(candidate.logit(), best, 1.0);
    // With d a logit's distance from the best and Z what the softmax divides by, the
    // surprise is d + ln Z and the entropy E[d] + ln Z. So their difference, d - E[d],
    // needs no logarithm, and in whole numbers the order of the sum does not matter. What
    // has a weight is less than 28 away: the sum stays below 2^(23 + 40 + 45).
    let (mut sum, mut total) = (0_u128, 0_u128);
    for candidate in candidates.iter() {
        let weight = u128::from(weigh(candidate));
        sum += weight * u128::from(distance(candidate.logit(), best));
        total += weight;
    }
    // An average of numbers below 2^45; the total has the best's weight at least.
    let expected = (sum / total.max(1)) as u64;
    order.reserve(candidates.len());
    for candidate in candidates.iter() {
        let off = distance(candidate.logit(), best).abs_diff(expected);
        order.push((off, candidate));
    }
    order.keep_share(mass, ONE, |(_, candidate)| weigh(candidate));
    candidates.clear();
    order
        .iter()
        .for_each(|(_, typical)| candidates.push(typical));
    order.clear();
}

/// How far below the best a logit is, in units of 1 / [`ONE`].
fn distance(logit: f32, best: f32) -> u64 {
    if logit == best {
        return 0;
    }
    // Saturates: distances of 2^24 and more are the same, and their weights nothing.
    ((f64::from(best) - f64::from(logit)) * ONE as f64) as u64
}
