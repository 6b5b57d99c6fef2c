//! A generation on its way to a guest: counted, cut where the budget ends, kept on a tape.

use crate::bindings::types::InferenceEvent;
use crate::convert;
use crate::meter::{Meter, Permit};
use crate::tape::{Answer, Kept, Taped, Timed};
use futures::Stream;
use rusty_genius_core as core;
use rusty_genius_core::{BudgetResource, Completion, FinishReason, Usage};
use rusty_genius_cortex::Clock;
use rusty_genius_stem::Inference;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Where a generation's events come from.
pub(super) enum Source {
    Engine(Box<Inference>),
    Tape(Taped),
}

impl Source {
    fn usage(&self) -> Usage {
        match self {
            Self::Engine(events) => events.usage(),
            Self::Tape(taped) => taped.usage(),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<core::InferenceEvent>> {
        match self {
            Self::Engine(events) => Pin::new(events).poll_next(cx),
            Self::Tape(taped) => Poll::Ready(taped.next()),
        }
    }
}

/// What is kept of a generation, for a tape.
pub(super) struct Take {
    kept: Kept,
    began: Duration,
    events: Vec<Timed>,
}

impl Take {
    /// Of a generation that was asked for at this moment.
    pub(super) fn new(kept: Kept, began: Duration) -> Self {
        Self {
            kept,
            began,
            events: Vec::new(),
        }
    }
}

/// A generation with what it owes: its place in the budget, and its usage to the meter.
pub(super) struct Generation {
    events: Source,
    meter: Meter,
    /// What of its usage is charged already.
    charged: Usage,
    /// Whether it was stopped because the run's tokens are spent.
    cut: bool,
    take: Option<Take>,
    clock: Arc<dyn Clock>,
    _running: Permit,
}

impl Generation {
    pub(super) fn new(
        events: Source,
        take: Option<Take>,
        meter: Meter,
        clock: Arc<dyn Clock>,
        _running: Permit,
    ) -> Self {
        Self {
            events,
            meter,
            charged: Usage::default(),
            cut: false,
            take,
            clock,
            _running,
        }
    }

    /// Charges what was consumed since the last time.
    fn charge(&mut self) {
        let usage = self.events.usage();
        let more = |now: u32, before: u32| u64::from(now.saturating_sub(before));
        let prompt = more(usage.prompt_tokens, self.charged.prompt_tokens);
        let answer = more(usage.completion_tokens, self.charged.completion_tokens);
        self.meter.add(BudgetResource::PromptTokens, prompt);
        self.meter.add(BudgetResource::CompletionTokens, answer);
        self.charged = usage;
    }

    fn cancel(&self) {
        if let Source::Engine(events) = &self.events {
            events.canceller().cancel();
        }
    }

    fn keep(&mut self, event: &core::InferenceEvent) {
        if let Some(take) = &mut self.take {
            let since = self.clock.now().saturating_sub(take.began);
            take.events.push(Timed {
                at: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
                event: event.clone(),
            });
        }
    }
}

impl Stream for Generation {
    type Item = InferenceEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<InferenceEvent>> {
        let mut event = std::task::ready!(self.events.poll_next(cx));
        self.charge();
        match &mut event {
            Some(core::InferenceEvent::Complete(Completion { finish, .. })) => {
                if let FinishReason::Failed(error) = finish {
                    self.meter.trouble(&error.clone().into());
                }
                if self.cut && *finish == FinishReason::Cancelled {
                    *finish = FinishReason::Length;
                }
            }
            // Others that run beside it may have spent what it was promised.
            Some(_) if !self.cut && self.meter.left(BudgetResource::CompletionTokens) == 0 => {
                self.cut = true;
                self.cancel();
            }
            _ => {}
        }
        if let Some(event) = &event {
            self.keep(event);
        }
        Poll::Ready(event.map(convert::event_out))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.charge();
        self.meter.consumed(&self.events.usage());
        if let Some(take) = self.take.take() {
            take.kept.put(Answer::Events(take.events));
        }
    }
}
