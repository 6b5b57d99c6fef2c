//! Answers that obey: constraints, logprobs, and conversations that do not fit.

use super::*;
use proptest::prelude::*;
use rusty_genius_core::{Constraint, Logprobs};

fn behaving(change: impl FnOnce(&mut Behavior), seed: u64) -> InferenceConfig {
    let mut behavior = Behavior {
        max_tokens: 60,
        ..Behavior::default()
    };
    change(&mut behavior);
    let sampling = Sampling {
        temperature: 1.0,
        seed,
        ..Sampling::default()
    };
    InferenceConfig::new(behavior, sampling).unwrap()
}

fn constrained(constraint: Constraint, seed: u64) -> InferenceConfig {
    behaving(|behavior| behavior.constraint = Some(constraint), seed)
}

/// The answer's bytes, and how it ended.
fn answer(events: &[RawEvent]) -> (Vec<u8>, RawEnd) {
    let bytes = events.iter().filter_map(|event| match event {
        RawEvent::Token(bytes) => Some(&bytes[..]),
        _ => None,
    });
    match events.last() {
        Some(RawEvent::End(end)) => (bytes.collect::<Vec<_>>().concat(), *end),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_model_that_has_learnt_nothing_obeys_a_schema(seed in any::<u64>()) {
        let schema = r#"{"type": "object", "additionalProperties": false, "required": ["a", "b"],
            "properties": {"a": {"enum": ["x", 7]}, "b": {"type": "boolean"}}}"#;
        // White space may fill the 60 tokens; without it 20 are enough.
        let config = constrained(Constraint::JsonSchema(schema.into()), seed);
        let mut session = model().open("guest").unwrap();
        let (text, end) = answer(&ask(&mut session, &hello(), &config));
        let text = String::from_utf8(text).unwrap();
        let bare: String = text.split_ascii_whitespace().collect();
        let answers = ["\"x\"", "7"].iter().flat_map(|a| {
            ["true", "false"].map(|b| format!("{{\"a\":{a},\"b\":{b}}}"))
        });
        for answer in answers {
            match end {
                RawEnd::Stop if answer == bare => return Ok(()),
                RawEnd::Length if answer.starts_with(&bare) => return Ok(()),
                _ => {}
            }
        }
        prop_assert!(false, "{end:?}: {text}");
    }
}

#[test]
fn an_answer_that_is_complete_ends_without_another_step() {
    let config = constrained(Constraint::Regex("Narf!".into()), 1);
    let mut session = model().open("guest").unwrap();
    let events = ask(&mut session, &hello(), &config);
    assert_eq!(answer(&events), (b"Narf!".to_vec(), RawEnd::Stop));
}

#[test]
fn a_constraint_that_cannot_be_is_refused_at_once() {
    let config = constrained(Constraint::Regex("a(".into()), 1);
    let mut session = model().open("guest").unwrap();
    let error = session.generate(&hello(), &config).err().unwrap();
    assert!(
        matches!(error, EngineError::InvalidConstraint { .. }),
        "{error}"
    );
}

#[test]
fn logprobs_stand_before_each_token_and_change_none() {
    let told = |logprobs| {
        let config = behaving(|behavior| behavior.logprobs = logprobs, 3);
        let mut session = model().open("guest").unwrap();
        ask(&mut session, &hello(), &config)
    };
    let with = told(4);
    let without: Vec<RawEvent> = with
        .iter()
        .filter(|event| !matches!(event, RawEvent::Logprobs(_)))
        .cloned()
        .collect();
    assert_eq!(without, told(0));
    let mut tokens = 0;
    for pair in with.windows(2) {
        if let RawEvent::Token(bytes) = &pair[1] {
            let RawEvent::Logprobs(Logprobs { chosen, top }) = &pair[0] else {
                panic!("{pair:?}");
            };
            assert_eq!(chosen.bytes, *bytes);
            assert!(chosen.logprob <= top[0].logprob && top[0].logprob < 0.0);
            assert_eq!(top.len(), 4);
            tokens += 1;
        }
    }
    assert!(tokens > 10);
}

#[test]
fn logprobs_are_of_the_model_and_not_of_the_constraint() {
    let config = behaving(
        |behavior| {
            behavior.constraint = Some(Constraint::Regex("Narf!".into()));
            behavior.logprobs = 1;
        },
        3,
    );
    let mut session = model().open("guest").unwrap();
    let events = ask(&mut session, &hello(), &config);
    let RawEvent::Logprobs(first) = &events[1] else {
        panic!("{events:?}");
    };
    assert_eq!(first.chosen.bytes, b"N");
    assert!(first.chosen.logprob < -1.0, "the model knows nothing");
}

#[test]
fn a_conversation_that_does_not_fit_forgets_its_oldest() {
    let turns: Vec<Turn> = (0..9)
        .map(|n| match n % 2 {
            0 => Turn::user(format!("Question {n}")),
            _ => Turn::new(Role::Assistant, format!("Answer {n}")),
        })
        .collect();
    let shift = behaving(|behavior| behavior.overflow = Overflow::Shift, 1);
    let mut session = model().open("guest").unwrap();
    let events = ask(&mut session, &turns, &shift);
    let RawEvent::Prefilled { prompt_tokens, .. } = events[0] else {
        panic!("{events:?}");
    };
    // Prompt and answer are the context to the byte.
    assert_eq!(prompt_tokens as usize, vocab::prompt_length(&turns[6..]));
    assert_eq!(prompt_tokens + 60, 128);
}

#[test]
fn an_answer_is_cut_where_the_context_ends() {
    let shift = behaving(
        |behavior| {
            behavior.overflow = Overflow::Shift;
            behavior.max_tokens = 1000;
            // The end never comes by itself.
            behavior.constraint = Some(Constraint::Regex("a{1000}".into()));
        },
        1,
    );
    let mut session = model().open("guest").unwrap();
    let (text, end) = answer(&ask(&mut session, &hello(), &shift));
    assert_eq!(end, RawEnd::Length);
    assert_eq!(text.len(), 128 - vocab::prompt_length(&hello()));
    let long = [Turn::user("x".repeat(200))];
    let error = session.generate(&long, &shift).err().unwrap();
    assert!(
        matches!(error, EngineError::ContextOverflow { .. }),
        "{error}"
    );
}
