//! Tool calls, as fixtures write them and as judges compare them.

use rusty_genius_core::ToolCall;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// Longest name of a tool, bytes: as engines have it.
const NAME_LIMIT: usize = 64;

/// A tool call that a fixture expects: `weather {"city": "Paris"}`. Two are equal if the names
/// are, and the arguments as JSON: white space and the order of keys do not count, but `1` and
/// `1.0` are different numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The tool's name: 1 to 64 of `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// The arguments.
    pub arguments: Map<String, Value>,
}

impl Call {
    /// What a scenario saw; `None` where it is no proper call.
    pub(crate) fn seen(call: &ToolCall) -> Option<Self> {
        Self::new(&call.name, &call.arguments).ok()
    }

    fn new(name: &str, arguments: &str) -> Result<Self, String> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if !(1..=NAME_LIMIT).contains(&name.len()) || !name.bytes().all(legal) {
            let rule = format!("1 to {NAME_LIMIT} letters, digits, `_`, `.` and `-`");
            return Err(format!("{name:?} is no tool's name: {rule}"));
        }
        let arguments = serde_json::from_str(arguments)
            .map_err(|e| format!("the arguments of {name} are no JSON object: {e}"))?;
        Ok(Self {
            name: name.to_owned(),
            arguments,
        })
    }
}

/// From the form in fixtures.
impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(' ') {
            Some((name, arguments)) => Self::new(name, arguments),
            None => Err(format!(
                "{text:?} is no call like `weather {{\"city\": \"Paris\"}}`: \
                 a tool's name, a space and a JSON object"
            )),
        }
    }
}

/// Not by way of a `String`: only what fails inside a visitor has its place in the file.
impl<'de> Deserialize<'de> for Call {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Call;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text: a tool's name, a space and a JSON object")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Call, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// The form in fixtures, compact.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name)?;
        let mut separator = "{";
        for (key, value) in &self.arguments {
            write!(f, "{separator}{}:{value}", Value::from(key.as_str()))?;
            separator = ",";
        }
        f.write_str(if separator == "{" { "{}" } else { "}" })
    }
}

/// Calls on one line, to be shown; `nothing` where there are none.
pub(crate) fn list<T: fmt::Display>(calls: impl IntoIterator<Item = T>) -> String {
    let calls: Vec<String> = calls.into_iter().map(|call| call.to_string()).collect();
    match &*calls {
        [] => "nothing".into(),
        calls => calls.join(", "),
    }
}

/// A call as a scenario reports it, whatever is in it.
pub(crate) fn reported(call: &ToolCall) -> String {
    format!("{} {}", call.name, call.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Call, String> {
        text.parse()
    }

    fn seen(name: &str, arguments: &str) -> Option<Call> {
        Call::seen(&ToolCall {
            id: "call-1".into(),
            name: name.into(),
            arguments: arguments.into(),
        })
    }

    #[test]
    fn a_call_is_what_the_model_called_however_it_is_spelled() {
        let expected = parse(r#"weather {"city": "Paris", "days": [1, null]}"#).unwrap();
        let other_order = r#"{"days":[1,null],"city":"\u0050aris"}"#;
        assert_eq!(seen("weather", other_order), Some(expected.clone()));
        for (name, arguments) in [
            ("Weather", other_order),
            ("weather", r#"{"city":"Paris"}"#),
            ("weather", r#"{"city":"Paris","days":[1.0,null]}"#),
            ("weather", r#"{"city":"Paris","days":[null,1]}"#),
        ] {
            let other = seen(name, arguments).unwrap();
            assert_ne!(other, expected, "{name} {arguments}");
        }
    }

    #[test]
    fn what_is_no_call_says_what_is_wrong() {
        for (text, reason) in [
            ("", "a tool's name, a space"),
            ("weather", "a tool's name, a space"),
            ("weather{}", "a tool's name, a space"),
            (" {}", "\"\" is no tool's name"),
            ("wéather {}", "no tool's name"),
            ("wea\nther {}", "\"wea\\nther\" is no tool's name"),
            (
                "weather ",
                "the arguments of weather are no JSON object: EOF",
            ),
            ("weather Paris", "no JSON object"),
            ("weather [1]", "no JSON object: invalid type"),
            ("weather \"{}\"", "no JSON object: invalid type"),
            ("weather {} {}", "no JSON object: trailing"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
        let deep = format!("a {{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep).is_err());
        assert_eq!(seen("", "{}"), None);
        assert_eq!(seen("weather", "null"), None);
    }

    #[test]
    fn several_calls_are_shown_on_a_line() {
        let calls = [parse("now {}").unwrap(), parse("calc {\"a\": 1}").unwrap()];
        assert_eq!(list(&calls), "now {}, calc {\"a\":1}");
        assert_eq!(list(&calls[..0]), "nothing");
    }

    proptest! {
        #[test]
        fn a_call_is_read_as_it_is_written(name in "[A-Za-z0-9_.-]{1,64}", key in any::<String>(), value in any::<String>(), number in any::<i64>()) {
            let mut arguments = Map::new();
            arguments.insert(key, value.into());
            arguments.insert("n".into(), number.into());
            let call = Call { name, arguments };
            prop_assert_eq!(parse(&call.to_string()), Ok(call));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>(), arguments in "[\\[\\]{}\":,0-9eE+.n\\\\u-]{0,40}") {
            let _ = parse(&text);
            let _ = parse(&format!("a {arguments}"));
            let _ = seen(&text, &arguments);
        }
    }
}
