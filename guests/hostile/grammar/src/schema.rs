//! JSON Schemas.

use crate::LONGEST;
use crowbar::types::Constraint;

async fn obey(schema: String) -> String {
    crate::obey(Constraint::JsonSchema(schema)).await
}

/// Nested deeper than a parser's stack.
pub async fn brackets() -> String {
    let arrays = r#"{"items":"#.repeat(5000) + "{}" + &"}".repeat(5000);
    let plain = obey("[".repeat(10_000)).await;
    format!("{}, then {plain}", obey(arrays).await)
}

/// A tree: fine to obey, and without an end.
pub async fn recursive() -> String {
    let schema = r##"{"type":"object","properties":{"next":{"$ref":"#"}},
        "required":["next"],"additionalProperties":false}"##;
    obey(schema.into()).await
}

/// References that lead to nothing but each other.
pub async fn circular() -> String {
    let itself = obey(r##"{"$ref":"#"}"##.into()).await;
    let each_other = r##"{"$ref":"#/$defs/a","$defs":{
        "a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}}}"##;
    format!("{itself}, then {}", obey(each_other.into()).await)
}

/// Each definition is two of the one before.
pub async fn doubling() -> String {
    let double = |n: u32| {
        let before = n - 1;
        format!(
            r##""d{n}":{{"prefixItems":[{{"$ref":"#/$defs/d{before}"}},{{"$ref":"#/$defs/d{before}"}}],"minItems":2,"items":false}}"##
        )
    };
    let doubles: Vec<_> = (1..60).map(double).collect();
    let schema = format!(
        r##"{{"$ref":"#/$defs/d59","$defs":{{"d0":{{"const":0}},{}}}}}"##,
        doubles.join(",")
    );
    obey(schema).await
}

/// References to the network and to files: nothing may be fetched.
pub async fn remote() -> String {
    let mut outcomes = Vec::new();
    for target in [
        "http://169.254.169.254/latest/meta-data",
        "https://example.com/schema.json",
        "file:///etc/passwd",
        "/etc/passwd",
    ] {
        outcomes.push(obey(format!(r#"{{"$ref":"{target}"}}"#)).await);
    }
    outcomes.dedup();
    outcomes.join(", ")
}

pub async fn bad() -> String {
    let mut outcomes = Vec::new();
    for schema in [
        "nonsense",
        "7",
        r#"{"type":"nothing"}"#,
        r#"{"pattern":"("}"#,
        r#"{"minLength":-1}"#,
    ] {
        outcomes.push(obey(schema.into()).await);
    }
    outcomes.dedup();
    outcomes.join(", ")
}

/// What no value fulfils.
pub async fn impossible() -> String {
    let outcomes = [
        obey("false".into()).await,
        obey(r#"{"type":"integer","minimum":2,"maximum":1}"#.into()).await,
        obey(r#"{"enum":[]}"#.into()).await,
    ];
    outcomes.join(", ")
}

/// More than fits into any answer.
pub async fn items() -> String {
    let long = r#"{"type":"string","minLength":4000000000,"maxLength":4000000001}"#;
    let many = r#"{"type":"array","items":{"type":"string","minLength":1000},"minItems":1000000}"#;
    format!(
        "{}, then {}",
        obey(long.into()).await,
        obey(many.into()).await
    )
}

pub async fn many_values() -> String {
    let values: Vec<_> = (0..9000).map(|n| n.to_string()).collect();
    let mut schema = format!(r#"{{"enum":[{}]}}"#, values.join(","));
    schema.truncate(LONGEST);
    obey(schema).await
}

/// A regular expression that takes long, inside.
pub async fn pattern() -> String {
    obey(r#"{"type":"string","pattern":"^((((x{500}){500}){500}){500})*$"}"#.into()).await
}
