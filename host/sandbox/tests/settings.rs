//! A config that no host would take is refused, and the guest is told why.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use support::{greedy, test};

#[test]
fn a_config_out_of_range_is_refused_by_the_name_of_its_field() {
    let field = |name: &str| format!("protocol(invalid-config({name}))");
    let (temperature, logit_bias) = (field("temperature"), field("logit-bias"));
    let (max_tokens, stop) = (field("max-tokens"), field("stop"));
    let constraint = field("constraint");
    test(greedy(
        |_| {},
        &[
            ("temperature-nan", &temperature),
            ("temperature-infinite", &temperature),
            ("temperature-negative", &temperature),
            ("top-k-huge", &field("top-k")),
            ("top-p-zero", &field("top-p")),
            ("min-p-nan", &field("min-p")),
            ("repeat-penalty-zero", &field("repeat-penalty")),
            ("typical-p-nan", &field("typical-p")),
            ("frequency-penalty-huge", &field("frequency-penalty")),
            ("presence-penalty-nan", &field("presence-penalty")),
            ("dry-multiplier-nan", &field("dry-multiplier")),
            ("dry-base-zero", &field("dry-base")),
            ("dry-allowed-length-huge", &field("dry-allowed-length")),
            ("mirostat-tau-zero", &field("mirostat-tau")),
            ("mirostat-eta-nan", &field("mirostat-eta")),
            ("logit-bias-nan", &logit_bias),
            ("logit-bias-many", &logit_bias),
            ("logit-bias-stranger", "ok"),
            ("max-tokens-zero", &max_tokens),
            ("max-tokens-huge", &max_tokens),
            ("stop-17", &stop),
            ("stop-many", &stop),
            ("stop-empty", &stop),
            ("stop-long", &stop),
            ("logprobs-21", &field("logprobs")),
            ("constraint-empty", &constraint),
            ("constraint-long", &constraint),
            ("constraint-huge", &constraint),
            ("seed-max", "ok"),
        ],
    ));
}

#[test]
fn of_too_many_settings_none_is_taken_and_of_two_the_last_one_counts() {
    let many = "protocol(invalid-config(inference-config))";
    test(greedy(
        |_| {},
        &[
            ("settings-64", "ok"),
            ("settings-65", many),
            ("settings-many", many),
            ("last-counts", "ok"),
        ],
    ));
}
