use super::*;
use proptest::prelude::*;
use rusty_genius_core::ToolCall;

mod calls;

fn behavior(stop: &[&str], thoughts: ThoughtMode) -> Behavior {
    Behavior {
        stop: stop.iter().map(|&s| s.into()).collect(),
        thoughts,
        ..Behavior::default()
    }
}

fn show() -> Behavior {
    Behavior::default()
}

/// Events as they come, without merging.
fn run<B: AsRef<[u8]>>(mut machine: OutputMachine, chunks: &[B]) -> Vec<InferenceEvent> {
    let mut out = VecDeque::new();
    for chunk in chunks {
        if machine.push(chunk.as_ref(), &mut out) == Flow::Stopped {
            break;
        }
    }
    let _ = machine.finish(&mut out);
    assert_eq!(machine.held(), 0);
    out.into()
}

/// One event for each stretch of text.
fn merged(events: Vec<InferenceEvent>) -> Vec<InferenceEvent> {
    let mut all: Vec<InferenceEvent> = Vec::new();
    for event in events {
        match (all.last_mut(), &event) {
            (Some(InferenceEvent::Content { text }), InferenceEvent::Content { text: more })
            | (
                Some(InferenceEvent::Thought(ThoughtEvent::Delta { text })),
                InferenceEvent::Thought(ThoughtEvent::Delta { text: more }),
            ) => text.push_str(more),
            _ => all.push(event),
        }
    }
    all
}

