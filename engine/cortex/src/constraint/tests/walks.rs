//! Whatever tokens are chosen among those allowed, the answer is right.

use super::*;

/// Bytes, and tokens of several: of JSON, of words, of parts of characters.
fn pieces() -> Vocabulary {
    let bytes = (0..=u8::MAX).map(|byte| TokenText::text([byte]));
    let markers = std::iter::repeat_n(TokenText::control(), 3);
    let pieces = [
        "{\"", "\":", "\",\"", "\"}", "true", " a", "[[", "]}", "12", "mouse", "\\u", "  ", "🐁",
        "é\"",
    ];
    let pieces = pieces
        .into_iter()
        .map(|text| TokenText::text(text.as_bytes()));
    let parts = [
        &b"\xF0\x9F"[..],
        b"\x90\x81",
        b"\xC3",
        b"\xA9\"",
        b"a\xE2\x82",
    ];
    let parts = parts.into_iter().map(TokenText::text);
    Vocabulary::new(
        bytes.chain(markers).chain(pieces).chain(parts),
        &[END, END + 2],
    )
}

/// What each token of `pieces` spells.
fn spelled(token: u32) -> Vec<u8> {
    let texts: [&[u8]; 19] = [
        b"{\"",
        b"\":",
        b"\",\"",
        b"\"}",
        b"true",
        b" a",
        b"[[",
        b"]}",
        b"12",
        b"mouse",
        b"\\u",
        b"  ",
        "🐁".as_bytes(),
        "é\"".as_bytes(),
        b"\xF0\x9F",
        b"\x90\x81",
        b"\xC3",
        b"\xA9\"",
        b"a\xE2\x82",
    ];
    match token {
        0..256 => vec![token as u8],
        256..259 => Vec::new(),
        _ => texts[token as usize - 259].to_vec(),
    }
}

/// Draws tokens until the answer ends.
fn walk(constraint: &Constraint, vocabulary: &Vocabulary, seed: u64) -> Vec<u8> {
    let mut rng = crate::rng::Rng::new(seed);
    let mut constrainer = Constrainer::new(constraint, vocabulary).unwrap();
    let mut answer = Vec::new();
    for _ in 0..4000 {
        let choices = allowed(&mut constrainer);
        let token = choices[rng.below(choices.len())];
        constrainer.accept(token).unwrap();
        if token == END || token == END + 2 {
            assert!(constrainer.is_complete());
            return answer;
        }
        answer.extend(spelled(token));
    }
    panic!("no end: {}", String::from_utf8_lossy(&answer));
}

fn mice() -> Constraint {
    schema(&json!({
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": -5, "maximum": 120},
            "kind": {"enum": ["mouse", "lab-rat", 7, null]},
            "name": {"type": "string", "maxLength": 6},
            "plans": {
                "type": "array",
                "items": {"type": "boolean"},
                "minItems": 1,
                "maxItems": 3,
            },
        },
        "required": ["age", "kind", "name", "plans"],
        "additionalProperties": false,
    }))
}

fn is_mouse(answer: &[u8]) -> bool {
    let Ok(Value::Object(mouse)) = serde_json::from_slice(answer) else {
        return false;
    };
    // `-0` is an integer too.
    let age = mouse["age"]
        .as_f64()
        .is_some_and(|age| age.fract() == 0.0 && (-5.0..=120.0).contains(&age));
    let kind = [json!("mouse"), json!("lab-rat"), json!(7), json!(null)].contains(&mouse["kind"]);
    let name = mouse["name"]
        .as_str()
        .is_some_and(|name| name.chars().count() <= 6);
    let plans = mouse["plans"]
        .as_array()
        .is_some_and(|plans| (1..=3).contains(&plans.len()) && plans.iter().all(Value::is_boolean));
    mouse.len() == 4 && age && kind && name && plans
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_schema_is_obeyed_byte_by_byte(seed in any::<u64>()) {
        let answer = walk(&mice(), &bytes(), seed);
        prop_assert!(is_mouse(&answer), "{}", String::from_utf8_lossy(&answer));
    }

    #[test]
    fn a_schema_is_obeyed_with_tokens_of_several_bytes(seed in any::<u64>()) {
        let answer = walk(&mice(), &pieces(), seed);
        prop_assert!(is_mouse(&answer), "{}", String::from_utf8_lossy(&answer));
    }

    #[test]
    fn a_regex_is_obeyed_and_its_answer_is_text(seed in any::<u64>()) {
        let answer = walk(&regex("(é|🐁|[a-c]{2}){1,20}€?"), &pieces(), seed);
        let text = String::from_utf8(answer).unwrap();
        let rest = text.strip_suffix('€').unwrap_or(&text);
        let letters = rest.chars().filter(|c| ('a'..='c').contains(c)).count();
        let others = rest.chars().filter(|c| ['é', '🐁'].contains(c)).count();
        prop_assert!(letters % 2 == 0 && letters + others == rest.chars().count(), "{}", text);
        prop_assert!((1..=20).contains(&(letters / 2 + others)), "{}", text);
    }
}
