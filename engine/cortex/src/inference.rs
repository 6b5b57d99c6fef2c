//! One generation as its reader sees it.

use crate::{Clock, Flow, OutputMachine, RawEnd, RawEvent, RawStream};
use futures::Stream;
use futures::stream::FusedStream;
use futures::task::AtomicWaker;
use rusty_genius_core::{
    Completion, EngineError, FinishReason, InferenceConfig, InferenceEvent, Usage,
};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Raw events taken in one poll without anything to deliver, before others get their
/// turn: a hidden thought may be a million tokens long.
const PATIENCE: u32 = 64;

/// The events of one generation: `ProcessStart` first, `Complete` last and once,
/// whatever the engine does; after it the stream is over.
///
/// Pulls from the engine only when polled, and holds no more than the events of one
/// token, so a reader that does not read stops the decode. Dropping it cancels the
/// generation within one decode step.
///
/// However the generation ends, text that was held back is delivered and an open thought
/// is closed before `Complete`. What ends it:
///
/// * the engine: [`FinishReason::Stop`] or [`FinishReason::Length`]; if it stopped by itself
///   and called a tool before, [`FinishReason::ToolCall`];
/// * a stop text: [`FinishReason::Stop`];
/// * more tokens than `max_tokens`, if the backend does not heed it:
///   [`FinishReason::Length`];
/// * a [`Canceller`]: [`FinishReason::Cancelled`];
/// * an error, or a raw stream that ends without [`RawEvent::End`]:
///   [`FinishReason::Failed`].
pub struct Inference {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    machine: OutputMachine,
    engine: String,
    max_tokens: u32,
    queue: VecDeque<InferenceEvent>,
    usage: Usage,
    /// When it was first polled.
    began: Option<Duration>,
    first_token: Option<Duration>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Running,
    /// `Complete` is in the queue, or was delivered.
    Ended,
}

struct Shared {
    /// Here, not in the stream, so that cancelling frees the engine although the reader
    /// may never poll again. `None` once the generation is over.
    raw: Mutex<Option<RawStream>>,
    cancelled: AtomicBool,
    reader: AtomicWaker,
}

impl Shared {
    fn drop_raw(&self) {
        let raw = match self.raw.try_lock() {
            Ok(mut raw) => raw.take(),
            Err(TryLockError::Poisoned(raw)) => raw.into_inner().take(),
            // The reader polls it right now, and sees `cancelled` next.
            Err(TryLockError::WouldBlock) => None,
        };
        // Outside the lock: a backend's drop may do anything.
        drop(raw);
    }

    fn poll_raw(&self, cx: &mut Context<'_>) -> Poll<Option<Result<RawEvent, EngineError>>> {
        let mut raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        match raw.as_mut() {
            Some(raw) => raw.as_mut().poll_next(cx),
            None => Poll::Ready(None),
        }
    }

