//! Tokens from fixed seeds: whatever platform draws others rounds otherwise.

use super::*;
use rusty_genius_core::Mirostat;

/// Twelve tokens, each accepted, after a prompt.
fn tokens(change: fn(&mut Sampling)) -> [u32; 12] {
    let mut sampling = Sampling {
        temperature: 0.9,
        seed: 42,
        ..Sampling::default()
    };
    change(&mut sampling);
    let breakers: Vec<bool> = (0..272).map(|token| token % 90 == 0).collect();
    let mut sampler = Sampler::new(&sampling).breaking_at(breakers.into());
    for token in [247, 219, 28, 247, 219] {
        sampler.accept(token);
    }
    let logits: Vec<f32> = (0_u16..272).map(|i| f32::from(i * 31 % 97) / 8.0).collect();
    [(); 12].map(|()| {
        let token = sample(&mut sampler, &logits).unwrap();
        sampler.accept(token);
        token
    })
}

#[test]
fn with_a_bias() {
    assert_eq!(
        tokens(|s| s.logit_bias = vec![(7, 8.3), (247, -2.0)]),
        [7, 219, 244, 75, 25, 225, 147, 200, 75, 222, 50, 100]
    );
}

#[test]
fn with_penalties() {
    let set = |s: &mut Sampling| {
        s.repeat_penalty = 1.2;
        s.frequency_penalty = 0.7;
        s.presence_penalty = 0.3;
    };
    assert_eq!(
        tokens(set),
        [103, 50, 75, 269, 25, 106, 172, 81, 197, 200, 244, 78]
    );
}

#[test]
fn with_dry() {
    let set = |s: &mut Sampling| {
        s.dry_multiplier = 0.8;
        s.dry_allowed_length = 1;
        s.top_k = 4;
    };
    assert_eq!(
        tokens(set),
        [219, 25, 122, 122, 25, 147, 25, 244, 122, 147, 122, 50]
    );
}

#[test]
fn with_typical_p() {
    let set = |s: &mut Sampling| {
        s.typical_p = 0.3;
        s.top_k = 0;
    };
    assert_eq!(
        tokens(set),
        [128, 125, 150, 247, 28, 56, 53, 225, 247, 103, 53, 175]
    );
}

#[test]
fn with_mirostat_1() {
    assert_eq!(
        tokens(|s| s.mirostat = Mirostat::V1),
        [153, 50, 75, 269, 25, 84, 244, 106, 269, 175, 147, 125]
    );
}

#[test]
fn with_mirostat_2() {
    let set = |s: &mut Sampling| {
        s.mirostat = Mirostat::V2;
        s.mirostat_tau = 2.5;
    };
    assert_eq!(
        tokens(set),
        [75, 122, 122, 122, 25, 244, 122, 147, 122, 50, 122, 219]
    );
}

#[test]
fn with_everything() {
    let set = |s: &mut Sampling| {
        s.logit_bias = vec![(7, 8.3), (247, -2.0)];
        s.repeat_penalty = 1.2;
        s.frequency_penalty = 0.7;
        s.presence_penalty = 0.3;
        s.dry_multiplier = 0.8;
        s.typical_p = 0.6;
    };
    assert_eq!(
        tokens(set),
        [78, 147, 3, 100, 75, 225, 269, 56, 222, 6, 244, 7]
    );
}
