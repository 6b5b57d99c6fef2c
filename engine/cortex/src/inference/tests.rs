use super::*;
use crate::VirtualClock;
use futures::channel::mpsc;
use futures::executor::block_on;
use futures::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use rusty_genius_core::{PartialBehavior, PartialConfig, ThoughtEvent, ThoughtMode};

type Raw = Result<RawEvent, EngineError>;

fn config(behavior: PartialBehavior) -> InferenceConfig {
    let partial = PartialConfig {
        behavior,
        ..PartialConfig::default()
    };
    partial.build().unwrap()
}

fn prefilled() -> Raw {
    Ok(RawEvent::Prefilled {
        prompt_tokens: 5,
        cached_tokens: 0,
        in_thought: false,
    })
}

/// Of a template that ends with `<think>`.
fn prefilled_in_thought() -> Raw {
    Ok(RawEvent::Prefilled {
        prompt_tokens: 5,
        cached_tokens: 0,
        in_thought: true,
    })
}

fn token(text: &str) -> Raw {
    Ok(RawEvent::Token(text.into()))
}

fn end() -> Raw {
    Ok(RawEvent::End(RawEnd::Stop))
}

fn fault() -> EngineError {
    EngineError::BackendFailed {
        engine: "fake".into(),
        reason: "it is out of cheese".into(),
    }
}

fn inference(
    raw: impl Stream<Item = Raw> + Send + 'static,
    behavior: PartialBehavior,
) -> Inference {
    Inference::new(
        Box::pin(raw),
        &config(behavior),
        Arc::new(VirtualClock::new()),
    )
}

fn events(raw: Vec<Raw>, behavior: PartialBehavior) -> Vec<InferenceEvent> {
    block_on(inference(stream::iter(raw), behavior).collect())
}

fn completion(events: &[InferenceEvent]) -> &Completion {
    match events.last() {
        Some(InferenceEvent::Complete(completion)) => completion,
        other => panic!("{other:?}"),
    }
}

/// A raw stream fed by hand, that says when it was dropped.
fn by_hand(behavior: PartialBehavior) -> (mpsc::UnboundedSender<Raw>, Inference) {
    let (sender, receiver) = mpsc::unbounded();
    (sender, inference(receiver, behavior))
}

#[test]
fn a_generation_begins_with_process_start_and_ends_with_complete() {
    let raw = vec![
        prefilled(),
        token("<think>hm"),
        token("</think>Narf!"),
        end(),
    ];
    let all = events(raw, PartialBehavior::default());
    let usage = Usage {
        prompt_tokens: 5,
        completion_tokens: 2,
        thought_tokens: 1,
        ..Usage::default()
    };
    assert_eq!(
        all,
        [
            InferenceEvent::ProcessStart,
            InferenceEvent::Thought(ThoughtEvent::Start),
            InferenceEvent::thought("hm"),
            InferenceEvent::Thought(ThoughtEvent::Stop),
            InferenceEvent::content("Narf!"),
            InferenceEvent::Complete(Completion {
                usage,
                finish: FinishReason::Stop
            }),
        ]
    );
}

#[test]
fn after_complete_the_stream_is_over_for_ever() {
    let mut inference = inference(stream::iter([end(), token("late")]), Default::default());
    assert!(!inference.is_terminated());
    let all: Vec<_> = block_on(inference.by_ref().collect());
    assert_eq!(all.len(), 2);
    assert!(inference.is_terminated());
    assert_eq!(block_on(inference.next()), None);
}

#[test]
fn an_error_closes_the_thought_and_lets_stand_what_arrived() {
    let raw = vec![token("<think>hm</th"), Err(fault()), token("late")];
    let all = events(raw, PartialBehavior::default());
    assert_eq!(
        all[1..5],
        [
            InferenceEvent::Thought(ThoughtEvent::Start),
            InferenceEvent::thought("hm"),
            InferenceEvent::thought("</th"),
            InferenceEvent::Thought(ThoughtEvent::Stop),
        ]
    );
    assert_eq!(completion(&all).finish, FinishReason::Failed(fault()));
    assert_eq!(all.len(), 6);
}

