use super::*;
use crate::{GeniusError, UserManifest};
use proptest::prelude::*;

fn sampling(change: impl FnOnce(&mut Sampling)) -> Result<InferenceConfig, ConfigError> {
    let mut sampling = Sampling::default();
    change(&mut sampling);
    InferenceConfig::new(Behavior::default(), sampling)
}

fn behavior(change: impl FnOnce(&mut Behavior)) -> Result<InferenceConfig, ConfigError> {
    let mut behavior = Behavior::default();
    change(&mut behavior);
    InferenceConfig::new(behavior, Sampling::default())
}

/// A field of numbers: its name, how to set it, and the ends of its range.
struct Range {
    field: &'static str,
    set: fn(&mut Sampling, f32),
    least: f32,
    most: f32,
    /// Whether `least` itself is out.
    over: bool,
}

const fn range(
    field: &'static str,
    set: fn(&mut Sampling, f32),
    least: f32,
    most: f32,
    over: bool,
) -> Range {
    Range {
        field,
        set,
        least,
        most,
        over,
    }
}

/// Every field of [`Sampling`] that is a fraction.
const RANGES: [Range; 11] = [
    range("temperature", |s, v| s.temperature = v, 0.0, 10.0, false),
    range("top-p", |s, v| s.top_p = v, 0.0, 1.0, true),
    range("min-p", |s, v| s.min_p = v, 0.0, 1.0, false),
    range(
        "repeat-penalty",
        |s, v| s.repeat_penalty = v,
        0.0,
        10.0,
        true,
    ),
    range("typical-p", |s, v| s.typical_p = v, 0.0, 1.0, true),
    range(
        "frequency-penalty",
        |s, v| s.frequency_penalty = v,
        -2.0,
        2.0,
        false,
    ),
    range(
        "presence-penalty",
        |s, v| s.presence_penalty = v,
        -2.0,
        2.0,
        false,
    ),
    range(
        "dry-multiplier",
        |s, v| s.dry_multiplier = v,
        0.0,
        100.0,
        false,
    ),
    range("dry-base", |s, v| s.dry_base = v, 1.0, 10.0, false),
    range("mirostat-tau", |s, v| s.mirostat_tau = v, 0.0, 20.0, true),
    range("mirostat-eta", |s, v| s.mirostat_eta = v, 0.0, 1.0, true),
];

impl Range {
    fn holds(&self, value: f32) -> bool {
        match self.over {
            true => value > self.least && value <= self.most,
            false => value >= self.least && value <= self.most,
        }
    }

    fn with(&self, value: f32) -> Result<InferenceConfig, ConfigError> {
        sampling(|s| (self.set)(s, value))
    }
}

#[test]
fn the_defaults_are_valid() {
    assert_eq!(
        PartialConfig::default().build().unwrap(),
        InferenceConfig::default()
    );
}

#[test]
fn nan_and_infinity_are_out_of_every_range() {
    for range in &RANGES {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = range.with(bad).unwrap_err();
            assert_eq!(error.field, format!("sampling.{}", range.field));
        }
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let error = sampling(|s| s.logit_bias = vec![(1, 0.0), (2, bad)]).unwrap_err();
        assert_eq!(error.field, "sampling.logit-bias");
        assert!(error.value.ends_with("for token 2"), "{error}");
    }
}

