//! Training, in Burn: from questions and answers to [`Weights`].
//!
//! Burn computes the loss and its gradients. All else is plain numbers, in the order of
//! [`Config::shapes`](crate::Config::shapes): the weights, AdamW's state, checkpoints. So the
//! same seed gives the same weights, bit for bit, with any number of threads, and a run that
//! was stopped ends as one that was not.

mod adamw;
mod batches;
mod checkpoint;
mod curve;
mod error;
mod history;
mod network;
mod options;
mod output;
mod rope;
mod run;
mod workers;

pub use checkpoint::Skipped;
pub use error::TrainError;
pub use history::EpochReport;
pub use options::{OptionsError, TrainOptions};
pub use run::{StepReport, TrainEvent, TrainRun, Trained, train};

use crate::Weights;
use crate::vocab::Token;

/// What Burn's network makes of `tokens`: the logits after each of them, `vocab` numbers for
/// the first, then for the second, and so on. For comparing with the model that runs.
///
/// Tokens that the vocabulary does not have count as token 0; what is beyond the context is
/// left out.
pub fn logits(weights: &Weights, tokens: &[Token]) -> Vec<f32> {
    let config = weights.config();
    let known = |&token: &Token| match usize::from(token) < config.vocab {
        true => i32::from(token),
        false => 0,
    };
    let tokens: Vec<i32> = tokens.iter().take(config.context).map(known).collect();
    match tokens.is_empty() {
        true => Vec::new(),
        false => network::Network::from_weights(weights, false).logits(&tokens),
    }
}

#[cfg(test)]
mod tests;
