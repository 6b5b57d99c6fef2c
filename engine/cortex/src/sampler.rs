//! From logits to a token.

mod candidates;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
mod weight;

use crate::rng::Rng;
use candidates::Candidates;
use rusty_genius_core::Sampling;
use std::fmt;
use weight::{ONE, share, weight};

/// Most logits looked at: this many weights have a sum below 2⁶⁴.
const MAX_VOCABULARY: usize = 1 << 23;

/// Chooses the next token of one generation from the model's logits.
///
/// # What happens to the logits, in this order
///
/// The definitions and the order are those of llama.cpp's usual chain.
///
/// 1. **Repeat penalty** (Keskar et al. 2019, *CTRL*): the logit of every token among
///    the last [`REPEAT_WINDOW`](Self::REPEAT_WINDOW) accepted is divided by the penalty
///    if it is positive and multiplied if not; once, however often the token was seen.
///    A finite logit stays finite. 1 is off.
/// 2. **Temperature 0** ends here: the largest logit wins.
/// 3. **Top-k** (Fan et al. 2018): the k largest logits stay. 0 is off.
/// 4. **Top-p**, the nucleus (Holtzman et al. 2020): of the tokens, likeliest first, as
///    few stay as together have at least the share p of the softmax of what top-k left.
///    The one that crosses the border stays. 1 is off.
/// 5. **Min-p** (Nguyen et al. 2024): whoever is at least p times as likely as the
///    likeliest stays. 0 is off.
/// 6. **Temperature**: the remaining logits are divided by it.
/// 7. **Draw** from the softmax of what is left.
///
/// Wherever logits are equal, the lower id counts as the likelier.
///
/// # The draw, exactly
///
/// The likeliest token weighs 2⁴⁰, any other `floor(2⁴⁰ · e^((logit − largest) /
/// temperature))`. With S the sum of the weights and r the next number of SplitMix64,
/// begun at [`Sampling::seed`], the token drawn is the first, likeliest first, whose
/// running sum of weights is over `floor(r · S / 2⁶⁴)`. Top-p and min-p use the same
/// weights, at temperature 1. Each draw takes one number; greedy choices and failures
/// take none.
///
/// The same settings, logits and accepted tokens give the same token on every platform:
/// everything after the exponential is whole numbers, and the exponential is computed
/// here from additions and multiplications of doubles, not by the platform's libm. That
/// the logits are the same is the engine's business.
///
/// # Hostile input
///
/// Nothing panics and nothing loops.
///
/// * NaN counts as -inf, and what is -inf is never chosen. If that leaves nothing, or the
///   slice is empty, [`sample`](Self::sample) fails with [`NoToken`].
/// * +inf beats every number; several are equally likely.
/// * Logits beyond the first 2²³ are not looked at.
/// * An accepted id without a logit takes its place in the window and has no effect.
/// * [`Sampling`] that never passed
///   [`InferenceConfig`](rusty_genius_core::InferenceConfig): what is out of range counts
///   as the nearest border; a NaN, and a penalty of zero or less, count as off (for the
///   temperature: greedy).
///
/// # Cost
///
/// Memory is allocated by the first sample, and later only for larger vocabularies.
/// Greedy is one pass and needs none. With top-k it is one pass and work on 2k tokens;
/// without, one pass each for top-p, min-p and the draw, and of the ranking only the part
/// that is looked at.
///
/// A clone goes on exactly as the original would, and neither knows of the other after:
/// what a fork needs.
///
/// ```
/// use rusty_genius_core::{EngineError, Sampling};
/// use rusty_genius_cortex::Sampler;
///
/// # fn main() -> Result<(), EngineError> {
/// let mut sampler = Sampler::new(&Sampling { repeat_penalty: 1.3, ..Sampling::default() });
/// let prompt = [72, 105];
/// for &token in prompt.iter().rev().take(Sampler::REPEAT_WINDOW).rev() {
///     sampler.accept(token);
/// }
///
/// let mut logits = vec![0.0; 272]; // from the model
/// logits[33] = 20.0;
/// let token = sampler.sample(&mut logits).map_err(|no_token| EngineError::BackendFailed {
///     engine: "bytelm".into(),
///     reason: no_token.to_string(),
/// })?;
/// sampler.accept(token);
/// assert_eq!(token, 33);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sampler {
    settings: Settings,
    rng: Rng,
    window: Window,
    /// Empty between samples, so that clones are cheap.
    candidates: Candidates,
}

/// [`Sampling`], every value in range and in the terms of the computation.
#[derive(Debug, Clone)]
struct Settings {
    /// 0 is greedy.
    temperature: f32,
    /// `usize::MAX` is off.
    top_k: usize,
    /// In units of [`ONE`], which is off.
    top_p: u64,
    /// In units of [`ONE`]; 0 is off.
    min_p: u64,
    /// 1 is off.
    repeat_penalty: f32,
    seed: u64,
}

impl Settings {
    fn new(sampling: &Sampling) -> Self {
        let within = |value: f32, least: f32, most: f32, off: f32| {
            if value.is_nan() {
                off
            } else {
                value.clamp(least, most)
            }
        };
        Self {
            temperature: within(sampling.temperature, 0.0, 10.0, 0.0),
            top_k: match sampling.top_k {
                0 => usize::MAX,
                k => usize::try_from(k).unwrap_or(usize::MAX),
            },
            top_p: share(within(sampling.top_p, 0.0, 1.0, 1.0)),
            min_p: share(within(sampling.min_p, 0.0, 1.0, 0.0)),
            repeat_penalty: if sampling.repeat_penalty > 0.0 {
                sampling.repeat_penalty.min(10.0)
            } else {
                1.0
            },
            seed: sampling.seed,
        }
    }
}

