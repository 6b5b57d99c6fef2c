use super::*;
use crate::{Config, WeightType, Weights};
use futures::StreamExt;
use futures::executor::block_on;
use rusty_genius_core::{Behavior, Role, Sampling};
use rusty_genius_cortex::{RawEnd, RawEvent};
use std::io::Cursor;

mod answers;

/// A model that has learnt nothing, with a context of 128 bytes.
fn model() -> LoadedModel {
    let weights = Weights::random(Config::named("test-50k").unwrap(), 3).unwrap();
    let mut file = Vec::new();
    weights.write_gguf(WeightType::F32, &mut file).unwrap();
    LoadedModel(Arc::new(ByteModel::read(Cursor::new(file)).unwrap()))
}

fn config(max_tokens: u32, temperature: f32, seed: u64) -> InferenceConfig {
    let behavior = Behavior {
        max_tokens,
        ..Behavior::default()
    };
    let sampling = Sampling {
        temperature,
        seed,
        top_k: 0,
        ..Sampling::default()
    };
    InferenceConfig::new(behavior, sampling).unwrap()
}

fn ask(
    session: &mut Box<dyn ModelSession>,
    turns: &[Turn],
    config: &InferenceConfig,
) -> Vec<RawEvent> {
    let stream = session.generate(turns, config).unwrap();
    block_on(stream.map(Result::unwrap).collect())
}

/// How much of the prompt was in the cache.
fn cached(events: &[RawEvent]) -> u32 {
    match events[0] {
        RawEvent::Prefilled { cached_tokens, .. } => cached_tokens,
        ref other => panic!("{other:?}"),
    }
}

fn hello() -> Vec<Turn> {
    vec![Turn::user("Hello, you!")]
}

#[test]
fn a_generation_is_prefill_tokens_end() {
    let model = model();
    let mut session = model.open("guest").unwrap();
    let events = ask(&mut session, &hello(), &config(20, 1.0, 1));
    let RawEvent::Prefilled {
        prompt_tokens,
        in_thought,
        ..
    } = events[0]
    else {
        panic!("{events:?}");
    };
    assert_eq!(prompt_tokens as usize, vocab::prompt_length(&hello()));
    assert!(!in_thought);
    let (last, tokens) = events[1..].split_last().unwrap();
    assert!(matches!(last, RawEvent::End(_)), "{events:?}");
    assert!(
        tokens
            .iter()
            .all(|e| matches!(e, RawEvent::Token(bytes) if bytes.len() <= 1))
    );
    assert!(tokens.len() <= 20);
}

#[test]
fn max_tokens_end_it_and_are_not_passed() {
    let model = model();
    let mut session = model.open("guest").unwrap();
    // Greedy, an untrained model goes on and on.
    let events = ask(&mut session, &hello(), &config(3, 0.0, 0));
    assert_eq!(events.len(), 1 + 3 + 1);
    assert_eq!(events.last(), Some(&RawEvent::End(RawEnd::Length)));
}

#[test]
fn the_same_request_gives_the_same_answer_and_another_seed_another() {
    let model = model();
    let mut answers = Vec::new();
    for seed in [1, 1, 2] {
        let mut session = model.open("guest").unwrap();
        answers.push(ask(&mut session, &hello(), &config(40, 1.0, seed)));
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[2]);
}

#[test]
fn a_session_that_has_read_the_beginning_answers_like_a_new_one() {
    let model = model();
    // Long enough to be read in several steps, and drawn: what is drawn must not hang on them.
    let config = config(10, 1.0, 9);
    let mut turns = hello();
    let mut used = model.open("guest").unwrap();
    ask(&mut used, &turns, &config);
    turns.push(Turn::new(
        Role::Assistant,
        "Good day to you, whoever you are.",
    ));
    turns.push(Turn::user("And what now?"));
    assert!(vocab::prompt_length(&turns) > 64);
    let again = ask(&mut used, &turns, &config);
    let mut fresh = model.open("guest").unwrap();
    let anew = ask(&mut fresh, &turns, &config);
    assert_eq!(again[1..], anew[1..]);
    assert!(cached(&again) > 0);
    assert_eq!(cached(&anew), 0);
}

