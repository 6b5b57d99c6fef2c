//! JSON Schemas, measured before they are compiled.

use super::limits::{MAX_KEY_PATTERNS, MAX_ONE_OF, MAX_PATTERNS, MAX_VALUES};
use super::regex;
use super::size::{Size, check_count, check_depth};
use super::weight;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// White space between the parts of a value; bounded, so that no model loses itself in it.
const WHITE_SPACE: &str = r"[ \n\r\t]{1,32}";

/// The schema, within the limits, and with the options it is compiled with.
pub(super) fn checked(text: &str) -> Result<Value, String> {
    // Before serde_json, which has a limit of its own.
    check_brackets(text)?;
    let mut schema: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let values = count(&schema);
    if values > MAX_VALUES {
        return Err(format!("it has {values} values; the limit is {MAX_VALUES}"));
    }
    let mut walk = Walk::default();
    walk.schema(&schema, "#".into())?;
    weight::check(&walk.schemas)?;
    if let Value::Object(root) = &mut schema {
        // The base of relative references, of which there are none.
        root.remove("$id");
        root.remove("id");
        root.insert(
            "x-guidance".into(),
            json!({"whitespace_pattern": WHITE_SPACE}),
        );
    }
    Ok(schema)
}

/// All schemas in a schema, by how a reference names them.
pub(super) type Schemas<'a> = HashMap<String, &'a Value>;

#[derive(Default)]
struct Walk<'a> {
    schemas: Schemas<'a>,
    size: Size,
    patterns: usize,
    key_patterns: usize,
}

impl<'a> Walk<'a> {
    /// Recurses as deep as the schema's brackets.
    fn schema(&mut self, schema: &'a Value, at: String) -> Result<(), String> {
        if let Value::Object(keywords) = schema {
            for (keyword, value) in keywords {
                self.keyword(keyword, value, &at)?;
            }
        }
        self.schemas.insert(at, schema);
        Ok(())
    }

    fn keyword(&mut self, keyword: &str, value: &'a Value, at: &str) -> Result<(), String> {
        match keyword {
            "properties" | "$defs" | "definitions" | "patternProperties" => {
                let members = value.as_object().into_iter().flatten();
                for (name, schema) in members {
                    if keyword == "patternProperties" {
                        self.key_patterns += 1;
                        limit("`patternProperties`", self.key_patterns, MAX_KEY_PATTERNS)?;
                        regex::measure(name, &mut self.size)?;
                    }
                    self.schema(schema, format!("{at}/{keyword}/{}", escaped(name)))?;
                }
                Ok(())
            }
            "items" | "prefixItems" | "anyOf" | "oneOf" | "allOf" if value.is_array() => {
                let options = value.as_array().map_or(&[][..], |options| options);
                if keyword == "oneOf" {
                    limit("options of a `oneOf`", options.len(), MAX_ONE_OF)?;
                }
                for (index, schema) in options.iter().enumerate() {
                    self.schema(schema, format!("{at}/{keyword}/{index}"))?;
                }
                Ok(())
            }
            "items" | "additionalItems" | "additionalProperties" => {
                self.schema(value, format!("{at}/{keyword}"))
            }
            "pattern" | "format" => {
                self.patterns += 1;
                limit("`pattern`s and `format`s", self.patterns, MAX_PATTERNS)?;
                match value.as_str() {
                    Some(text) if keyword == "pattern" => regex::measure(text, &mut self.size),
                    _ => Ok(()),
                }
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" => {
                // No count is negative, and casts saturate.
                check_count(
                    &format!("`{keyword}`"),
                    value.as_f64().unwrap_or(0.0) as u64,
                )
            }
            "$ref" => match value.as_str() {
                Some(reference) if reference.starts_with('#') => Ok(()),
                _ => Err(format!(
                    "`$ref` {value} points outside the schema, and nothing is fetched"
                )),
            },
            "$schema" => match value.as_str() {
                Some(draft) if is_draft(draft) => Ok(()),
                _ => Err(format!("`$schema` {value} is no draft of json-schema.org")),
            },
            "$id" | "id" if at != "#" => Err(format!("`{keyword}` is supported at the top only")),
            "x-guidance" => Err("`x-guidance` is not supported".into()),
            _ => Ok(()),
        }
    }
}

fn is_draft(uri: &str) -> bool {
    [
        "http://json-schema.org/draft-",
        "https://json-schema.org/draft/",
    ]
    .iter()
    .any(|known| uri.starts_with(known))
}

/// A key as JSON pointers spell it.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn limit(what: &str, count: usize, limit: usize) -> Result<(), String> {
    match count > limit {
        true => Err(format!("it has over {limit} {what}")),
        false => Ok(()),
    }
}

/// Checks how deep brackets are nested outside of strings.
fn check_brackets(text: &str) -> Result<(), String> {
    let (mut depth, mut string, mut escape) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escape => escape = false,
            b'\\' if string => escape = true,
            b'"' => string = !string,
            b'[' | b'{' if !string => {
                depth += 1;
                check_depth(depth)?;
            }
            b']' | b'}' if !string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// How many values the value is made of, itself counted.
pub(super) fn count(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    };
    inner + 1
}

/// The keywords of a schema, in order; none of `true` and `false`.
pub(super) fn keywords(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.as_object().into_iter().flat_map(Map::iter)
}
