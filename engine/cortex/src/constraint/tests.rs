use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

mod hostile;
mod walks;

const END: u32 = 256;

/// A vocabulary of bytes and three markers, of which two end a turn.
fn bytes() -> Vocabulary {
    let markers = std::iter::repeat_n(TokenText::control(), 3);
    let tokens = (0..=u8::MAX).map(|byte| TokenText::text([byte]));
    Vocabulary::new(tokens.chain(markers), &[END, END + 2])
}

fn schema(schema: &Value) -> Constraint {
    Constraint::JsonSchema(schema.to_string())
}

fn regex(text: &str) -> Constraint {
    Constraint::Regex(text.into())
}

fn grammar(text: &str) -> Constraint {
    Constraint::Grammar(text.into())
}

/// What may come next.
fn allowed(constrainer: &mut Constrainer) -> Vec<u32> {
    let mut logits = vec![0.0; constrainer.vocabulary.len() + 5];
    constrainer.mask(&mut logits).unwrap();
    (0..)
        .zip(logits)
        .filter(|(_, l)| *l == 0.0)
        .map(|(t, _)| t)
        .collect()
}

fn ends(constrainer: &mut Constrainer) -> bool {
    allowed(constrainer).contains(&END)
}

/// Whether the text is an answer.
fn admits(constraint: &Constraint, vocabulary: &Vocabulary, text: &str) -> bool {
    let mut constrainer = Constrainer::new(constraint, vocabulary).unwrap();
    for byte in text.bytes() {
        if !allowed(&mut constrainer).contains(&byte.into()) {
            assert!(constrainer.accept(byte.into()).is_err(), "{text}: {byte}");
            return false;
        }
        constrainer.accept(byte.into()).unwrap();
    }
    ends(&mut constrainer)
}

