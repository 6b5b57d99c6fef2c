//! Typical-p.

use super::*;

fn typical(typical_p: f32) -> Sampling {
    Sampling {
        typical_p,
        ..plain()
    }
}

/// The entropy of 0.5, 0.25, 0.125, 0.125 is 1.75 bits: they are 0.75, 0.25 and twice
/// 1.25 bits away from it.
#[test]
fn the_nearest_to_the_entropy_stay() {
    let logits = chances([0.125, 0.5, 0.25, 0.125]);
    assert_eq!(survivors(&typical(f32::MIN_POSITIVE), &logits), [2]);
    assert_eq!(survivors(&typical(0.24), &logits), [2]);
    assert_eq!(survivors(&typical(0.26), &logits), [1, 2]);
    assert_eq!(survivors(&typical(0.74), &logits), [1, 2]);
    assert_eq!(survivors(&typical(0.76), &logits), [0, 1, 2]);
    assert_eq!(survivors(&typical(0.9), &logits), [0, 1, 2, 3]);
    assert_eq!(survivors(&typical(1.0), &logits), [0, 1, 2, 3]);
}

/// Entropy 2.52 bits, the likeliest 1.32 bits surprising, the others 3.32.
#[test]
fn the_likeliest_can_be_too_likely() {
    let logits = chances([0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]);
    assert_eq!(survivors(&typical(0.55), &logits), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn of_equally_near_ones_the_lower_ids_stay() {
    assert_eq!(survivors(&typical(0.5), &[0.0; 4]), [0, 1]);
}

#[test]
fn the_draw_is_from_the_softmax_of_what_is_left() {
    let logits = chances([0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]);
    // 0.350, 0.174, 0.532 of six equals.
    assert_eq!(draws(&typical(0.55), &logits, 3), [3, 2, 4]);
}

#[test]
fn it_comes_after_top_k_and_before_top_p_and_min_p() {
    let logits = chances([0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]);
    let of = |change: fn(&mut Sampling)| {
        let mut sampling = typical(0.55);
        change(&mut sampling);
        survivors(&sampling, &logits)
    };
    // Of 0.4, 0.1, 0.1 the likeliest is the nearest, and enough.
    assert_eq!(of(|s| s.top_k = 3), [0]);
    // Half of the six that are left; before, it would have been 0 and 1.
    assert_eq!(of(|s| s.top_p = 0.5), [1, 2, 3]);
    // All six are as likely as the likeliest of them.
    assert_eq!(of(|s| s.min_p = 1.0), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn infinities_are_certain() {
    let logits = [0.0, INF, NAN, INF, f32::MAX, -INF];
    assert_eq!(survivors(&typical(0.9), &logits), [1, 3]);
    assert_eq!(survivors(&typical(0.5), &logits), [1]);
}

#[test]
fn out_of_range_counts_as_the_border_and_nan_as_off() {
    let logits = chances([0.5, 0.25, 0.25]);
    assert_eq!(survivors(&typical(NAN), &logits), [0, 1, 2]);
    assert_eq!(survivors(&typical(7.0), &logits), [0, 1, 2]);
    assert_eq!(survivors(&typical(-1.0), &logits).len(), 1);
}

/// Weights of nothing at temperature 1 can be drawn at a high one, and must not confuse
/// the order.
#[test]
fn what_weighs_nothing_is_the_last_to_stay() {
    let sampling = Sampling {
        temperature: 10.0,
        ..typical(0.999)
    };
    assert_eq!(survivors(&sampling, &[0.0, -40.0, -1e30, f32::MIN]), [0]);
}
