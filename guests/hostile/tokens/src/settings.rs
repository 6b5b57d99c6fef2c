//! Settings at the ends of their ranges and beyond.

use crowbar::model::{infer, told, user};
use crowbar::types::{Mirostat, Setting};
use crowbar::{MANY, Tally};

const BRIEF: Setting = Setting::MaxTokens(4);

async fn with(settings: Vec<Setting>) -> String {
    let mut config = vec![BRIEF];
    config.extend(settings);
    told(vec![user("Hello")], config).await
}

/// Each must be refused.
async fn each(settings: Vec<Setting>) -> String {
    let mut tally = Tally::default();
    for setting in settings {
        let name = format!("{setting:.80?}");
        tally.refused(name, infer(vec![user("Hello")], vec![setting]).await);
    }
    tally.words()
}

fn floats(value: f32) -> Vec<Setting> {
    vec![
        Setting::Temperature(value),
        Setting::TopP(value),
        Setting::MinP(value),
        Setting::RepeatPenalty(value),
        Setting::TypicalP(value),
        Setting::FrequencyPenalty(value),
        Setting::PresencePenalty(value),
        Setting::DryMultiplier(value),
        Setting::DryBase(value),
        Setting::MirostatTau(value),
        Setting::MirostatEta(value),
        Setting::LogitBias(vec![(0, value)]),
    ]
}

pub async fn max_tokens() -> String {
    each(vec![Setting::MaxTokens(u32::MAX), Setting::MaxTokens(0)]).await
}

pub async fn nan() -> String {
    each(floats(f32::NAN)).await
}

pub async fn infinite() -> String {
    let mut settings = floats(f32::INFINITY);
    settings.extend(floats(f32::NEG_INFINITY));
    each(settings).await
}

/// All that may be zero, at once.
pub async fn zero() -> String {
    with(vec![
        Setting::Temperature(0.0),
        Setting::TopK(0),
        Setting::MinP(0.0),
        Setting::FrequencyPenalty(-0.0),
        Setting::DryMultiplier(0.0),
        Setting::DryAllowedLength(0),
        Setting::Seed(0),
        Setting::Logprobs(0),
    ])
    .await
}

pub async fn seeds() -> String {
    let mut outcomes = Vec::new();
    for seed in [0, 1, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
        outcomes.push(with(vec![Setting::Seed(seed), Setting::Temperature(10.0)]).await);
    }
    outcomes.join(", ")
}

/// Each at the end of its range, all at once.
pub async fn extremes() -> String {
    with(vec![
        Setting::Temperature(10.0),
        Setting::TopK(1 << 20),
        Setting::TopP(f32::MIN_POSITIVE),
        Setting::MinP(1.0),
        Setting::RepeatPenalty(f32::MIN_POSITIVE),
        Setting::TypicalP(f32::MIN_POSITIVE),
        Setting::FrequencyPenalty(-2.0),
        Setting::PresencePenalty(2.0),
        Setting::DryMultiplier(100.0),
        Setting::DryBase(10.0),
        Setting::DryAllowedLength(1024),
        Setting::Mirostat(Mirostat::V1),
        Setting::MirostatTau(f32::MIN_POSITIVE),
        Setting::MirostatEta(1.0),
    ])
    .await
}

/// Twenty others told with each of many tokens.
pub async fn logprobs() -> String {
    told(
        vec![user("Hello")],
        vec![Setting::Logprobs(20), Setting::MaxTokens(512)],
    )
    .await
}

/// Thousands, which must be refused; and as many as may be, as long as may be.
pub async fn stop_texts() -> String {
    let thousands = vec!["s".to_owned(); MANY];
    let most = (0..16).map(|n| "ab".repeat(120) + &n.to_string());
    let most = with(vec![Setting::Stop(most.collect())]).await;
    format!(
        "{}, then {most}",
        with(vec![Setting::Stop(thousands)]).await
    )
}

/// Texts that most answers begin with.
pub async fn stop_everything() -> String {
    let letters = [" ", "e", "a", "t", "o", "\n", ".", "T", "I", "A"];
    with(vec![Setting::Stop(letters.map(str::to_owned).to_vec())]).await
}

/// Forbids the first tokens of the vocabulary; then far too many, and none that exist.
pub async fn logit_bias() -> String {
    let most = with(vec![Setting::LogitBias(
        (0..1024).map(|t| (t, -100.0)).collect(),
    )])
    .await;
    let many = with(vec![Setting::LogitBias(vec![(0, 1.0); MANY])]).await;
    let strange = with(vec![Setting::LogitBias(vec![(u32::MAX, 100.0)])]).await;
    format!("{most}, then {many}, then {strange}")
}

/// As many settings of as many tokens as there may be: of all of them the last counts.
pub async fn logit_bias_often() -> String {
    let bias = Setting::LogitBias((0..1024).map(|token| (token, 1.0)).collect());
    with(vec![bias; 63]).await
}

pub async fn settings() -> String {
    with(vec![Setting::Seed(1); MANY]).await
}
