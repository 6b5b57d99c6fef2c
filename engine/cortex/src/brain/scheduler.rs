//! Who computes next.
//!
//! All running generations share each decode step: one token for each that writes, and a
//! piece of the prompt of those that still read theirs, so that a long prompt does not hold
//! up the others. At most [`Settings::slots`] run at once. Who runs is fair by guest:
//!
//! * A free slot goes to the guest with the fewest running generations, of those to the one
//!   served longest ago, and there to the oldest request.
//! * Without a free slot, a guest that has two fewer than another takes one over at once, and
//!   one that has one fewer after the other has written [`QUANTUM`] tokens in it.
//! * Who does not read what was written leaves his slot until he does.
//!
//! Who leaves a slot keeps what is in the cache, until the room is needed; what is lost then
//! is read again from the tokens.

mod step;
mod turns;

use super::device::{Device, Limits, Sequence};
use super::generation::{Generation, failed};
use super::message::{Answer, FromEngine, GenerationId, Question, SessionId, Stats, ToEngine};
use super::scribe::{Done, Job};
use super::sequences::{Holder, Sequences};
use rusty_genius_core::EngineError;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Tokens a generation may write before somebody takes its slot who has only one fewer.
pub(super) const QUANTUM: u32 = 64;

/// How an engine is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    /// Generations that run at once, at least 1.
    pub(super) slots: usize,
    /// Tokens of prompts read in a step in which others write, at least 1.
    pub(super) chunk: usize,
    /// Whether what one guest said saves another from reading it.
    pub(super) shared: bool,
    /// Tokens of past conversations kept. The last one is kept whatever its length.
    pub(super) remembered: usize,
}

/// Where what the engine says goes.
pub(super) type Outbox<'a> = &'a mut dyn FnMut(FromEngine);

struct Session {
    guest: Arc<str>,
    /// What the cache holds of it between two turns.
    sequence: Option<Sequence>,
    generation: Option<GenerationId>,
}

pub(super) struct Scheduler {
    limits: Limits,
    settings: Settings,
    sequences: Sequences,
    sessions: BTreeMap<SessionId, Session>,
    generations: BTreeMap<GenerationId, Generation>,
    /// Generations whose prompts are being made, and their sessions.
    preparing: BTreeMap<GenerationId, SessionId>,
    /// When each guest with a generation was last given a slot.
    served: BTreeMap<Arc<str>, u64>,
    /// Counts what happens, to tell earlier from later.
    time: u64,
    stats: Stats,
    scratch: Vec<f32>,
}

impl Scheduler {
    pub(super) fn new(limits: Limits, settings: Settings) -> Self {
        let slots = settings
            .slots
            .clamp(1, limits.sequences.min(limits.batch).max(1));
        Self {
            settings: Settings {
                slots,
                chunk: settings.chunk.max(1),
                ..settings
            },
            sequences: Sequences::new(limits.sequences, limits.cuts, settings.shared),
            limits,
            sessions: BTreeMap::new(),
            generations: BTreeMap::new(),
            preparing: BTreeMap::new(),
            served: BTreeMap::new(),
            time: 0,
            stats: Stats::default(),
            scratch: Vec::new(),
        }
    }

    /// Whether there is nothing to compute before the next message.
    pub(super) fn is_idle(&self) -> bool {
        !self.generations.values().any(Generation::is_ready)
    }

    /// Takes a message. What comes of it at once goes to `out`; what a scribe has to do
    /// first is given back. [`ToEngine::Stop`] is for the caller.
    pub(super) fn handle(
        &mut self,
        device: &mut dyn Device,
        message: ToEngine,
        out: Outbox<'_>,
    ) -> Option<Job> {
        match message {
            ToEngine::Open { session, guest } => self.open(session, guest.into()),
            ToEngine::Fork { parent, session } => {
                // Its words are found in the cache, as anybody's would be.
                let guest = self.sessions.get(&parent).map(|p| p.guest.clone());
                self.open(session, guest.unwrap_or_default());
            }
            ToEngine::Close { session } => self.close(session),
            ToEngine::Generate {
                session,
                generation,
                conversation,
                behavior,
                sampling,
            } => match self.announce(session, generation, out) {
                Ok(guest) => {
                    return Some(Job::Begin {
                        generation,
                        guest,
                        conversation,
                        behavior,
                        sampling,
                        context: self.limits.context,
                    });
                }
                Err(error) => tell_error(generation, error, out),
            },
            ToEngine::Taken { generation } => {
                if let Some(generation) = self.generations.get_mut(&generation) {
                    generation.unread = generation.unread.saturating_sub(1);
                }
            }
            ToEngine::Cancel { generation } => self.remove(generation),
            ToEngine::Ask { call, question } => {
                let answer = match question {
                    Question::Count { text } => return Some(Job::Count { call, text }),
                    Question::Embed { text } => {
                        let limit = self.limits.context;
                        return Some(Job::Embed { call, text, limit });
                    }
                    Question::Save { session, file } => self.save(device, session, &file),
                    Question::Restore { session, file } => self.restore(device, session, &file),
                    Question::Stats => Ok(Answer::Stats(self.stats())),
                };
                out(FromEngine::Answer { call, answer });
            }
            ToEngine::Stop => {}
        }
        None
    }

