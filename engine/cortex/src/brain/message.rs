//! What the engine thread and the rest of the house say to each other.
//!
//! Plain data both ways, and no reply is ever waited for by a thread: so that the engine can
//! live in a process of its own one day, and nobody would notice.

use crate::RawEvent;
use rusty_genius_core::{Behavior, EngineError, Sampling, Turn};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Names a session. Never used twice by one engine.
pub(super) type SessionId = u64;
/// Names a generation. Never used twice by one engine.
pub(super) type GenerationId = u64;
/// Names a question that has one answer. Never used twice by one engine.
pub(super) type CallId = u64;

/// To the engine. Nothing of it fails: what names nothing is ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum ToEngine {
    /// A session of this guest begins.
    Open { session: SessionId, guest: String },
    /// A session begins that has said what `parent` has.
    Fork {
        parent: SessionId,
        session: SessionId,
    },
    /// The session is over; a generation of it goes on.
    Close { session: SessionId },
    /// The next turn of this conversation is wanted. A generation of the session that
    /// still runs is over.
    Generate {
        session: SessionId,
        generation: GenerationId,
        conversation: Vec<Turn>,
        behavior: Behavior,
        sampling: Sampling,
    },
    /// The reader took a token.
    Taken { generation: GenerationId },
    /// The reader is gone.
    Cancel { generation: GenerationId },
    /// A question.
    Ask { call: CallId, question: Question },
    /// The model is not needed any more.
    Stop,
}

/// What can be asked of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Question {
    /// How many tokens is it?
    Count { text: String },
    /// What is its embedding?
    Embed { text: String },
    /// Write the session's cache to a new file.
    Save { session: SessionId, file: PathBuf },
    /// Read the session's cache from a file; the session is open.
    Restore { session: SessionId, file: PathBuf },
    /// How are you?
    Stats,
}

/// From the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum FromEngine {
    /// A step of a generation; an error is its last.
    Event {
        generation: GenerationId,
        event: Result<RawEvent, EngineError>,
    },
    /// The answer to a question.
    Answer {
        call: CallId,
        answer: Result<Answer, EngineError>,
    },
}

/// What the engine can answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// So many.
    Count(u32),
    /// This vector.
    Vector(Vec<f32>),
    /// As follows.
    Stats(Stats),
}

/// What an engine holds at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stats {
    /// Sessions that are open.
    pub(super) sessions: usize,
    /// Generations that compute.
    pub(super) running: usize,
    /// Generations that wait for their turn or for their reader.
    pub(super) waiting: usize,
    /// Sequences of the cache that an open session or a generation holds.
    pub(super) held: usize,
    /// Sequences that nobody holds, with the tokens of a past conversation in them.
    pub(super) remembered: usize,
    /// Decode steps so far.
    pub(super) steps: u64,
    /// Tokens computed so far, of prompts and answers.
    pub(super) computed: u64,
}
