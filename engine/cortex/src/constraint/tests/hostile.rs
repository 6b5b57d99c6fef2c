//! Constraints made to exhaust stack, memory or time: each is refused, or its work bounded.

use super::*;

/// That it is refused, and why.
#[track_caller]
fn refused(constraint: &Constraint, why: &str) {
    let reason = reason(constraint);
    assert!(reason.contains(why), "{reason}");
}

/// Follows a constraint for some tokens; an error must be a typed one.
fn follow(constraint: &Constraint, tokens: usize) -> Result<(), EngineError> {
    let mut constrainer = Constrainer::new(constraint, &bytes())?;
    for _ in 0..tokens {
        let mut logits = vec![0.0; 259];
        constrainer.mask(&mut logits)?;
        let Some(token) = (0..256).find(|&token| logits[token as usize] == 0.0) else {
            break;
        };
        constrainer.accept(token)?;
    }
    Ok(())
}

#[test]
fn ten_thousand_brackets_are_refused_before_they_are_parsed() {
    let deep = "nested deeper than 64 brackets";
    for (open, close) in [("[", "]"), ("{\"not\":", "}"), ("{\"items\":", "}")] {
        let text = format!("{}1{}", open.repeat(6000), close.repeat(6000));
        refused(&Constraint::JsonSchema(text), deep);
        refused(&Constraint::JsonSchema(open.repeat(6000)), deep);
    }
    refused(
        &regex(&format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000))),
        deep,
    );
    refused(&regex(&"(?:".repeat(10_000)), deep);
    refused(&regex(&"[".repeat(10_000)), deep);
    refused(
        &grammar(&format!(
            "start: {}\"a\"{}",
            "(".repeat(10_000),
            ")".repeat(10_000)
        )),
        deep,
    );
    refused(
        &grammar(&format!("start: {}\"a\"", "[".repeat(10_000))),
        deep,
    );
}

