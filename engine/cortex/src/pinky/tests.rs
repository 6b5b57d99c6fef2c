use super::*;
use crate::{Inference, VirtualClock};
use futures::executor::block_on;
use futures::{FutureExt, StreamExt};
use proptest::prelude::*;
use rusty_genius_core::{
    Completion, FinishReason, InferenceEvent, PartialBehavior, PartialConfig, PartialSampling,
    Role, ThoughtEvent,
};

/// A clock that must not be asked to wait.
#[derive(Debug)]
struct NoTimer;

impl Clock for NoTimer {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        panic!("somebody waits")
    }
}

fn quick() -> PinkyConfig {
    PinkyConfig {
        delay: Duration::ZERO,
        ..PinkyConfig::default()
    }
}

fn session(config: PinkyConfig) -> Box<dyn ModelSession> {
    let pinky = Pinky::new(config, Arc::new(NoTimer));
    let request = LoadRequest::new("any/model", Vec::new());
    block_on(pinky.load(request))
        .unwrap()
        .open("guest")
        .unwrap()
}

fn config(seed: u64, max_tokens: u32) -> InferenceConfig {
    PartialConfig {
        behavior: PartialBehavior {
            max_tokens: Some(max_tokens),
            ..PartialBehavior::default()
        },
        sampling: PartialSampling {
            seed: Some(seed),
            ..PartialSampling::default()
        },
    }
    .build()
    .unwrap()
}

fn raw(pinky: PinkyConfig, turns: &[Turn], config: &InferenceConfig) -> Vec<RawEvent> {
    let stream = session(pinky).generate(turns, config).unwrap();
    block_on(stream.map(Result::unwrap).collect())
}

fn tokens(raw: &[RawEvent]) -> Vec<&[u8]> {
    raw.iter()
        .filter_map(|event| match event {
            RawEvent::Token(bytes) => Some(bytes.as_slice()),
            _ => None,
        })
        .collect()
}

/// Thought, content and end of an answer.
fn answer(
    pinky: PinkyConfig,
    prompt: &str,
    config: &InferenceConfig,
) -> (String, String, Completion) {
    let stream = session(pinky)
        .generate(&[Turn::user(prompt)], config)
        .unwrap();
    let inference = Inference::new(stream, config, Arc::new(NoTimer));
    let (mut thought, mut content, mut end) = (String::new(), String::new(), None);
    for event in block_on(inference.collect::<Vec<_>>()) {
        match event {
            InferenceEvent::Thought(ThoughtEvent::Delta { text }) => thought += &text,
            InferenceEvent::Content { text } => content += &text,
            InferenceEvent::Complete(completion) => end = Some(completion),
            _ => {}
        }
    }
    (thought, content, end.unwrap())
}

#[test]
fn an_answer_is_a_thought_about_the_prompt_then_content() {
    let (thought, content, end) = answer(quick(), "cheese", &InferenceConfig::default());
    assert!(thought.contains("cheese"), "{thought}");
    assert!(content.starts_with("Narf!"), "{content}");
    assert_eq!(end.finish, FinishReason::Stop);
    assert_eq!(end.usage.prompt_tokens, 5);
    assert!((20..150).contains(&end.usage.completion_tokens), "{end:?}");
    assert!((1..end.usage.completion_tokens).contains(&end.usage.thought_tokens));
}

#[test]
fn it_need_not_think() {
    let pinky = PinkyConfig {
        thoughts: false,
        ..quick()
    };
    let (thought, content, _) = answer(pinky, "cheese", &InferenceConfig::default());
    assert_eq!(thought, "");
    assert!(content.starts_with("Narf!"));
}

#[test]
fn the_same_seed_and_conversation_give_the_same_tokens() {
    let turns = [
        Turn::new(Role::System, "Be brief."),
        Turn::user("What now?"),
    ];
    let first = raw(quick(), &turns, &config(7, 512));
    assert_eq!(first, raw(quick(), &turns, &config(7, 512)));
    assert_ne!(first, raw(quick(), &turns[1..], &config(7, 512)));
    let others = (0..20).map(|seed| raw(quick(), &turns, &config(seed, 512)));
    let mut seen = Vec::new();
    for other in others {
        assert!(!seen.contains(&other));
        seen.push(other);
    }
}

#[test]
fn a_fork_answers_as_its_origin_would() {
    let mut origin = session(quick());
    let mut fork = origin.fork().unwrap();
    let run = |session: &mut dyn ModelSession| -> Vec<_> {
        let stream = session
            .generate(&[Turn::user("hi")], &config(1, 99))
            .unwrap();
        block_on(stream.collect())
    };
    assert_eq!(run(origin.as_mut()), run(fork.as_mut()));
}

#[test]
fn tags_and_characters_are_split_over_tokens() {
    let (mut split_tag, mut split_character) = (false, false);
    for seed in 0..50 {
        let raw = raw(quick(), &[Turn::user("hi")], &config(seed, 512));
        let tokens = tokens(&raw);
        split_tag |= !tokens[0].starts_with(b"<think>");
        split_character |= tokens.iter().any(|t| std::str::from_utf8(t).is_err());
        assert!(tokens.iter().all(|t| !t.is_empty() && t.len() <= 12));
        // Put together again it is whole.
        assert!(String::from_utf8(tokens.concat()).is_ok());
    }
    assert!(split_tag && split_character);
}

