use super::*;
use crate::bindings::types::Setting;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rusty_genius_core::{
    ConfigError, Constraint, Logprobs, Mirostat, Overflow, PartialBehavior, PartialConfig,
    PartialSampling, ThoughtMode, TokenLogprob,
};

fn number() -> impl Strategy<Value = Option<f32>> {
    option::of(-1e9_f32..1e9)
}

prop_compose! {
    fn behaviors()(
        max_tokens in any::<Option<u32>>(),
        stop in option::of(vec(any::<String>(), 0..4)),
        thoughts in option::of(prop_oneof![Just(ThoughtMode::Show), Just(ThoughtMode::Hide)]),
        overflow in option::of(prop_oneof![Just(Overflow::Error), Just(Overflow::Shift)]),
        constraint in option::of(prop_oneof![
            any::<String>().prop_map(Constraint::JsonSchema),
            any::<String>().prop_map(Constraint::Regex),
            any::<String>().prop_map(Constraint::Grammar),
        ]),
        logprobs in any::<Option<u32>>(),
    ) -> PartialBehavior {
        PartialBehavior { max_tokens, stop, thoughts, overflow, constraint, logprobs }
    }
}

prop_compose! {
    fn samplings()(
        (temperature, top_p, min_p, repeat_penalty, typical_p) in
            (number(), number(), number(), number(), number()),
        (frequency_penalty, presence_penalty, dry_multiplier, dry_base) in
            (number(), number(), number(), number()),
        (mirostat_tau, mirostat_eta) in (number(), number()),
        (top_k, dry_allowed_length) in any::<(Option<u32>, Option<u32>)>(),
        mirostat in option::of(prop_oneof![
            Just(Mirostat::Off), Just(Mirostat::V1), Just(Mirostat::V2)
        ]),
        logit_bias in option::of(vec((any::<u32>(), -1e9_f32..1e9), 0..4)),
        seed in any::<Option<u64>>(),
    ) -> PartialSampling {
        PartialSampling {
            temperature, top_k, top_p, min_p, repeat_penalty, typical_p, frequency_penalty,
            presence_penalty, dry_multiplier, dry_base, dry_allowed_length, mirostat,
            mirostat_tau, mirostat_eta, logit_bias, seed,
        }
    }
}

fn configs() -> impl Strategy<Value = PartialConfig> {
    (behaviors(), samplings()).prop_map(|(behavior, sampling)| PartialConfig { behavior, sampling })
}

proptest! {
    #[test]
    fn a_config_comes_back_from_a_guest_as_it_was(config in configs()) {
        let settings = config_out(config.clone());
        prop_assert_eq!(config_in(settings).unwrap(), config);
    }

    #[test]
    fn of_two_lists_in_one_the_later_wins(first in configs(), second in configs()) {
        let mut settings = config_out(first.clone());
        settings.extend(config_out(second.clone()));
        prop_assert_eq!(config_in(settings).unwrap(), second.or(&first));
    }
}

#[test]
fn what_is_not_set_is_no_setting() {
    assert!(config_out(PartialConfig::default()).is_empty());
    assert_eq!(config_in(vec![]).unwrap(), PartialConfig::default());
}

#[test]
fn of_a_setting_given_twice_the_last_one_counts() {
    let settings = vec![
        Setting::Temperature(f32::NAN),
        Setting::Seed(1),
        Setting::Temperature(0.5),
    ];
    let sampling = config_in(settings).unwrap().sampling;
    assert_eq!((sampling.temperature, sampling.seed), (Some(0.5), Some(1)));
}

/// What a guest is told of a config that this is the whole of.
fn refusal(settings: Vec<Setting>) -> String {
    let error = config_in(settings)
        .and_then(|config| config.build())
        .map_err(GeniusError::from)
        .unwrap_err();
    match error_out(&error) {
        types::Error::Protocol(types::ProtocolError::InvalidConfig(name)) => name,
        e => panic!("{e:?}"),
    }
}

#[test]
fn sixty_four_settings_are_taken_and_one_more_is_not() {
    assert!(config_in(vec![Setting::Seed(1); 64]).is_ok());
    let ConfigError { field, value, .. } = config_in(vec![Setting::Seed(1); 65]).unwrap_err();
    assert_eq!((field, &*value), ("inference-config", "a list of 65"));
    assert_eq!(refusal(vec![Setting::Seed(1); 65]), "inference-config");
}

#[test]
fn a_setting_out_of_range_is_told_by_its_name_in_the_contract() {
    let constraint = |bytes| types::Constraint::Grammar("g".repeat(bytes));
    let ok = config_in(vec![Setting::Constraint(constraint(65_536))]).unwrap();
    assert!(ok.build().is_ok());
    for (setting, name) in [
        (Setting::MaxTokens(0), "max-tokens"),
        (Setting::Constraint(constraint(65_537)), "constraint"),
        (Setting::Constraint(constraint(0)), "constraint"),
        (Setting::Logprobs(21), "logprobs"),
        (Setting::Temperature(f32::NAN), "temperature"),
        (Setting::TypicalP(f32::NAN), "typical-p"),
        (Setting::DryBase(f32::NAN), "dry-base"),
        (Setting::MirostatEta(f32::NAN), "mirostat-eta"),
        (Setting::LogitBias(vec![(7, f32::NAN)]), "logit-bias"),
        (Setting::LogitBias(vec![(7, 0.0); 1025]), "logit-bias"),
    ] {
        assert_eq!(refusal(vec![setting]), name);
    }
}

#[test]
fn logprobs_reach_a_guest_whole() {
    let token = |token, bytes: &[u8], logprob| TokenLogprob {
        token,
        bytes: bytes.to_vec(),
        logprob,
    };
    let event = InferenceEvent::Logprobs(Logprobs {
        // Half a character is no text, and still a token.
        chosen: token(7, b"\xc3", -1.5),
        top: vec![token(8, b"a", -0.5), token(7, b"\xc3", -1.5)],
    });
    let types::InferenceEvent::Logprobs(seen) = event_out(event) else {
        panic!("another event");
    };
    assert_eq!(
        (seen.chosen.token, &*seen.chosen.bytes, seen.chosen.logprob),
        (7, &b"\xc3"[..], -1.5)
    );
    let top: Vec<u32> = seen.top.iter().map(|t| t.token).collect();
    assert_eq!(top, [8, 7]);
}

#[test]
fn an_engines_error_is_its_kind_and_nothing_of_the_host() {
    let told = |error: EngineError| engine_name(engine_out(&error));
    let reason = || "/home/someone".to_owned();
    assert_eq!(
        told(EngineError::InvalidConstraint { reason: reason() }),
        "invalid-constraint"
    );
    assert_eq!(
        told(EngineError::MemoryExceeded {
            model: reason(),
            needed: 2,
            limit: 1
        }),
        "memory-exceeded"
    );
    // Sessions are saved by the host, not by guests: to them it is a fault like others.
    assert_eq!(
        told(EngineError::InvalidSession {
            path: reason().into(),
            reason: reason()
        }),
        "backend-failed"
    );
}
