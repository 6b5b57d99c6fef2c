//! DRY, "don't repeat yourself" (p-e-w 2024, text-generation-webui pull request 5677),
//! as llama.cpp computes it.

#[cfg(test)]
mod tests;

use super::settings::within;
use rusty_genius_core::Sampling;
use std::sync::Arc;

/// How many of the tokens accepted last are looked at.
pub(super) const WINDOW: usize = 1024;

/// Penalises tokens that would go on with what has been said before.
#[derive(Debug, Clone)]
pub(super) struct Dry {
    multiplier: f64,
    base: f64,
    allowed: usize,
    /// The largest exponent with which the base's power is a finite `f32`.
    most: usize,
    /// By token id.
    breakers: Arc<[bool]>,
    /// The last of these are the window; twice the window at most, so that it is always
    /// in one piece and rarely moved.
    tokens: Vec<u32>,
    /// Empty between samples, so that clones are cheap.
    repeats: Vec<usize>,
    /// Logits to be, by index. Empty between samples.
    penalised: Vec<(usize, f32)>,
}

impl Dry {
    /// `None` if it is off.
    pub(super) fn new(sampling: &Sampling) -> Option<Self> {
        let multiplier = within(sampling.dry_multiplier, 0.0, 100.0, 0.0);
        if multiplier == 0.0 {
            return None;
        }
        let base = f64::from(within(sampling.dry_base, 1.0, 10.0, 1.0));
        Some(Self {
            multiplier: multiplier.into(),
            base,
            allowed: usize::try_from(sampling.dry_allowed_length).unwrap_or(usize::MAX),
            most: largest_exponent(base),
            breakers: Arc::default(),
            tokens: Vec::new(),
            repeats: Vec::new(),
            penalised: Vec::new(),
        })
    }

    pub(super) fn break_at(&mut self, breakers: Arc<[bool]>) {
        self.breakers = breakers;
    }

    pub(super) fn accept(&mut self, token: u32) {
        if self.tokens.len() == 2 * WINDOW {
            self.tokens.drain(..WINDOW);
        }
        self.tokens.push(token);
    }

    pub(super) fn reset(&mut self) {
        self.tokens.clear();
    }

    /// Takes its penalty from the logit of every token that would lengthen a repetition
    /// of at least the allowed length. Finite logits stay finite.
    pub(super) fn penalise(&mut self, logits: &mut [f32]) {
        let window = &self.tokens[self.tokens.len().saturating_sub(WINDOW)..];
        let breaks = |token: u32| at(&self.breakers, token).is_some_and(|&breaks| breaks);
        let since_break = window
            .iter()
            .rev()
            .position(|&token| breaks(token))
            .unwrap_or(window.len());
        if since_break < self.allowed {
            return;
        }
        repeats(window, &mut self.repeats);
        let last = window.len();
        for (back, &repeat) in self.repeats.iter().enumerate().skip(1) {
            // What ended `back` tokens before the end went on with this.
            let token = window[last - back];
            let repeat = repeat.min(since_break);
            if repeat < self.allowed || breaks(token) {
                continue;
            }
            if let Some(&logit) = at(logits, token).filter(|logit| logit.is_finite()) {
                let exponent = (repeat - self.allowed).min(self.most);
                let penalty = self.multiplier * power(self.base, exponent);
                let logit = (f64::from(logit) - penalty) as f32;
                // Fits: there was a logit.
                self.penalised.push((token as usize, logit.max(f32::MIN)));
            }
        }
        // The longest repetition decides, that is the least of the logits: none of them
        // was computed from a logit already penalised.
        for (index, penalised) in self.penalised.drain(..) {
            logits[index] = logits[index].min(penalised);
        }
        self.repeats.clear();
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.tokens.capacity().max(self.repeats.capacity())
    }
}

fn at<T>(by_token: &[T], token: u32) -> Option<&T> {
    usize::try_from(token).ok().and_then(|id| by_token.get(id))
}

/// For each `back`: how many tokens up to `back` tokens before the end of the window are
/// the same as up to its end. The Z algorithm (Gusfield 1997), read backwards: linear.
/// What stands at 0 has no meaning.
fn repeats(window: &[u32], repeats: &mut Vec<usize>) {
    let n = window.len();
    let from_end = |back: usize| window[n - 1 - back];
    repeats.clear();
    repeats.resize(n, 0);
    // The match that reaches furthest back: it begins at `begin` and ends before `end`.
    let (mut begin, mut end) = (0, 0);
    for back in 1..n {
        let mut same = if back < end {
            repeats[back - begin].min(end - back)
        } else {
            0
        };
        while back + same < n && from_end(same) == from_end(back + same) {
            same += 1;
        }
        if back + same > end {
            (begin, end) = (back, back + same);
        }
        repeats[back] = same;
    }
}

/// The largest exponent, 1,024 at most, with which the power is a finite `f32`.
fn largest_exponent(base: f64) -> usize {
    let mut power = 1.0;
    (0..WINDOW)
        .take_while(|_| {
            power *= base;
            power <= f64::from(f32::MAX)
        })
        .count()
}

/// Not the platform's, whose last digits differ from platform to platform.
fn power(base: f64, exponent: usize) -> f64 {
    let (mut power, mut square, mut left) = (1.0, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            power *= square;
        }
        square *= square;
        left >>= 1;
    }
    power
}
