//! The chain as it always was here; what came later is in the submodules.

mod combination;
mod mirostat;
mod penalties;
mod same_everywhere;
mod typical;

use super::*;
use crate::rng::Rng;
use std::collections::BTreeSet;

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

/// Everything off, temperature 1: the plain softmax.
fn plain() -> Sampling {
    Sampling {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        seed: 1_234_567,
        ..Sampling::default()
    }
}

fn greedy() -> Sampling {
    Sampling {
        temperature: 0.0,
        ..plain()
    }
}

fn penalty(repeat_penalty: f32) -> Sampling {
    Sampling {
        repeat_penalty,
        ..greedy()
    }
}

/// Logits of these chances.
fn chances<const N: usize>(chances: [f32; N]) -> Vec<f32> {
    chances.iter().map(|chance| chance.ln()).collect()
}

fn sample(sampler: &mut Sampler, logits: &[f32]) -> Result<u32, NoToken> {
    sampler.sample(&mut logits.to_vec())
}

fn once(sampling: &Sampling, seen: &[u32], logits: &[f32]) -> Result<u32, NoToken> {
    let mut sampler = Sampler::new(sampling);
    seen.iter().for_each(|&token| sampler.accept(token));
    sample(&mut sampler, logits)
}

/// `n` tokens from the same logits, none accepted.
fn draws(sampling: &Sampling, logits: &[f32], n: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling);
    (0..n)
        .map(|_| sample(&mut sampler, logits).unwrap())
        .collect()
}

/// Which tokens turn up at all.
fn survivors(sampling: &Sampling, logits: &[f32]) -> Vec<u32> {
    let drawn: BTreeSet<u32> = draws(sampling, logits, 2_000).into_iter().collect();
    drawn.into_iter().collect()
}

// The draw.

/// The published numbers of SplitMix64 for 1,234,567 are 0.350, 0.174, 0.532 of 2⁶⁴.
#[test]
fn the_draw_can_be_checked_by_hand() {
    assert_eq!(draws(&plain(), &[0.0; 2], 3), [0, 0, 1]);
    assert_eq!(draws(&plain(), &[0.0; 4], 3), [1, 0, 2]);
    assert_eq!(draws(&plain(), &[0.0; 100], 3), [35, 17, 53]);
}

#[test]
fn the_likeliest_stand_first_in_the_draw() {
    // 0.350 and 0.174 fall to token 2 with its 0.4, 0.532 to token 0 after it.
    assert_eq!(draws(&plain(), &chances([0.35, 0.25, 0.4]), 3), [2, 2, 0]);
}

#[test]
fn the_same_seed_draws_the_same_on_every_platform() {
    let logits: Vec<f32> = (0_u16..272).map(|i| f32::from(i * 31 % 97) / 8.0).collect();
    let sampling = Sampling {
        seed: 42,
        ..Sampling::default()
    };
    assert_eq!(
        draws(&sampling, &logits, 12),
        [247, 219, 147, 244, 25, 31, 50, 175, 244, 28, 50, 3]
    );
}

#[test]
fn other_seeds_draw_otherwise() {
    let of = |seed| draws(&Sampling { seed, ..plain() }, &[0.0; 50], 20);
    assert_ne!(of(0), of(1));
    assert_ne!(of(u64::MAX), of(0));
}

/// Within five standard deviations: a fair draw fails this once in a million seeds, and
/// the seed is fixed.
#[test]
fn every_token_comes_as_often_as_its_chance_says() {
    let expected = [0.5_f32, 0.25, 0.125, 0.0625, 0.0625];
    let n = 40_000_u16;
    let drawn = draws(&plain(), &chances(expected), n.into());
    for (token, chance) in (0..).zip(expected.map(f64::from)) {
        let count = drawn.iter().filter(|&&t| t == token).count() as f64;
        let mean = f64::from(n) * chance;
        let deviation = (mean * (1.0 - chance)).sqrt();
        assert!((count - mean).abs() < 5.0 * deviation, "{token}: {count}");
    }
}

#[test]
fn a_draw_takes_one_number_and_a_failure_none() {
    let mut sampler = Sampler::new(&plain());
    assert!(sample(&mut sampler, &[NAN]).is_err());
    assert_eq!(sample(&mut sampler, &[0.0; 100]), Ok(35));
    assert_eq!(sample(&mut sampler, &[0.0]), Ok(0));
    assert_eq!(sample(&mut sampler, &[0.0; 100]), Ok(53));
}

