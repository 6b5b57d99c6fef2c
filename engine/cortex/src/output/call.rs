//! Tool calls as models of the Hermes and Qwen families write them.

use rusty_genius_core::ToolCall;
use serde_json::{Map, Value};

/// Longest text between the tags of a tool call, bytes.
pub(super) const MAX_CALL: usize = 64 << 10;
/// Longest name of a tool, bytes.
const MAX_NAME: usize = 64;

/// The call that stands between the tags, if it is a proper one.
///
/// `{"name": "weather", "arguments": {"city": "Oslo"}}`, with white space around it. The name
/// is 1 to 64 of `A-Z a-z 0-9 _ . -`. The arguments are an object, also under the name
/// `parameters`; without them it is empty. They are given compactly in the order in which
/// they stand; of a key that stands twice, the last value counts, and numbers are those that
/// 64 bits can hold. Other keys say nothing. JSON is nested at most 128 deep (by serde_json).
pub(super) fn parse(text: &str, number: u64) -> Option<ToolCall> {
    let Ok(Value::Object(mut call)) = serde_json::from_str(text) else {
        return None;
    };
    let Some(Value::String(name)) = call.remove("name") else {
        return None;
    };
    let proper = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(proper) {
        return None;
    }
    let arguments = call
        .remove("arguments")
        .or_else(|| call.remove("parameters"));
    let arguments = arguments.unwrap_or_else(|| Value::Object(Map::new()));
    arguments.is_object().then(|| ToolCall {
        id: format!("call-{number}"),
        name,
        arguments: arguments.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Option<String> {
        parse(text, 1).map(|call| call.arguments)
    }

    #[test]
    fn a_call_has_a_name_and_arguments_in_their_order() {
        let text = "\n {\"name\": \"get_weather.v-2\", \"arguments\": {\"z\": 1.50, \"a\": [null, \"\\u00e9\"]}}\r\n";
        let call = ToolCall {
            id: "call-7".into(),
            name: "get_weather.v-2".into(),
            arguments: r#"{"z":1.5,"a":[null,"é"]}"#.into(),
        };
        assert_eq!(parse(text, 7), Some(call));
    }

    #[test]
    fn arguments_may_be_left_out_or_called_parameters() {
        assert_eq!(arguments(r#"{"name": "now"}"#).as_deref(), Some("{}"));
        let aliased = r#"{"parameters": {"a": 1}, "name": "now", "id": 3}"#;
        assert_eq!(arguments(aliased).as_deref(), Some(r#"{"a":1}"#));
        let both = r#"{"name": "now", "parameters": 1, "arguments": {}}"#;
        assert_eq!(arguments(both).as_deref(), Some("{}"));
    }

    #[test]
    fn what_is_no_proper_call_is_none() {
        let long = "x".repeat(65);
        let deep = format!(
            "{{\"name\": \"a\", \"arguments\": {{\"a\": {}1{}}}}}",
            "[".repeat(200),
            "]".repeat(200)
        );
        for text in [
            "",
            "weather",
            "[]",
            r#""weather""#,
            "{}",
            r#"{"name": 1}"#,
            r#"{"name": ""}"#,
            r#"{"name": "a b"}"#,
            r#"{"name": "é"}"#,
            r#"{"name": "a", "arguments": null}"#,
            r#"{"name": "a", "arguments": "{}"}"#,
            r#"{"name": "a", "arguments": [1]}"#,
            r#"{"name": "a"} {"name": "b"}"#,
            r#"{"name": "a", "arguments": {"n": 1e999}}"#,
            &format!(r#"{{"name": "{long}"}}"#),
            &deep,
        ] {
            assert_eq!(parse(text, 1), None, "{text}");
        }
        assert!(parse(&format!(r#"{{"name": "{}"}}"#, &long[1..]), 1).is_some());
    }
}
