//! All settings at once, against the reference.

use super::*;
use crate::rng::Rng;
use proptest::prelude::*;
use rusty_genius_core::Mirostat;

fn any_usual_sampling() -> impl Strategy<Value = Sampling> {
    (
        prop_oneof![Just(0.0), Just(1e-6), Just(1.0), Just(10.0), 0.01..10.0_f32],
        prop_oneof![Just(0), Just(1), 1..60_u32, Just(1 << 20)],
        prop_oneof![Just(1.0), Just(1e-6), Just(0.5), 0.001..1.0_f32],
        prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f32],
        prop_oneof![Just(1.0), Just(10.0), 0.1..3.0_f32],
        any::<u64>(),
    )
        .prop_map(
            |(temperature, top_k, top_p, min_p, repeat_penalty, seed)| Sampling {
                temperature,
                top_k,
                top_p,
                min_p,
                repeat_penalty,
                seed,
                ..Sampling::default()
            },
        )
}

fn any_sampling() -> impl Strategy<Value = Sampling> {
    let of_old = any_usual_sampling();
    let penalties = (
        prop_oneof![Just(0.0), Just(-2.0), Just(2.0), -2.0..2.0_f32],
        prop_oneof![Just(0.0), Just(-2.0), Just(2.0), -2.0..2.0_f32],
        prop::collection::vec(
            (0..60_u32, prop_oneof![Just(-100.0), -100.0..100.0_f32]),
            0..4,
        ),
    );
    let dry = (
        prop_oneof![Just(0.0), Just(100.0), 0.01..5.0_f32],
        prop_oneof![Just(1.0), Just(10.0), 1.0..3.0_f32],
        prop_oneof![0..4_u32, Just(1024)],
    );
    let steering = (
        prop_oneof![Just(1.0), Just(1e-6), 0.001..1.0_f32],
        prop_oneof![
            2 => Just(Mirostat::Off),
            1 => Just(Mirostat::V1),
            1 => Just(Mirostat::V2),
        ],
        prop_oneof![Just(20.0), 0.001..8.0_f32],
        prop_oneof![Just(1.0), 0.001..1.0_f32],
    );
    (of_old, penalties, dry, steering).prop_map(|(of_old, penalties, dry, steering)| Sampling {
        frequency_penalty: penalties.0,
        presence_penalty: penalties.1,
        logit_bias: penalties.2,
        dry_multiplier: dry.0,
        dry_base: dry.1,
        dry_allowed_length: dry.2,
        typical_p: steering.0,
        mirostat: steering.1,
        mirostat_tau: steering.2,
        mirostat_eta: steering.3,
        ..of_old
    })
}

/// No check has seen it.
fn unchecked_sampling() -> impl Strategy<Value = Sampling> {
    fn float() -> impl Strategy<Value = f32> {
        let odd = [NAN, INF, -INF, f32::MAX, f32::MIN, 1e-45, 0.0, -0.0];
        prop_oneof![any::<f32>(), prop::sample::select(odd.to_vec())]
    }
    (
        any_sampling(),
        prop::collection::vec(float(), 12),
        prop::collection::vec((any::<u32>(), float()), 0..3),
        any::<[u32; 2]>(),
    )
        .prop_map(|(checked, floats, logit_bias, counts)| Sampling {
            temperature: floats[0],
            top_p: floats[1],
            min_p: floats[2],
            repeat_penalty: floats[3],
            typical_p: floats[4],
            frequency_penalty: floats[5],
            presence_penalty: floats[6],
            dry_multiplier: floats[7],
            dry_base: floats[8],
            mirostat_tau: floats[9],
            mirostat_eta: floats[10],
            top_k: counts[0],
            dry_allowed_length: counts[1],
            logit_bias,
            ..checked
        })
}

fn any_logits(most: usize) -> impl Strategy<Value = Vec<f32>> {
    let usual = prop_oneof![
        4 => -15.0..15.0_f32,
        2 => (-4_i8..4).prop_map(f32::from), // ties
        1 => Just(-INF),
    ];
    let hostile = prop_oneof![
        any::<f32>(),
        Just(NAN),
        Just(INF),
        Just(-INF),
        Just(-0.0),
        Just(0.0),
        Just(f32::MIN),
        Just(f32::MAX),
    ];
    prop_oneof![
        3 => prop::collection::vec(usual, 0..most),
        1 => prop::collection::vec(hostile, 0..most),
    ]
}

