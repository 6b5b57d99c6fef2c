//! The network: what it looks at, and whether its gradients are those of its loss.

use super::batches::Batch;
use super::network::Network;
use super::rope::Rope;
use super::workers::Workers;
use super::*;
use crate::Config;
use crate::corpus::Sample;
use std::sync::Arc;

/// One block with everything that a model can have: grouped heads, an output of its own.
fn small() -> Config {
    Config {
        name: "small".into(),
        context: 64,
        width: 16,
        layers: 1,
        heads: 4,
        kv_heads: 2,
        feed_forward: 24,
        tied: false,
        ..Config::named("test-50k").unwrap()
    }
}

/// Weights ten times those of a model that has learnt nothing, so that attention matters.
fn numbers(config: &Config) -> Vec<Vec<f32>> {
    let weights = Weights::random(config.clone(), 7).unwrap();
    let grown = |(name, tensor): (String, &crate::Tensor)| match name.contains("norm") {
        true => tensor.data.clone(),
        false => tensor.data.iter().map(|number| number * 10.0).collect(),
    };
    weights.tensors().map(grown).collect()
}

fn network(config: &Config, numbers: &[Vec<f32>], tracked: bool) -> Network {
    let numbers: Vec<&[f32]> = numbers.iter().map(Vec::as_slice).collect();
    Network::new(config, &numbers, &Arc::new(Rope::new(config)), tracked)
}

fn samples() -> Vec<Sample> {
    [(&b"2 + 2 = 4"[..], 6), (b"hello, world", 7), (b"aa", 1)]
        .map(|(text, prompt)| Sample {
            tokens: text.iter().map(|&byte| byte.into()).collect(),
            prompt,
        })
        .to_vec()
}

#[test]
fn no_logit_depends_on_a_later_token() {
    let config = small();
    let network = network(&config, &numbers(&config), false);
    let mut tokens: Vec<i32> = (0..40).map(|n| n * 37 % 256).collect();
    let before = network.logits(&tokens);
    for changed in [39, 20, 1] {
        tokens[changed] = 255 - tokens[changed];
        let after = network.logits(&tokens);
        let same = changed * config.vocab;
        assert_eq!(before[..same], after[..same], "token {changed}");
        assert_ne!(before[same..], after[same..], "token {changed}");
        tokens[changed] = 255 - tokens[changed];
    }
}

#[test]
fn what_fills_a_batch_up_changes_nothing() {
    let config = small();
    let network = network(&config, &numbers(&config), false);
    let loss = |samples: &[&Sample]| -> f32 { network.loss(&Batch::new(samples)).into_scalar() };
    let samples = samples();
    let together = loss(&samples.iter().collect::<Vec<_>>());
    let alone: f32 = samples.iter().map(|sample| loss(&[sample])).sum();
    assert!((together - alone).abs() < 1e-3, "{together} {alone}");
}

#[test]
fn gradients_are_those_of_the_loss() {
    let config = small();
    let weights = numbers(&config);
    let samples = samples();
    let batch = Batch::new(&samples.iter().collect::<Vec<_>>());
    let gradients = network(&config, &weights, true).gradients(&batch, 1.0);
    let loss = |weights: &[Vec<f32>]| -> f64 {
        let loss: f32 = network(&config, weights, false).loss(&batch).into_scalar();
        f64::from(loss)
    };
    for (at, shape) in config.shapes().iter().enumerate() {
        let gradient = &gradients.tensors[at];
        let mut largest: Vec<usize> = (0..gradient.len()).collect();
        largest.sort_by(|a, b| gradient[*b].abs().total_cmp(&gradient[*a].abs()));
        assert!(gradient[largest[0]].abs() > 0.05, "{}", shape.name);
        for &number in &largest[..3] {
            // Far enough that the loss, about 100 in f32, changes by many of its last digits.
            let step = 1e-2;
            let moved = |by: f32| {
                let mut weights = weights.clone();
                weights[at][number] += by;
                loss(&weights)
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let found = f64::from(gradient[number]);
            let tolerance = 0.02 * found.abs() + 4e-3;
            assert!(
                (slope - found).abs() < tolerance,
                "{}[{number}]: the loss says {slope}, the gradient {found}",
                shape.name
            );
        }
    }
}

#[test]
fn any_bytes_and_markers_have_finite_logits() {
    let config = Config::named("test-50k").unwrap();
    let weights = Weights::random(config, 1).unwrap();
    let all: Vec<Token> = (0..300).chain([u16::MAX, 0, 0]).collect();
    let no_utf8: Vec<Token> = crate::vocab::encode(b"\xff\xfe\0\xc3").collect();
    for tokens in all.chunks(100).chain([&no_utf8[..]]) {
        let logits = logits(&weights, tokens);
        assert_eq!(logits.len(), tokens.len() * weights.config().vocab);
        assert!(logits.iter().all(|logit| logit.is_finite()));
    }
    assert!(logits(&weights, &[]).is_empty());
}

#[test]
fn weights_go_into_the_network_and_come_out_the_same() {
    for tied in [true, false] {
        let config = Config { tied, ..small() };
        let weights = Weights::random(config, 1).unwrap();
        let there: Vec<Vec<f32>> = weights.tensors().map(|(_, t)| t.data.clone()).collect();
        assert_eq!(Network::from_weights(&weights, true).numbers(), there);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let config = small();
    let weights = numbers(&config);
    let samples = samples();
    let rows: Vec<&Sample> = samples.iter().collect();
    let shards = Batch::shards(&rows, 3);
    let gradients = |threads| {
        let workers = Workers::new(&config, threads).unwrap();
        workers.gradients(&weights, &shards).unwrap()
    };
    let (one, three) = (gradients(1), gradients(3));
    assert_eq!(one.loss, three.loss);
    assert_eq!(one.tensors, three.tensors);
    assert_eq!(one.tensors, gradients(2).tensors);

    // And shards add up to the batch.
    let whole = Workers::new(&config, 1).unwrap();
    let whole = whole.gradients(&weights, &Batch::shards(&rows, 1)).unwrap();
    assert!((whole.loss - one.loss).abs() < 1e-5);
}
