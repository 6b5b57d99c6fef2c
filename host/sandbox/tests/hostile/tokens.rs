//! Generations and settings, more and stranger than there may be.

use crate::attack::{Attack, done, each};
use crate::house::House;
use rusty_genius_sandbox::Job;
use std::path::Path;

pub(crate) fn hostile_tokens() -> Vec<Attack> {
    let attacks = Attack::family(
        "tokens",
        [
            ("max-tokens", done("2 refused"), ""),
            ("endless", done("ok"), ""),
            (
                "total",
                done("36, then budget(completion-tokens, 2000)"),
                "",
            ),
            ("generations", done("50, then budget(generations, 50)"), ""),
            ("parallel", done("16, then budget(inferences, 16)"), ""),
            (
                "parallel-unread",
                done("16, then budget(inferences, 16), then ok"),
                "",
            ),
            ("dropped-halfway", done("ok"), ""),
            ("cancelled", done("FinishReason::Cancelled"), ""),
            ("cancelled-often", done("ok"), ""),
            ("empty-prompt", done("ok"), ""),
            ("nasty-prompt", done("ok"), ""),
            ("long-prompt", done("engine(context-overflow)"), ""),
            ("long-shift", done("engine(context-overflow)"), ""),
            ("history", done("1, then engine(context-overflow)"), ""),
            ("forked-history", done("engine(context-overflow)"), ""),
            ("odd-roles", done("ok, ok, ok, ok, ok"), ""),
            ("many-turns", done("engine(context-overflow)"), ""),
            (
                "prompt-tokens",
                done("*, then budget(prompt-tokens, 100000)"),
                "",
            ),
            (
                "count-tokens",
                done("1, then budget(prompt-tokens, 100000)"),
                "",
            ),
            ("embed", done("*, then budget(prompt-tokens, 100000)"), ""),
            ("nan", done("12 refused"), ""),
            ("infinite", done("24 refused"), ""),
            ("zero", done("ok"), ""),
            ("seeds", done("ok, ok, ok, ok, ok"), ""),
            ("extremes", done("ok"), ""),
            ("logprobs", done("ok"), ""),
            (
                "stop-texts",
                done("protocol(invalid-config(stop)), then ok"),
                "",
            ),
            ("stop-everything", done("ok"), ""),
            (
                "logit-bias",
                done("ok, then protocol(invalid-config(logit-bias)), then ok"),
                "",
            ),
            ("logit-bias-often", done("ok"), ""),
            (
                "settings",
                done("protocol(invalid-config(inference-config))"),
                "",
            ),
        ],
    );
    each(attacks, roomy, |_| Ok(()))
}

/// Where it is another limit that ends it, or none.
fn roomy(_: &House, attack: &Attack, _: &Path, job: &mut Job) {
    match attack.words[0].as_str() {
        "dropped-halfway" => {
            (job.budget.generations, job.budget.completion_tokens) = (200, 100_000);
        }
        "cancelled-often" => {
            (job.budget.generations, job.budget.completion_tokens) = (2000, 1_000_000);
        }
        "prompt-tokens" => job.budget.generations = 10_000,
        _ => {}
    }
}
