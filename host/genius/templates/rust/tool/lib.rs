//! Counts the words of a text: `{"text": "one two"}` gives `{"words":2}`.

use serde_json::{Value, json};

wit_bindgen::generate!({ path: "wit", world: "{{world}}" });

const DESCRIPTION: &str = "Counts the words of a text.";

/// What the arguments look like, as a JSON Schema for the model.
const PARAMETERS: &str = r#"{
    "type": "object",
    "properties": {
        "text": { "type": "string", "description": "The text" }
    },
    "required": ["text"],
    "additionalProperties": false
}"#;

struct Tool;
export!(Tool);

impl Guest for Tool {
    fn describe() -> ToolDescription {
        ToolDescription {
            name: "{{name}}".into(),
            description: DESCRIPTION.into(),
            parameters: PARAMETERS.into(),
        }
    }

    async fn call(arguments: String) -> Result<String, Failure> {
        answer(&arguments).map_err(Failure::Usage)
    }
}

/// The answer; or what is wrong with the arguments, for the model to read.
fn answer(arguments: &str) -> Result<String, String> {
    let arguments: Value =
        serde_json::from_str(arguments).map_err(|e| format!("the arguments are no JSON: {e}"))?;
    let text = arguments.get("text").and_then(Value::as_str);
    let text = text.ok_or("the arguments are one object with the text: {\"text\": \"one two\"}")?;
    Ok(json!({ "words": text.split_whitespace().count() }).to_string())
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn words_are_what_space_separates() {
        assert_eq!(
            answer(r#"{"text": " one  two\n"}"#).as_deref(),
            Ok(r#"{"words":2}"#)
        );
        assert_eq!(answer(r#"{"text": ""}"#).as_deref(), Ok(r#"{"words":0}"#));
    }

    #[test]
    fn wrong_arguments_are_told_what_is_expected() {
        for wrong in ["", "[]", "{}", r#"{"text": 3}"#] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
    }
}