fn reason(constraint: &Constraint) -> String {
    match Constrainer::new(constraint, &bytes()) {
        Err(EngineError::InvalidConstraint { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_regex_is_anchored_at_both_ends() {
    let vocabulary = bytes();
    let constraint = regex("ab+c?");
    for (text, good) in [
        ("ab", true),
        ("abbbc", true),
        ("xab", false),
        ("abcx", false),
        ("a", false),
        ("", false),
    ] {
        assert_eq!(admits(&constraint, &vocabulary, text), good, "{text}");
    }
}

#[test]
fn a_regex_may_have_slashes_quotes_and_line_feeds() {
    let vocabulary = bytes();
    for (expression, text) in [
        ("https?://a/b", "http://a/b"),
        (r"\/[/]\\/", r"//\/"),
        ("\"a\n#b\"", "\"a\n#b\""),
        ("//c", "//c"),
        ("ü{2}🐁", "üü🐁"),
        ("", ""),
        ("(?i)narf", "nArF"),
        ("[]a]+", "]a"),
        ("a|", ""),
    ] {
        assert!(
            admits(&regex(expression), &vocabulary, text),
            "{expression}"
        );
    }
}

#[test]
fn where_a_regex_may_end_or_go_on_both_are_allowed() {
    let mut constrainer = Constrainer::new(&regex("a{1,2}"), &bytes()).unwrap();
    assert_eq!(allowed(&mut constrainer), [97]);
    constrainer.accept(97).unwrap();
    assert_eq!(allowed(&mut constrainer), [97, END, END + 2]);
    assert!(!constrainer.is_complete());
    constrainer.accept(97).unwrap();
    assert!(constrainer.is_complete());
    assert_eq!(allowed(&mut constrainer), [END, END + 2]);
    constrainer.accept(END).unwrap();
    assert!(constrainer.is_complete());
}

#[test]
fn an_end_that_came_early_is_the_end() {
    let mut constrainer = Constrainer::new(&regex("a*"), &bytes()).unwrap();
    constrainer.accept(END + 2).unwrap();
    assert!(constrainer.is_complete());
    assert!(constrainer.accept(97).is_err());
}

#[test]
fn the_empty_answer_is_complete_before_it_began() {
    for empty in [regex(""), grammar("start: \"\"")] {
        let mut constrainer = Constrainer::new(&empty, &bytes()).unwrap();
        assert_eq!(allowed(&mut constrainer), [END, END + 2]);
    }
}

#[test]
fn a_token_that_may_not_come_next_is_refused() {
    for token in [98, END, END + 1, 259, u32::MAX] {
        let mut constrainer = Constrainer::new(&regex("a"), &bytes()).unwrap();
        let error = constrainer.accept(token).unwrap_err();
        assert!(
            matches!(error, EngineError::BackendFailed { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_schema_admits_its_values_alone() {
    let vocabulary = bytes();
    let constraint = schema(&json!({
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "kind": {"enum": ["mouse", "lab-rat"]},
        },
        "required": ["age", "kind"],
        "additionalProperties": false,
    }));
    for (text, good) in [
        (r#"{"age":12,"kind":"mouse"}"#, true),
        ("{\n  \"age\": 12,\n  \"kind\": \"lab-rat\"\n}", true),
        (r#"{"age":121,"kind":"mouse"}"#, false),
        (r#"{"age":12}"#, false),
        (r#"{"age":12,"kind":"cat"}"#, false),
        (r#" {"age":12,"kind":"mouse"}"#, false),
    ] {
        assert_eq!(admits(&constraint, &vocabulary, text), good, "{text}");
    }
}

#[test]
fn white_space_between_the_parts_has_an_end() {
    let vocabulary = bytes();
    let constraint = schema(&json!({"type": "array", "items": {"type": "null"}}));
    let spaced = |count| format!("[{}null]", " ".repeat(count));
    assert!(admits(&constraint, &vocabulary, &spaced(32)));
    assert!(!admits(&constraint, &vocabulary, &spaced(33)));
}

#[test]
fn an_object_that_is_closed_is_complete() {
    let constraint = schema(&json!({"type": "object", "additionalProperties": false}));
    let mut constrainer = Constrainer::new(&constraint, &bytes()).unwrap();
    constrainer.accept(b'{'.into()).unwrap();
    constrainer.accept(b'}'.into()).unwrap();
    assert!(constrainer.is_complete());
}

#[test]
fn references_into_the_schema_may_recurse() {
    let tree = json!({
        "$ref": "#/$defs/a~1b",
        "$defs": {"a/b": {"type": "array", "items": {"$ref": "#/$defs/a~1b"}}},
    });
    assert!(admits(&schema(&tree), &bytes(), "[[],[[]]]"));
    let root = json!({"type": "array", "items": {"$ref": "#"}});
    assert!(admits(&schema(&root), &bytes(), "[[],[[]]]"));
}

#[test]
fn a_grammar_is_followed() {
    let vocabulary = bytes();
    let sum = grammar(
        "start: term (\"+\" term)*  // a sum\nterm: NUMBER | \"(\" start \")\"\nNUMBER: /[0-9]+/",
    );
    assert!(admits(&sum, &vocabulary, "1+(23+4)"));
    assert!(!admits(&sum, &vocabulary, "1+"));
    let counted = grammar("start: \"a\"{2,3} (\"b\" ~ 1..2)\n");
    assert!(admits(&counted, &vocabulary, "aabb"));
    assert!(!admits(&counted, &vocabulary, "ab"));
}

#[test]
fn control_tokens_and_what_ends_a_turn_are_no_text() {
    // The last spells a digit, but ends the turn.
    let tokens = [
        TokenText::text(*b"1"),
        TokenText {
            bytes: b"2".to_vec(),
            control: true,
        },
        TokenText::text(Vec::new()),
        TokenText::text([b'3'; 513]),
        TokenText::text(*b"\xFF<4>"),
        TokenText::text(*b"1"),
        TokenText::text(*b"5"),
    ];
    let vocabulary = Vocabulary::new(tokens, &[6, 7, u32::MAX]);
    let mut constrainer = Constrainer::new(&regex("(?s).+"), &vocabulary).unwrap();
    assert_eq!(allowed(&mut constrainer), [0, 5]);
    constrainer.accept(5).unwrap();
    assert_eq!(allowed(&mut constrainer), [0, 5, 6]);
}

#[test]
fn a_vocabulary_without_an_end_constrains_nothing() {
    let vocabulary = Vocabulary::new([TokenText::text(*b"a")], &[1]);
    let error = Constrainer::new(&regex("a"), &vocabulary).unwrap_err();
    assert!(error.to_string().contains("ends a turn"), "{error}");
    assert!(Constrainer::new(&regex("a"), &Vocabulary::new([], &[])).is_err());
}

#[test]
fn a_vocabulary_that_cannot_spell_the_answer_says_so() {
    let vocabulary = Vocabulary::new([TokenText::text(*b"a"), TokenText::control()], &[1]);
    let mut constrainer = Constrainer::new(&regex("ab"), &vocabulary).unwrap();
    constrainer.accept(0).unwrap();
    let error = constrainer.mask(&mut [0.0; 2]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid constraint: no token of the model goes on from here"
    );
}

#[test]
fn errors_of_the_library_are_one_line() {
    for bad in [
        regex("a("),
        regex("(?=a)"),
        regex("a\\"),
        grammar("start: b\n"),
        grammar("x"),
        grammar(" "),
    ] {
        let reason = reason(&bad);
        assert!(!reason.contains('\n') && reason.len() < 400, "{reason}");
    }
}
