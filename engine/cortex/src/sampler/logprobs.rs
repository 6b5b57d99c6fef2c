//! How likely the model held a token to be.

#[cfg(test)]
mod tests;

use super::MAX_VOCABULARY;
use super::candidates::Candidates;
use super::elementary::{exp2, ln};
use rusty_genius_core::{Logprobs, TokenLogprob};
use std::f64::consts::LOG2_E;

/// Below this a token adds less than 2^-60 to the sum of the softmax.
const NEGLIGIBLE: f64 = -42.0;

/// The natural logarithm of the softmax of `logits`: that of the token `chosen`, and
/// those of the `top` likeliest tokens, likeliest first, of equals the lower id first.
///
/// This is about the model alone. [`Sampler::sample`](super::Sampler::sample) changes the
/// logits it is given, so give it a copy, or ask here first.
///
/// Each value is right to 1e-5 (relative to its size, where that is over 1), and the same
/// on every platform. NaN counts as -inf; a token whose logit is -inf has the logarithm
/// -inf and is never among the likeliest, which may therefore be fewer than `top`. Tokens
/// of +inf share all the probability. As in the sampler, logits beyond the first 2²³ are
/// not looked at.
///
/// `None` if `chosen` is not the index of a logit, or none is over -inf.
///
/// One pass for the sum and one for the likeliest; memory for 2 `top` tokens, and for no
/// more than there are. `bytes` says what a token spells.
///
/// ```
/// use rusty_genius_cortex::logprobs;
///
/// let logits = [0.0, 0.0, f32::NEG_INFINITY];
/// let spelled = |token| vec![b'a' + token as u8];
/// let told = logprobs(&logits, 1, 5, spelled).expect("there is a token");
/// assert!((told.chosen.logprob - 0.5_f32.ln()).abs() < 1e-5);
/// assert_eq!(told.chosen.bytes, b"b");
/// assert_eq!(told.top.iter().map(|one| one.token).collect::<Vec<_>>(), [0, 1]);
/// ```
pub fn logprobs(
    logits: &[f32],
    chosen: u32,
    top: usize,
    bytes: impl Fn(u32) -> Vec<u8>,
) -> Option<Logprobs> {
    let (logprob, likeliest) = logarithms(logits, chosen, top)?;
    let named = |(token, logprob)| TokenLogprob {
        token,
        bytes: bytes(token),
        logprob,
    };
    Some(Logprobs {
        chosen: named((chosen, logprob)),
        top: likeliest.into_iter().map(named).collect(),
    })
}

/// The numbers of [`logprobs`]: the chosen token's, and ids and numbers of the likeliest.
fn logarithms(logits: &[f32], chosen: u32, top: usize) -> Option<(f32, Vec<(u32, f32)>)> {
    let logits = &logits[..logits.len().min(MAX_VOCABULARY)];
    let chosen = *logits.get(usize::try_from(chosen).ok()?)?;
    let softmax = LogSoftmax::of(logits)?;
    let mut likeliest = Candidates::default();
    if top > 0 {
        likeliest.gather(logits, top);
    }
    let mut ranking = Vec::with_capacity(likeliest.len());
    likeliest.find(|candidate| {
        ranking.push((candidate.id(), softmax.at(candidate.logit())));
        false
    });
    Some((softmax.at(chosen), ranking))
}

struct LogSoftmax {
    best: f32,
    /// The logarithm of the sum of e^(logit - best).
    log_sum: f64,
}

impl LogSoftmax {
    /// `None` if no logit is over -inf. The sum is taken in the order of the ids, so that
    /// it is the same everywhere.
    fn of(logits: &[f32]) -> Option<Self> {
        let mut best = f32::NEG_INFINITY;
        let mut sum = 0.0;
        for &logit in logits {
            // Neither is true of a NaN, nor of -inf.
            if logit > best {
                sum = sum * relative(best, logit) + 1.0;
                best = logit;
            } else if logit > f32::NEG_INFINITY {
                sum += relative(logit, best);
            }
        }
        (best > f32::NEG_INFINITY).then(|| Self {
            best,
            log_sum: ln(sum),
        })
    }

    fn at(&self, logit: f32) -> f32 {
        if logit.is_nan() {
            return f32::NEG_INFINITY;
        }
        (difference(logit, self.best) - self.log_sum) as f32
    }
}

/// e^(logit - best).
fn relative(logit: f32, best: f32) -> f64 {
    let difference = difference(logit, best);
    if difference < NEGLIGIBLE {
        0.0
    } else {
        exp2(difference * LOG2_E)
    }
}

/// Equal infinities have none.
fn difference(logit: f32, best: f32) -> f64 {
    if logit == best {
        0.0
    } else {
        f64::from(logit) - f64::from(best)
    }
}