// Greedy.

#[test]
fn temperature_zero_takes_the_largest_and_the_first_of_equals() {
    assert_eq!(once(&greedy(), &[], &[1.0, 3.0, 2.0]), Ok(1));
    assert_eq!(once(&greedy(), &[], &[1.0, 3.0, 3.0]), Ok(1));
    assert_eq!(once(&greedy(), &[], &[-0.0, 0.0]), Ok(0));
    assert_eq!(once(&greedy(), &[], &[f32::MIN, NAN]), Ok(0));
}

#[test]
fn temperature_zero_looks_at_the_penalised_logits() {
    assert_eq!(once(&penalty(2.0), &[1], &[2.0, 3.0]), Ok(0));
}

// Temperature.

#[test]
fn a_tiny_temperature_takes_the_largest() {
    let sampling = Sampling {
        temperature: 1e-6,
        ..plain()
    };
    assert_eq!(survivors(&sampling, &[1.0, 1.001, 0.5]), [1]);
    assert_eq!(survivors(&sampling, &[7.0, 7.0, 0.5]), [0, 1]);
    let sampling = Sampling {
        temperature: 1e-45,
        ..plain()
    };
    assert_eq!(survivors(&sampling, &[f32::MIN, 0.0, 0.0, f32::MAX]), [3]);
}

#[test]
fn the_highest_temperature_evens_out() {
    let sampling = Sampling {
        temperature: 10.0,
        ..plain()
    };
    let drawn = draws(&sampling, &[0.0, 1.0], 10_000);
    // e^0.1 to 1: 0.525.
    let count = drawn.iter().filter(|&&token| token == 1).count();
    assert!((5_000..5_500).contains(&count), "{count}");
}

#[test]
fn temperature_comes_last_and_changes_nobodys_survival() {
    let at = |temperature| Sampling {
        temperature,
        top_p: 0.65,
        min_p: 0.5,
        ..plain()
    };
    let logits = chances([0.4, 0.3, 0.15, 0.15]);
    // Before top-p it would have let three through.
    assert_eq!(survivors(&at(10.0), &logits), [0, 1]);
    // Before min-p it would have let one through.
    assert_eq!(survivors(&at(0.3), &logits), [0, 1]);
}

// Top-k.

#[test]
fn top_k_keeps_the_k_largest_and_of_equals_the_first() {
    let top = |top_k| Sampling { top_k, ..plain() };
    let logits = [1.0, 3.0, 2.0, 2.0];
    assert_eq!(survivors(&top(1), &logits), [1]);
    assert_eq!(survivors(&top(2), &logits), [1, 2]);
    assert_eq!(survivors(&top(3), &logits), [1, 2, 3]);
    assert_eq!(survivors(&top(u32::MAX), &logits), [0, 1, 2, 3]);
    assert_eq!(survivors(&top(0), &logits), [0, 1, 2, 3]);
}

// Top-p.

#[test]
fn top_p_keeps_the_token_that_crosses_the_border() {
    let top = |top_p| Sampling { top_p, ..plain() };
    let logits = chances([0.125, 0.5, 0.25, 0.125]);
    assert_eq!(survivors(&top(f32::MIN_POSITIVE), &logits), [1]);
    assert_eq!(survivors(&top(0.49), &logits), [1]);
    assert_eq!(survivors(&top(0.51), &logits), [1, 2]);
    assert_eq!(survivors(&top(0.76), &logits), [0, 1, 2]);
    assert_eq!(survivors(&top(0.9), &logits), [0, 1, 2, 3]);
    assert_eq!(survivors(&top(1.0), &logits), [0, 1, 2, 3]);
}

#[test]
fn a_border_met_exactly_is_met() {
    let half = Sampling {
        top_p: 0.5,
        ..plain()
    };
    assert_eq!(survivors(&half, &[0.0; 4]), [0, 1]);
}

#[test]
fn top_p_is_a_share_of_what_top_k_left() {
    let sampling = Sampling {
        top_k: 2,
        top_p: 0.6,
        ..plain()
    };
    // 0.4 is two thirds of 0.6.
    assert_eq!(survivors(&sampling, &chances([0.4, 0.2, 0.2, 0.2])), [0]);
}

