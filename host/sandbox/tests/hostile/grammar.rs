//! Constraints that take for ever to compile. Pinky obeys none, which has to be said in a
//! moment; what a real engine does with them is Brain's to test.

use crate::attack::{Attack, done};

pub(crate) fn hostile_grammar() -> Vec<Attack> {
    let attacks = [
        "regex-brackets",
        "regex-repetition",
        "regex-optional",
        "regex-ambiguous",
        "regex-classes",
        "regex-alternatives",
        "regex-counted",
        "regex-bad",
        "regex-nothing",
        "regex-long",
        "schema-brackets",
        "schema-recursive",
        "schema-circular",
        "schema-doubling",
        "schema-remote",
        "schema-bad",
        "schema-impossible",
        "schema-items",
        "schema-enum",
        "schema-pattern",
        "lark-brackets",
        "lark-doubling",
        "lark-left",
        "lark-empty",
        "lark-ambiguous",
        "lark-huge",
        "lark-bad",
        "lark-import",
        "too-long",
    ];
    Attack::family("grammar", attacks.map(|attack| (attack, done("*"), "")))
}
