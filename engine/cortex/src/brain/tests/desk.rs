//! A scheduler with its device and its readers, one step at a time.

use super::pretend::{Pretend, Shape};
use crate::brain::device::Device;
use crate::brain::message::{Answer, FromEngine, Question, Stats, ToEngine};
use crate::brain::scheduler::{Scheduler, Settings};
use crate::{RawEnd, RawEvent};
use rusty_genius_core::{Behavior, EngineError, Sampling, Turn};
use std::collections::BTreeMap;

/// What a reader has.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Heard {
    pub(super) text: String,
    /// Tokens of the prompt, and how many of them were in the cache.
    pub(super) prompt: Option<(u32, u32)>,
    pub(super) end: Option<RawEnd>,
    pub(super) error: Option<EngineError>,
    /// Tokens he has not said that he took.
    pub(super) unread: u32,
}

impl Heard {
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some() || self.error.is_some()
    }
}

pub(super) const SETTINGS: Settings = Settings {
    slots: 4,
    chunk: 8,
    shared: true,
    remembered: 1000,
};

pub(super) struct Desk {
    pub(super) device: Pretend,
    scheduler: Scheduler,
    pub(super) heard: BTreeMap<u64, Heard>,
    answers: Vec<Result<Answer, EngineError>>,
    ids: u64,
}

impl Desk {
    pub(super) fn new(shape: Shape, settings: Settings) -> Self {
        let device = Pretend::new(shape);
        Self {
            scheduler: Scheduler::new(device.limits(), settings),
            device,
            heard: BTreeMap::new(),
            answers: Vec::new(),
            ids: 0,
        }
    }

    pub(super) fn say(&mut self, message: ToEngine) {
        let (heard, answers) = (&mut self.heard, &mut self.answers);
        let mut out = |message| note(heard, answers, message);
        if let Some(job) = self.scheduler.handle(&mut self.device, message, &mut out) {
            let done = job.run(&*self.device.scribe());
            self.scheduler.prepared(done, &mut out);
        }
    }

    /// One step, if anybody can use one.
    pub(super) fn step(&mut self) -> bool {
        if self.scheduler.is_idle() {
            return false;
        }
        let (heard, answers) = (&mut self.heard, &mut self.answers);
        let mut out = |message| note(heard, answers, message);
        self.scheduler.step(&mut self.device, &mut out);
        true
    }

    pub(super) fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(super) fn open(&mut self, guest: &str) -> u64 {
        let (session, guest) = (self.id(), guest.to_owned());
        self.say(ToEngine::Open { session, guest });
        session
    }

    pub(super) fn ask(&mut self, session: u64, turns: &[Turn], max_tokens: u32) -> u64 {
        let behavior = Behavior {
            max_tokens,
            ..Behavior::default()
        };
        self.ask_with(session, turns, behavior)
    }

    pub(super) fn ask_with(&mut self, session: u64, turns: &[Turn], behavior: Behavior) -> u64 {
        let generation = self.id();
        self.heard.insert(generation, Heard::default());
        self.say(ToEngine::Generate {
            session,
            generation,
            conversation: turns.to_vec(),
            behavior,
            sampling: Sampling {
                temperature: 0.0,
                ..Sampling::default()
            },
        });
        generation
    }

    /// The reader takes what there is for him.
    pub(super) fn take(&mut self, generation: u64) {
        let unread = std::mem::take(&mut self.heard.get_mut(&generation).unwrap().unread);
        for _ in 0..unread {
            self.say(ToEngine::Taken { generation });
        }
    }

    /// All read what there is, until nobody computes any more.
    pub(super) fn run(&mut self) {
        for _ in 0..100_000 {
            let readers: Vec<_> = self.heard.keys().copied().collect();
            for reader in readers {
                self.take(reader);
            }
            if !self.step() {
                return;
            }
        }
        panic!("it never ends");
    }

    pub(super) fn of(&self, generation: u64) -> &Heard {
        &self.heard[&generation]
    }

    pub(super) fn question(&mut self, question: Question) -> Result<Answer, EngineError> {
        self.say(ToEngine::Ask { call: 0, question });
        self.answers.pop().unwrap()
    }

    pub(super) fn stats(&mut self) -> Stats {
        match self.question(Question::Stats) {
            Ok(Answer::Stats(stats)) => stats,
            other => panic!("{other:?}"),
        }
    }
}

fn note(
    heard: &mut BTreeMap<u64, Heard>,
    answers: &mut Vec<Result<Answer, EngineError>>,
    message: FromEngine,
) {
    let (generation, event) = match message {
        FromEngine::Event { generation, event } => (generation, event),
        FromEngine::Answer { answer, .. } => return answers.push(answer),
    };
    let heard = heard.get_mut(&generation).unwrap();
    assert!(!heard.is_over(), "{event:?} after the end");
    match event {
        Ok(RawEvent::Prefilled {
            prompt_tokens,
            cached_tokens,
            ..
        }) => {
            assert!(heard.prompt.is_none() && heard.text.is_empty());
            heard.prompt = Some((prompt_tokens, cached_tokens));
        }
        Ok(RawEvent::Token(bytes)) => {
            assert!(heard.prompt.is_some());
            heard.text.push_str(&String::from_utf8(bytes).unwrap());
            heard.unread += 1;
        }
        Ok(RawEvent::End(end)) => heard.end = Some(end),
        Ok(RawEvent::Logprobs(_)) => {}
        Err(error) => heard.error = Some(error),
    }
}
