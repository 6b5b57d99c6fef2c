use rusty_genius_core::{Behavior, InferenceEvent, ThoughtEvent, ThoughtMode};
use rusty_genius_cortex::{Flow, OutputMachine};
use std::collections::VecDeque;

/// Most bytes the machine may hold, besides one less than the longest stop text.
const HELD: usize = 3 + 11 + 65_547;

/// A model's bytes, made into events ([`OutputMachine`]).
///
/// The events are the same however the bytes are cut; none is empty; thoughts open and
/// close in turn; no more is held back than is promised; and where there is no tag and no
/// stop text, the answer is the text as [`String::from_utf8_lossy`] has it.
///
/// The input is a head and the model's bytes. The head: a byte of options (1: thoughts are
/// hidden; 2: it begins in a thought; 12: how many stop texts, 0 to 3), each stop text with a
/// byte for its length (the lowest four bits) before it, and a byte for how many sizes of
/// chunks follow (the lowest three bits), each a byte.
pub fn output(bytes: &[u8]) {
    let Some(case) = Case::read(bytes) else {
        return;
    };
    let whole = case.run([case.text]);
    assert_eq!(case.run(case.text.chunks(1)), whole, "byte by byte");
    assert_eq!(case.run(case.cut()), whole, "cut by {:?}", case.sizes);

    let plain = !case.text.contains(&b'<') && case.behavior.stop.is_empty() && !case.in_thought;
    if plain {
        assert_eq!(whole.answer, String::from_utf8_lossy(case.text));
    }
    if let ThoughtMode::Hide = case.behavior.thoughts {
        let delta =
            |e: &InferenceEvent| matches!(e, InferenceEvent::Thought(ThoughtEvent::Delta { .. }));
        assert!(!whole.events.iter().any(delta), "a thought that is hidden");
    }
    for stop in &case.behavior.stop {
        let content = |e: &InferenceEvent| matches!(e, InferenceEvent::Content { text } if text.contains(stop.as_str()));
        assert!(!whole.events.iter().any(content), "{stop:?} was delivered");
    }
}

struct Case<'a> {
    behavior: Behavior,
    in_thought: bool,
    sizes: &'a [u8],
    text: &'a [u8],
}

#[derive(Debug, PartialEq)]
struct Said {
    /// One for each stretch.
    events: Vec<InferenceEvent>,
    answer: String,
    stopped: bool,
}

impl<'a> Case<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&options, mut rest) = bytes.split_first()?;
        let mut behavior = Behavior::default();
        if options & 1 != 0 {
            behavior.thoughts = ThoughtMode::Hide;
        }
        for _ in 0..(options >> 2) & 3 {
            let stop = counted(&mut rest, 15)?;
            let stop = String::from_utf8_lossy(stop).into_owned();
            // Others are refused before they come here.
            if !stop.is_empty() {
                behavior.stop.push(stop);
            }
        }
        let sizes = counted(&mut rest, 7)?;
        Some(Self {
            behavior,
            in_thought: options & 2 != 0,
            sizes,
            text: rest,
        })
    }

    /// The text in chunks of the given sizes, over and over, the rest in one.
    fn cut(&self) -> Vec<&'a [u8]> {
        let (mut rest, mut chunks) = (self.text, Vec::new());
        if self.sizes.iter().any(|&size| size > 0) {
            for &size in self.sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at(usize::from(size).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
        }
        chunks.push(rest);
        chunks
    }

    fn run(&self, chunks: impl IntoIterator<Item = &'a [u8]>) -> Said {
        let longest = self.behavior.stop.iter().map(String::len).max();
        let bound = HELD + longest.unwrap_or(1) - 1;
        let mut machine = match self.in_thought {
            true => OutputMachine::starting_in_thought(&self.behavior),
            false => OutputMachine::new(&self.behavior),
        };
        let mut out = VecDeque::new();
        let mut stopped = false;
        for chunk in chunks {
            stopped = machine.push(chunk, &mut out) == Flow::Stopped;
            assert!(machine.held() <= bound, "it holds {}", machine.held());
            if stopped {
                break;
            }
        }
        stopped |= machine.finish(&mut out) == Flow::Stopped;
        assert_eq!(machine.held(), 0);
        check_order(&out);
        Said {
            events: merged(out),
            answer: machine.answer().to_owned(),
            stopped,
        }
    }
}

/// So many bytes as the first one says, at most `most`, one less than a power of two.
fn counted<'a>(bytes: &mut &'a [u8], most: u8) -> Option<&'a [u8]> {
    let (&count, rest) = bytes.split_first()?;
    let (counted, rest) = rest.split_at_checked(usize::from(count & most))?;
    *bytes = rest;
    Some(counted)
}

fn check_order(events: &VecDeque<InferenceEvent>) {
    let mut thinking = false;
    for event in events {
        match event {
            InferenceEvent::Thought(ThoughtEvent::Start) => {
                assert!(!thinking, "a thought in a thought");
                thinking = true;
            }
            InferenceEvent::Thought(ThoughtEvent::Stop) => {
                assert!(thinking, "a thought's end without its beginning");
                thinking = false;
            }
            InferenceEvent::Thought(ThoughtEvent::Delta { text }) => {
                assert!(thinking && !text.is_empty());
            }
            InferenceEvent::Content { text } => assert!(!thinking && !text.is_empty()),
            InferenceEvent::ToolCall(call) => {
                assert!(!thinking && (1..=64).contains(&call.name.len()));
            }
            other => panic!("no event of this stage: {other:?}"),
        }
    }
    assert!(!thinking, "a thought that does not end");
}

fn merged(events: VecDeque<InferenceEvent>) -> Vec<InferenceEvent> {
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