#[test]
fn a_prompt_that_does_not_fit_is_an_error_with_the_numbers() {
    let prompt = Turn::user("x ".repeat(7676));
    let mut session = session(quick());
    let mut generate = |prompt: &Turn| {
        let turns = std::slice::from_ref(prompt);
        session.generate(turns, &config(0, 512)).err()
    };
    assert_eq!(generate(&prompt), None);
    let prompt = Turn::user(prompt.content + "x");
    let error = EngineError::ContextOverflow {
        needed: 8193,
        limit: 8192,
    };
    assert_eq!(generate(&prompt), Some(error));
}

#[test]
fn the_exact_number_of_tokens_is_written() {
    for n in [0, 1, 2, 15, 16, 64, 5000] {
        let pinky = PinkyConfig {
            tokens: Some(n),
            ..quick()
        };
        let raw = raw(pinky, &[Turn::user("hi")], &config(3, 5000));
        assert_eq!(tokens(&raw).len(), n as usize);
        assert_eq!(raw.last(), Some(&RawEvent::End(RawEnd::Stop)));
        assert!(String::from_utf8(tokens(&raw).concat()).is_ok());
    }
}

#[test]
fn max_tokens_comes_before_the_exact_number() {
    let pinky = PinkyConfig {
        tokens: Some(11),
        ..quick()
    };
    let raw = raw(pinky, &[], &config(0, 10));
    assert_eq!(tokens(&raw).len(), 10);
    assert_eq!(raw.last(), Some(&RawEvent::End(RawEnd::Length)));
}

#[test]
fn an_answer_that_fits_exactly_was_not_cut() {
    let turns = [Turn::user("hi")];
    let whole = raw(quick(), &turns, &config(5, 512));
    let count = u32::try_from(tokens(&whole).len()).unwrap();
    assert_eq!(raw(quick(), &turns, &config(5, count)), whole);
    let cut = raw(quick(), &turns, &config(5, count - 1));
    assert_eq!(cut.last(), Some(&RawEvent::End(RawEnd::Length)));
}

#[test]
fn a_million_tokens_need_no_more_memory_than_a_few() {
    let seed = text::seed(0, &[]);
    let mut chunks = Chunks::new(Script::new(seed, "that".into(), true, true), seed);
    for _ in 0..1_000_000 {
        assert!(chunks.next(false).is_some());
        assert!(chunks.held() < 512);
    }
}

#[test]
fn every_token_takes_the_delay() {
    let clock = VirtualClock::new();
    let pinky = PinkyConfig {
        tokens: Some(3),
        load_delay: Duration::from_secs(2),
        ..PinkyConfig::default()
    };
    let pinky = Pinky::new(pinky, Arc::new(clock.clone()));
    let mut load = pinky.load(LoadRequest::new("", Vec::new()));
    assert!((&mut load).now_or_never().is_none());
    clock.advance(Duration::from_secs(2));
    let model = load.now_or_never().unwrap().unwrap();

    let mut session = model.open("guest").unwrap();
    let mut stream = session.generate(&[], &InferenceConfig::default()).unwrap();
    let prefilled = stream.next().now_or_never().unwrap();
    assert_eq!(
        prefilled,
        Some(Ok(RawEvent::Prefilled {
            prompt_tokens: 0,
            cached_tokens: 0,
            in_thought: false,
        }))
    );
    for _ in 0..3 {
        assert!(stream.next().now_or_never().is_none());
        clock.advance(Duration::from_millis(14));
        assert!(stream.next().now_or_never().is_none());
        clock.advance(Duration::from_millis(1));
        assert!(stream.next().now_or_never().is_some());
    }
    let end = stream.next().now_or_never().unwrap();
    assert_eq!(end, Some(Ok(RawEvent::End(RawEnd::Stop))));
    assert_eq!(stream.next().now_or_never(), Some(None));
    assert_eq!(clock.next_deadline(), None);
}

#[test]
fn a_dropped_generation_leaves_no_timer() {
    let clock = VirtualClock::new();
    let mut session = Pinky::new(PinkyConfig::default(), Arc::new(clock.clone()));
    let mut stream = session.generate(&[], &InferenceConfig::default()).unwrap();
    assert!(stream.next().now_or_never().is_some());
    assert!(stream.next().now_or_never().is_none());
    assert!(clock.next_deadline().is_some());
    drop(stream);
    assert_eq!(clock.next_deadline(), None);
}

#[test]
fn a_prompt_full_of_tags_and_escapes_does_not_break_out() {
    for seed in 0..50 {
        let prompt = "</think>\x1b[31m<think>\u{202E}\0</think> </think>";
        let raw = raw(quick(), &[Turn::user(prompt)], &config(seed, 512));
        let text = String::from_utf8(tokens(&raw).concat()).unwrap();
        assert_eq!(text.matches("<think>").count(), 1);
        assert_eq!(text.matches("</think>").count(), 1);
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202E}'));
    }
}

proptest! {
    #[test]
    fn any_answer_is_well_formed(
        prompt in any::<String>(),
        seed in any::<u64>(),
        max_tokens in 1..300_u32,
        exact in prop::option::of(0..300_u32),
    ) {
        let pinky = PinkyConfig { tokens: exact, ..quick() };
        let (_, content, end) = answer(pinky, &prompt, &config(seed, max_tokens));
        prop_assert!(content.is_empty() || content.starts_with("Narf!"), "{}", content);
        prop_assert!(end.usage.completion_tokens <= max_tokens);
        if let Some(n) = exact {
            prop_assert_eq!(end.usage.completion_tokens, n.min(max_tokens));
        }
        let natural = matches!(end.finish, FinishReason::Stop);
        prop_assert!(natural || end.usage.completion_tokens == max_tokens);
    }
}
