//! Mirostat in the chain.

use super::*;
use rusty_genius_core::Mirostat;

fn mirostat(mirostat: Mirostat, mirostat_tau: f32, mirostat_eta: f32) -> Sampling {
    Sampling {
        mirostat,
        mirostat_tau,
        mirostat_eta,
        ..plain()
    }
}

/// Chances that fall with the rank: Zipf's law with exponent 1.
fn zipf(n: u16) -> Vec<f32> {
    (1..=n).map(|rank| -f32::from(rank).ln()).collect()
}

/// μ is 2, and as surprising is every one of four; 2 bits are one too many, so μ becomes
/// 1.5 and lets one through; that one is no surprise, and μ is 2 again.
#[test]
fn mirostat_2_can_be_checked_by_hand() {
    let sampling = mirostat(Mirostat::V2, 1.0, 0.5);
    // 0.350, any, 0.532.
    assert_eq!(draws(&sampling, &[0.0; 4], 3), [1, 0, 2]);
}

/// The exponent of equals is 0, and ε is -1: k is (2^μ / (N − 1))^∞. With μ = 2 and four
/// tokens that is all of them; then μ is 1.5 and 2.83 / 3 too little.
#[test]
fn mirostat_1_can_be_checked_by_hand() {
    let sampling = mirostat(Mirostat::V1, 1.0, 0.5);
    assert_eq!(draws(&sampling, &[0.0; 4], 3), [1, 0, 2]);
    assert_eq!(
        survivors(&mirostat(Mirostat::V1, 1.0, 1e-9), &[0.0; 6]),
        [0]
    );
}

/// Of Zipf's law with exponent 1, k is 2^μ / ln N: with μ = 4 and 100 tokens 3.47.
#[test]
fn mirostat_1_keeps_as_many_as_zipfs_law_says() {
    let sampling = mirostat(Mirostat::V1, 2.0, 1e-9);
    assert_eq!(survivors(&sampling, &zipf(100)), [0, 1, 2]);
}

#[test]
fn mirostat_2_keeps_what_is_no_more_surprising_than_the_bound() {
    let logits = chances([0.5, 0.25, 0.125, 0.125]);
    let at = |tau| survivors(&mirostat(Mirostat::V2, tau, 1e-9), &logits);
    assert_eq!(at(0.1), [0]); // the likeliest stays even so
    assert_eq!(at(0.51), [0]);
    assert_eq!(at(1.01), [0, 1]);
    assert_eq!(at(1.51), [0, 1, 2, 3]);
}

#[test]
fn of_too_surprising_equals_the_first_stays() {
    assert_eq!(
        survivors(&mirostat(Mirostat::V2, 0.5, 1e-9), &[1.0; 9]),
        [0]
    );
}

#[test]
fn the_temperature_comes_before_mirostat() {
    let sampling = Sampling {
        temperature: 0.5,
        ..mirostat(Mirostat::V2, 1.01, 1e-9)
    };
    // The squares: 16/22, 4/22, 1/22, 1/22. The second is 2.46 bits surprising.
    assert_eq!(
        survivors(&sampling, &chances([0.5, 0.25, 0.125, 0.125])),
        [0]
    );
}

#[test]
fn the_other_truncations_are_off() {
    for version in [Mirostat::V1, Mirostat::V2] {
        let alone = mirostat(version, 3.0, 0.2);
        let sampling = Sampling {
            top_k: 1,
            top_p: 0.01,
            min_p: 1.0,
            typical_p: 0.01,
            ..alone.clone()
        };
        let logits = zipf(500);
        assert_eq!(draws(&sampling, &logits, 50), draws(&alone, &logits, 50));
    }
}

#[test]
fn the_penalties_are_on() {
    for version in [Mirostat::V1, Mirostat::V2] {
        let sampling = Sampling {
            logit_bias: vec![(1, -100.0)],
            presence_penalty: 2.0,
            ..mirostat(version, 0.01, 0.1)
        };
        assert_eq!(once(&sampling, &[0], &[3.0, 3.0, 2.0]), Ok(2));
    }
}

#[test]
fn temperature_zero_is_greedy_and_steers_nothing() {
    let sampling = Sampling {
        temperature: 0.0,
        ..mirostat(Mirostat::V2, 1.0, 0.5)
    };
    assert_eq!(draws(&sampling, &zipf(50), 20), [0; 20]);
}

/// What it is for. The surprise meant is that of the share of what was left.
#[test]
fn the_surprise_comes_to_the_target() {
    let logits = zipf(400);
    for version in [Mirostat::V1, Mirostat::V2] {
        for tau in [2.0_f32, 4.0] {
            let mut sampler = Sampler::new(&mirostat(version, tau, 0.1));
            let start = sampler.mirostat.as_ref().unwrap().bound();
            assert_eq!(start, 2.0 * f64::from(tau));
            let n = 2_000;
            for _ in 0..n {
                sample(&mut sampler, &logits).unwrap();
            }
            // Every step took η (S - τ) from the bound.
            let end = sampler.mirostat.as_ref().unwrap().bound();
            let mean = f64::from(tau) + (start - end) / 0.1 / f64::from(n);
            assert!((mean - f64::from(tau)).abs() < 0.05, "{version:?}: {mean}");
        }
    }
}

#[test]
fn a_reset_forgets_the_bound_and_a_clone_has_it() {
    let mut sampler = Sampler::new(&mirostat(Mirostat::V2, 1.0, 0.5));
    assert_eq!(sample(&mut sampler, &[0.0; 4]), Ok(1));
    // The bound lets one through now.
    assert_eq!(sample(&mut sampler.clone(), &[0.0; 4]), Ok(0));
    sampler.reset();
    assert_eq!(sample(&mut sampler, &[0.0; 4]), Ok(1));
}

#[test]
fn a_failure_leaves_the_bound() {
    let mut sampler = Sampler::new(&mirostat(Mirostat::V1, 3.0, 0.5));
    assert!(sample(&mut sampler, &[NAN, -INF]).is_err());
    assert!(sample(&mut sampler, &[]).is_err());
    assert_eq!(sampler.mirostat.as_ref().unwrap().bound(), 6.0);
}

#[test]
fn infinities_are_drawn_and_nothing_else() {
    let logits = [0.0, INF, NAN, INF, f32::MAX, -INF];
    assert_eq!(
        survivors(&mirostat(Mirostat::V2, 5.0, 0.1), &logits),
        [1, 3]
    );
    assert_eq!(survivors(&mirostat(Mirostat::V1, 5.0, 0.1), &logits), [1]);
}

#[test]
fn out_of_range_counts_as_the_border_and_nan_as_the_default() {
    let of = |tau, eta| draws(&mirostat(Mirostat::V2, tau, eta), &zipf(300), 30);
    assert_eq!(of(NAN, NAN), of(5.0, 0.1));
    assert_eq!(of(INF, INF), of(20.0, 1.0));
    // A bound of 0 that never moves.
    assert_eq!(of(-1.0, -1.0), [0; 30]);
}
