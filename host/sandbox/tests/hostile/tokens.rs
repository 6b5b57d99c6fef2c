//! Generations and settings, more and stranger than there may be.

use crate::attack::{Attack, done};

pub(crate) fn hostile_tokens() -> Vec<Attack> {
    Attack::family(
        "tokens",
        [
            ("max-tokens", done("2 refused"), ""),
            ("endless", done("ok"), ""),
            ("total", done("*, then budget(*)"), ""),
            ("generations", done("50, then budget(generations, 50)"), ""),
            ("parallel", done("16, then budget(inferences, 16)"), ""),
            (
                "parallel-unread",
                done("16, then budget(inferences, 16), then ok"),
                "",
            ),
            ("dropped-halfway", done("budget(*)"), ""),
            ("cancelled", done("FinishReason::Cancelled"), ""),
            ("cancelled-often", done("budget(generations, 50)"), ""),
            ("empty-prompt", done("ok"), ""),
            ("nasty-prompt", done("ok"), ""),
            ("long-prompt", done("engine(context-overflow)"), ""),
            ("long-shift", done("engine(context-overflow)"), ""),
            ("history", done("*, then *"), ""),
            ("forked-history", done("*"), ""),
            ("odd-roles", done("*"), ""),
            ("many-turns", done("*"), ""),
            ("prompt-tokens", done("*, then budget(*)"), ""),
            (
                "count-tokens",
                done("*, then budget(prompt-tokens, 100000)"),
                "",
            ),
            ("embed", done("*, then budget(prompt-tokens, 100000)"), ""),
            ("nan", done("12 refused"), ""),
            ("infinite", done("24 refused"), ""),
            ("zero", done("ok"), ""),
            ("seeds", done("ok, ok, ok, ok, ok"), ""),
            ("extremes", done("*"), ""),
            ("logprobs", done("*"), ""),
            ("stop-texts", done("*"), ""),
            ("stop-everything", done("*"), ""),
            ("logit-bias", done("*"), ""),
            ("logit-bias-often", done("*"), ""),
            ("settings", done("*"), ""),
        ],
    )
}
