use super::*;
use crate::vocab::{self, TURN_END, Token};
use rusty_genius_core::{Role, Turn};
use std::collections::BTreeSet;

fn parse(text: &str) -> Result<Corpus, CorpusError> {
    let file = SourceFile {
        path: "data.toml".into(),
        bytes: text.into(),
    };
    Corpus::parse(&[file])
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn text(tokens: &[Token]) -> String {
    let marker = |token: &Token| vocab::spelling((*token).into());
    let bytes = tokens.iter().flat_map(|token| match u8::try_from(*token) {
        Ok(byte) => vec![byte],
        Err(_) => marker(token).into_bytes(),
    });
    String::from_utf8(bytes.collect()).unwrap()
}

const PAIR: &str = "[[pair]]\nask = [\"What is 1 + 1?\", \"Add 1 and 1.\"]\n\
    held-out = [\"1 + 1?\"]\nthink = \"1 + 1 = 2.\"\nanswer = \"It is 2.\"\n";

const FAMILY: &str = r#"
[[family]]
columns = ["country", "city"]
rows = [["France", "Paris"], ["Japan", "Tokyo"]]
held-out-rows = [["Spain", "Madrid"]]
ask = ["Capital of {country}? {}"]
held-out = ["{country}'s capital?"]
think = "{country}: {city}."
answer = "{city} { it is }."
"#;

const TALK: &str = r#"
[[talk]]
system = "Be kind."
[[talk.turn]]
ask = ["I am Ada.", "Call me Ada."]
think = "Her name is Ada."
answer = "Hello, Ada!"
[[talk.turn]]
ask = ["Who am I?"]
held-out = ["My name?"]
answer = "You are Ada."
"#;

#[test]
fn a_pair_is_its_question_its_thought_and_its_answer() {
    let corpus = parse(PAIR).unwrap();
    let samples = corpus.epoch(1, 0, 2);
    let texts: BTreeSet<String> = samples.iter().map(|s| text(&s.tokens)).collect();
    assert_eq!(texts.len(), 2);
    for sample in &samples {
        let (prompt, answer) = sample.tokens.split_at(sample.prompt);
        assert!(text(prompt).ends_with("<|im_start|>assistant\n"));
        assert_eq!(text(answer), "<think>1 + 1 = 2.</think>It is 2.<|im_end|>");
        assert_eq!(sample.tokens.last(), Some(&TURN_END));
    }
    let held_out: Vec<HeldOut> = corpus.held_out().collect();
    assert_eq!(held_out.len(), 1);
    assert_eq!(held_out[0].unseen, Unseen::Wording);
    assert_eq!(held_out[0].conversation, [Turn::user("1 + 1?")]);
}

#[test]
fn a_family_asks_its_wordings_of_every_row() {
    let corpus = parse(FAMILY).unwrap();
    let asked: Vec<(&str, &str, bool)> = corpus
        .questions
        .iter()
        .map(|q| (q.ask[0].as_str(), q.answer.as_str(), q.unseen))
        .collect();
    assert_eq!(
        asked,
        [
            ("Capital of France? {}", "Paris { it is }.", false),
            ("Capital of Japan? {}", "Tokyo { it is }.", false),
            ("Capital of Spain? {}", "Madrid { it is }.", true),
        ]
    );
    // Rows that are held out are asked as the others were trained, and never trained on.
    assert_eq!(corpus.epoch(1, 0, 9).len(), 2);
    let held_out: Vec<(Unseen, String)> = corpus
        .held_out()
        .map(|held_out| (held_out.unseen, held_out.conversation[0].content.clone()))
        .collect();
    assert_eq!(
        held_out,
        [
            (Unseen::Wording, "France's capital?".to_owned()),
            (Unseen::Wording, "Japan's capital?".to_owned()),
            (Unseen::Row, "Capital of Spain? {}".to_owned()),
        ]
    );
}

#[test]
fn a_talks_later_questions_come_after_the_earlier_ones_without_thoughts() {
    let corpus = parse(TALK).unwrap();
    let held_out: Vec<HeldOut> = corpus.held_out().collect();
    assert_eq!(
        held_out[0].conversation,
        [
            Turn::new(Role::System, "Be kind."),
            Turn::user("I am Ada."),
            Turn::new(Role::Assistant, "Hello, Ada!"),
            Turn::user("My name?"),
        ]
    );
    // In training the wordings before it vary.
    let asked: BTreeSet<bool> = (0..20)
        .map(|epoch| text(&corpus.epoch(1, epoch, 1)[1].tokens).contains("Call me Ada."))
        .collect();
    assert_eq!(asked.len(), 2);
}

#[test]
fn an_epoch_is_the_same_for_a_seed_and_every_wording_gets_its_turn() {
    let corpus = parse(
        "[[pair]]\nask = [\"Alpha\", \"Beta\", \"Gamma\", \"Delta\", \"Epsilon\"]\nanswer = \"x\"",
    )
    .unwrap();
    assert_eq!(corpus.epoch(1, 0, 2), corpus.epoch(1, 0, 2));
    let asked: Vec<String> = (0..3)
        .flat_map(|epoch| corpus.epoch(1, epoch, 2))
        .map(|sample| text(&sample.tokens))
        .collect();
    for word in ["lpha", "eta", "amma", "elta", "psilon"] {
        assert!(asked.iter().any(|text| text.contains(word)), "{word}");
    }
}

#[test]
fn now_and_then_a_question_is_typed_carelessly_or_after_a_neutral_system_turn() {
    let corpus = parse("[[pair]]\nask = [\"Name it.\"]\nanswer = \"It.\"").unwrap();
    let texts: Vec<String> = (0..1000)
        .flat_map(|epoch| corpus.epoch(3, epoch, 1))
        .map(|sample| text(&sample.tokens))
        .collect();
    let share = |part: &str| texts.iter().filter(|text| text.contains(part)).count();
    assert!((100..200).contains(&share("user\nname it<")));
    assert!((60..140).contains(&share("<|im_start|>system\n")));
    // One that has a system turn keeps it.
    let corpus = parse("[[pair]]\nask = [\"A\"]\nanswer = \"B\"\nsystem = \"C\"").unwrap();
    for epoch in 0..100 {
        let sample = &corpus.epoch(3, epoch, 1)[0];
        assert!(text(&sample.tokens).starts_with("<|im_start|>system\nC<|im_end|>"));
    }
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    for (data, said) in [
        ("", "the data directory: no questions"),
        ("\n[[pair", "data.toml:2: "),
        (
            "[[pair]]\nask = [\"A\"]\nanswer = \"B\"\nextra = 1",
            "data.toml:4: unknown field `extra`",
        ),
        (
            "[[pair]]\nask = [\"A\"]",
            "data.toml:1: missing field `answer`",
        ),
        (
            "\n[[pair]]\nask = []\nanswer = \"B\"",
            "data.toml:2: the list `ask` is empty",
        ),
        (
            "[[pair]]\nask = [\" \"]\nanswer = \"B\"",
            "data.toml:1: a text of `ask` is empty",
        ),
        (
            "[[pair]]\nask = [\"A\"]\nanswer = \"B\\tC\"",
            "data.toml:1: the control character U+0009 is in \"B\\tC\"",
        ),
        (
            "[[talk]]\nturn = []",
            "data.toml:1: the list `turn` is empty",
        ),
        (
            "[[family]]\ncolumns = []\nrows = [[\"a\"]]\nask = [\"A\"]\nanswer = \"B\"",
            "data.toml:1: the list `columns` is empty",
        ),
        (
            "[[family]]\ncolumns = [\"a\", \"a\"]\nrows = [[\"a\"]]\nask = [\"A\"]\nanswer = \"B\"",
            "data.toml:1: two columns have the same name",
        ),
        (
            "[[family]]\ncolumns = [\"a\"]\nrows = [[\"b\", \"c\"]]\nask = [\"A\"]\nanswer = \"B\"",
            "data.toml:1: the row [b, c] has 2 cells for 1 columns",
        ),
        (
            "[[family]]\ncolumns = [\"a\"]\nrows = [[\"b\"]]\nask = [\"{c}\"]\nanswer = \"B\"",
            "data.toml:1: {c} is none of the columns",
        ),
    ] {
        let error = error(data);
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    let file = SourceFile {
        path: "data.toml".into(),
        bytes: b"# one\n# \xff".to_vec(),
    };
    let error = Corpus::parse(&[file]).unwrap_err();
    assert_eq!(error.to_string(), "data.toml:2: not UTF-8");
}

#[test]
fn a_conversation_of_512_tokens_is_the_longest() {
    let with = |length: usize| {
        format!(
            "[[pair]]\nask = [\"A\"]\nanswer = \"{}\"",
            "x".repeat(length)
        )
    };
    let corpus = parse(&with(1)).unwrap();
    let others = corpus.epoch(1, 0, 1)[0].tokens.len() - 1;
    let most = LONGEST - others;
    parse(&with(most)).unwrap();
    let error = error(&with(most + 1));
    assert!(error.contains("\"A\" has 513 tokens"), "{error}");
    // The neutral system turn does not make it longer than that.
    let corpus = parse(&with(most)).unwrap();
    for epoch in 0..100 {
        assert!(corpus.epoch(1, epoch, 1)[0].tokens.len() <= LONGEST);
    }
}

#[test]
fn nothing_that_is_held_out_is_trained_on_anywhere() {
    for other in [
        "[[pair]]\nask = [\"1 + 1?\"]\nanswer = \"2\"",
        // Training types some questions without the mark.
        "[[pair]]\nask = [\"1 + 1\"]\nanswer = \"2\"",
        "[[talk]]\n[[talk.turn]]\nask = [\"Hi\"]\nanswer = \"Hi\"\n\
         [[talk.turn]]\nask = [\"1 + 1?\"]\nanswer = \"2\"",
    ] {
        let error = error(&format!("{PAIR}{other}"));
        assert!(
            error.starts_with("data.toml:1: \"1 + 1?\" is held out, but trained on at data.toml:"),
            "{error}"
        );
    }
    let row = "[[pair]]\nask = [\"Capital of Spain? {}\"]\nanswer = \"Madrid\"";
    let error = error(&format!("{FAMILY}{row}"));
    assert!(error.contains("is held out, but trained on"), "{error}");
}
