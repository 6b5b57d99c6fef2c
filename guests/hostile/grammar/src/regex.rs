//! Regular expressions.

use crate::LONGEST;
use crowbar::types::Constraint;

async fn obey(expression: String) -> String {
    crate::obey(Constraint::Regex(expression)).await
}

pub async fn brackets() -> String {
    obey("(".repeat(10_000) + "x" + &")".repeat(10_000)).await
}

/// A thousand times a thousand times a thousand.
pub async fn repetition() -> String {
    obey("(((x{1000}){1000}){1000}){1000}".into()).await
}

pub async fn optional() -> String {
    obey("x?".repeat(2000) + &"x".repeat(2000)).await
}

/// What makes an engine that backtracks try every way.
pub async fn ambiguous() -> String {
    obey("((x+)+)+(x|xx)*(.*.*.*)*y".into()).await
}

/// Large classes, many times: their tables are large, too.
pub async fn classes() -> String {
    obey(r"([\p{L}\p{N}--\p{Greek}]|\w|\PM){500}".into()).await
}

pub async fn alternatives() -> String {
    let words: Vec<_> = (0..8000).map(|n| format!("w{n:x}")).collect();
    obey(words.join("|")).await
}

/// Where the last but so many letter is an `a`: as an automaton, 2^60 states.
pub async fn counted() -> String {
    obey("(a|b)*a(a|b){60}".into()).await
}

pub async fn bad() -> String {
    let mut outcomes = Vec::new();
    for expression in [
        "(",
        "[z-a]",
        "x{2,1}",
        "(?=x)",
        r"(x)\1",
        "*",
        r"\",
        "(?P<n>x)(?P<n>y)",
    ] {
        outcomes.push(obey(expression.into()).await);
    }
    outcomes.dedup();
    outcomes.join(", ")
}

/// What no text matches, and what only the empty one does.
pub async fn nothing() -> String {
    let none = obey(r"[^\s\S]".into()).await;
    format!("{none}, then {}", obey("()".into()).await)
}

pub async fn long() -> String {
    obey(".{3}x?".repeat(LONGEST / 6)).await
}
