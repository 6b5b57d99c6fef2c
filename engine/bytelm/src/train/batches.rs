//! Samples in batches of similar length.

use crate::corpus::{Sample, generator};

/// Rows of the same length, as tensors need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Rows.
    pub(crate) rows: usize,
    /// Tokens of all rows, one row after the other, filled up with zeros. Attention looks
    /// back only, so what is behind a row's end changes nothing before it.
    pub(crate) tokens: Vec<i32>,
    /// Where in `tokens` a token of an answer is to be predicted.
    pub(crate) predicting: Vec<i32>,
    /// The token to predict there.
    pub(crate) targets: Vec<i32>,
    /// Tokens of the samples, without what fills up.
    pub(crate) size: usize,
}

impl Batch {
    /// The samples side by side.
    pub(crate) fn new(samples: &[&Sample]) -> Self {
        let length = samples.iter().map(|s| inputs(s)).max().unwrap_or(0);
        let mut batch = Self {
            rows: samples.len(),
            tokens: vec![0; length * samples.len()],
            predicting: Vec::new(),
            targets: Vec::new(),
            size: samples.iter().map(|s| s.tokens.len()).sum(),
        };
        for (row, sample) in samples.iter().enumerate() {
            let first = row * length;
            for (at, pair) in sample.tokens.windows(2).enumerate() {
                batch.tokens[first + at] = pair[0].into();
                if at + 1 >= sample.prompt {
                    batch.predicting.push((first + at) as i32);
                    batch.targets.push(pair[1].into());
                }
            }
        }
        batch
    }

    /// The samples in at most `shards` parts of about as many rows.
    pub(crate) fn shards(samples: &[&Sample], shards: usize) -> Vec<Self> {
        let rows = samples.len().div_ceil(shards.max(1)).max(1);
        samples.chunks(rows).map(Self::new).collect()
    }
}

/// Which samples are together in a batch of at most `tokens` tokens, filling included; a
/// longer sample is a batch of its own. In another order for each epoch of a seed.
pub(crate) fn plan(samples: &[Sample], tokens: usize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    let mut rng = generator([seed, epoch, u64::MAX - 1]);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    rng.shuffle(&mut order);
    // Not sorted to the byte, so that it is not always the same ones that meet.
    order.sort_by_key(|&at| samples[at].tokens.len().div_ceil(8));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut longest = 0;
    for at in order {
        let length = inputs(&samples[at]);
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * longest.max(length) <= tokens => {
                longest = longest.max(length);
                batch.push(at);
            }
            _ => {
                longest = length;
                batches.push(vec![at]);
            }
        }
    }
    rng.shuffle(&mut batches);
    batches
}

/// Tokens of a sample that go in: its last one is only ever predicted.
fn inputs(sample: &Sample) -> usize {
    sample.tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(length: usize) -> Sample {
        Sample {
            tokens: (0..length as u16).collect(),
            prompt: length - 2,
        }
    }

    #[test]
    fn a_batch_predicts_the_answers_and_nothing_else() {
        let batch = Batch::new(&[&sample(5), &sample(3)]);
        assert_eq!(batch.rows, 2);
        assert_eq!(batch.tokens, [0, 1, 2, 3, 0, 1, 0, 0]);
        assert_eq!(batch.predicting, [2, 3, 4, 5]);
        assert_eq!(batch.targets, [3, 4, 1, 2]);
        assert_eq!(batch.size, 8);
    }

    #[test]
    fn every_sample_is_in_one_batch_which_is_not_too_large() {
        let samples: Vec<Sample> = (0..100).map(|n| sample(3 + n * 7 % 60)).collect();
        let batches = plan(&samples, 128, 1, 0);
        let mut seen = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        for batch in &batches {
            let rows: Vec<&Sample> = batch.iter().map(|&at| &samples[at]).collect();
            assert!(Batch::new(&rows).tokens.len() <= 128);
        }
        assert_eq!(batches, plan(&samples, 128, 1, 0));
        assert_ne!(batches, plan(&samples, 128, 1, 1));
        assert_ne!(batches, plan(&samples, 128, 2, 0));
    }

    #[test]
    fn a_sample_that_is_longer_than_a_batch_is_alone() {
        let batches = plan(&[sample(50), sample(60)], 10, 1, 0);
        assert_eq!(batches.len(), 2);
    }

    #[test]
    fn shards_are_the_rows_in_parts() {
        let samples = [sample(5), sample(5), sample(5)];
        let rows: Vec<&Sample> = samples.iter().collect();
        let count = |shards| {
            let shards = Batch::shards(&rows, shards);
            shards.iter().map(|shard| shard.rows).collect::<Vec<_>>()
        };
        assert_eq!(count(1), [3]);
        assert_eq!(count(2), [2, 1]);
        assert_eq!(count(8), [1, 1, 1]);
    }
}
