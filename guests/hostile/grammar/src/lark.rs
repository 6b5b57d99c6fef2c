//! Grammars.

use crate::LONGEST;
use crowbar::types::Constraint;

async fn obey(grammar: String) -> String {
    crate::obey(Constraint::Grammar(grammar)).await
}

pub async fn brackets() -> String {
    obey(format!(
        "start: {}\"x\"{}",
        "(".repeat(10_000),
        ")".repeat(10_000)
    ))
    .await
}

/// Each rule is two of the one before.
pub async fn doubling() -> String {
    let rules: Vec<_> = (1..60)
        .map(|n| format!("r{n}: r{0} r{0}\n", n - 1))
        .collect();
    obey(format!("start: r59\nr0: \"x\"\n{}", rules.concat())).await
}

/// Rules that begin with themselves.
pub async fn left() -> String {
    obey("start: start start | start \"x\" | other | \"x\"\nother: other | start".into()).await
}

/// Rules that match nothing, in every number of ways.
pub async fn empty() -> String {
    obey("start: e* (e | e e)*\ne: \"\" | e e | ".into()).await
}

/// Every stretch of text in every number of ways.
pub async fn ambiguous() -> String {
    obey("start: a+\na: b | a a | a a a | \nb: /[a-z ]*/ | b b | \"x\" | a".into()).await
}

/// As many rules as fit.
pub async fn huge() -> String {
    let mut grammar = String::from("start: r0\n");
    let mut number = 0;
    loop {
        let rule = format!(
            "r{number}: \"{number}\" | /[a-z]{{1,9}}{number}/ r{}\n",
            number + 1
        );
        if grammar.len() + rule.len() + 40 > LONGEST {
            break;
        }
        grammar += &rule;
        number += 1;
    }
    obey(format!("{grammar}r{number}: \"x\"\n")).await
}

pub async fn bad() -> String {
    let mut outcomes = Vec::new();
    for grammar in [
        "",
        "start:",
        "start: missing",
        "start: (\"x\"",
        "start: /(/",
        "other: \"x\"",
        "\0",
    ] {
        outcomes.push(obey(grammar.into()).await);
    }
    outcomes.dedup();
    outcomes.join(", ")
}

/// What other notations fetch from elsewhere.
pub async fn import() -> String {
    let mut outcomes = Vec::new();
    for import in [
        "%import /etc/passwd\nstart: \"x\"",
        "%import common.WS\nstart: WS",
        "%ignore /(/\nstart: \"x\"",
        "%declare X\nstart: X",
        "start: %json {\"$ref\":\"http://169.254.169.254/\"}",
        "start: @other",
    ] {
        outcomes.push(obey(import.into()).await);
    }
    outcomes.dedup();
    outcomes.join(", ")
}

/// One byte more than may be.
pub async fn too_long() -> String {
    obey(format!("start: \"{}\"", "x".repeat(LONGEST))).await
}
