//! Whether an answer is the JSON that a fixture's schema admits.

use crate::show;
use jsonschema::Validator;
use serde_json::Value;

/// Characters of a validator's words that are shown.
const SHOWN: usize = 300;

/// The schema, if it is one. No reference leads out of it: nothing is fetched.
pub(crate) fn compile(text: &str) -> Result<Validator, String> {
    let schema: Value = serde_json::from_str(text).map_err(|e| format!("it is not JSON: {e}"))?;
    jsonschema::validator_for(&schema).map_err(|e| {
        format!(
            "it is no JSON Schema: {}",
            show::short(&e.to_string(), SHOWN)
        )
    })
}

/// What is wrong with the answer.
pub(crate) fn fault(answer: &str, schema: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(answer) {
        Ok(value) => value,
        Err(e) => return Some(format!("the answer is not JSON: {e}")),
    };
    // One that is none was refused when the fixture was found.
    let schema = compile(schema).ok()?;
    let error = schema.iter_errors(&value).next()?;
    let place = match error.instance_path.to_string() {
        path if path.is_empty() => "the answer".to_owned(),
        path => format!("the answer's {}", show::short(&path, SHOWN)),
    };
    Some(format!(
        "{place}: {}",
        show::short(&error.to_string(), SHOWN)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CITY: &str = r#"{"type": "object", "required": ["name"],
        "properties": {"name": {"type": "string"}, "people": {"type": "integer"}}}"#;

    #[test]
    fn an_answer_is_held_against_the_schema() {
        assert_eq!(fault(r#"{"name": "Paris", "people": 1}"#, CITY), None);
        let wrong = |answer| fault(answer, CITY).unwrap();
        assert!(wrong("Paris").starts_with("the answer is not JSON"));
        assert!(wrong("{}").contains("\"name\" is a required property"));
        assert!(wrong(r#"{"name": 1}"#).starts_with("the answer's /name: "));
    }

    #[test]
    fn a_schema_that_is_none_or_leads_elsewhere_is_refused() {
        assert!(compile("{").unwrap_err().contains("not JSON"));
        assert!(
            compile(r#"{"type": "city"}"#)
                .unwrap_err()
                .contains("no JSON Schema")
        );
        assert!(compile(r#"{"$ref": "https://example.org/s.json"}"#).is_err());
        assert!(compile(r#"{"$ref": "file:///etc/passwd"}"#).is_err());
    }
}
