//! Constraints that take for ever to compile. Pinky reads none of them, so what is seen here
//! is that the host passes them on unharmed; what they do to an engine is Brain's to test.

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
    let end = |attack| match attack {
        "lark-bad" => done("protocol(invalid-config(constraint)), ok"),
        "too-long" => done("protocol(invalid-config(constraint))"),
        "regex-nothing" | "schema-brackets" | "schema-circular" | "schema-items" => {
            done("ok, then ok")
        }
        "schema-impossible" => done("ok, ok, ok"),
        _ => done("ok"),
    };
    Attack::family("grammar", attacks.map(|attack| (attack, end(attack), "")))
}