#[test]
fn brackets_within_strings_are_no_nesting() {
    let text = format!(r#"{{"const": "{}\"{}"}}"#, "[".repeat(200), "{".repeat(200));
    assert!(follow(&Constraint::JsonSchema(text), 10).is_ok());
    assert!(follow(&regex(&r"\(".repeat(200)), 10).is_ok());
    assert!(follow(&regex(&format!("[{}]", r"\[(".repeat(200))), 10).is_ok());
}

#[test]
fn repetitions_multiply() {
    let long = "longer than 65536 characters";
    refused(&regex("((a{1,1000}){1,1000}){1,1000}"), long);
    refused(&regex("((a{1000}b{,1}){1000}"), long);
    refused(&regex("(?P<x>[a-c]{9}){300,} ([ab]{256}){256}"), long);
    refused(
        &grammar("start: A\nA: (((\"ab\"{1000}) ~ 1..1000)+) {1, 1000}"),
        long,
    );
    refused(&grammar("start: /a{1000}/ {66}"), long);
    let count = "the limit is 1000";
    for bad in [
        "a{1001}",
        "a{1,1001}",
        "a{99999999999999999999}",
        "a{1001,}",
    ] {
        refused(&regex(bad), count);
    }
    refused(&grammar("start: \"a\"{1001}"), count);
    refused(&grammar("start: \"a\" ~ 2..99999"), count);
    assert!(follow(&regex("([ab]{0,1000}c?){1,60}"), 300).is_ok());
}

#[test]
fn repetitions_hidden_from_a_simple_reader_count() {
    let long = "longer than 65536 characters";
    refused(&regex(r"([]()]{1000}\x{61}{3}){1000}"), long);
    refused(&regex(r"(\p{L}{1000}|[[:alpha:]]){1000}"), long);
    refused(&regex("(?x)(a #)\n b{1000}){1000}"), "verbose");
    refused(&regex("(?i-x:a)"), "verbose");
    refused(&grammar("start: /(a #)\n b)/x"), "verbose");
}

#[test]
fn many_large_classes_are_refused() {
    refused(&regex(&r"\w".repeat(600)), "over 512 classes");
    refused(&regex(&r"[\p{L}\d]".repeat(300)), "over 512 classes");
}

#[test]
fn references_leave_the_schema_for_nothing() {
    for target in [
        "http://localhost:1/a.json",
        "https://json-schema.org/draft/2020-12/schema",
        "file:///etc/passwd",
        "other.json",
        "//host/a",
        "",
    ] {
        refused(&schema(&json!({"$ref": target})), "nothing is fetched");
        let nested = json!({"properties": {"a": {"items": {"anyOf": [{"$ref": target}]}}}});
        refused(&schema(&nested), "nothing is fetched");
    }
    refused(&schema(&json!({"$ref": 7})), "nothing is fetched");
    refused(
        &schema(&json!({"$schema": "http://localhost:1/meta"})),
        "no draft",
    );
    refused(
        &schema(&json!({"$ref": "#/$defs/a"})),
        "points to no schema",
    );
    // What is data is no schema.
    let data = json!({"$ref": "#/enum/0", "enum": [{"$ref": "http://localhost:1/"}]});
    refused(&schema(&data), "points to no schema");
    refused(
        &schema(&json!({"items": {"$id": "http://a/"}})),
        "at the top only",
    );
    refused(
        &schema(&json!({"x-guidance": {"whitespace_pattern": "a{9999}"}})),
        "x-guidance",
    );
}

#[test]
fn properties_may_be_named_like_keywords() {
    let names = json!({"type": "object", "properties": {
        "$ref": {"type": "null"}, "id": {"type": "null"}, "x-guidance": {"type": "null"},
    }});
    assert!(follow(&schema(&names), 20).is_ok());
}

#[test]
fn recursion_without_a_base_ends() {
    for circular in [
        json!({"$ref": "#"}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        json!({"type": "array", "items": {"allOf": [{"$ref": "#"}, {"minItems": 1}]}}),
    ] {
        if let Err(error) = follow(&schema(&circular), 50) {
            assert!(
                matches!(error, EngineError::InvalidConstraint { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn a_long_chain_of_references_does_not_overflow_the_stack() {
    let mut defs = serde_json::Map::new();
    for i in 0..2000 {
        defs.insert(
            format!("{i}"),
            json!({"$ref": format!("#/$defs/{}", i + 1)}),
        );
    }
    defs.insert("2000".into(), json!({"type": "null"}));
    let chain = |sibling: &str| {
        let mut chain = json!({"$ref": "#/$defs/0", "$defs": defs.clone()});
        chain[sibling] = json!(["null"]);
        schema(&chain)
    };
    assert!(Constrainer::new(&chain("description"), &bytes()).is_ok());
    let _ = Constrainer::new(&chain("enum"), &bytes());
    // Each link intersected with the next.
    let mut defs: serde_json::Map<String, Value> = (0..1300)
        .map(|i| {
            let next = format!("#/$defs/{}", i + 1);
            (format!("{i}"), json!({"type": "null", "$ref": next}))
        })
        .collect();
    defs.insert("1300".into(), json!({"type": "null"}));
    let _ = Constrainer::new(
        &schema(&json!({"$ref": "#/$defs/0", "$defs": defs})),
        &bytes(),
    );
}

#[test]
fn a_long_chain_of_rules_does_not_overflow_the_stack() {
    for names in ["r", "R"] {
        let mut text = format!("start: {names}0\n");
        for i in 0..990 {
            text.push_str(&format!("{names}{i}: \"a\" ({names}{})\n", i + 1));
        }
        text.push_str(&format!("{names}990: \"b\"\n"));
        let _ = follow(&grammar(&text), 30);
    }
    refused(
        &grammar(&"a: \"b\"\n".repeat(1001)),
        "over 1000 definitions",
    );
}

#[test]
fn combinations_that_multiply_are_refused() {
    let parts = "over 32768 parts";
    let options: Vec<Value> = (0..40)
        .map(|i| json!({"properties": {format!("p{i}"): {}}}))
        .collect();
    let product: Vec<Value> = (0..6).map(|_| json!({"anyOf": options})).collect();
    refused(&schema(&json!({"allOf": product})), parts);
    // Each level twice the one below.
    let mut defs = serde_json::Map::new();
    defs.insert("0".into(), json!({"properties": {"a": {"type": "null"}}}));
    for i in 1..40 {
        let below = json!({"$ref": format!("#/$defs/{}", i - 1)});
        let level = json!({"type": "object", "anyOf": [below, below]});
        defs.insert(format!("{i}"), level);
    }
    refused(
        &schema(&json!({"$ref": "#/$defs/39", "$defs": defs})),
        parts,
    );
    // One large schema in each of many options.
    let large: Vec<String> = (0..900).map(|i| format!("{i}")).collect();
    let many: Vec<Value> = (0..900).map(|_| json!({"minProperties": 1})).collect();
    refused(
        &schema(&json!({"anyOf": many, "properties": {"a": {"enum": large}}})),
        parts,
    );
}

#[test]
fn combinations_as_people_write_them_are_not() {
    let names: Vec<String> = (0..250).map(|i| format!("country {i}")).collect();
    let address = json!({"type": "object", "properties": {
        "street": {"type": "string", "maxLength": 100},
        "country": {"type": "string", "enum": names},
        "lines": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
    }, "required": ["street"]});
    let order = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.org/order",
        "type": "object",
        "properties": {
            "ship": {"$ref": "#/$defs/address"},
            "bill": {"anyOf": [{"$ref": "#/$defs/address"}, {"type": "null"}]},
            "mail": {"type": "string", "format": "email"},
            "code": {"type": "string", "pattern": "^[A-Z]{2}-\\d{4}$"},
        },
        "required": ["ship", "mail"],
        "additionalProperties": false,
        "allOf": [{"required": ["code"]}],
        "$defs": {"address": address},
    });
    follow(&schema(&order), 100).unwrap();
}

#[test]
fn large_schemas_end() {
    let large: Vec<u32> = (0..5000).collect();
    refused(&schema(&json!({"enum": large})), "5002 values");
    let texts: Vec<String> = (0..4000).map(|i| format!("{:x}", i * 77_777)).collect();
    follow(&schema(&json!({"enum": texts})), 20).unwrap();
    let keys: serde_json::Map<String, Value> =
        (0..4000).map(|i| (format!("{i}"), json!({}))).collect();
    let _ = follow(&schema(&json!({"type": "object", "properties": keys})), 20);
    let mut deep = json!({"type": "null"});
    for _ in 0..30 {
        deep = json!({"allOf": [deep]});
    }
    follow(&schema(&deep), 10).unwrap();
    let options: Vec<Value> = (0..129).map(|i| json!({"const": i})).collect();
    refused(&schema(&json!({"oneOf": options})), "options of a `oneOf`");
    let patterns: Vec<Value> = (0..33).map(|_| json!({"format": "uri"})).collect();
    refused(
        &schema(&json!({"anyOf": patterns})),
        "`pattern`s and `format`s",
    );
    let keys: serde_json::Map<String, Value> =
        (0..9).map(|i| (format!("^{i}"), json!({}))).collect();
    refused(
        &schema(&json!({"patternProperties": keys})),
        "`patternProperties`",
    );
    refused(
        &schema(&json!({"type": "string", "maxLength": 1e9})),
        "the limit is 1000",
    );
    refused(
        &schema(&json!({"type": "array", "minItems": 1e300})),
        "the limit is 1000",
    );
    refused(&regex(&"a".repeat((64 << 10) + 1)), "65537 bytes");
}

#[test]
fn numbers_at_the_edge_end() {
    for keywords in [
        json!({"type": "integer", "minimum": -1e308, "maximum": 1e308}),
        json!({"type": "number", "minimum": 5e-324, "exclusiveMaximum": 1e-300}),
        json!({"type": "number", "multipleOf": 1e-300}),
        json!({"type": "integer", "multipleOf": 4_294_967_295_u64, "minimum": 1}),
        json!({"allOf": [{"multipleOf": 4_294_967_291_u64}, {"multipleOf": 4_294_967_279_u64}]}),
        json!({"const": 1e308}),
        json!({"enum": [-0.0, u64::MAX, i64::MIN, 1e-7]}),
    ] {
        if let Err(error) = follow(&schema(&keywords), 40) {
            assert!(
                matches!(error, EngineError::InvalidConstraint { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn expressions_with_too_many_states_run_out_of_fuel_and_not_of_memory() {
    for expression in [
        "(a|b)*a(a|b){900}",
        "(.*a.{400}|.*b.{300})c",
        r"(\w+\s?){1,100}",
        "((a{0,30}){0,30}){0,30}",
        "(a|a|a|aa|aaa)*b",
    ] {
        if let Err(error) = follow(&regex(expression), 400) {
            assert!(
                matches!(error, EngineError::InvalidConstraint { .. }),
                "{error}"
            );
        }
    }
    let _ = follow(
        &grammar("start: A\nA: /(a|b)*a(a|b){20}/ & ~(/(a|b)*b(a|b){25}/) & /.*/"),
        400,
    );
}

#[test]
fn an_ambiguous_grammar_ends_in_an_error_and_not_in_gigabytes() {
    for text in [
        "start: s\ns: s s | \"a\" |",
        "start: s+\ns: s* \"a\" s* | s",
        "start: s\ns: s s s | A | B\nA: /a+/\nB: /a*/",
    ] {
        match follow(&grammar(text), 800) {
            Ok(()) | Err(EngineError::InvalidConstraint { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn grammars_stay_with_text() {
    for (text, why) in [
        ("start: <|im_start|>", "special tokens"),
        ("start: <[0-300]>", "special tokens"),
        ("start: @other", "other grammars"),
        ("start[stop=\"x\"]: /.*/", "attributes"),
        ("start [max_tokens=5]: /.*/", "attributes"),
        ("start: %json {\"$ref\": \"http://localhost:1/\"}", "%json"),
        ("start: %regex {\"substring_chars\": \"aaa\"}", "%regex"),
        ("start: %lark { start: \"a\" }", "%lark"),
        (
            "%llguidance {\"allow_invalid_utf8\": true}\nstart: \"a\"",
            "%llguidance",
        ),
        ("start: r::0x0\nr::_: \"a\"", "parameters"),
        ("start: t{\"a\"}\nt{x}: x", "templates"),
        ("start: \"a", "a text has no end"),
        ("start: /a", "a regex has no end"),
    ] {
        refused(&grammar(text), why);
    }
}

#[test]
fn texts_that_are_no_constraint_are_refused() {
    for text in [
        "",
        "{",
        "nul",
        "[]",
        "7",
        "\"a\"",
        "{\"type\": 7}",
        "{\"properties\": 3}",
        "false",
    ] {
        assert!(
            Constrainer::new(&Constraint::JsonSchema(text.into()), &bytes()).is_err(),
            "{text}"
        );
    }
    for text in [
        "a**b(",
        "[z-a]",
        "a{2,1}",
        r"\1",
        "(?<=a)b",
        r"\xFF(?-u:\xFF)",
    ] {
        assert!(Constrainer::new(&regex(text), &bytes()).is_err(), "{text}");
    }
    for text in [
        "",
        "\n",
        "start",
        "stop: \"a\"",
        "start: start2",
        ":",
        "start: \"a\" )",
    ] {
        assert!(
            Constrainer::new(&grammar(text), &bytes()).is_err(),
            "{text}"
        );
    }
}

fn noise(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..30).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_regex_panics(text in noise(&[
        "a", "é", "(", ")", "(?i", "(?:", "[", "]", "^", "-", "{", "}", "{2,3}", ",", "1000",
        "\\", "\\p{L}", "\\x{41}", "|", "*", "+", "?", "$", ".", "/", "\n", "#", "(?s)",
    ])) {
        let _ = follow(&regex(&text), 8);
    }

    #[test]
    fn no_grammar_panics(text in noise(&[
        "start", ": ", "a", "B", "\"x\"", "/y+/", "/", "\"", "(", ")", "[", "]", "{", "}", "{2}",
        "~", "1..3", "|", "&", "*", "?", "\n", "\nB: ", "\na: ", "//", "#", "%ignore ", "->", ".", "i",
    ])) {
        let _ = follow(&grammar(&format!("start: {text}")), 8);
    }

    #[test]
    fn no_schema_panics(text in noise(&[
        "{", "}", "[", "]", ",", ":", "\"type\":", "\"string\"", "\"object\"", "\"a\":", "1", "-1e400",
        "\"$ref\":", "\"#\"", "\"items\":", "\"enum\":", "\"allOf\":", "{}", "true", "\"pattern\":", "null",
    ])) {
        let _ = follow(&Constraint::JsonSchema(text), 8);
    }
}
