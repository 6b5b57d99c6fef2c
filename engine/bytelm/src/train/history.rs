//! What was measured after each epoch.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What was measured over an epoch and after it.
///
/// Bits per byte are those of the answers, their thoughts and the end of their turn; the
/// prompts' bytes are not predicted. 8 would be no knowledge at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps made since training began.
    pub step: u64,
    /// The learning rate at its end.
    pub rate: f64,
    /// Mean loss over the epoch, in nats for each byte of an answer.
    pub loss: f64,
    /// The same in bits.
    pub bits: f64,
    /// Bits per byte of answers to questions in wordings that were held out.
    pub wordings: Option<f64>,
    /// Bits per byte of answers to questions about rows that were held out.
    pub rows: Option<f64>,
    /// Bytes read in a second, questions included: training alone, not what is asked after
    /// it.
    pub speed: f64,
}

/// The reports as a table: one line for each, and a line of names first.
pub(crate) fn csv(history: &[EpochReport]) -> String {
    let mut text = String::from(
        "epoch,step,learning_rate,train_loss,train_bits_per_byte,\
         held_out_wordings_bits_per_byte,held_out_rows_bits_per_byte,bytes_per_second\n",
    );
    for report in history {
        let optional = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.6}"));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{},{},{:.6e},{:.6},{:.6},{},{},{:.0}",
            report.epoch,
            report.step,
            report.rate,
            report.loss,
            report.bits,
            optional(report.wordings),
            optional(report.rows),
            report.speed
        );
    }
    text
}