#[test]
fn forks_go_their_own_ways() {
    let model = model();
    let mut session = model.open("guest").unwrap();
    let first = ask(&mut session, &hello(), &config(10, 0.0, 0));
    let mut fork = session.fork().unwrap();
    ask(
        &mut session,
        &[Turn::user("Something else")],
        &config(10, 0.0, 0),
    );
    let forked = ask(&mut fork, &hello(), &config(10, 0.0, 0));
    assert_eq!(forked[1..], first[1..]);
}

#[test]
fn prompt_and_answer_that_do_not_fit_are_an_error_with_both_figures() {
    let model = model();
    let mut session = model.open("guest").unwrap();
    let error = session
        .generate(&hello(), &config(100, 0.0, 0))
        .err()
        .unwrap();
    let needed = vocab::prompt_length(&hello()) as u64 + 100;
    assert_eq!(error, EngineError::ContextOverflow { needed, limit: 128 });
}

#[test]
fn dropping_a_stream_halfway_harms_nothing() {
    let model = model();
    let mut session = model.open("guest").unwrap();
    let mut stream = session.generate(&hello(), &config(40, 0.0, 0)).unwrap();
    for _ in 0..5 {
        block_on(stream.next());
    }
    drop(stream);
    let again = ask(&mut session, &hello(), &config(10, 0.0, 0));
    let mut fresh = model.open("guest").unwrap();
    let anew = ask(&mut fresh, &hello(), &config(10, 0.0, 0));
    assert_eq!(again[1..], anew[1..]);
}

#[test]
fn of_two_streams_of_a_session_the_older_ends_with_an_error() {
    let model = model();
    let mut session = model.open("guest").unwrap();
    let mut old = session.generate(&hello(), &config(40, 0.0, 0)).unwrap();
    block_on(old.next());
    block_on(old.next());
    let new = session.generate(&hello(), &config(5, 0.0, 0)).unwrap();
    let error = block_on(old.next()).unwrap().unwrap_err();
    assert!(
        matches!(error, EngineError::BackendFailed { .. }),
        "{error}"
    );
    assert!(block_on(old.next()).is_none());
    let events: Vec<_> = block_on(new.collect());
    assert!(events.iter().all(Result::is_ok), "{events:?}");
}

#[test]
fn a_generation_elsewhere_is_the_same_as_here() {
    let LoadedModel(model) = model();
    let run = |inline| -> Vec<_> {
        let place = Place::new(Cache::new(&model));
        place.lock(&model).generation = 1;
        let prompt = vocab::encode_prompt(&hello());
        let chooser = Chooser::new(&config(30, 1.0, 5), &prompt).unwrap();
        let generation = Generation::new(model.clone(), place, 1, 0, prompt, chooser, 30);
        block_on(GenerationStream::new(generation, inline).collect())
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn an_embedding_has_unit_length_and_tells_texts_apart() {
    let model = model();
    let embed = |text| block_on(model.embed(text)).unwrap();
    for text in ["", "a", "Grüße\0\n"] {
        let length: f32 = embed(text).iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-4, "{text:?}: {length}");
    }
    assert_ne!(embed("a"), embed("b"));
    let long = "x".repeat(129);
    assert!(block_on(model.embed(&long)).is_err());
    assert_eq!(block_on(model.count_tokens("Grüße")), Ok(7));
}

#[test]
fn what_cannot_be_loaded_names_model_and_reason() {
    let load = |weights: Vec<std::path::PathBuf>| {
        let loaded = block_on(Bytelm.load(LoadRequest::new("org/model", weights)));
        loaded.err().unwrap().to_string()
    };
    assert!(load(vec![]).contains("org/model failed: bytelm reads one file, not 0"));
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert!(load(vec![here]).contains("not a GGUF file"));
}
