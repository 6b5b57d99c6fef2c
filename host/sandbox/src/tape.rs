//! What a guest asks of its models and what comes back, kept or played back.

use rusty_genius_core::{EngineError, GeniusError, InferenceEvent, PartialConfig, Turn, Usage};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a guest asks of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The next turn of a conversation.
    Infer {
        /// Which of the run's sessions, from 0, in the order they were opened or forked.
        session: u32,
        /// The model, by its canonical name.
        model: String,
        /// What is said.
        turns: Vec<Turn>,
        /// How to generate. What the guest does not set is not in it.
        config: Box<PartialConfig>,
    },
    /// How many tokens a text is.
    CountTokens {
        /// As the guest names it.
        model: String,
        /// The text.
        text: String,
    },
    /// A text's embedding.
    Embed {
        /// As the guest names it.
        model: String,
        /// The text.
        text: String,
    },
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A generation, as far as the guest read it.
    Events(Vec<Timed>),
    /// A number of tokens.
    Tokens(u32),
    /// An embedding.
    Embedding(Vec<f32>),
    /// Nothing: the engine failed.
    Failed(EngineError),
}

/// An event, and when it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// Microseconds since the request.
    pub at: u64,
    /// The event.
    #[serde(flatten)]
    pub event: InferenceEvent,
}

/// A request and what came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// What was asked.
    pub request: Request,
    /// What came back.
    pub answer: Answer,
}

/// A request that is not on the tape.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// What was asked.
    pub asked: Request,
    /// What the tape has in its place; `None` at its end.
    pub taped: Option<Request>,
}

/// Keeps a run's requests and answers, or plays them back with no engine at all. A clone is
/// the same tape.
///
/// Played back, an answer comes at once, event for event as it was kept, with its usage. A
/// request must equal one that was kept and not played yet; any other fails.
#[derive(Debug, Clone)]
pub struct Tape(Arc<Mutex<Reel>>);

#[derive(Debug)]
struct Reel {
    plays: bool,
    sessions: u32,
    /// Kept: in the order of the requests. Played: what is left.
    exchanges: Vec<Exchange>,
    mismatch: Option<Mismatch>,
}

impl Tape {
    /// An empty tape, to keep what is asked and answered.
    pub fn record() -> Self {
        Self::new(false, Vec::new())
    }

    /// A tape that answers with these.
    pub fn replay(exchanges: Vec<Exchange>) -> Self {
        Self::new(true, exchanges)
    }

    fn new(plays: bool, exchanges: Vec<Exchange>) -> Self {
        Self(Arc::new(Mutex::new(Reel {
            plays,
            sessions: 0,
            exchanges,
            mismatch: None,
        })))
    }

    fn reel(&self) -> MutexGuard<'_, Reel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was kept, in the order of the requests; of a tape that plays, what nobody has
    /// asked for.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.reel().exchanges.clone()
    }

    /// The first request that was not on the tape.
    pub fn mismatch(&self) -> Option<Mismatch> {
        self.reel().mismatch.clone()
    }

    /// The number of a session that begins.
    pub(crate) fn session(&self) -> u32 {
        let mut reel = self.reel();
        reel.sessions += 1;
        reel.sessions - 1
    }

    /// What to answer, where the tape plays; else the place at which the answer is kept.
    pub(crate) fn ask(&self, request: Request) -> Result<Reply, GeniusError> {
        let mut reel = self.reel();
        if !reel.plays {
            let at = reel.exchanges.len();
            let answer = Answer::Events(Vec::new());
            reel.exchanges.push(Exchange { request, answer });
            let tape = self.clone();
            return Ok(Reply::Keep(Kept { tape, at }));
        }
        let found = reel
            .exchanges
            .iter()
            .position(|kept| kept.request == request);
        match found {
            Some(at) => match reel.exchanges.remove(at).answer {
                Answer::Failed(error) => Err(error.into()),
                answer => Ok(Reply::Play(answer)),
            },
            None => {
                let taped = reel.exchanges.first().map(|kept| kept.request.clone());
                reel.mismatch.get_or_insert(Mismatch {
                    asked: request,
                    taped,
                });
                Err(wrong("the request is not on the tape").into())
            }
        }
    }
}

/// What the tape says to a request.
pub(crate) enum Reply {
    Play(Answer),
    Keep(Kept),
}

/// A request's place on the tape.
pub(crate) struct Kept {
    tape: Tape,
    at: usize,
}

impl Kept {
    pub(crate) fn put(&self, answer: Answer) {
        if let Some(exchange) = self.tape.reel().exchanges.get_mut(self.at) {
            exchange.answer = answer;
        }
    }

    pub(crate) fn failed(&self, error: &GeniusError) {
        let error = match error {
            GeniusError::Engine(error) => error.clone(),
            other => EngineError::BackendFailed {
                engine: "recorded".into(),
                reason: other.to_string(),
            },
        };
        self.put(Answer::Failed(error));
    }
}

/// A generation that comes from a tape.
pub(crate) struct Taped {
    events: VecDeque<Timed>,
    usage: Usage,
}

impl Taped {
    /// Fails where the tape has something else.
    pub(crate) fn new(answer: Answer) -> Result<Self, EngineError> {
        match answer {
            Answer::Events(events) => Ok(Self {
                events: events.into(),
                usage: Usage::default(),
            }),
            _ => Err(wrong("the tape has no generation there")),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    pub(crate) fn next(&mut self) -> Option<InferenceEvent> {
        let event = self.events.pop_front()?.event;
        if let InferenceEvent::Complete(completion) = &event {
            self.usage = completion.usage;
        }
        Some(event)
    }
}

pub(crate) fn wrong(reason: &str) -> EngineError {
    EngineError::BackendFailed {
        engine: "tape".into(),
        reason: reason.into(),
    }
}
