use super::*;
use crate::sampler::reference;
use proptest::prelude::*;

/// A penalty of 1, doubled by every token over the allowed length.
fn doubling(dry_allowed_length: u32) -> Sampling {
    Sampling {
        dry_multiplier: 1.0,
        dry_base: 2.0,
        dry_allowed_length,
        ..Sampling::default()
    }
}

fn dry(sampling: &Sampling, breakers: &[u32], seen: &[u32]) -> Dry {
    let mut dry = Dry::new(sampling).unwrap();
    dry.break_at((0..60).map(|token| breakers.contains(&token)).collect());
    seen.iter().for_each(|&token| dry.accept(token));
    dry
}

/// What each of ten tokens pays.
fn paid(sampling: &Sampling, breakers: &[u32], seen: &[u32]) -> [f32; 10] {
    let mut logits = [0.0; 10];
    dry(sampling, breakers, seen).penalise(&mut logits);
    logits.map(|logit| 0.0 - logit)
}

/// Only one token pays.
fn pays(token: usize, penalty: f32) -> [f32; 10] {
    let mut paid = [0.0; 10];
    paid[token] = penalty;
    paid
}

const NOBODY: [f32; 10] = [0.0; 10];

#[test]
fn whoever_would_go_on_with_a_repetition_pays() {
    let seen = [1, 2, 3, 4, 1, 2, 3];
    assert_eq!(paid(&doubling(1), &[], &seen), pays(4, 4.0));
    assert_eq!(paid(&doubling(2), &[], &seen), pays(4, 2.0));
    assert_eq!(paid(&doubling(3), &[], &seen), pays(4, 1.0));
    assert_eq!(paid(&doubling(4), &[], &seen), NOBODY);
}

#[test]
fn the_longest_repetition_decides_and_is_paid_once() {
    // After "1 2" came 9, and after another "2" too, later or earlier.
    for seen in [
        [5, 1, 2, 9, 7, 2, 9, 6, 1, 2],
        [7, 2, 9, 5, 1, 2, 9, 6, 1, 2],
    ] {
        assert_eq!(paid(&doubling(1), &[], &seen), pays(9, 2.0));
        assert_eq!(paid(&doubling(2), &[], &seen), pays(9, 1.0));
        assert_eq!(paid(&doubling(3), &[], &seen), NOBODY);
    }
}

#[test]
fn a_repetition_may_overlap_itself() {
    assert_eq!(paid(&doubling(2), &[], &[7; 6]), pays(7, 8.0));
}

#[test]
fn every_token_that_went_on_otherwise_pays_for_itself() {
    let mut expected = NOBODY;
    (expected[8], expected[9]) = (2.0, 1.0);
    let seen = [1, 2, 8, 2, 9, 1, 2];
    assert_eq!(paid(&doubling(1), &[], &seen), expected);
}

/// The oldest follows on nothing.
#[test]
fn with_no_length_allowed_all_that_followed_something_pay() {
    let mut expected = NOBODY;
    (expected[6], expected[7]) = (1.0, 1.0);
    assert_eq!(paid(&doubling(0), &[], &[5, 6, 7]), expected);
    assert_eq!(paid(&doubling(0), &[], &[5]), NOBODY);
    assert_eq!(paid(&doubling(0), &[], &[]), NOBODY);
}

#[test]
fn no_repetition_goes_across_a_breaker() {
    let seen = [1, 2, 3, 4, 1, 2, 3];
    assert_eq!(paid(&doubling(1), &[2], &seen), pays(4, 1.0));
    assert_eq!(paid(&doubling(2), &[2], &seen), NOBODY);
    assert_eq!(paid(&doubling(1), &[3], &seen), NOBODY);
    assert_eq!(paid(&doubling(2), &[1], &seen), pays(4, 1.0));
}

#[test]
fn a_breaker_does_not_pay() {
    assert_eq!(paid(&doubling(1), &[4], &[1, 2, 4, 1, 2]), NOBODY);
}

#[test]
fn a_token_beyond_the_breakers_breaks_nothing() {
    let mut dry = dry(&doubling(1), &[], &[100, 3, 100]);
    let mut logits = [0.0; 5];
    dry.penalise(&mut logits);
    assert_eq!(logits, [0.0, 0.0, 0.0, -1.0, 0.0]);
}

#[test]
fn the_last_1024_tokens_count() {
    let after = |fill: u32| {
        let mut seen = vec![1, 2, 9];
        seen.extend(100..100 + fill);
        seen.extend([1, 2]);
        paid(&doubling(1), &[], &seen)
    };
    assert_eq!(after(1024 - 5), pays(9, 2.0));
    assert_eq!(after(1024 - 4), pays(9, 1.0));
    assert_eq!(after(1024 - 3), NOBODY);
    // Where the memory has been moved.
    assert_eq!(after(3000), NOBODY);
}

#[test]
fn the_base_decides_how_fast_it_grows() {
    let sampling = Sampling {
        dry_multiplier: 0.5,
        dry_base: 1.0,
        ..doubling(2)
    };
    assert_eq!(paid(&sampling, &[], &[7; 600]), pays(7, 0.5));
}

