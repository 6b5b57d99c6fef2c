use super::*;
use proptest::prelude::*;

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;

fn close(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-5 * b.abs().max(1.0)
}

#[test]
fn the_logarithms_are_those_of_the_chances() {
    let logits = [0.2_f32, 0.5, 0.3].map(|chance| chance.ln() + 7.0);
    let (chosen, top) = logarithms(&logits, 0, 2).unwrap();
    assert!(close(chosen, 0.2_f32.ln()));
    assert_eq!(top.iter().map(|one| one.0).collect::<Vec<_>>(), [1, 2]);
    assert!(close(top[0].1, 0.5_f32.ln()) && close(top[1].1, 0.3_f32.ln()));
}

#[test]
fn of_equals_the_lower_id_is_first() {
    let (_, top) = logarithms(&[1.0, 2.0, 1.0, 2.0, 1.0], 0, 3).unwrap();
    assert_eq!(top.iter().map(|one| one.0).collect::<Vec<_>>(), [1, 3, 0]);
}

#[test]
fn none_need_be_asked_for_and_more_than_there_are_may() {
    let logits = [0.0, NAN, -INF, 1.0];
    assert_eq!(logarithms(&logits, 0, 0).unwrap().1, []);
    for top in [2, 4, usize::MAX] {
        assert_eq!(logarithms(&logits, 0, top).unwrap().1.len(), 2);
    }
}

#[test]
fn a_certain_token_has_zero() {
    assert_eq!(logarithms(&[5.0], 0, 1), Some((0.0, vec![(0, 0.0)])));
    assert_eq!(logarithms(&[0.0, 500.0], 1, 0), Some((0.0, vec![])));
}

#[test]
fn nan_is_as_unlikely_as_minus_infinity() {
    for never in [NAN, -NAN, -INF] {
        let (chosen, top) = logarithms(&[never, 1.0, 1.0], 0, 3).unwrap();
        assert_eq!(chosen, -INF);
        assert_eq!(top.len(), 2);
        assert!(close(top[0].1, 0.5_f32.ln()));
    }
}

#[test]
fn infinities_share_everything() {
    let (chosen, top) = logarithms(&[f32::MAX, INF, 0.0, INF], 0, 3).unwrap();
    assert_eq!(chosen, -INF);
    assert_eq!(top[2], (0, -INF));
    assert_eq!((top[0].0, top[1].0), (1, 3));
    assert!(close(top[0].1, 0.5_f32.ln()) && close(top[1].1, 0.5_f32.ln()));
}

#[test]
fn without_such_a_token_or_any_there_is_nothing() {
    assert_eq!(logarithms(&[], 0, 3), None);
    assert_eq!(logarithms(&[1.0, 2.0], 2, 3), None);
    assert_eq!(logarithms(&[1.0, 2.0], u32::MAX, 3), None);
    assert_eq!(logarithms(&[NAN, -INF], 1, 3), None);
}

/// As many small shares as a vocabulary has do not add up to an error.
#[test]
fn a_large_vocabulary_is_right_too() {
    for n in [150_000_u32, 1 << 20] {
        let logits: Vec<f32> = (0..n).map(|id| (id % 64) as f32 / 4.0).collect();
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        let (chosen, _) = logarithms(&logits, 3, 0).unwrap();
        assert!((f64::from(chosen) - (0.75 - sum.ln())).abs() < 1e-5);
    }
}

/// The bits, so that a platform that rounds otherwise is found out.
#[test]
fn it_is_the_same_everywhere() {
    let logits: Vec<f32> = (0_u16..272).map(|i| f32::from(i * 31 % 97) / 8.0).collect();
    let (chosen, top) = logarithms(&logits, 100, 3).unwrap();
    let bits: Vec<_> = top.iter().map(|one| (one.0, one.1.to_bits())).collect();
    assert_eq!(
        (chosen.to_bits(), bits),
        (
            3_227_800_553,
            vec![
                (25, 3_226_227_689),
                (122, 3_226_227_689),
                (219, 3_226_227_689)
            ]
        )
    );
}

proptest! {
    #[test]
    fn they_are_the_logarithms_of_the_softmax(
        logits in prop::collection::vec(
            prop_oneof![8 => -30.0..30.0_f32, 1 => -1e30..1e30_f32, 1 => Just(NAN), 1 => Just(-INF)],
            1..60,
        ),
        top in 0..70_usize,
    ) {
        let real = |logit: f32| if logit.is_nan() { f64::from(-INF) } else { logit.into() };
        let best = logits.iter().copied().map(real).fold(f64::from(-INF), f64::max);
        let sum: f64 = logits.iter().map(|&logit| (real(logit) - best).exp()).sum();
        let expected = |id: u32| (real(logits[id as usize]) - best - sum.ln()) as f32;
        for id in (0..).take(logits.len()) {
            let found = logarithms(&logits, id, top);
            if best == f64::from(-INF) {
                prop_assert_eq!(found, None);
                continue;
            }
            let (chosen, likeliest) = found.unwrap();
            prop_assert!(chosen == expected(id) || close(chosen, expected(id)));
            let all = logits.iter().filter(|&&logit| logit > -INF).count();
            prop_assert_eq!(likeliest.len(), top.min(all));
            for pair in likeliest.windows(2) {
                prop_assert!(logits[pair[0].0 as usize] >= logits[pair[1].0 as usize]);
            }
            for (id, logprob) in likeliest {
                prop_assert!(close(logprob, expected(id)));
            }
        }
    }

    #[test]
    fn whatever_the_logits_a_logarithm_is_never_positive_nor_nan(
        logits in prop::collection::vec(any::<f32>(), 0..50),
        chosen in 0..60_u32,
        top in prop_oneof![0..60_usize, Just(usize::MAX)],
    ) {
        if let Some((chosen, likeliest)) = logarithms(&logits, chosen, top) {
            prop_assert!(chosen <= 0.0);
            prop_assert!(likeliest.iter().all(|one| one.1 <= 0.0));
        }
    }
}
