//! What is added to and taken from single logits.

use super::Sampler;
use super::settings::Penalties;

/// Adds to each token's logit what it is biased by.
pub(super) fn add_bias(logits: &mut [f32], bias: &[(u32, f32)]) {
    for &(token, bias) in bias {
        change(logits, token, |logit| logit + bias);
    }
}

/// The tokens accepted last.
#[derive(Debug, Clone)]
pub(super) struct Window {
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
    pub(super) fn push(&mut self, token: u32) {
        self.tokens[self.next] = token;
        self.next = (self.next + 1) % self.tokens.len();
        self.len = (self.len + 1).min(self.tokens.len());
    }

    pub(super) fn penalise(&self, logits: &mut [f32], penalties: &Penalties) {
        if *penalties == Penalties::OFF {
            return;
        }
        let seen = &self.tokens[..self.len];
        for (i, token) in seen.iter().enumerate() {
            if seen[..i].contains(token) {
                continue;
            }
            // 64 at most: exact.
            let count = seen[i..].iter().filter(|&other| other == token).count() as f32;
            change(logits, *token, |logit| {
                let repeated = if logit > 0.0 {
                    logit / penalties.repeat
                } else {
                    logit * penalties.repeat
                };
                bounded(repeated) - (count * penalties.frequency + penalties.presence)
            });
        }
    }
}

/// A finite logit, if the token has one, becomes another, which is finite.
fn change(logits: &mut [f32], token: u32, new: impl FnOnce(f32) -> f32) {
    let logit = usize::try_from(token)
        .ok()
        .and_then(|index| logits.get_mut(index))
        .filter(|logit| logit.is_finite());
    if let Some(logit) = logit {
        *logit = bounded(new(*logit));
    }
}

fn bounded(logit: f32) -> f32 {
    logit.clamp(f32::MIN, f32::MAX)
}
