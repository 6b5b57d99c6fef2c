//! Exponential and logarithm, alike on every platform.
//!
//! Not the platform's, whose last digits differ from libm to libm: only additions,
//! multiplications and divisions, which IEEE 754 rounds alike everywhere.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// `1/n!` for n from 11 down to 0: e^r to 14 digits for the |r| ≤ ln(2)/2 at hand.
const INVERSE_FACTORIALS: [f64; 12] = [
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    1.0 / 2.0,
    1.0,
    1.0,
];

/// `1/n` for the odd n from 23 down to 1: the series of the inverse hyperbolic tangent.
const INVERSE_ODDS: [f64; 12] = [
    1.0 / 23.0,
    1.0 / 21.0,
    1.0 / 19.0,
    1.0 / 17.0,
    1.0 / 15.0,
    1.0 / 13.0,
    1.0 / 11.0,
    1.0 / 9.0,
    1.0 / 7.0,
    1.0 / 5.0,
    1.0 / 3.0,
    1.0,
];

/// Bits of a double's fraction.
const FRACTION: u32 = 52;
/// The exponent in the bits of 1.
const BIAS: i64 = 1023;

/// e^x for |x| ≤ ln(2)/2, to 14 digits.
pub(super) fn exp_near_zero(x: f64) -> f64 {
    horner(&INVERSE_FACTORIALS, x)
}

/// 2^x to 14 digits, and exact where x is whole. Beyond ±1,000, x counts as that: the
/// result is a normal number, whatever x is; only of NaN it is NaN.
pub(super) fn exp2(x: f64) -> f64 {
    let x = x.clamp(-1000.0, 1000.0);
    let whole = x.round();
    // 23 to 2,023: the sign stays free.
    let exponent = (whole as i64 + BIAS) as u64;
    exp_near_zero((x - whole) * LN_2) * f64::from_bits(exponent << FRACTION)
}

/// The natural logarithm to 14 digits. `x` must be positive, finite and not subnormal.
pub(super) fn ln(x: f64) -> f64 {
    let (exponent, rest) = split(x);
    exponent * LN_2 + ln_near_one(rest)
}

/// The binary logarithm to 14 digits, exact for powers of two. `x` as for [`ln`].
pub(super) fn log2(x: f64) -> f64 {
    let (exponent, rest) = split(x);
    exponent + ln_near_one(rest) * LOG2_E
}

/// x = 2^exponent · rest, with the rest between √½ and √2.
fn split(x: f64) -> (f64, f64) {
    let bits = x.to_bits();
    let exponent = (bits >> FRACTION) as i64 - BIAS;
    let fraction = bits & ((1 << FRACTION) - 1);
    let rest = f64::from_bits((BIAS as u64) << FRACTION | fraction);
    if rest > SQRT_2 {
        ((exponent + 1) as f64, rest / 2.0)
    } else {
        (exponent as f64, rest)
    }
}

/// ln x = 2 · artanh((x − 1) / (x + 1)).
fn ln_near_one(x: f64) -> f64 {
    let ratio = (x - 1.0) / (x + 1.0);
    2.0 * ratio * horner(&INVERSE_ODDS, ratio * ratio)
}

/// The polynomial at `x`, highest power first.
fn horner(factors: &[f64], x: f64) -> f64 {
    factors.iter().fold(0.0, |sum, factor| sum * x + factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 4e-14 * b.abs()
    }

    #[test]
    fn whole_powers_of_two_are_exact_both_ways() {
        for n in -1000..=1000_i32 {
            let power = exp2(f64::from(n));
            assert_eq!(power, 2_f64.powi(n));
            assert_eq!(log2(power), f64::from(n));
        }
    }

    #[test]
    fn the_logarithm_of_one_is_zero() {
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(log2(1.0), 0.0);
    }

    #[test]
    fn whatever_the_power_it_is_normal() {
        for x in [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 1e-320] {
            assert!(exp2(x).is_normal(), "{x}");
        }
        assert!(exp2(f64::NAN).is_nan());
    }

    /// The bits, so that a platform that rounds otherwise is found out.
    #[test]
    fn they_are_the_same_everywhere() {
        assert_eq!(
            [0.3, -7.45, 40.7].map(|x| exp2(x).to_bits()),
            [
                4_608_223_400_693_826_345,
                4_573_243_677_948_382_120,
                4_790_138_923_446_588_236
            ]
        );
        assert_eq!(
            [0.3, 3.0, 150_000.0].map(|x| ln(x).to_bits()),
            [
                13_831_473_067_500_349_216,
                4_607_626_529_066_517_258,
                4_622_899_075_472_729_885
            ]
        );
    }

    proptest! {
        #[test]
        fn the_exponential_is_that_of_the_library(x in -1000.0..1000.0_f64) {
            prop_assert!(close(exp2(x), x.exp2()), "{} {}", exp2(x), x.exp2());
        }

        #[test]
        fn the_logarithms_are_those_of_the_library(
            x in prop_oneof![0.5..2.0_f64, 1e-6..1e9_f64, prop::num::f64::POSITIVE | prop::num::f64::NORMAL],
        ) {
            prop_assert!(close(ln(x), x.ln()), "{} {}", ln(x), x.ln());
            prop_assert!(close(log2(x), x.log2()), "{} {}", log2(x), x.log2());
        }
    }
}
