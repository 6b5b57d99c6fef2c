//! From logits to a token.

mod adjust;
mod candidates;
mod dry;
mod elementary;
mod logprobs;
mod mirostat;
mod ranked;
#[cfg(test)]
mod reference;
mod settings;
#[cfg(test)]
mod tests;
mod typical;
mod weight;

use crate::rng::Rng;
use adjust::{Window, add_bias};
use candidates::{Candidate, Candidates};
use dry::Dry;
pub use logprobs::logprobs;
use mirostat::Controller;
use rusty_genius_core::Sampling;
use settings::Settings;
use std::{fmt, sync::Arc};
use typical::{ByTypicality, keep_typical};
use weight::{ONE, weight};

/// Most logits looked at: this many weights have a sum below 2⁶⁴.
const MAX_VOCABULARY: usize = 1 << 23;

/// Chooses the next token of one generation from the model's logits.
///
/// # What happens to the logits, in this order
///
/// The definitions and the order are those of llama.cpp's usual chain.
///
/// 1. **Logit bias** (OpenAI API documentation) is added; every entry, also if a token
///    has several.
/// 2. **Penalties** for every token among the last
///    [`REPEAT_WINDOW`](Self::REPEAT_WINDOW) accepted. The *repeat penalty* (Keskar et
///    al. 2019, *CTRL*): a positive logit is divided by it, any other multiplied; once,
///    however often the token was seen. 1 is off. Then the *frequency penalty*, times how
///    often the token was seen, and the *presence penalty*, once, are taken away (OpenAI
///    API documentation). 0 is off.
/// 3. **DRY** (p-e-w 2024, text-generation-webui pull request 5677), about the last
///    [`DRY_WINDOW`](Self::DRY_WINDOW) accepted: if the last n tokens have stood there
///    before, with n at least the allowed length, the token that followed them then pays
///    multiplier · base^(n − allowed length); with several such n, for the longest. A
///    match neither contains a [breaker](Self::breaking_at) nor is one penalised. The
///    exponent is at most the largest with which the power is a finite `f32`. A
///    multiplier of 0 is off.
/// 4. **Temperature 0** ends here: the largest logit wins.
/// 5. **Top-k** (Fan et al. 2018): the k largest logits stay. 0 is off.
/// 6. **Typical-p** (Meister et al. 2022, *Locally Typical Sampling*): of the tokens,
///    those first whose surprise −ln p is nearest to the entropy, as few stay as together
///    have at least the share typical-p. p is the softmax of what top-k left. 1 is off.
/// 7. **Top-p**, the nucleus (Holtzman et al. 2020): of the tokens, likeliest first, as
///    few stay as together have at least the share p of the softmax of what is left. The
///    one that crosses the border stays. 1 is off.
/// 8. **Min-p** (Nguyen et al. 2024): whoever is at least p times as likely as the
///    likeliest that is left stays. 0 is off.
/// 9. **Temperature**: the remaining logits are divided by it.
/// 10. **Draw** from the softmax of what is left.
///
/// # Mirostat
///
/// With Mirostat (Basu et al. 2021) on, steps 5 to 8 are left out, and this stands between
/// temperature and draw. p is the softmax, with temperature, of all tokens; the bound μ
/// starts at 2τ.
///
/// * **Mirostat 1**: the k largest logits stay, k = (ε · 2^μ / (1 − N^−ε))^(1/s), rounded
///   down, at least 1. N is how many logits there are, ε = s − 1, and s is the Zipf
///   exponent, estimated as in the paper from the m = 100 likeliest tokens. If s is
///   infinite, as below a logit of +inf, k is 1.
/// * **Mirostat 2**: those stay of which −log₂ p is at most μ, or else the likeliest.
///
/// After the draw, μ becomes μ − η (S − τ). S is −log₂ of the drawn token's share of what
/// was left to draw from: so does llama.cpp, while the paper's surprise is about the
/// share of all.
///
/// # Ties
///
/// Wherever logits are equal, the lower id counts as the likelier.
///
/// # The draw, exactly
///
/// The likeliest token weighs 2⁴⁰, any other `floor(2⁴⁰ · e^((logit − largest) /
/// temperature))`. With S the sum of the weights and r the next number of SplitMix64,
/// begun at [`Sampling::seed`], the token drawn is the first, likeliest first, whose
/// running sum of weights is over `floor(r · S / 2⁶⁴)`. Typical-p, top-p and min-p use
/// the same weights, at temperature 1. Each draw takes one number; greedy choices and
/// failures take none, and leave μ as it is.
///
/// The same settings, logits and accepted tokens give the same token on every platform:
/// sums are of whole numbers or in a fixed order, and exponentials and logarithms are
/// computed here from additions, multiplications and divisions of doubles, not by the
/// platform's libm. That the logits are the same is the engine's business.
///
/// # Hostile input
///
/// Nothing panics and nothing loops.
///
/// * NaN counts as -inf, and what is -inf is never chosen. If that leaves nothing, or the
///   slice is empty, [`sample`](Self::sample) fails with [`NoToken`].
/// * +inf beats every number; several are equally likely.
/// * Bias and penalties change finite logits only, and those stay finite.
/// * Logits beyond the first 2²³ are not looked at, nor biases beyond the first 1,024.
/// * An accepted or biased id without a logit has no effect; an accepted one takes its
///   place in the window.
/// * [`Sampling`] that never passed
///   [`InferenceConfig`](rusty_genius_core::InferenceConfig): what is out of range counts
///   as the nearest border; a NaN, and a repeat penalty of zero or less, count as off
///   (for the temperature: greedy; for DRY's base: 1; for Mirostat's τ and η: the
///   default).
///
/// # Cost
///
/// Memory is allocated by the first sample, and later only for larger vocabularies.
/// Greedy is one pass and needs none. With top-k it is one pass and work on 2k tokens;
/// without, one pass each for typical-p, top-p, min-p, Mirostat and the draw, and of the
/// rankings only the part that is looked at. DRY is linear in its window, and has memory
/// only where it is on: 40 KiB at most.
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
/// for &token in &prompt[prompt.len().saturating_sub(sampler.window())..] {
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
    /// `None` is off.
    dry: Option<Dry>,
    /// `None` is off.
    mirostat: Option<Controller>,
    /// Empty between samples, so that clones are cheap; as is the next.
    candidates: Candidates,
    by_typicality: ByTypicality,
}