/// Tokens that repeat themselves, or not.
fn any_seen() -> impl Strategy<Value = Vec<u32>> {
    prop_oneof![
        prop::collection::vec(0..60_u32, 0..100),
        prop::collection::vec(0..3_u32, 0..100),
        (prop::collection::vec(0..60_u32, 1..20), 1..100_usize)
            .prop_map(|(verse, times)| verse.repeat(times)),
    ]
}

fn agree(
    breakers: &[u32],
    sampling: &Sampling,
    seen: &[u32],
    rounds: &[Vec<f32>],
) -> Result<(), TestCaseError> {
    let breaks: Vec<bool> = (0..60).map(|token| breakers.contains(&token)).collect();
    let mut sampler = Sampler::new(sampling).breaking_at(breaks.into());
    let worth_it = seen.len().saturating_sub(sampler.window());
    seen[worth_it..]
        .iter()
        .for_each(|&token| sampler.accept(token));
    let tokens: Vec<Option<u32>> = rounds
        .iter()
        .map(|logits| {
            let token = sample(&mut sampler, logits).ok();
            token.into_iter().for_each(|token| sampler.accept(token));
            token
        })
        .collect();
    prop_assert_eq!(
        tokens,
        reference::generate(breakers, sampling, seen, rounds)
    );
    Ok(())
}

proptest! {
    #[test]
    fn it_draws_what_the_reference_draws(
        sampling in any_usual_sampling(),
        seen in prop::collection::vec(0..60_u32, 0..100),
        rounds in prop::collection::vec(any_logits(60), 1..6),
    ) {
        agree(&[], &sampling, &seen, &rounds)?;
    }

    #[test]
    fn with_everything_on_it_draws_what_the_reference_draws(
        breakers in prop::collection::vec(0..60_u32, 0..3),
        sampling in any_sampling(),
        seen in any_seen(),
        rounds in prop::collection::vec(any_logits(60), 1..6),
    ) {
        agree(&breakers, &sampling, &seen, &rounds)?;
    }

    #[test]
    fn what_it_yields_has_a_logit_over_minus_infinity(
        sampling in prop_oneof![any_sampling(), unchecked_sampling()],
        seen in any_seen(),
        logits in any_logits(40),
    ) {
        let mut sampler = Sampler::new(&sampling);
        seen.iter().for_each(|&token| sampler.accept(token));
        for _ in 0..3 {
            match sample(&mut sampler, &logits) {
                Ok(token) => prop_assert!(logits[token as usize] > -INF),
                Err(_) => prop_assert!(
                    logits.iter().all(|&logit| logit.is_nan() || logit == -INF)
                ),
            }
        }
    }

    #[test]
    fn a_clone_of_any_sampler_goes_on_as_the_original_and_a_reset_one_begins_anew(
        sampling in any_sampling(),
        seen in any_seen(),
        logits in prop::collection::vec(-9.0..9.0_f32, 1..40),
    ) {
        let five = |sampler: &mut Sampler| [(); 5].map(|()| {
            let token = sample(sampler, &logits).unwrap();
            sampler.accept(token);
            token
        });
        let mut sampler = Sampler::new(&sampling);
        seen.iter().for_each(|&token| sampler.accept(token));
        let mut fork = sampler.clone();
        let first = five(&mut sampler);
        prop_assert_eq!(five(&mut fork), first);
        let mut later = sampler.clone();
        prop_assert_eq!(five(&mut sampler), five(&mut later));
        sampler.reset();
        seen.iter().for_each(|&token| sampler.accept(token));
        prop_assert_eq!(five(&mut sampler), first);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Large enough that the ranking goes in steps.
    #[test]
    fn it_draws_what_the_reference_draws_from_a_large_vocabulary(
        sampling in any_sampling(),
        top_k in prop_oneof![Just(0), 1..2_000_u32],
        spread in 0.1..10.0_f32,
        noise in any::<u64>(),
    ) {
        let mut rng = Rng::new(noise);
        let logits = (0..4_000).map(|_| rng.below(1 << 20) as f32 / (1 << 20) as f32 * spread);
        let rounds = [logits.collect()];
        agree(&[], &Sampling { top_k, ..sampling }, &[], &rounds)?;
    }
}

#[test]
fn a_clone_carries_no_scratch_memory_whatever_is_on() {
    let sampling = Sampling {
        typical_p: 0.5,
        dry_multiplier: 1.0,
        ..plain()
    };
    let mut sampler = Sampler::new(&sampling);
    for _ in 0..10 {
        let token = sample(&mut sampler, &[0.0; 500]).unwrap();
        sampler.accept(token);
    }
    let clone = sampler.clone();
    assert_eq!(clone.candidates.capacity(), 0);
    assert_eq!(clone.by_typicality.capacity(), 0);
}