// Min-p.

#[test]
fn min_p_keeps_what_has_its_share_of_the_likeliest() {
    let min = |min_p| Sampling { min_p, ..plain() };
    let logits = chances([0.5, 0.3, 0.15, 0.05]);
    assert_eq!(survivors(&min(0.0), &logits), [0, 1, 2, 3]);
    assert_eq!(survivors(&min(0.09), &logits), [0, 1, 2, 3]);
    assert_eq!(survivors(&min(0.11), &logits), [0, 1, 2]);
    assert_eq!(survivors(&min(0.5), &logits), [0, 1]);
    assert_eq!(survivors(&min(1.0), &logits), [0]);
    assert_eq!(survivors(&min(1.0), &[2.0, 1.0, 2.0]), [0, 2]);
}

#[test]
fn min_p_does_not_lessen_what_top_p_is_a_share_of() {
    let sampling = Sampling {
        top_p: 0.45,
        min_p: 0.5,
        ..plain()
    };
    // After min-p, 0.4 would be half of 0.8 and enough.
    assert_eq!(survivors(&sampling, &chances([0.4, 0.4, 0.1, 0.1])), [0, 1]);
}

// Repeat penalty.

#[test]
fn the_penalty_divides_the_positive_and_multiplies_the_rest() {
    let penalised = |logit: f32| {
        let mut sampler = Sampler::new(&penalty(2.0));
        sampler.accept(1);
        let mut logits = [0.5, logit, -0.5];
        sampler.sample(&mut logits).unwrap();
        assert_eq!((logits[0], logits[2]), (0.5, -0.5));
        logits[1]
    };
    assert_eq!(penalised(3.0), 1.5);
    assert_eq!(penalised(-3.0), -6.0);
    assert_eq!(penalised(0.0), 0.0);
    assert_eq!(penalised(INF), INF);
    assert_eq!(penalised(-INF), -INF);
    assert!(penalised(NAN).is_nan());
}

#[test]
fn the_penalty_comes_once_however_often_a_token_was_seen() {
    assert_eq!(once(&penalty(2.0), &[1; 10], &[1.4, 3.0]), Ok(1));
    assert_eq!(once(&penalty(2.0), &[1; 100], &[1.6, 3.0]), Ok(0));
}

#[test]
fn a_penalty_below_one_is_a_reward() {
    assert_eq!(once(&penalty(0.5), &[0], &[2.0, 3.0]), Ok(0));
}

#[test]
fn the_penalty_is_about_the_last_64_tokens() {
    assert_eq!(Sampler::REPEAT_WINDOW, 64);
    let after = |others: usize| {
        let mut seen = vec![1];
        seen.resize(1 + others, 9);
        once(&penalty(2.0), &seen, &[2.0, 3.0]).unwrap()
    };
    assert_eq!(after(0), 0);
    assert_eq!(after(63), 0);
    assert_eq!(after(64), 1);
    assert_eq!(after(200), 1);
}

#[test]
fn a_penalty_makes_nothing_infinite() {
    assert_eq!(once(&penalty(10.0), &[1], &[-INF, f32::MIN]), Ok(1));
    assert_eq!(once(&penalty(1e-40), &[1], &[INF, f32::MAX]), Ok(0));
}

#[test]
fn accepting_what_has_no_logit_does_nothing() {
    assert_eq!(once(&penalty(2.0), &[2, u32::MAX], &[2.0, 3.0]), Ok(1));
}

// Forks.

#[test]
fn a_clone_goes_on_as_the_original_would_and_alone() {
    let sampling = Sampling {
        repeat_penalty: 10.0,
        ..plain()
    };
    let logits = [1.0; 30];
    let mut original = Sampler::new(&sampling);
    sample(&mut original, &logits).unwrap();
    original.accept(3);
    let (mut fork, mut busy) = (original.clone(), original.clone());
    for token in 0..30 {
        busy.accept(token);
        sample(&mut busy, &logits).unwrap();
    }
    for _ in 0..30 {
        let token = sample(&mut original, &logits).unwrap();
        assert_eq!(sample(&mut fork, &logits), Ok(token));
        original.accept(token);
        fork.accept(token);
    }
}