impl Sampler {
    /// How many of the tokens accepted last the repeat, frequency and presence penalties
    /// are about: 64, as in llama.cpp.
    pub const REPEAT_WINDOW: usize = 64;

    /// How many of the tokens accepted last DRY is about: 1,024.
    pub const DRY_WINDOW: usize = dry::WINDOW;

    /// A sampler that has seen no token.
    pub fn new(sampling: &Sampling) -> Self {
        let settings = Settings::new(sampling);
        Self {
            rng: Rng::new(settings.seed),
            settings,
            window: Window::default(),
            dry: Dry::new(sampling),
            mirostat: Controller::new(sampling),
            candidates: Candidates::default(),
            by_typicality: ByTypicality::default(),
        }
    }

    /// The same with DRY's sequence breakers, indexed by token id: tokens that DRY does
    /// not look across and never penalises, such as those with a line break or a quotation
    /// mark. Ids beyond the end break nothing. Default none; without effect if DRY is off.
    #[must_use]
    pub fn breaking_at(mut self, breakers: Arc<[bool]>) -> Self {
        if let Some(dry) = &mut self.dry {
            dry.break_at(breakers);
        }
        self
    }

    /// How many of the last tokens of a prompt are worth [accepting](Self::accept): those
    /// before have no effect. [`DRY_WINDOW`](Self::DRY_WINDOW) if DRY is on, else
    /// [`REPEAT_WINDOW`](Self::REPEAT_WINDOW).
    pub fn window(&self) -> usize {
        match self.dry {
            Some(_) => Self::DRY_WINDOW,
            None => Self::REPEAT_WINDOW,
        }
    }

    /// Chooses a token: an index into `logits`, which are biased and penalised in place
    /// and of no further use.
    ///
    /// Does not [`accept`](Self::accept) it: that is for the caller to do. Mirostat takes
    /// note of it all the same.
    ///
    /// Fails with [`NoToken`] if no logit is over -inf.
    pub fn sample(&mut self, logits: &mut [f32]) -> Result<u32, NoToken> {
        let nothing = NoToken {
            logits: logits.len(),
        };
        let looked_at = logits.len().min(MAX_VOCABULARY);
        let logits = &mut logits[..looked_at];
        add_bias(logits, &self.settings.bias);
        self.window.penalise(logits, &self.settings.penalties);
        if let Some(dry) = &mut self.dry {
            dry.penalise(logits);
        }
        let token = if self.settings.temperature == 0.0 {
            greedy(logits)
        } else {
            let token = self.draw(logits);
            self.candidates.clear();
            token
        };
        token.ok_or(nothing)
    }

    /// Records a token of the prompt or of the answer, for the penalties and DRY.
    ///
    /// Only the last [`window`](Self::window) count, so no more of the prompt need be
    /// recorded.
    pub fn accept(&mut self, token: u32) {
        self.window.push(token);
        if let Some(dry) = &mut self.dry {
            dry.accept(token);
        }
    }

    /// Forgets the tokens and what Mirostat has learnt, and begins the random numbers
    /// anew: as just made. DRY's breakers stay.
    pub fn reset(&mut self) {
        self.rng = Rng::new(self.settings.seed);
        self.window = Window::default();
        if let Some(dry) = &mut self.dry {
            dry.reset();
        }
        if let Some(mirostat) = &mut self.mirostat {
            mirostat.reset();
        }
    }

    fn draw(&mut self, logits: &[f32]) -> Option<u32> {
        let temperature = self.settings.temperature;
        if let Some(mirostat) = &self.mirostat {
            self.candidates.gather(logits, usize::MAX);
            mirostat.truncate(&mut self.candidates, temperature, logits.len());
        } else {
            self.truncate(logits);
        }

        let candidates = &mut self.candidates;
        let best = candidates.best()?.logit();
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
        let (_, drawn) = drawn?;
        if let Some(mirostat) = &mut self.mirostat {
            mirostat.observe(weigh(drawn.logit()), total);
        }
        Some(drawn.id())
    }

    /// Takes the candidates that top-k, typical-p, top-p and min-p leave.
    fn truncate(&mut self, logits: &[f32]) {
        let Settings {
            top_k,
            typical_p,
            top_p,
            min_p,
            ..
        } = self.settings;
        let candidates = &mut self.candidates;
        candidates.gather(logits, top_k);
        if typical_p < ONE {
            keep_typical(candidates, typical_p, &mut self.by_typicality);
        }
        if top_p == ONE && min_p == 0 {
            return;
        }
        let Some(best) = candidates.best() else {
            return;
        };
        let weigh = |c: Candidate| weight(c.logit(), best.logit(), 1.0);
        if top_p < ONE {
            candidates.keep_share(top_p, ONE, weigh);
        }
        if min_p > 0 {
            candidates.retain(|c| weigh(c) >= min_p);
        }
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
