//! `e^x`, which no instruction set has.

use super::lanes::Lanes;

/// `e^x` for finite `x`, within 3e-7 of it; 0 below -87.3.
///
/// Range reduction and polynomial are those of `expf` in the Cephes library (Moshier).
#[inline(always)]
pub(super) fn exp<L: Lanes>(x: L) -> L {
    // ln 2 in two parts, so that n * ln 2 loses nothing.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest whole number.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.max(L::splat(-87.3)).min(L::splat(88.3));
    let shifted = clamped.mul_add(L::splat(std::f32::consts::LOG2_E), L::splat(ROUND));
    let n = shifted.sub(L::splat(ROUND));
    let r = n.mul_add(L::splat(-LN2_HIGH), clamped);
    let r = n.mul_add(L::splat(-LN2_LOW), r);
    let mut p = L::splat(1.987_569_1e-4);
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        p = p.mul_add(r, L::splat(coefficient));
    }
    let p = p.mul_add(r.mul(r), r).add(L::splat(1.0));
    // The low bits of `shifted` are n.
    p.mul(shifted.power()).zero_where_below(x, -87.3)
}