/// Events in shorthand: `(` opens a thought, `)` closes it, a tool call is in brackets.
fn shorthand(events: Vec<InferenceEvent>) -> String {
    merged(events)
        .into_iter()
        .map(|event| match event {
            InferenceEvent::Content { text }
            | InferenceEvent::Thought(ThoughtEvent::Delta { text }) => {
                assert!(!text.is_empty());
                text
            }
            InferenceEvent::Thought(ThoughtEvent::Start) => "(".into(),
            InferenceEvent::Thought(ThoughtEvent::Stop) => ")".into(),
            InferenceEvent::ToolCall(ToolCall {
                id,
                name,
                arguments,
            }) => {
                format!("[{id} {name} {arguments}]")
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

fn shown(chunks: &[&str]) -> String {
    shorthand(run(OutputMachine::new(&show()), chunks))
}

#[test]
fn a_plain_chunk_is_one_event() {
    assert_eq!(
        run(OutputMachine::new(&show()), &["Narf", "!", "", " Poit"]),
        ["Narf", "!", " Poit"].map(InferenceEvent::content)
    );
}

#[test]
fn thoughts_are_told_from_content_wherever_they_stand() {
    assert_eq!(shown(&["<think>hm</think>Narf!"]), "(hm)Narf!");
    assert_eq!(shown(&["Narf! <think>hm</think> Poit"]), "Narf! (hm) Poit");
    assert_eq!(shown(&["<think>a</think><think>b</think>"]), "(a)(b)");
}

#[test]
fn a_tag_may_be_split_anywhere() {
    let text = "a<think>b</think>c";
    for cut in 0..=text.len() {
        assert_eq!(shown(&[&text[..cut], &text[cut..]]), "a(b)c");
    }
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    let events = run(OutputMachine::new(&show()), &bytes);
    assert_eq!(shorthand(events), "a(b)c");
}

#[test]
fn a_thought_never_closed_ends_with_the_answer() {
    assert_eq!(shown(&["<think>hm"]), "(hm)");
    assert_eq!(shown(&["<think>hm</thin"]), "(hm</thin)");
}

#[test]
fn an_empty_thought_has_a_start_and_a_stop() {
    assert_eq!(
        run(OutputMachine::new(&show()), &["<think></think>"]),
        [ThoughtEvent::Start, ThoughtEvent::Stop].map(InferenceEvent::Thought)
    );
}

#[test]
fn a_thought_within_a_thought_is_its_text() {
    assert_eq!(
        shown(&["<think>a<think>b</think>c</think>d"]),
        "(a<think>b</think>c)d"
    );
}

#[test]
fn a_closing_tag_that_closes_nothing_is_content() {
    assert_eq!(shown(&["a</think>b<think>c</think>"]), "a</think>b(c)");
}

#[test]
fn what_only_looks_like_a_tag_is_text() {
    for text in [
        "<thin",
        "<think >",
        "</ think>",
        "<Think>",
        "<",
        "</",
        "a < b",
        "<thinktank>",
    ] {
        assert_eq!(shown(&[text]), text);
    }
    assert_eq!(shown(&["<<think>x<</think>"]), "<(x<)");
    assert_eq!(shown(&["<thi<think>x</thi</think>"]), "<thi(x</thi)");
}

#[test]
fn a_lookalike_is_held_back_no_longer_than_it_may_become_a_tag() {
    let mut machine = OutputMachine::new(&show());
    let mut out = VecDeque::new();
    assert_eq!(machine.push(b"a<thin", &mut out), Flow::Continue);
    assert_eq!(out, [InferenceEvent::content("a")]);
    assert_eq!(machine.held(), 5);
    assert_eq!(machine.push(b"g", &mut out), Flow::Continue);
    assert_eq!(out[1], InferenceEvent::content("<thing"));
}

#[test]
fn white_space_is_left_alone() {
    assert_eq!(
        shown(&["<think>\n hm\n</think>\n\n Narf "]),
        "(\n hm\n)\n\n Narf "
    );
}

#[test]
fn hidden_thoughts_are_tracked_and_not_delivered() {
    let mut machine = OutputMachine::new(&behavior(&[], ThoughtMode::Hide));
    let mut out = VecDeque::new();
    let _ = machine.push(b"a<think>b", &mut out);
    assert!(machine.in_thought());
    let _ = machine.push(b"c</think>d", &mut out);
    assert!(!machine.in_thought());
    assert_eq!(out, ["a", "d"].map(InferenceEvent::content));
}

#[test]
fn a_template_may_have_opened_the_thought() {
    let machine = || OutputMachine::starting_in_thought(&show());
    assert_eq!(shorthand(run(machine(), &["hm</think>Narf!"])), "(hm)Narf!");
    assert_eq!(shorthand(run::<&str>(machine(), &[])), "()");
    let hidden = OutputMachine::starting_in_thought(&behavior(&[], ThoughtMode::Hide));
    assert_eq!(shorthand(run(hidden, &["hm</think>Narf!"])), "Narf!");
}

#[test]
fn what_follows_a_stop_text_is_not_held_for_ever() {
    for rest in [&b"\xc5"[..], b"<thin", b"<tool_call>{", b"S"] {
        let stop = behavior(&["STOP"], ThoughtMode::Show);
        assert!(run(OutputMachine::new(&stop), &[&[b"STOP", rest].concat()]).is_empty());
    }
}

#[test]
fn a_stop_text_ends_the_content_and_is_not_delivered() {
    let stop = behavior(&["User:"], ThoughtMode::Show);
    let mut machine = OutputMachine::new(&stop);
    let mut out = VecDeque::new();
    assert_eq!(machine.push(b"Narf!\nUs", &mut out), Flow::Continue);
    assert_eq!(machine.push(b"er: what?", &mut out), Flow::Stopped);
    assert_eq!(machine.push(b" more", &mut out), Flow::Stopped);
    assert_eq!(machine.finish(&mut out), Flow::Stopped);
    assert_eq!(out, [InferenceEvent::content("Narf!\n")]);
}

#[test]
fn a_stop_text_in_a_thought_is_text() {
    let stop = behavior(&["STOP"], ThoughtMode::Show);
    let events = run(
        OutputMachine::new(&stop),
        &["<think>STOP</think>STO<think>P</think>P STOP"],
    );
    assert_eq!(shorthand(events), "(STOP)STO(P)P ");
}

#[test]
fn a_stop_text_may_be_complete_only_at_the_end() {
    let mut machine = OutputMachine::new(&behavior(&["</"], ThoughtMode::Show));
    let mut out = VecDeque::new();
    // Until then it could still become a tag.
    assert_eq!(machine.push(b"a</", &mut out), Flow::Continue);
    assert_eq!(machine.finish(&mut out), Flow::Stopped);
    assert_eq!(out, [InferenceEvent::content("a")]);
}

#[test]
fn bytes_that_are_no_text_become_replacement_characters() {
    let events = run(
        OutputMachine::new(&show()),
        &[&b"a\xF0\x9F"[..], b"<think>\xFF", b"</think>\xE2\x82"],
    );
    assert_eq!(shorthand(events), "a\u{FFFD}(\u{FFFD})\u{FFFD}");
}

/// What the machine promises, said as simply as possible: all text at once, character
/// by character.
fn reference(bytes: &[u8], behavior: &Behavior, in_thought: bool) -> Vec<InferenceEvent> {
    let text = String::from_utf8_lossy(bytes);
    let mut rest: &str = &text;
    let mut depth = usize::from(in_thought);
    // What begins with a call, and the call.
    let mut calls = Vec::new();
    let mut stretches = vec![(depth > 0, String::new())];
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        let before = depth;
        if depth == 0 && rest.starts_with("<tool_call>") {
            let inner = &rest[11..];
            let ends = ["<tool_call>", "</tool_call>"].map(|tag| inner.find(tag));
            let end = ends.into_iter().flatten().min().unwrap_or(inner.len());
            let closed = ends[1] == Some(end);
            let whole = &rest[..11 + end + if closed { 12 } else { 0 }];
            rest = &rest[whole.len()..];
            if closed && call::parse(&inner[..end], 1).is_some() {
                calls.push((stretches.len(), &inner[..end]));
                stretches.push((false, String::new()));
            } else {
                stretches.last_mut().unwrap().1.push_str(whole);
            }
            continue;
        }
        if rest.starts_with("<think>") {
            (len, depth) = (7, depth + 1);
        } else if rest.starts_with("</think>") {
            (len, depth) = (8, depth.saturating_sub(1));
        }
        if (before > 0) == (depth > 0) {
            stretches.last_mut().unwrap().1.push_str(&rest[..len]);
        } else {
            stretches.push((depth > 0, String::new()));
        }
        rest = &rest[len..];
    }
    let mut events = Vec::new();
    for (at, (thought, text)) in stretches.into_iter().enumerate() {
        if let Some(number) = calls.iter().position(|(begin, _)| *begin == at) {
            let call = call::parse(calls[number].1, number as u64 + 1);
            events.push(InferenceEvent::ToolCall(call.unwrap()));
        }
        if thought {
            if behavior.thoughts == ThoughtMode::Show {
                events.push(InferenceEvent::Thought(ThoughtEvent::Start));
                if !text.is_empty() {
                    events.push(InferenceEvent::thought(text));
                }
                events.push(InferenceEvent::Thought(ThoughtEvent::Stop));
            }
            continue;
        }
        let stop = (1..=text.len()).find_map(|end| {
            let stops = behavior.stop.iter();
            let here = stops.filter(|stop| text.as_bytes()[..end].ends_with(stop.as_bytes()));
            here.map(|stop| end - stop.len()).min()
        });
        let content = &text[..stop.unwrap_or(text.len())];
        if !content.is_empty() {
            events.push(InferenceEvent::content(content));
        }
        if stop.is_some() {
            break;
        }
    }
    merged(events)
}

fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        &b"<think>"[..],
        b"<think>",
        b"</think>",
        b"</think>",
        b"<",
        b"<thi",
        b"nk>",
        b"</th",
        b"/",
        b">",
        b"a",
        b"ab",
        b"b",
        b"ST",
        b"STOP",
        b"OP",
        b" \n",
        "é".as_bytes(),
        "🐁".as_bytes(),
        b"\xF0\x9F",
        b"\x90\x81",
        b"\xE2\x82",
        b"\xFF",
        b"\0",
        b"<tool_call>",
        b"<tool_call>",
        b"</tool_call>",
        b"</tool_call>",
        b"<tool_call>{\"name\":\"a\"}</tool_call>",
        b"{\"name\":\"b\",",
        b"\"parameters\":{\"c\":\"<think>\"}}",
        b"</tool",
        b"_call>",
    ]);
    prop::collection::vec(fragment, 0..24).prop_map(|fragments| fragments.concat())
}

