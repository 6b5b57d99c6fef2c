//! From a model's bytes to events: UTF-8, then thoughts and tool calls, then stop texts.

mod call;
mod stop;
mod tags;
mod utf8;

use rusty_genius_core::{Behavior, InferenceEvent, ThoughtEvent, ThoughtMode};
use std::collections::VecDeque;
use stop::StopTexts;
use tags::{Piece, TagScanner};
use utf8::Utf8Joiner;

/// Whether the generation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "after `Stopped` the engine should be stopped too"]
pub enum Flow {
    /// More bytes are welcome.
    Continue,
    /// A stop text was written. Later bytes are ignored.
    Stopped,
}

/// Makes events of a model's bytes, however they are cut into tokens.
///
/// **UTF-8.** Sequences split over tokens are put together. Bytes that are no UTF-8
/// become U+FFFD, exactly as [`String::from_utf8_lossy`] would do it on the whole.
///
/// **Thoughts.** `<think>` opens a thought, anywhere in the answer. Inside it, further
/// tags are text of the thought; the `</think>` of the outermost `<think>` closes it. A
/// thought that is still open at the end is closed there. `</think>` outside a thought,
/// and whatever only looks like a tag (`<thin`, `<think >`), is plain text. Nothing is
/// trimmed.
///
/// **Tool calls.** `<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>`
/// in content is a call, with white space around the JSON or without. Its id is `call-1`,
/// `call-2` and so on within the generation; its arguments are the object, compact, in its
/// own order. `parameters` is another name for `arguments`, and who names none gives `{}`.
/// What is no proper call is the content it is, tags included: no JSON object, no name of 1
/// to 64 of `A-Z a-z 0-9 _ . -`, arguments that are no object, over 65,536 bytes between the
/// tags, a second `<tool_call>` before the end of the first (it may then be a call itself),
/// and a call that is never closed. Between the tags of a call `<think>` is text, and so it
/// remains where that proves to be none. In thoughts the tags of calls are text.
///
/// **Stop texts** are looked for in content only, after tags were taken out; a thought or a
/// tool call ends a match in progress. They are not looked for in a call, but in what only
/// looked like one. The first to be complete wins, and of several that are
/// complete with the same byte the longest. It is not delivered.
///
/// **Memory.** Text is held back only as long as it may still become something else: at
/// most 3 bytes of a character, 11 of a tag, 65,547 of a tool call with its first tag, and
/// one byte less than the longest stop text (so 65,816 bytes at the limits of [`Behavior`]).
/// A call that is complete is read into some megabytes at most, for a moment. The tables for
/// stop texts take about ten times their length.
///
/// One call gives at most one event for each stretch of content or thought in it, and no
/// event is empty.
#[derive(Debug)]
pub struct OutputMachine {
    utf8: Utf8Joiner,
    tags: TagScanner,
    sink: Sink,
}

impl OutputMachine {
    /// A machine that begins in content.
    pub fn new(behavior: &Behavior) -> Self {
        Self {
            utf8: Utf8Joiner::default(),
            tags: TagScanner::default(),
            sink: Sink {
                hide: behavior.thoughts == ThoughtMode::Hide,
                stop: StopTexts::new(&behavior.stop),
                pending: String::new(),
                in_thought: false,
                announce: false,
                stopped: false,
                calls: 0,
                answer: String::new(),
            },
        }
    }

    /// A machine that begins inside a thought, for chat templates that end with
    /// `<think>` themselves. The thought's start is the first event.
    pub fn starting_in_thought(behavior: &Behavior) -> Self {
        let mut machine = Self::new(behavior);
        machine.begin_in_thought();
        machine
    }

    /// Opens the thought that the prompt opened. Only before the first byte.
    pub(crate) fn begin_in_thought(&mut self) {
        self.tags = TagScanner::in_thought();
        self.sink.in_thought = true;
        self.sink.announce = true;
    }