impl Sampler {
    /// How many of the tokens accepted last the repeat penalty is about: 64, as in
    /// llama.cpp.
    pub const REPEAT_WINDOW: usize = 64;

    /// A sampler that has seen no token.
    pub fn new(sampling: &Sampling) -> Self {
        let settings = Settings::new(sampling);
        Self {
            rng: Rng::new(settings.seed),
            settings,
            window: Window::default(),
            candidates: Candidates::default(),
        }
    }

    /// Chooses a token: an index into `logits`, which are penalised in place and of no
    /// further use.
    ///
    /// Does not [`accept`](Self::accept) it: that is for the caller to do.
    ///
    /// Fails with [`NoToken`] if no logit is over -inf.
    pub fn sample(&mut self, logits: &mut [f32]) -> Result<u32, NoToken> {
        let nothing = NoToken {
            logits: logits.len(),
        };
        let looked_at = logits.len().min(MAX_VOCABULARY);
        let logits = &mut logits[..looked_at];
        self.window.penalise(logits, self.settings.repeat_penalty);
        let token = if self.settings.temperature == 0.0 {
            greedy(logits)
        } else {
            let token = self.draw(logits);
            self.candidates.clear();
            token
        };
        token.ok_or(nothing)
    }

    /// Records a token of the prompt or of the answer, for the penalty.
    ///
    /// Only the last [`REPEAT_WINDOW`](Self::REPEAT_WINDOW) count, so no more of the
    /// prompt need be recorded.
    pub fn accept(&mut self, token: u32) {
        self.window.push(token);
    }

    /// Forgets the tokens and begins the random numbers anew: as just made.
    pub fn reset(&mut self) {
        self.rng = Rng::new(self.settings.seed);
        self.window = Window::default();
    }

    fn draw(&mut self, logits: &[f32]) -> Option<u32> {
        let Settings {
            temperature,
            top_k,
            top_p,
            min_p,
            ..
        } = self.settings;
        let candidates = &mut self.candidates;
        candidates.gather(logits, top_k);
        let best = candidates.best()?.logit();

        if top_p < ONE {
            let total: u64 = candidates
                .iter()
                .map(|c| weight(c.logit(), best, 1.0))
                .sum();
            let enough = u128::from(total) * u128::from(top_p);
            let mut sum = 0_u64;
            let crossing = candidates.find(|c| {
                sum += weight(c.logit(), best, 1.0);
                u128::from(sum) * u128::from(ONE) >= enough
            });
            if let Some((rank, _)) = crossing {
                candidates.truncate(rank + 1);
            }
        }
        if min_p > 0 {
            candidates.retain(|c| weight(c.logit(), best, 1.0) >= min_p);
        }

        let weigh = |logit| weight(logit, best, temperature);
        let total: u64 = candidates.iter().map(|c| weigh(c.logit())).sum();
        let mut left = self.rng.below_u64(total);
        let drawn = candidates.find(|c| match left.checked_sub(weigh(c.logit())) {
            Some(less) => {
                left = less;
                false
            }
            None => true,
        });
        drawn.map(|(_, candidate)| candidate.id())
    }
}

/// The id of the largest logit over -inf, the first of equals.
fn greedy(logits: &[f32]) -> Option<u32> {
    let mut best = f32::NEG_INFINITY;
    let mut token = None;
    for (&logit, id) in logits.iter().zip(0..) {
        // Never true of a NaN.
        if logit > best {
            best = logit;
            token = Some(id);
        }
    }
    token
}

/// The tokens accepted last.
#[derive(Debug, Clone)]
struct Window {
    /// A ring; its first `len` are filled.
    tokens: [u32; Sampler::REPEAT_WINDOW],
    len: usize,
    next: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            tokens: [0; Sampler::REPEAT_WINDOW],
            len: 0,
            next: 0,
        }
    }
}

impl Window {
    fn push(&mut self, token: u32) {
        self.tokens[self.next] = token;
        self.next = (self.next + 1) % self.tokens.len();
        self.len = (self.len + 1).min(self.tokens.len());
    }

    fn penalise(&self, logits: &mut [f32], penalty: f32) {
        if penalty == 1.0 {
            return;
        }
        let seen = &self.tokens[..self.len];
        for (i, token) in seen.iter().enumerate() {
            if seen[..i].contains(token) {
                continue;
            }
            let logit = usize::try_from(*token)
                .ok()
                .and_then(|index| logits.get_mut(index))
                .filter(|logit| logit.is_finite());
            if let Some(logit) = logit {
                let penalised = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
                *logit = penalised.clamp(f32::MIN, f32::MAX);
            }
        }
    }
}

/// There was no token to choose: no logit was over -inf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoToken {
    /// How many logits there were.
    pub logits: usize,
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.logits {
            0 => f.write_str("the model gave no logits"),
            n => write!(f, "all {n} logits of the model are -inf or NaN"),
        }
    }
}

impl std::error::Error for NoToken {}