#[test]
fn no_penalty_makes_a_logit_infinite() {
    let sampling = Sampling {
        dry_multiplier: 100.0,
        dry_base: 10.0,
        ..doubling(0)
    };
    let mut dry = dry(&sampling, &[], &[7; 2_000]);
    for logit in [0.0, f32::MAX, f32::MIN] {
        let mut logits = [logit; 8];
        dry.penalise(&mut logits);
        assert_eq!(logits[7], f32::MIN);
    }
}

#[test]
fn infinities_nan_and_tokens_without_a_logit_are_left_alone() {
    let mut dry = dry(&doubling(0), &[], &[0, 1, 2, u32::MAX, 0]);
    let mut logits = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    dry.penalise(&mut logits);
    assert_eq!(logits[..2], [f32::INFINITY, f32::NEG_INFINITY]);
    assert!(logits[2].is_nan());
    dry.penalise(&mut []);
}

#[test]
fn the_exponent_is_clamped_where_a_float_ends() {
    assert_eq!(largest_exponent(10.0), 38);
    assert_eq!(largest_exponent(2.0), 127);
    assert_eq!(largest_exponent(1.0), 1024);
}

#[test]
fn settings_out_of_range_count_as_the_border_or_as_off() {
    let of = |dry_multiplier, dry_base| {
        let sampling = Sampling {
            dry_multiplier,
            dry_base,
            ..doubling(1)
        };
        Dry::new(&sampling).map(|dry| (dry.multiplier, dry.base))
    };
    assert_eq!(of(0.0, 2.0), None);
    assert_eq!(of(-0.0, 2.0), None);
    assert_eq!(of(-3.0, 2.0), None);
    assert_eq!(of(f32::NAN, 2.0), None);
    assert_eq!(of(f32::INFINITY, f32::INFINITY), Some((100.0, 10.0)));
    assert_eq!(of(1.0, 0.5), Some((1.0, 1.0)));
    assert_eq!(of(1.0, f32::NAN), Some((1.0, 1.0)));
    assert_eq!(paid(&doubling(u32::MAX), &[], &[7; 2_000]), NOBODY);
}

#[test]
fn memory_has_a_limit() {
    let mut dry = dry(&doubling(1), &[], &[]);
    for round in 0..3_000 {
        dry.accept(round % 7);
        dry.penalise(&mut [0.0; 10]);
        assert!(dry.capacity() <= 2 * WINDOW);
    }
}

#[test]
fn after_a_reset_nothing_was_seen_and_the_breakers_stay() {
    let mut dry = dry(&doubling(1), &[2], &[5, 6, 5]);
    dry.reset();
    let mut logits = [0.0; 10];
    dry.penalise(&mut logits);
    assert_eq!(logits, NOBODY);
    for token in [1, 2, 3, 1, 2] {
        dry.accept(token);
    }
    dry.penalise(&mut logits);
    assert_eq!(logits, NOBODY);
}

proptest! {
    #[test]
    fn repetitions_are_as_long_as_counting_says(
        window in prop_oneof![
            prop::collection::vec(0..2_u32, 0..80),
            prop::collection::vec(0..9_u32, 0..80),
            (prop::collection::vec(0..3_u32, 1..6), 1..30_usize).prop_map(|(v, n)| v.repeat(n)),
        ],
    ) {
        let mut found = vec![9; 3];
        repeats(&window, &mut found);
        prop_assert_eq!(found.len(), window.len());
        let backwards: Vec<u32> = window.iter().rev().copied().collect();
        for back in 1..window.len() {
            let same = backwards.iter().zip(&backwards[back..]).take_while(|(a, b)| a == b);
            prop_assert_eq!(found[back], same.count());
        }
    }

    #[test]
    fn the_penalties_are_those_of_the_reference(
        multiplier in 0.01..100.0_f32,
        base in 1.0..10.0_f32,
        allowed in 0..5_u32,
        breakers in prop::collection::vec(0..6_u32, 0..2),
        seen in prop_oneof![
            prop::collection::vec(0..6_u32, 0..60),
            (prop::collection::vec(0..6_u32, 1..9), 1..300_usize).prop_map(|(v, n)| v.repeat(n)),
        ],
        logits in prop::collection::vec(prop_oneof![-20.0..20.0_f32, any::<f32>()], 0..8),
    ) {
        let sampling = Sampling {
            dry_multiplier: multiplier,
            dry_base: base,
            dry_allowed_length: allowed,
            ..Sampling::default()
        };
        let expected = reference::adjust(&sampling, &breakers, &seen, &logits);
        let mut found = logits;
        dry(&sampling, &breakers, &seen).penalise(&mut found);
        for (found, expected) in found.into_iter().zip(expected) {
            let close = (found - expected).abs() <= 1e-6 * expected.abs();
            prop_assert!(close || found.to_bits() == expected.to_bits(), "{found} {expected}");
        }
    }

    #[test]
    fn a_power_is_that_of_the_library(base in 1.0..2.0_f64, exponent in 0..1000_i32) {
        let expected = base.powi(exponent);
        let found = power(base, exponent as usize);
        prop_assert!((found - expected).abs() <= 1e-12 * expected);
    }
}
