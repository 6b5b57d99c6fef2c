//! A run in progress.

use async_channel::Receiver;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::FusedStream;
use rusty_genius_core::{Fragment, ThoughtEvent};
use rusty_genius_sandbox::{Gauge, Report, Running};
use std::pin::Pin;

/// A workflow that runs while it is asked for its reply. Dropping it ends the run.
pub struct Run {
    replies: Pin<Box<Receiver<Vec<Fragment>>>>,
    gauge: Gauge,
    report: BoxFuture<'static, Report<()>>,
    finished: Option<Report<()>>,
}

/// A run that ended, with all it said.
#[derive(Debug)]
pub struct Outcome {
    /// The answer.
    pub content: String,
    /// The thoughts.
    pub thoughts: String,
    /// How it ended and what it consumed.
    pub report: Report<()>,
}

impl Run {
    pub(crate) fn new(replies: Receiver<Vec<Fragment>>, running: Running<()>) -> Self {
        Self {
            replies: Box::pin(replies),
            gauge: running.gauge(),
            report: running.boxed(),
            finished: None,
        }
    }

    /// What reads the run's meter, while it goes on and after.
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    /// What the guest says next, in order; `None` when it has ended.
    pub async fn next(&mut self) -> Option<Vec<Fragment>> {
        use futures::StreamExt;
        if self.replies.is_terminated() {
            return None;
        }
        loop {
            if self.finished.is_some() {
                // The sender is gone with the run: what is left is in the channel.
                return self.replies.next().await;
            }
            // What was said comes first, so that the end is never seen before it.
            futures::select_biased! {
                fragments = self.replies.next().fuse() => {
                    if fragments.is_some() {
                        return fragments;
                    }
                    self.finished = Some((&mut self.report).await);
                    return None;
                }
                report = (&mut self.report).fuse() => self.finished = Some(report),
            }
        }
    }

    /// How the run ended. What it still says is discarded.
    pub async fn report(mut self) -> Report<()> {
        while self.next().await.is_some() {}
        match self.finished {
            Some(report) => report,
            None => self.report.await,
        }
    }

    /// The whole reply, and how the run ended.
    pub async fn finish(mut self) -> Outcome {
        let (mut content, mut thoughts) = (String::new(), String::new());
        while let Some(fragments) = self.next().await {
            for fragment in fragments {
                match fragment {
                    Fragment::Content { text } => content.push_str(&text),
                    Fragment::Thought(ThoughtEvent::Delta { text }) => thoughts.push_str(&text),
                    Fragment::Thought(_) => {}
                }
            }
        }
        Outcome {
            content,
            thoughts,
            report: self.report().await,
        }
    }
}
