//! Conversations and texts made into tokens, and texts into embeddings, beside the engine's
//! thread: a prompt of a megabyte takes its time, and so does a grammar, and nobody's answer
//! shall wait for it.
//!
//! One thread takes the jobs guest by guest in turn, so that who has many does not keep the
//! others from beginning.

use super::device::{Prompt, Token};
use super::generation::failed;
use super::message::{CallId, GenerationId};
use crate::constraint::{Constrainer, Vocabulary};
use rusty_genius_core::{Behavior, EngineError, Overflow, Sampling, Turn};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// A model's tokenizer and chat template.
pub(super) trait Scribe: Send + Sync {
    /// The conversation in the form the model was trained on, ready for its next turn.
    fn prompt(&self, conversation: &[Turn]) -> Result<Prompt, String>;

    /// A text's tokens; no text of it is a special token.
    fn tokenize(&self, text: &str) -> Vec<Token>;

    /// The embedding of these tokens, of unit length.
    fn embed(&self, tokens: &[Token]) -> Result<Vec<f32>, String>;

    /// All tokens, for constraints. Made at the first call.
    fn vocabulary(&self) -> &Vocabulary;

    /// The tokens that a repetition does not reach across, by id. Made at the first call.
    fn breakers(&self) -> Arc<[bool]>;
}

/// What a scribe is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    Begin {
        generation: GenerationId,
        guest: Arc<str>,
        conversation: Vec<Turn>,
        behavior: Behavior,
        sampling: Sampling,
        /// Tokens of one conversation.
        context: usize,
    },
    Count {
        call: CallId,
        text: String,
    },
    Embed {
        call: CallId,
        text: String,
        /// Most tokens of the text.
        limit: usize,
    },
}

/// All that a generation begins with.
pub(super) struct Beginning {
    pub(super) prompt: Prompt,
    pub(super) constrainer: Option<Constrainer>,
    pub(super) breakers: Option<Arc<[bool]>>,
    pub(super) behavior: Behavior,
    pub(super) sampling: Sampling,
}

/// What came of a job.
pub(super) enum Done {
    Begun {
        generation: GenerationId,
        beginning: Result<Box<Beginning>, EngineError>,
    },
    Counted {
        call: CallId,
        count: Result<u32, EngineError>,
    },
    Embedded {
        call: CallId,
        vector: Result<Vec<f32>, EngineError>,
    },
}

impl Job {
    /// Does it. A fault of what does it is an error of this job alone.
    pub(super) fn run(self, scribe: &dyn Scribe) -> Done {
        match self {
            Self::Begin {
                generation,
                conversation,
                behavior,
                sampling,
                context,
                ..
            } => Done::Begun {
                generation,
                beginning: guarded(|| {
                    begin(scribe, &conversation, behavior, sampling, context).map(Box::new)
                }),
            },
            Self::Count { call, text } => Done::Counted {
                call,
                count: guarded(|| {
                    Ok(u32::try_from(scribe.tokenize(&text).len()).unwrap_or(u32::MAX))
                }),
            },
            Self::Embed { call, text, limit } => Done::Embedded {
                call,
                vector: guarded(|| {
                    let tokens = scribe.tokenize(&text);
                    match tokens.len() <= limit {
                        true => scribe.embed(&tokens).map_err(failed),
                        false => Err(EngineError::ContextOverflow {
                            needed: tokens.len() as u64,
                            limit: limit as u64,
                        }),
                    }
                }),
            },
        }
    }

    /// Whose turn it is when this is done; questions are nobody's.
    fn guest(&self) -> Arc<str> {
        match self {
            Self::Begin { guest, .. } => guest.clone(),
            Self::Count { .. } | Self::Embed { .. } => Arc::from(""),
        }
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(failed("a fault in making tokens of the text")))
}

fn begin(
    scribe: &dyn Scribe,
    conversation: &[Turn],
    behavior: Behavior,
    sampling: Sampling,
    context: usize,
) -> Result<Beginning, EngineError> {
    let prompt = prompt(scribe, conversation, &behavior, context)?;
    let constrainer = match &behavior.constraint {
        Some(constraint) => Some(Constrainer::new(constraint, scribe.vocabulary())?),
        None => None,
    };
    Ok(Beginning {
        prompt,
        constrainer,
        breakers: (sampling.dry_multiplier > 0.0).then(|| scribe.breakers()),
        behavior,
        sampling,
    })
}

/// The prompt of a conversation, as much of it as fits.
fn prompt(
    scribe: &dyn Scribe,
    conversation: &[Turn],
    behavior: &Behavior,
    context: usize,
) -> Result<Prompt, EngineError> {
    let of = |turns: &[Turn]| scribe.prompt(turns).map_err(failed);
    let whole = of(conversation)?;
    let needed = whole
        .tokens
        .len()
        .saturating_add(behavior.max_tokens as usize);
    if needed <= context {
        return Ok(whole);
    }
    match behavior.overflow {
        Overflow::Error => Err(EngineError::ContextOverflow {
            needed: needed as u64,
            limit: context as u64,
        }),
        Overflow::Shift => {
            let length = |turns: &[Turn]| of(turns).map(|prompt| prompt.tokens.len());
            of(&crate::fit(
                conversation,
                behavior.max_tokens,
                context,
                length,
            )?)
        }
    }
}

/// Does jobs until nobody can send any more.
pub(super) fn work(scribe: &dyn Scribe, jobs: &Receiver<Job>, done: impl Fn(Done)) {
    let mut queue = Queue::default();
    loop {
        while let Ok(job) = jobs.try_recv() {
            queue.push(job);
        }
        match queue.pop() {
            Some(job) => done(job.run(scribe)),
            None => match jobs.recv() {
                Ok(job) => queue.push(job),
                Err(_) => return,
            },
        }
    }
}

/// Jobs, guest by guest in turn.
#[derive(Default)]
struct Queue {
    jobs: BTreeMap<Arc<str>, VecDeque<Job>>,
    /// The guests that have jobs, the next first.
    turns: VecDeque<Arc<str>>,
}

impl Queue {
    fn push(&mut self, job: Job) {
        let guest = job.guest();
        let jobs = self.jobs.entry(guest.clone()).or_default();
        if jobs.is_empty() {
            self.turns.push_back(guest);
        }
        jobs.push_back(job);
    }

    fn pop(&mut self) -> Option<Job> {
        let guest = self.turns.pop_front()?;
        let jobs = self.jobs.get_mut(&guest)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.jobs.remove(&guest);
        } else {
            self.turns.push_back(guest);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(call: CallId) -> Job {
        Job::Count {
            call,
            text: String::new(),
        }
    }

    fn begin(generation: GenerationId, guest: &str) -> Job {
        Job::Begin {
            generation,
            guest: guest.into(),
            conversation: Vec::new(),
            behavior: Behavior::default(),
            sampling: Sampling::default(),
            context: 1,
        }
    }

    #[test]
    fn guests_take_turns() {
        let mut queue = Queue::default();
        for n in 0..4 {
            queue.push(begin(n, "greedy"));
        }
        queue.push(begin(10, "modest"));
        queue.push(count(20));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop())
            .map(|job| match job {
                Job::Begin { generation, .. } => generation,
                Job::Count { call, .. } | Job::Embed { call, .. } => call,
            })
            .collect();
        assert_eq!(order, [0, 10, 20, 1, 2, 3]);
        assert!(queue.jobs.is_empty() && queue.turns.is_empty());
    }
}