#[test]
fn a_raw_stream_that_breaks_off_is_a_failure_of_the_engine_by_name() {
    let raw = stream::iter([token("Nar")]);
    let inference = inference(raw, PartialBehavior::default()).named("fake");
    let all: Vec<_> = block_on(inference.collect());
    match &completion(&all).finish {
        FinishReason::Failed(EngineError::BackendFailed { engine, .. }) => {
            assert_eq!(engine, "fake");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens_beyond_the_limit_are_cut_even_if_the_engine_goes_on() {
    let behavior = PartialBehavior {
        max_tokens: Some(3),
        ..PartialBehavior::default()
    };
    let endless = inference(stream::repeat_with(|| token("x")), behavior.clone());
    let all: Vec<_> = block_on(endless.collect());
    assert_eq!(completion(&all).finish, FinishReason::Length);
    assert_eq!(completion(&all).usage.completion_tokens, 3);

    // An engine that is done with the last token allowed was not cut.
    let raw = vec![token("a"), token("b"), token("c"), end()];
    assert_eq!(
        completion(&events(raw, behavior)).finish,
        FinishReason::Stop
    );
}

#[test]
fn a_stop_text_ends_the_generation_and_frees_the_engine() {
    let behavior = PartialBehavior {
        stop: Some(vec!["STOP".into()]),
        ..PartialBehavior::default()
    };
    let (sender, mut inference) = by_hand(behavior);
    for text in ["Narf! ST", "OP and more", "late"] {
        sender.unbounded_send(token(text)).unwrap();
    }
    let all: Vec<_> = block_on(inference.by_ref().collect());
    assert_eq!(all[1], InferenceEvent::content("Narf! "));
    assert_eq!(completion(&all).finish, FinishReason::Stop);
    assert!(sender.is_closed());
}

#[test]
fn an_engine_that_stops_after_calling_a_tool_waits_for_its_result() {
    let call = || token("<tool_call>{\"name\": \"now\"}</tool_call>");
    let all = events(
        vec![prefilled(), call(), token("\n"), end()],
        Default::default(),
    );
    assert!(matches!(&all[1], InferenceEvent::ToolCall(call) if call.name == "now"));
    assert_eq!(completion(&all).finish, FinishReason::ToolCall);
    assert_eq!(completion(&all).usage.completion_tokens, 2);

    let length = Ok(RawEvent::End(RawEnd::Length));
    let ends = [
        (vec![call(), length], FinishReason::Length),
        (vec![call(), Err(fault())], FinishReason::Failed(fault())),
        (vec![call(), token("STOP"), end()], FinishReason::Stop),
        (
            vec![token("<tool_call>now</tool_call>"), end()],
            FinishReason::Stop,
        ),
        (vec![token("<think>"), call(), end()], FinishReason::Stop),
    ];
    for (raw, finish) in ends {
        let behavior = PartialBehavior {
            stop: Some(vec!["STOP".into()]),
            ..PartialBehavior::default()
        };
        assert_eq!(completion(&events(raw, behavior)).finish, finish);
    }
}

#[test]
fn a_stop_text_found_only_at_the_end_hides_no_failure() {
    let behavior = PartialBehavior {
        stop: Some(vec!["<".into()]),
        ..PartialBehavior::default()
    };
    let cut = vec![token("a<"), Ok(RawEvent::End(RawEnd::Length))];
    let cut = events(cut, behavior.clone());
    assert_eq!(completion(&cut).finish, FinishReason::Stop);
    let failed = events(vec![token("a<"), Err(fault())], behavior);
    assert_eq!(completion(&failed).finish, FinishReason::Failed(fault()));
    assert_eq!(failed[1..2], cut[1..2]);
}

#[test]
fn cancelling_frees_the_engine_at_once_and_wakes_the_reader() {
    let (sender, mut inference) = by_hand(PartialBehavior::default());
    sender.unbounded_send(token("<think>hm")).unwrap();
    let canceller = inference.canceller();
    for _ in 0..3 {
        assert!(inference.next().now_or_never().is_some());
    }
    let (waker, woken) = flag_waker();
    let mut cx = Context::from_waker(&waker);
    assert!(inference.poll_next_unpin(&mut cx).is_pending());

    canceller.cancel();
    assert!(sender.is_closed(), "without a poll in between");
    assert!(woken.load(Ordering::Relaxed));
    canceller.cancel();

    let rest: Vec<_> = block_on(inference.collect());
    assert_eq!(rest[0], InferenceEvent::Thought(ThoughtEvent::Stop));
    assert_eq!(completion(&rest).finish, FinishReason::Cancelled);
    assert_eq!(rest.len(), 2);
}

#[test]
fn a_generation_cancelled_before_it_began_still_has_its_first_and_last_event() {
    let (_sender, inference) = by_hand(PartialBehavior::default());
    inference.canceller().cancel();
    let all: Vec<_> = block_on(inference.collect());
    assert_eq!(all[0], InferenceEvent::ProcessStart);
    assert_eq!(completion(&all).finish, FinishReason::Cancelled);
}

#[test]
fn cancelling_what_is_over_changes_nothing() {
    let mut inference = inference(stream::iter([end()]), PartialBehavior::default());
    let canceller = inference.canceller();
    let all: Vec<_> = block_on(inference.by_ref().collect());
    canceller.cancel();
    assert_eq!(completion(&all).finish, FinishReason::Stop);
    assert_eq!(block_on(inference.next()), None);
}

#[test]
fn a_cancel_from_within_the_engine_does_not_deadlock() {
    let slot: Arc<Mutex<Option<Canceller>>> = Arc::default();
    let inside = slot.clone();
    let raw = stream::repeat_with(move || {
        if let Some(canceller) = inside.lock().unwrap().as_ref() {
            canceller.cancel();
        }
        token("x")
    });
    let inference = inference(raw, PartialBehavior::default());
    *slot.lock().unwrap() = Some(inference.canceller());
    let all: Vec<_> = block_on(inference.collect());
    assert_eq!(completion(&all).finish, FinishReason::Cancelled);
}

#[test]
fn dropping_the_stream_frees_the_engine_although_a_canceller_lives_on() {
    let (sender, mut inference) = by_hand(PartialBehavior::default());
    let canceller = inference.canceller();
    assert!(inference.next().now_or_never().is_some());
    drop(inference);
    assert!(sender.is_closed());
    canceller.cancel();
}

#[test]
fn a_long_hidden_thought_lets_others_have_their_turn() {
    let behavior = PartialBehavior {
        thoughts: Some(ThoughtMode::Hide),
        max_tokens: Some(1000),
        ..PartialBehavior::default()
    };
    let raw = stream::once(async { token("<think>") }).chain(stream::repeat_with(|| token("x")));
    let mut inference = inference(raw, behavior);
    assert!(inference.next().now_or_never().is_some());
    let (waker, woken) = flag_waker();
    let mut cx = Context::from_waker(&waker);
    assert!(inference.poll_next_unpin(&mut cx).is_pending());
    assert!(woken.load(Ordering::Relaxed));

    let rest: Vec<_> = block_on(inference.collect());
    assert_eq!(rest.len(), 1);
    let usage = completion(&rest).usage;
    assert_eq!((usage.completion_tokens, usage.thought_tokens), (1000, 999));
}

#[test]
fn a_reader_that_does_not_read_stops_the_decode() {
    let pulled = Arc::new(Mutex::new(0));
    let count = pulled.clone();
    let raw = stream::repeat_with(move || {
        *count.lock().unwrap() += 1;
        token("x")
    });
    let mut inference = inference(raw, PartialBehavior::default());
    for _ in 0..4 {
        block_on(inference.next()).unwrap();
    }
    assert_eq!(*pulled.lock().unwrap(), 3);
}

#[test]
fn time_is_prefill_until_the_first_token_and_decode_after() {
    let clock = VirtualClock::new();
    let (sender, receiver) = mpsc::unbounded();
    let mut inference = Inference::new(
        Box::pin(receiver),
        &InferenceConfig::default(),
        Arc::new(clock.clone()),
    );
    let ms = Duration::from_millis;
    clock.advance(ms(100));
    assert_eq!(inference.usage(), Usage::default());
    assert!(inference.next().now_or_never().is_some());
    clock.advance(ms(7));
    sender.unbounded_send(prefilled()).unwrap();
    sender.unbounded_send(token("Narf")).unwrap();
    assert!(inference.next().now_or_never().is_some());
    clock.advance(ms(3));
    let usage = inference.usage();
    assert_eq!((usage.prefill_us, usage.decode_us), (7000, 3000));
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (5, 1));

    sender.unbounded_send(end()).unwrap();
    let rest: Vec<_> = block_on(inference.by_ref().collect());
    clock.advance(ms(50));
    assert_eq!(completion(&rest).usage, usage);
    assert_eq!(inference.usage(), usage);
}

#[test]
fn a_prompt_that_opened_the_thought_counts_from_the_first_token() {
    let raw = vec![
        prefilled_in_thought(),
        token("hm"),
        token("</think>"),
        token("Narf!"),
        end(),
    ];
    let all = events(raw, PartialBehavior::default());
    assert_eq!(
        all[1..5],
        [
            InferenceEvent::Thought(ThoughtEvent::Start),
            InferenceEvent::thought("hm"),
            InferenceEvent::Thought(ThoughtEvent::Stop),
            InferenceEvent::content("Narf!"),
        ]
    );
    let usage = completion(&all).usage;
    assert_eq!((usage.prompt_tokens, usage.thought_tokens), (5, 2));
}

#[test]
fn a_thought_the_prompt_opened_is_closed_even_if_no_token_follows() {
    let all = events(vec![prefilled_in_thought(), end()], Default::default());
    assert_eq!(
        all[1..3],
        [
            InferenceEvent::Thought(ThoughtEvent::Start),
            InferenceEvent::Thought(ThoughtEvent::Stop),
        ]
    );
    assert_eq!(completion(&all).usage.thought_tokens, 0);
}

#[test]
fn a_backend_that_says_too_late_where_its_prompt_ended_opens_no_thought() {
    let raw = vec![
        token("Narf!"),
        prefilled_in_thought(),
        token(" Poit."),
        end(),
    ];
    let all = events(raw, PartialBehavior::default());
    assert_eq!(
        all[1..3],
        [
            InferenceEvent::content("Narf!"),
            InferenceEvent::content(" Poit."),
        ]
    );
    assert_eq!(completion(&all).usage.thought_tokens, 0);
}

fn raws() -> impl Strategy<Value = Raw> {
    let texts = ["<think>", "</think>", "<thi", "nk>", "x", "ST", "OP", ""];
    prop_oneof![
        8 => prop::sample::select(texts.to_vec()).prop_map(token),
        1 => Just(prefilled()),
        1 => Just(prefilled_in_thought()),
        1 => Just(end()),
        1 => Just(Ok(RawEvent::End(RawEnd::Length))),
        1 => Just(Err(fault())),
    ]
}

proptest! {
    #[test]
    fn whatever_the_engine_does_the_order_of_events_holds(
        raw in prop::collection::vec(raws(), 0..20),
        cancel_after in prop::option::of(0..10_usize),
        max_tokens in 1..8_u32,
    ) {
        let behavior = PartialBehavior {
            max_tokens: Some(max_tokens),
            stop: Some(vec!["STOP".into()]),
            ..PartialBehavior::default()
        };
        let mut inference = inference(stream::iter(raw), behavior);
        let canceller = inference.canceller();
        let mut all = Vec::new();
        loop {
            if cancel_after == Some(all.len()) {
                canceller.cancel();
            }
            let Some(event) = block_on(inference.next()) else { break };
            all.push(event);
        }
        prop_assert_eq!(&all[0], &InferenceEvent::ProcessStart);
        let usage = completion(&all).usage;
        prop_assert!(usage.thought_tokens <= usage.completion_tokens);
        prop_assert!(usage.completion_tokens <= max_tokens);
        let mut thinking = false;
        for event in &all[1..all.len() - 1] {
            match event {
                InferenceEvent::Thought(ThoughtEvent::Start) => {
                    prop_assert!(!thinking);
                    thinking = true;
                }
                InferenceEvent::Thought(ThoughtEvent::Stop) => {
                    prop_assert!(thinking);
                    thinking = false;
                }
                InferenceEvent::Thought(ThoughtEvent::Delta { .. }) => prop_assert!(thinking),
                InferenceEvent::Content { .. } => prop_assert!(!thinking),
                other => prop_assert!(false, "{other:?} in the middle"),
            }
        }
        prop_assert!(!thinking);
    }
}

/// A waker, and whether it was used.
fn flag_waker() -> (std::task::Waker, Arc<AtomicBool>) {
    struct Flag(Arc<AtomicBool>);
    impl futures::task::ArcWake for Flag {
        fn wake_by_ref(this: &Arc<Self>) {
            this.0.store(true, Ordering::Relaxed);
        }
    }
    let woken = Arc::new(AtomicBool::new(false));
    (futures::task::waker(Arc::new(Flag(woken.clone()))), woken)
}
