//! One generation, step by step.

use super::chooser::Chooser;
use super::{Place, Turnstile, failed};
use crate::model::ByteModel;
use crate::vocab::{self, Token};
use futures::Stream;
use rusty_genius_core::{EngineError, Logprobs};
use rusty_genius_cortex::{BoxFuture, RawEnd, RawEvent};
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};

/// Tokens of a prompt read in one step: a millisecond of the model that ships.
const PREFILL: usize = 64;

/// What a generation needs to go on, wherever that happens.
pub(super) struct Generation {
    model: Arc<ByteModel>,
    place: Place,
    /// Its number among the session's.
    number: u64,
    /// Tokens of the prompt that the cache held already.
    reused: usize,
    prompt: Vec<Token>,
    chooser: Chooser,
    /// How likely the token that was chosen last is, until it is told.
    logprobs: Option<Logprobs>,
    left: u32,
    state: State,
}

enum State {
    Prefill,
    /// The token that was written last, and is to be read.
    Decode(Token),
    /// Chosen, and to be told: after the prompt's end, or after how likely it is.
    Chosen(Token),
    Over,
}

/// What came of a step.
type Step = Result<Option<RawEvent>, EngineError>;

impl Generation {
    pub(super) fn new(
        model: Arc<ByteModel>,
        place: Place,
        number: u64,
        reused: usize,
        prompt: Vec<Token>,
        chooser: Chooser,
        max_tokens: u32,
    ) -> Self {
        Self {
            model,
            place,
            number,
            reused,
            prompt,
            chooser,
            logprobs: None,
            left: max_tokens,
            state: State::Prefill,
        }
    }

    /// Computes what one event needs, or a part of it: `None` says to come again.
    fn step(&mut self) -> Step {
        match self.state {
            State::Prefill => self.prefill(),
            State::Chosen(token) => self.tell(token).map(Some),
            // Nothing but the end may follow: no step is needed to find it.
            State::Decode(_) if self.chooser.is_complete() => {
                self.state = State::Over;
                Ok(Some(RawEvent::End(RawEnd::Stop)))
            }
            State::Decode(_) if self.left == 0 => {
                self.state = State::Over;
                Ok(Some(RawEvent::End(RawEnd::Length)))
            }
            State::Decode(token) => self.decode(token),
            State::Over => Ok(None),
        }
    }

    fn prefill(&mut self) -> Step {
        let mut place = Self::claim(&self.place, &self.model, self.number)?;
        let cache = &mut place.cache;
        let rest = &self.prompt[cache.tokens().len()..];
        if rest.len() > PREFILL {
            self.model.prefill(cache, &rest[..PREFILL]);
            return Ok(None);
        }
        let (next, logprobs) = self.chooser.choose(self.model.forward(cache, rest))?;
        drop(place);
        self.logprobs = logprobs;
        self.state = State::Chosen(next);
        Ok(Some(RawEvent::Prefilled {
            // It fits the context, which is at most 2^20.
            prompt_tokens: self.prompt.len() as u32,
            cached_tokens: self.reused as u32,
            in_thought: false,
        }))
    }

    fn decode(&mut self, last: Token) -> Step {
        let mut place = Self::claim(&self.place, &self.model, self.number)?;
        let logits = self.model.forward(&mut place.cache, &[last]);
        let (next, logprobs) = self.chooser.choose(logits)?;
        drop(place);
        self.logprobs = logprobs;
        self.tell(next).map(Some)
    }

    /// The cache, if this is still the generation that has it. Its tokens are then a
    /// beginning of the prompt, or all of it and what was written.
    fn claim<'a>(
        place: &'a Place,
        model: &ByteModel,
        number: u64,
    ) -> Result<MutexGuard<'a, Turnstile>, EngineError> {
        let place = place.lock(model);
        match place.generation == number {
            true => Ok(place),
            false => Err(failed("its session has begun another generation")),
        }
    }

    fn tell(&mut self, token: Token) -> Result<RawEvent, EngineError> {
        let logprobs = self.logprobs.take();
        if matches!(
            token,
            vocab::END_OF_TEXT | vocab::TURN_START | vocab::TURN_END
        ) {
            self.state = State::Over;
            return Ok(RawEvent::End(RawEnd::Stop));
        }
        if let Some(logprobs) = logprobs {
            self.state = State::Chosen(token);
            return Ok(RawEvent::Logprobs(logprobs));
        }
        self.chooser.accept(token)?;
        self.left -= 1;
        self.state = State::Decode(token);
        // Reserved tokens are spelled by no bytes.
        Ok(RawEvent::Token(u8::try_from(token).into_iter().collect()))
    }
}

/// Runs a generation as it is polled, in place or on another thread.
pub(super) struct GenerationStream {
    inline: bool,
    running: Running,
}

enum Running {
    Here(Box<Generation>),
    Elsewhere(BoxFuture<'static, (Box<Generation>, Step)>),
    Over,
}

impl GenerationStream {
    pub(super) fn new(generation: Generation, inline: bool) -> Self {
        Self {
            inline,
            running: Running::Here(Box::new(generation)),
        }
    }
}

impl Stream for GenerationStream {
    type Item = Result<RawEvent, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let (generation, step) = match std::mem::replace(&mut this.running, Running::Over) {
                Running::Over => return Poll::Ready(None),
                Running::Here(mut generation) if this.inline => {
                    let step = generation.step();
                    (generation, step)
                }
                Running::Here(mut generation) => {
                    let step = blocking::unblock(move || {
                        let step = generation.step();
                        (generation, step)
                    });
                    this.running = Running::Elsewhere(Box::pin(step));
                    continue;
                }
                Running::Elsewhere(mut step) => match step.as_mut().poll(cx) {
                    Poll::Ready(done) => done,
                    Poll::Pending => {
                        this.running = Running::Elsewhere(step);
                        return Poll::Pending;
                    }
                },
            };
            let event = match step {
                Ok(event) => event,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            if !matches!(event, Some(RawEvent::End(_))) {
                this.running = Running::Here(generation);
            }
            match event {
                Some(event) => return Poll::Ready(Some(Ok(event))),
                None => {
                    // A long prompt lets others have their turn.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }
}