    /// Whether somebody cancelled. After `poll_raw` this pairs with the fence in
    /// `Canceller::cancel`: either that finds the lock free, or this finds the flag set.
    fn is_cancelled(&self) -> bool {
        fence(Ordering::SeqCst);
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Inference {
    /// The events of `raw`. Nothing happens before the first poll.
    pub fn new(raw: RawStream, config: &InferenceConfig, clock: Arc<dyn Clock>) -> Self {
        let behavior = config.behavior();
        Self {
            shared: Arc::new(Shared {
                raw: Mutex::new(Some(raw)),
                cancelled: AtomicBool::new(false),
                reader: AtomicWaker::new(),
            }),
            clock,
            machine: OutputMachine::new(behavior),
            engine: "backend".into(),
            max_tokens: behavior.max_tokens,
            queue: VecDeque::new(),
            usage: Usage::default(),
            began: None,
            first_token: None,
            phase: Phase::Fresh,
        }
    }

    /// Names the engine, for the errors found here. Default `backend`.
    #[must_use]
    pub fn named(mut self, engine: impl Into<String>) -> Self {
        self.engine = engine.into();
        self
    }

    /// A handle that ends the generation from elsewhere.
    pub fn canceller(&self) -> Canceller {
        Canceller {
            shared: self.shared.clone(),
        }
    }

    /// What was consumed so far; final once `Complete` was delivered.
    ///
    /// A token counts as one of a thought if the thought was open when it began.
    pub fn usage(&self) -> Usage {
        let mut usage = self.usage;
        if self.phase == Phase::Running {
            self.time(&mut usage);
        }
        usage
    }

    /// The answer as far as it was generated, for the conversation: without thoughts, and
    /// with tool calls as the model spelled them.
    pub fn answer(&self) -> &str {
        self.machine.answer()
    }

    fn time(&self, usage: &mut Usage) {
        let now = self.clock.now();
        let began = self.began.unwrap_or(now);
        let first = self.first_token.unwrap_or(now);
        usage.prefill_us = micros(first.saturating_sub(began));
        usage.decode_us = micros(now.saturating_sub(first));
    }

    fn take(&mut self, event: Option<Result<RawEvent, EngineError>>) {
        match event {
            Some(Ok(RawEvent::Prefilled {
                prompt_tokens,
                cached_tokens,
                in_thought,
            })) => {
                self.usage.prompt_tokens = prompt_tokens;
                self.usage.cached_tokens = cached_tokens;
                // Later it could only tear apart what the machine holds back.
                if in_thought && self.usage.completion_tokens == 0 {
                    self.machine.begin_in_thought();
                }
            }
            Some(Ok(RawEvent::Logprobs(logprobs))) => {
                if self.machine.delivers() && self.usage.completion_tokens < self.max_tokens {
                    self.queue.push_back(InferenceEvent::Logprobs(logprobs));
                }
            }
            Some(Ok(RawEvent::Token(bytes))) => self.token(&bytes),
            Some(Ok(RawEvent::End(RawEnd::Stop))) => self.end(FinishReason::Stop),
            Some(Ok(RawEvent::End(RawEnd::Length))) => self.end(FinishReason::Length),
            Some(Err(e)) => self.end(FinishReason::Failed(e)),
            None => self.end(FinishReason::Failed(EngineError::BackendFailed {
                engine: self.engine.clone(),
                reason: "it broke off without saying that the generation is over".into(),
            })),
        }
    }

    fn token(&mut self, bytes: &[u8]) {
        // Only a token too many ends it: the engine itself may end with the last one.
        if self.usage.completion_tokens >= self.max_tokens {
            return self.end(FinishReason::Length);
        }
        if self.first_token.is_none() {
            self.first_token = Some(self.clock.now());
        }
        self.usage.completion_tokens += 1;
        self.usage.thought_tokens += u32::from(self.machine.in_thought());
        if self.machine.push(bytes, &mut self.queue) == Flow::Stopped {
            self.end(FinishReason::Stop);
        }
    }

    fn end(&mut self, mut finish: FinishReason) {
        self.phase = Phase::Ended;
        self.shared.drop_raw();
        let mut usage = self.usage;
        self.time(&mut usage);
        self.usage = usage;
        // The text held back may be a stop text; that changes nothing for one who
        // cancelled, or for an error.
        let stop_text = self.machine.finish(&mut self.queue) == Flow::Stopped;
        finish = match finish {
            FinishReason::Length if stop_text => FinishReason::Stop,
            FinishReason::Stop if !stop_text && self.machine.called() => FinishReason::ToolCall,
            finish => finish,
        };
        self.queue
            .push_back(InferenceEvent::Complete(Completion { usage, finish }));
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Stream for Inference {
    type Item = InferenceEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<InferenceEvent>> {
        let this = self.get_mut();
        if this.phase == Phase::Fresh {
            this.phase = Phase::Running;
            this.began = Some(this.clock.now());
            return Poll::Ready(Some(InferenceEvent::ProcessStart));
        }
        for _ in 0..PATIENCE {
            if let Some(event) = this.queue.pop_front() {
                return Poll::Ready(Some(event));
            }
            if this.phase == Phase::Ended {
                return Poll::Ready(None);
            }
            if this.shared.cancelled.load(Ordering::Relaxed) {
                this.end(FinishReason::Cancelled);
                continue;
            }
            let polled = this.shared.poll_raw(cx);
            if polled.is_pending() {
                this.shared.reader.register(cx.waker());
            }
            // A cancel may have taken the raw stream away meanwhile: what it seems to
            // say then is not its own.
            if this.shared.is_cancelled() {
                this.end(FinishReason::Cancelled);
                continue;
            }
            this.take(ready!(polled));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl FusedStream for Inference {
    fn is_terminated(&self) -> bool {
        self.phase == Phase::Ended && self.queue.is_empty()
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        // A canceller may live longer and must not keep the engine busy.
        self.shared.drop_raw();
    }
}

impl fmt::Debug for Inference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inference")
            .field("phase", &self.phase)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

/// Ends one generation from elsewhere: the engine is freed at once, and the stream ends
/// with [`FinishReason::Cancelled`]. Without effect once the generation is over.
#[derive(Clone)]
pub struct Canceller {
    shared: Arc<Shared>,
}

impl Canceller {
    /// Cancels, and wakes the reader. Calling it again changes nothing.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.shared.drop_raw();
        self.shared.reader.wake();
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("cancelled", &self.shared.cancelled.load(Ordering::Relaxed))
            .finish()
    }
}

#[cfg(test)]
mod tests;