fn behaviors() -> impl Strategy<Value = Behavior> {
    let stop = prop::sample::select(vec![
        "STOP",
        "TOP",
        "ab",
        "aab",
        "abab",
        "b<",
        "</think>",
        "</th",
        "é",
        "🐁a",
        "\u{FFFD}b",
        "<tool_call>",
        "name",
    ]);
    let mode = prop::sample::select(vec![ThoughtMode::Show, ThoughtMode::Hide]);
    (prop::collection::vec(stop, 0..4), mode).prop_map(|(stop, mode)| behavior(&stop, mode))
}

fn is_empty(event: &InferenceEvent) -> bool {
    match event {
        InferenceEvent::Content { text }
        | InferenceEvent::Thought(ThoughtEvent::Delta { text }) => text.is_empty(),
        _ => false,
    }
}

fn chunked(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut chunks = Vec::new();
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, more) = rest.split_at(size.min(rest.len()));
        chunks.push(chunk.to_vec());
        rest = more;
    }
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_chunking_gives_the_events_of_the_reference(
        bytes in fragments(),
        behavior in behaviors(),
        in_thought in any::<bool>(),
        // The last is not zero, so that every chunking gets on.
        mut sizes in prop::collection::vec(0..9_usize, 0..6),
        last in 1..9_usize,
    ) {
        sizes.push(last);
        let longest = behavior.stop.iter().map(String::len).max().unwrap_or(1);
        let bound = 3 + 11 + (11 + bytes.len()) + (longest - 1);
        let mut machine = if in_thought {
            OutputMachine::starting_in_thought(&behavior)
        } else {
            OutputMachine::new(&behavior)
        };
        let mut out = VecDeque::new();
        for chunk in chunked(&bytes, &sizes) {
            let flow = machine.push(&chunk, &mut out);
            prop_assert!(machine.held() <= bound);
            if flow == Flow::Stopped {
                break;
            }
        }
        let _ = machine.finish(&mut out);
        prop_assert!(!out.iter().any(is_empty), "an empty event");
        prop_assert_eq!(merged(out.into()), reference(&bytes, &behavior, in_thought));
    }

    #[test]
    fn bytes_of_any_kind_come_out_as_the_reference_says(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..6),
    ) {
        let events = run(OutputMachine::new(&show()), &chunks);
        prop_assert_eq!(merged(events), reference(&chunks.concat(), &show(), false));
    }
}
