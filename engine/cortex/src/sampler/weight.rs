//! Probabilities as whole numbers, so that every platform gets the same ones.

use super::elementary::exp_near_zero;

/// The weight of the likeliest token; the others have their share of it.
///
/// Whole numbers have one sum in whatever order they are added. Shares below 2⁻⁴⁰ are
/// zero: such a token is never drawn.
pub(super) const ONE: u64 = 1 << 40;

/// `floor(e^((logit − best) / temperature) · ONE)`: what softmax gives the token, with
/// the best logit's weight as the unit. `best` is the largest logit and neither is NaN.
///
/// Infinite logits outweigh everything and are equals among themselves.
pub(super) fn weight(logit: f32, best: f32, temperature: f32) -> u64 {
    if logit == best {
        return ONE;
    }
    exp((f64::from(logit) - f64::from(best)) / f64::from(temperature))
}

/// A share, 0 to 1, of [`ONE`].
pub(super) fn share(of_one: f32) -> u64 {
    // A float's `as` saturates and drops the fraction; that is what is meant, here and
    // below. `ONE` is a power of two, so floats hold it exactly.
    (f64::from(of_one) * ONE as f64) as u64
}

/// `floor(e^x · ONE)` for x ≤ 0.
fn exp(x: f64) -> u64 {
    if x < -28.0 {
        return 0; // below ONE's last bit: e^-28 < 2^-40
    }
    // e^x = 2^-halvings · e^rest
    let halvings = (-x * std::f64::consts::LOG2_E + 0.5) as u32;
    let rest = x + f64::from(halvings) * std::f64::consts::LN_2;
    ((exp_near_zero(rest) * ONE as f64) as u64) >> halvings
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_best_weighs_one_and_half_as_likely_weighs_half() {
        assert_eq!(weight(3.5, 3.5, 0.7), ONE);
        assert_eq!(exp(0.0), ONE);
        let half = weight(0.0, std::f32::consts::LN_2, 1.0);
        assert!(half.abs_diff(ONE / 2) < ONE >> 22, "{half}");
    }

    #[test]
    fn infinities_outweigh_all_numbers() {
        let inf = f32::INFINITY;
        assert_eq!(weight(inf, inf, 1.0), ONE);
        assert_eq!(weight(f32::MAX, inf, 10.0), 0);
        assert_eq!(weight(f32::MIN, f32::MAX, 10.0), 0);
    }

    #[test]
    fn a_share_is_exact_where_a_float_is() {
        assert_eq!(share(0.0), 0);
        assert_eq!(share(0.25), ONE / 4);
        assert_eq!(share(1.0), ONE);
        assert!(share(1.0 - f32::EPSILON) < ONE);
    }

    /// The numbers are from a computation with 40 decimals.
    #[test]
    fn the_exponential_is_the_same_everywhere() {
        assert_eq!(
            [-0.1, -1.0, -5.0, -20.0, -27.8].map(exp),
            [994_879_262_377, 404_487_723_187, 7_408_451_072, 2_266, 0]
        );
    }

    proptest! {
        #[test]
        fn the_exponential_is_that_of_the_library(x in -30.0..0.0_f64) {
            let expected = (x.exp() * ONE as f64) as u64;
            prop_assert!(exp(x).abs_diff(expected) <= 1 + expected / 10_000_000_000_000);
        }

        #[test]
        fn nobody_outweighs_the_best(x in prop_oneof![-30.0..=0.0_f64, -1e-9..=0.0_f64]) {
            prop_assert!(exp(x) <= ONE);
        }
    }
}