    /// Takes what a scribe has done.
    pub(super) fn prepared(&mut self, done: Done, out: Outbox<'_>) {
        let (call, answer) = match done {
            Done::Begun {
                generation,
                beginning,
            } => {
                // Who cancelled meanwhile is not among them.
                let Some(session) = self.preparing.remove(&generation) else {
                    return;
                };
                match beginning {
                    Ok(beginning) => {
                        let guest = self.sessions.get(&session).map(|s| s.guest.clone());
                        let begun = Generation::new(session, guest.unwrap_or_default(), *beginning);
                        self.begin(generation, begun);
                    }
                    Err(error) => {
                        self.forget(session, generation);
                        tell_error(generation, error, out);
                    }
                }
                return;
            }
            Done::Counted { call, count } => (call, count.map(Answer::Count)),
            Done::Embedded { call, vector } => (call, vector.map(Answer::Vector)),
        };
        out(FromEngine::Answer { call, answer });
    }

    fn open(&mut self, session: SessionId, guest: Arc<str>) {
        let opened = Session {
            guest,
            sequence: None,
            generation: None,
        };
        self.sessions.insert(session, opened);
    }

    fn close(&mut self, session: SessionId) {
        // Its generation, if there is one, is its reader's to cancel.
        let closed = self.sessions.remove(&session);
        if let Some(sequence) = closed.and_then(|s| s.sequence) {
            self.sequences.hand(sequence, Holder::Nobody);
        }
    }

    /// A generation of the session will begin; one that has not ended is over.
    fn announce(
        &mut self,
        session: SessionId,
        id: GenerationId,
        out: Outbox<'_>,
    ) -> Result<Arc<str>, EngineError> {
        if let Some(last) = self.sessions.get(&session).and_then(|s| s.generation) {
            self.remove(last);
            tell_error(last, failed("its session began another generation"), out);
        }
        let Some(known) = self.sessions.get_mut(&session) else {
            return Err(failed("the session is closed"));
        };
        if !self.limits.writes {
            return Err(EngineError::Unsupported {
                engine: super::ENGINE.into(),
                operation: "write with a model that only embeds".into(),
            });
        }
        known.generation = Some(id);
        self.preparing.insert(id, session);
        Ok(known.guest.clone())
    }

    fn begin(&mut self, id: GenerationId, mut generation: Generation) {
        generation.arrived = self.tick();
        self.served.entry(generation.guest.clone()).or_insert(0);
        self.generations.insert(id, generation);
    }

    /// The session's generation is over.
    fn forget(&mut self, session: SessionId, id: GenerationId) {
        if let Some(session) = self.sessions.get_mut(&session)
            && session.generation == Some(id)
        {
            session.generation = None;
        }
    }

    fn tick(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    /// The generation is over, or nobody wants it.
    fn remove(&mut self, id: GenerationId) {
        if let Some(session) = self.preparing.remove(&id) {
            return self.forget(session, id);
        }
        let Some(generation) = self.generations.remove(&id) else {
            return;
        };
        self.forget(generation.session, id);
        let session = self.sessions.get_mut(&generation.session);
        if let Some(sequence) = generation.sequence {
            let holder = match &session {
                Some(_) => Holder::Session(generation.session),
                None => Holder::Nobody,
            };
            self.sequences.hand(sequence, holder);
        }
        if let Some(session) = session {
            session.sequence = generation.sequence.or(session.sequence);
        }
        let guest = &generation.guest;
        if !self.generations.values().any(|g| g.guest == *guest) {
            self.served.remove(guest);
        }
    }

    /// Somebody's sequence went to somebody else.
    fn lose(&mut self, holder: Option<Holder>) {
        match holder {
            Some(Holder::Session(session)) => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.sequence = None;
                }
            }
            Some(Holder::Waiting(id) | Holder::Running(id)) => {
                if let Some(generation) = self.generations.get_mut(&id) {
                    generation.sequence = None;
                }
            }
            Some(Holder::Nobody) | None => {}
        }
    }

    fn save(
        &mut self,
        device: &mut dyn Device,
        session: SessionId,
        file: &Path,
    ) -> Result<Answer, EngineError> {
        let invalid = |reason: &str| EngineError::InvalidSession {
            path: file.to_owned(),
            reason: reason.to_owned(),
        };
        let session = self.sessions.get(&session);
        let Some(sequence) = session.and_then(|session| session.sequence) else {
            return Err(invalid("the cache holds nothing of it"));
        };
        device
            .save(sequence, self.sequences.tokens(sequence), file)
            .map_err(|reason| invalid(&reason))?;
        Ok(Answer::Done)
    }

    fn restore(
        &mut self,
        device: &mut dyn Device,
        id: SessionId,
        file: &Path,
    ) -> Result<Answer, EngineError> {
        let guest = self.sessions.get(&id).map(|session| session.guest.clone());
        let restored = self
            .sequences
            .restore(device, &guest.unwrap_or_default(), file);
        let (sequence, lost) = restored.map_err(|reason| EngineError::InvalidSession {
            path: file.to_owned(),
            reason,
        })?;
        self.lose(lost);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.sequence = Some(sequence);
            self.sequences.hand(sequence, Holder::Session(id));
        }
        Ok(Answer::Done)
    }

    fn stats(&self) -> Stats {
        let held = |h: &Holder| *h != Holder::Nobody;
        Stats {
            sessions: self.sessions.len(),
            running: self.running(None),
            waiting: self.preparing.len() + self.generations.len() - self.running(None),
            held: self.sequences.holders().filter(held).count(),
            remembered: self.sequences.holders().filter(|h| !held(h)).count(),
            ..self.stats
        }
    }
}

fn tell_error(generation: GenerationId, error: EngineError, out: Outbox<'_>) {
    out(FromEngine::Event {
        generation,
        event: Err(error),
    });
}