    /// Takes one token's bytes and appends what is certain now to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut VecDeque<InferenceEvent>) -> Flow {
        let Self { utf8, tags, sink } = self;
        sink.begin(out);
        if !sink.stopped {
            utf8.push(bytes, |text| {
                tags.push(text, |piece| sink.take(piece, out));
            });
            sink.flush(out);
        }
        sink.flow()
    }

    /// Takes the end: appends what was held back, and the end of an open thought.
    ///
    /// What was held back may still complete a stop text.
    pub fn finish(&mut self, out: &mut VecDeque<InferenceEvent>) -> Flow {
        let Self { utf8, tags, sink } = self;
        sink.begin(out);
        if !sink.stopped {
            utf8.finish(|text| tags.push(text, |piece| sink.take(piece, out)));
            tags.finish(|piece| sink.take(piece, out));
            sink.finish(out);
        } else {
            // What followed the stop text with the same token.
            *utf8 = Utf8Joiner::default();
            *tags = TagScanner::default();
        }
        sink.flow()
    }

    /// Whether the model is thinking: the next byte belongs to a thought, or to the tag
    /// that closes it.
    pub fn in_thought(&self) -> bool {
        self.sink.in_thought
    }

    /// Whether what comes next is delivered: not in a thought that is hidden.
    pub(crate) fn delivers(&self) -> bool {
        !(self.sink.in_thought && self.sink.hide)
    }

    /// The answer so far, as the model wrote it and as it was delivered: without thoughts
    /// and stop texts, and with tool calls in their own spelling.
    pub fn answer(&self) -> &str {
        &self.sink.answer
    }

    /// Whether a tool was called.
    pub(crate) fn called(&self) -> bool {
        self.sink.calls > 0
    }

    /// Bytes of text held back now.
    pub fn held(&self) -> usize {
        self.utf8.held() + self.tags.held() + self.sink.stop.held()
    }
}

/// The last stage: gathers pieces of one kind, and delivers them.
#[derive(Debug)]
struct Sink {
    hide: bool,
    stop: StopTexts,
    /// Text for the next event, of the kind that `in_thought` says. Empty between calls.
    pending: String,
    in_thought: bool,
    /// The start of the thought is yet to be delivered.
    announce: bool,
    stopped: bool,
    /// Tool calls so far.
    calls: u64,
    /// All content and calls so far.
    answer: String,
}

impl Sink {
    fn begin(&mut self, out: &mut VecDeque<InferenceEvent>) {
        if std::mem::take(&mut self.announce) {
            self.thought(ThoughtEvent::Start, out);
        }
    }

    fn take(&mut self, piece: Piece<'_>, out: &mut VecDeque<InferenceEvent>) {
        if self.stopped {
            return;
        }
        match piece {
            Piece::Text(text) if self.in_thought => {
                if !self.hide {
                    self.pending.push_str(text);
                }
            }
            Piece::Text(text) => self.content(text),
            Piece::Call(text) => match call::parse(text, self.calls + 1) {
                Some(call) => {
                    self.stop.release(&mut self.pending);
                    self.flush(out);
                    self.calls += 1;
                    for text in [tags::CALL, text, tags::CALL_END] {
                        self.answer.push_str(text);
                    }
                    out.push_back(InferenceEvent::ToolCall(call));
                }
                None => {
                    for text in [tags::CALL, text, tags::CALL_END] {
                        self.content(text);
                    }
                }
            },
            Piece::Open => {
                self.stop.release(&mut self.pending);
                self.flush(out);
                self.in_thought = true;
                self.thought(ThoughtEvent::Start, out);
            }
            Piece::Close => {
                self.flush(out);
                self.in_thought = false;
                self.thought(ThoughtEvent::Stop, out);
            }
        }
    }

    fn content(&mut self, text: &str) {
        if !self.stopped {
            self.stopped = self.stop.push(text, &mut self.pending) == Flow::Stopped;
        }
    }

    fn flush(&mut self, out: &mut VecDeque<InferenceEvent>) {
        if self.pending.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.pending);
        out.push_back(if self.in_thought {
            InferenceEvent::Thought(ThoughtEvent::Delta { text })
        } else {
            self.answer.push_str(&text);
            InferenceEvent::Content { text }
        });
    }

    fn finish(&mut self, out: &mut VecDeque<InferenceEvent>) {
        if !self.stopped {
            self.stop.release(&mut self.pending);
        }
        self.flush(out);
        if std::mem::take(&mut self.in_thought) {
            self.thought(ThoughtEvent::Stop, out);
        }
    }

    fn thought(&self, event: ThoughtEvent, out: &mut VecDeque<InferenceEvent>) {
        if !self.hide {
            out.push_back(InferenceEvent::Thought(event));
        }
    }

    fn flow(&self) -> Flow {
        if self.stopped {
            Flow::Stopped
        } else {
            Flow::Continue
        }
    }
}

#[cfg(test)]
mod tests;
