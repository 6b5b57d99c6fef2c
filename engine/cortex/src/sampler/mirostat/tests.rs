use super::*;
use proptest::prelude::*;

fn gathered(logits: &[f32]) -> Candidates {
    let mut candidates = Candidates::default();
    candidates.gather(logits, usize::MAX);
    candidates
}

#[test]
fn the_exponent_of_zipfs_law_is_found() {
    for exponent in [0.5_f32, 1.0, 2.5] {
        let logits: Vec<f32> = (1_u16..=500)
            .map(|rank| -exponent * f32::from(rank).ln())
            .collect();
        let found = zipf_exponent(&mut gathered(&logits), 1.0);
        assert!((found - f64::from(exponent)).abs() < 1e-5, "{found}");
        let cooler = zipf_exponent(&mut gathered(&logits), 0.5);
        assert!((cooler - 2.0 * f64::from(exponent)).abs() < 1e-5);
    }
}

/// ln 2 and ln 1.5 are the steps; the falls are 1 and 0.
#[test]
fn the_exponent_is_the_slope_of_least_squares() {
    let found = zipf_exponent(&mut gathered(&[1.0, 2.0, 1.0]), 1.0);
    let (first, second) = (2_f64.ln(), 1.5_f64.ln());
    let expected = first / (first * first + second * second);
    assert!((found - expected).abs() < 1e-14);
}

#[test]
fn the_exponent_is_about_the_first_hundred() {
    let mut logits = vec![0.0; 100];
    logits.extend([-9.0; 50]);
    assert_eq!(zipf_exponent(&mut gathered(&logits), 1.0), 0.0);
    logits[99] = -9.0;
    assert!(zipf_exponent(&mut gathered(&logits), 1.0) > 0.0);
}

#[test]
fn of_fewer_than_two_there_is_no_exponent() {
    assert_eq!(zipf_exponent(&mut gathered(&[]), 1.0), 0.0);
    assert_eq!(zipf_exponent(&mut gathered(&[3.0]), 1.0), 0.0);
}

#[test]
fn k_is_that_of_the_formula() {
    // √(16 / 0.99) = 4.02.
    assert_eq!(zipf_k(2.0, 100, 4.0), 4);
    // 2^10 / ln 50,000 = 94.6, where the formula itself is 0/0, and all around.
    for exponent in [1.0, 1.0 + 1e-7, 1.0 - 1e-7, 1.0 + 2e-6, 1.0 - 2e-6] {
        assert_eq!(zipf_k(exponent, 50_000, 10.0), 94);
    }
}

#[test]
fn k_is_one_at_least_and_saturates() {
    assert_eq!(zipf_k(2.0, 100, -50.0), 1);
    assert_eq!(zipf_k(f64::INFINITY, 100, 5.0), 1);
    assert_eq!(zipf_k(f64::NAN, 100, 5.0), 1);
    assert_eq!(zipf_k(1.0, 100, 1e9), usize::MAX);
    assert_eq!(zipf_k(0.0, 4, 2.0), usize::MAX);
    assert_eq!(zipf_k(0.0, 6, 2.0), 1);
    for vocabulary in [0, 1, 2, 1 << 23] {
        assert!(zipf_k(1e80, vocabulary, 5.0) >= 1);
    }
}

proptest! {
    #[test]
    fn k_is_that_of_the_formula_wherever_it_can_be_computed(
        exponent in prop_oneof![0.05..0.99_f64, 1.01..20.0_f64],
        vocabulary in 2..300_000_u32,
        bound in 0.0..20.0_f64,
    ) {
        let epsilon = exponent - 1.0;
        let base = epsilon * bound.exp2() / (1.0 - f64::from(vocabulary).powf(-epsilon));
        let expected = base.powf(1.0 / exponent).max(1.0);
        prop_assume!(expected < 1e9);
        let k = zipf_k(exponent, vocabulary as usize, bound) as f64;
        prop_assert!(k > expected * (1.0 - 1e-9) - 1.0 && k <= expected * (1.0 + 1e-9), "{k} {expected}");
    }

    #[test]
    fn one_stays_whatever_the_bound(
        logits in prop::collection::vec(any::<f32>(), 0..150),
        temperature in prop_oneof![Just(1e-45_f32), 0.01..10.0_f32],
        bound in prop_oneof![any::<f64>(), -10.0..50.0_f64],
    ) {
        for version in [Version::One, Version::Two] {
            let controller = Controller { version, target: 5.0, rate: 0.1, bound };
            let mut candidates = gathered(&logits);
            let best = candidates.best();
            controller.truncate(&mut candidates, temperature, logits.len());
            prop_assert_eq!(candidates.best(), best);
        }
    }
}