#[test]
fn after_a_reset_it_is_as_new() {
    let sampling = Sampling {
        repeat_penalty: 10.0,
        ..plain()
    };
    let ten = |sampler: &mut Sampler| {
        [(); 10].map(|()| {
            let token = sample(sampler, &[5.0; 30]).unwrap();
            sampler.accept(token);
            token
        })
    };
    let mut sampler = Sampler::new(&sampling);
    let first = ten(&mut sampler);
    assert_ne!(ten(&mut sampler), first);
    sampler.reset();
    assert_eq!(ten(&mut sampler), first);
}

// Hostile input.

#[test]
fn without_a_logit_over_minus_infinity_there_is_no_token() {
    for sampling in [plain(), greedy(), Sampling::default()] {
        for logits in [&[][..], &[-INF; 3], &[NAN; 3], &[NAN, -INF, -NAN]] {
            let expected = NoToken {
                logits: logits.len(),
            };
            assert_eq!(once(&sampling, &[0], logits), Err(expected));
        }
    }
}

#[test]
fn the_error_says_what_was_wrong_with_the_logits() {
    assert_eq!(
        NoToken { logits: 0 }.to_string(),
        "the model gave no logits"
    );
    assert_eq!(
        NoToken { logits: 272 }.to_string(),
        "all 272 logits of the model are -inf or NaN"
    );
}

#[test]
fn what_is_minus_infinity_or_nan_is_never_drawn() {
    let logits = [NAN, -INF, f32::MIN, -INF, NAN, f32::MIN, -NAN];
    assert_eq!(survivors(&plain(), &logits), [2, 5]);
    assert_eq!(once(&greedy(), &[], &logits), Ok(2));
}

#[test]
fn plus_infinity_beats_every_number() {
    let logits = [f32::MAX, INF, NAN, 0.0, INF];
    for temperature in [1e-6, 1.0, 10.0] {
        let sampling = Sampling {
            temperature,
            ..plain()
        };
        assert_eq!(survivors(&sampling, &logits), [1, 4]);
    }
    assert_eq!(once(&greedy(), &[], &logits), Ok(1));
}

#[test]
fn settings_out_of_range_count_as_the_nearest_border_or_as_off() {
    let logits = [0.0, 1.0, 3.0];
    let of = |change: fn(&mut Sampling)| {
        let mut sampling = plain();
        change(&mut sampling);
        survivors(&sampling, &logits)
    };
    assert_eq!(of(|s| s.temperature = NAN), [2]);
    assert_eq!(of(|s| s.temperature = -1.0), [2]);
    assert_eq!(of(|s| s.temperature = INF), [0, 1, 2]);
    assert_eq!(of(|s| s.top_p = NAN), [0, 1, 2]);
    assert_eq!(of(|s| s.top_p = -1.0), [2]);
    assert_eq!(of(|s| s.top_p = INF), [0, 1, 2]);
    assert_eq!(of(|s| s.min_p = NAN), [0, 1, 2]);
    assert_eq!(of(|s| s.min_p = -1.0), [0, 1, 2]);
    assert_eq!(of(|s| s.min_p = INF), [2]);
    for off in [NAN, 0.0, -2.0, -INF] {
        assert_eq!(once(&penalty(off), &[1], &[2.0, 3.0]), Ok(1));
    }
    assert_eq!(once(&penalty(INF), &[1], &[1.0, 9.0]), Ok(0));
}

// Cost.

#[test]
fn memory_is_allocated_by_the_first_sample_only() {
    let mut rng = Rng::new(5);
    for top_k in [0, 40] {
        let mut sampler = Sampler::new(&Sampling { top_k, ..plain() });
        let mut capacities = BTreeSet::new();
        for _ in 0..50 {
            let mut logits: Vec<f32> = (0..3_000).map(|_| rng.below(99) as f32).collect();
            sampler.sample(&mut logits).unwrap();
            capacities.insert(sampler.candidates.capacity());
        }
        assert_eq!(capacities.len(), 1, "{capacities:?}");
    }
}

#[test]
fn a_clone_carries_no_scratch_memory() {
    let mut sampler = Sampler::new(&plain());
    sample(&mut sampler, &[0.0; 500]).unwrap();
    assert_eq!(sampler.clone().candidates.capacity(), 0);
}