#[test]
fn an_error_names_the_field_the_value_and_the_range() {
    let error = sampling(|s| s.temperature = 11.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sampling.temperature` is 11; it must be 0 to 10"
    );
}

#[test]
fn the_borders_of_the_ranges() {
    for range in &RANGES {
        assert_eq!(
            range.with(range.least).is_ok(),
            !range.over,
            "{}",
            range.field
        );
        assert!(range.with(range.most).is_ok(), "{}", range.field);
        assert!(
            range.with(range.least.next_down()).is_err(),
            "{}",
            range.field
        );
        assert!(range.with(range.least.next_up()).is_ok(), "{}", range.field);
        assert!(range.with(range.most.next_up()).is_err(), "{}", range.field);
    }
    assert!(sampling(|s| s.top_k = 0).is_ok());
    assert!(sampling(|s| s.top_k = 1 << 20).is_ok());
    assert!(sampling(|s| s.top_k = u32::MAX).is_err());
    assert!(sampling(|s| s.dry_allowed_length = 0).is_ok());
    assert!(sampling(|s| s.dry_allowed_length = 1024).is_ok());
    assert!(sampling(|s| s.dry_allowed_length = 1025).is_err());
    assert!(sampling(|s| s.logit_bias = vec![(u32::MAX, -100.0); 1024]).is_ok());
    assert!(sampling(|s| s.logit_bias = vec![(0, 100.0); 1025]).is_err());
    assert!(sampling(|s| s.logit_bias = vec![(0, -100.1)]).is_err());
    assert!(sampling(|s| s.seed = u64::MAX).is_ok());
}

#[test]
fn what_is_delivered_has_borders_too() {
    let tokens_and_stop = |max_tokens, stop: &[&str]| {
        behavior(|b| {
            b.max_tokens = max_tokens;
            b.stop = stop.iter().map(ToString::to_string).collect();
        })
    };
    assert!(tokens_and_stop(0, &[]).is_err());
    assert!(tokens_and_stop(u32::MAX, &[]).is_err());
    assert!(tokens_and_stop(1, &[""]).is_err());
    assert!(tokens_and_stop(1, &["\n"; 16]).is_ok());
    assert!(tokens_and_stop(1, &["\n"; 17]).is_err());
    assert!(tokens_and_stop(1, &[&"x".repeat(257)]).is_err());
    assert!(behavior(|b| b.logprobs = 20).is_ok());
    assert!(behavior(|b| b.logprobs = 21).is_err());
}

#[test]
fn a_constraint_has_a_text_of_at_most_64_kib_whatever_its_kind() {
    for kind in [
        Constraint::JsonSchema,
        Constraint::Regex,
        Constraint::Grammar,
    ] {
        let with = |bytes: usize| behavior(|b| b.constraint = Some(kind("ä".repeat(bytes / 2))));
        assert!(with(2).is_ok());
        assert!(with(65_536).is_ok());
        let error = with(65_538).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`behavior.constraint` is a text of 65538 bytes; it must be a text of 1 to 65536 bytes"
        );
        assert!(with(0).is_err());
    }
}

fn manifest(text: &str) -> UserManifest {
    UserManifest::parse("models.toml", text).unwrap()
}

#[test]
fn a_manifest_spells_settings_as_the_contract_does() {
    let parsed = manifest(
        r#"
        [defaults.behavior]
        overflow = "shift"
        constraint = { json-schema = '{"type":"object"}' }
        logprobs = 5

        [defaults.sampling]
        mirostat = "v2"
        mirostat-tau = 4
        dry-multiplier = 0.8
        dry-allowed-length = 3
        logit-bias = [[7, -100], [8, 1.5]]
        "#,
    );
    let (behavior, sampling) = (parsed.defaults.behavior, parsed.defaults.sampling);
    assert_eq!(
        behavior,
        PartialBehavior {
            overflow: Some(Overflow::Shift),
            constraint: Some(Constraint::JsonSchema(r#"{"type":"object"}"#.into())),
            logprobs: Some(5),
            ..PartialBehavior::default()
        }
    );
    assert_eq!(
        sampling,
        PartialSampling {
            mirostat: Some(Mirostat::V2),
            mirostat_tau: Some(4.0),
            dry_multiplier: Some(0.8),
            dry_allowed_length: Some(3),
            logit_bias: Some(vec![(7, -100.0), (8, 1.5)]),
            ..PartialSampling::default()
        }
    );
}

#[test]
fn a_constraint_is_written_in_one_of_three_ways() {
    for (text, constraint) in [
        ("regex = 'a+'", Constraint::Regex("a+".into())),
        (
            "grammar = 'start: \"a\"'",
            Constraint::Grammar("start: \"a\"".into()),
        ),
        (
            "json-schema = 'true'",
            Constraint::JsonSchema("true".into()),
        ),
    ] {
        let parsed = manifest(&format!("[defaults.behavior]\nconstraint = {{ {text} }}\n"));
        assert_eq!(parsed.defaults.behavior.constraint, Some(constraint));
    }
}

#[test]
fn a_manifest_error_about_a_setting_names_line_key_and_what_is_known() {
    for (text, key, known) in [
        (
            "[defaults.sampling]\nmirostatt = 'v2'",
            "defaults.sampling.mirostatt",
            "`mirostat`",
        ),
        (
            "[defaults.sampling]\nmirostat = 'v3'",
            "defaults.sampling.mirostat",
            "`v2`",
        ),
        (
            "[defaults.behavior]\nconstraint = { schema = '{}' }",
            "defaults.behavior.constraint",
            "`json-schema`",
        ),
        (
            "[defaults.behavior]\nconstraint = ''",
            "defaults.behavior.constraint",
            "",
        ),
        (
            "[defaults.behavior]\nconstraint = { regex = '' }",
            "defaults.behavior.constraint",
            "1 to 65536 bytes",
        ),
        (
            "[defaults.behavior]\noverflow = 'drop'",
            "defaults.behavior.overflow",
            "`shift`",
        ),
        (
            "[defaults.sampling]\nlogit-bias = [[7, nan]]",
            "defaults.sampling.logit-bias",
            "-100 to 100",
        ),
        (
            "[defaults.sampling]\ntypical-p = 0",
            "defaults.sampling.typical-p",
            "over 0",
        ),
    ] {
        let GeniusError::Manifest(error) = UserManifest::parse("m.toml", text).unwrap_err() else {
            panic!("{text}");
        };
        assert_eq!(error.line, Some(2), "{error}");
        let told = error.key.as_deref().unwrap();
        assert!(told.starts_with(key), "{error}");
        assert!(error.reason.contains(known), "{error}");
    }
}

proptest! {
    #[test]
    fn a_number_is_taken_exactly_if_it_is_in_its_range(
        range in 0..RANGES.len(),
        value in prop_oneof![any::<f32>(), -3.0_f32..3.0, -200.0_f32..200.0],
    ) {
        let range = &RANGES[range];
        prop_assert_eq!(range.with(value).is_ok(), range.holds(value), "{}", range.field);
    }

    #[test]
    fn a_set_field_wins_over_the_base(seed in any::<Option<u64>>(), base in any::<Option<u64>>()) {
        let config = |seed| PartialConfig {
            sampling: PartialSampling { seed, ..PartialSampling::default() },
            ..PartialConfig::default()
        };
        prop_assert_eq!(config(seed).or(&config(base)).sampling.seed, seed.or(base));
    }
}
