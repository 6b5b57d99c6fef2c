//! A tool that evaluates an arithmetic expression: models are bad at it.
//!
//! `{"expression": "2*(3+4)^2"}` gives `{"result":98}`.

mod expression;

use serde_json::{Value, json};

wit_bindgen::generate!({ path: "../../../wit", world: "tool" });

/// Longest expression, bytes.
const LONGEST: usize = 4096;

const DESCRIPTION: &str = "Evaluates an arithmetic expression and gives the result. \
    Knows + - * / % ^ and parentheses; the functions sqrt, abs, min, max, round, floor, ceil, \
    ln, exp, sin, cos (angles in radians); the constants pi and e.";

const PARAMETERS: &str = r#"{
    "type": "object",
    "properties": {
        "expression": {
            "type": "string",
            "description": "The expression, as in 2*(3+4)^2 or sqrt(2)/max(1, 3)"
        }
    },
    "required": ["expression"],
    "additionalProperties": false
}"#;

struct Calc;
export!(Calc);

impl Guest for Calc {
    fn describe() -> ToolDescription {
        ToolDescription {
            name: "calc".into(),
            description: DESCRIPTION.into(),
            parameters: PARAMETERS.into(),
        }
    }

    async fn call(arguments: String) -> Result<String, Failure> {
        answer(&arguments).map_err(Failure::Usage)
    }
}

fn answer(arguments: &str) -> Result<String, String> {
    let arguments: Value =
        serde_json::from_str(arguments).map_err(|e| format!("the arguments are no JSON: {e}"))?;
    let expression = arguments.get("expression").and_then(Value::as_str);
    let expression = expression
        .ok_or("the arguments are one object with the expression: {\"expression\": \"1+2\"}")?;
    if expression.len() > LONGEST {
        return Err(format!("the expression has more than {LONGEST} bytes"));
    }
    let result = expression::evaluate(expression)?;
    Ok(json!({ "result": number(result) }).to_string())
}

/// A whole number without `.0`, as far as a float can tell them apart.
fn number(result: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if result.fract() == 0.0 && result.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and fits")]
        return Value::from(result as i64);
    }
    Value::from(result)
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn a_result_is_json_and_whole_numbers_have_no_fraction() {
        let of = |text: &str| answer(&format!("{{\"expression\": \"{text}\"}}"));
        assert_eq!(of("2*(3+4)^2").as_deref(), Ok("{\"result\":98}"));
        assert_eq!(of("1/4").as_deref(), Ok("{\"result\":0.25}"));
        assert_eq!(of("-0").as_deref(), Ok("{\"result\":0}"));
        assert_eq!(of("10^20").as_deref(), Ok("{\"result\":1e+20}"));
    }

    #[test]
    fn wrong_arguments_are_told_what_is_expected() {
        for wrong in ["", "[]", "{}", "\"1+2\"", "{\"expression\": 3}"] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
        let long = format!("{{\"expression\": \"{}\"}}", "1+".repeat(3000));
        assert!(answer(&long).is_err_and(|why| why.contains("4096")));
    }
}
