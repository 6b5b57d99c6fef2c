//! Logit bias, and what tokens pay for having been seen.

use super::*;

/// The logits after bias and penalties.
fn adjusted<const N: usize>(sampling: &Sampling, seen: &[u32], mut logits: [f32; N]) -> [f32; N] {
    let mut sampler = Sampler::new(sampling);
    seen.iter().for_each(|&token| sampler.accept(token));
    sampler.sample(&mut logits).unwrap();
    logits
}

fn biased(logit_bias: &[(u32, f32)]) -> Sampling {
    Sampling {
        logit_bias: logit_bias.to_vec(),
        ..greedy()
    }
}

#[test]
fn a_bias_is_added_to_its_tokens_logit() {
    let sampling = biased(&[(2, 3.0), (0, -1.5)]);
    assert_eq!(adjusted(&sampling, &[], [1.0, 1.0, 1.0]), [-0.5, 1.0, 4.0]);
    assert_eq!(once(&sampling, &[], &[1.0, 1.0, 1.0]), Ok(2));
}

#[test]
fn every_bias_of_a_token_is_added() {
    let sampling = biased(&[(0, 1.0), (0, 2.0)]);
    assert_eq!(adjusted(&sampling, &[], [0.5]), [3.5]);
}

#[test]
fn a_bias_without_a_logit_does_nothing() {
    let sampling = biased(&[(1, 5.0), (u32::MAX, 5.0)]);
    assert_eq!(adjusted(&sampling, &[], [0.5]), [0.5]);
}

#[test]
fn a_bias_leaves_infinities_and_keeps_the_finite_finite() {
    let sampling = biased(&[(0, 100.0), (1, 100.0), (2, -100.0), (3, -100.0)]);
    let logits = [-INF, f32::MAX, f32::MIN, INF];
    assert_eq!(adjusted(&sampling, &[], logits), logits);
}

#[test]
fn a_bias_out_of_range_counts_as_the_border_and_nan_as_none() {
    let sampling = biased(&[(0, INF), (1, -101.0), (2, NAN)]);
    assert_eq!(adjusted(&sampling, &[], [0.0; 3]), [100.0, -100.0, 0.0]);
}

#[test]
fn no_more_than_1024_biases_count() {
    let sampling = biased(&[(0, 1.0); 1025]);
    assert_eq!(adjusted(&sampling, &[], [0.0]), [1024.0]);
}

#[test]
fn the_bias_comes_before_the_penalties() {
    let sampling = Sampling {
        repeat_penalty: 2.0,
        ..biased(&[(0, 3.0)])
    };
    // First penalised it would be -2 + 3.
    assert_eq!(adjusted(&sampling, &[0], [-1.0]), [1.0]);
}

#[test]
fn the_frequency_penalty_comes_as_often_as_the_token() {
    let sampling = Sampling {
        frequency_penalty: 0.5,
        ..greedy()
    };
    let seen = [1, 2, 1, 1];
    assert_eq!(adjusted(&sampling, &seen, [4.0, 4.0, 4.0]), [4.0, 2.5, 3.5]);
}

#[test]
fn the_presence_penalty_comes_once() {
    let sampling = Sampling {
        presence_penalty: 0.5,
        ..greedy()
    };
    let seen = [1, 2, 1, 1];
    assert_eq!(
        adjusted(&sampling, &seen, [4.0, 4.0, -4.0]),
        [4.0, 3.5, -4.5]
    );
}

#[test]
fn a_negative_penalty_is_a_reward() {
    let sampling = Sampling {
        frequency_penalty: -2.0,
        presence_penalty: -1.0,
        ..greedy()
    };
    assert_eq!(adjusted(&sampling, &[1, 1], [1.0, 1.0]), [1.0, 6.0]);
}

#[test]
fn the_repeat_penalty_comes_before_the_others() {
    let sampling = Sampling {
        repeat_penalty: 2.0,
        frequency_penalty: 1.0,
        presence_penalty: 0.5,
        ..greedy()
    };
    // 3 / 2 - 2 * 1 - 0.5.
    assert_eq!(adjusted(&sampling, &[0, 0], [3.0]), [-1.0]);
}

#[test]
fn only_the_last_64_tokens_count() {
    let sampling = Sampling {
        frequency_penalty: 1.0,
        ..greedy()
    };
    assert_eq!(adjusted(&sampling, &[0; 200], [0.0, 0.0]), [-64.0, 0.0]);
    let mut seen = vec![0; 70];
    seen.extend([1; 63]);
    assert_eq!(adjusted(&sampling, &seen, [0.0, 0.0]), [-1.0, -63.0]);
}

#[test]
fn penalties_leave_infinities_and_keep_the_finite_finite() {
    let sampling = Sampling {
        repeat_penalty: 10.0,
        frequency_penalty: 2.0,
        presence_penalty: 2.0,
        ..greedy()
    };
    let seen = [0, 1, 2];
    let logits = [-INF, f32::MIN, INF];
    assert_eq!(adjusted(&sampling, &seen, logits), logits);
}

#[test]
fn penalties_out_of_range_count_as_the_border_and_nan_as_off() {
    let of = |frequency_penalty, presence_penalty| {
        let sampling = Sampling {
            frequency_penalty,
            presence_penalty,
            ..greedy()
        };
        adjusted(&sampling, &[0], [0.0])
    };
    assert_eq!(of(INF, -9.0), [0.0]);
    assert_eq!(of(INF, 0.0), [-2.0]);
    assert_eq!(of(0.0, -INF), [2.0]);
    assert_eq!(of(NAN, NAN), [0.0]);
}
