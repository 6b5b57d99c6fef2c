//! Fetching what is missing of a file, over one connection or several.

use super::Progress;
use super::connection::{Event, Fault, Request, Source, connect};
use super::plan::Plan;
use super::retry::Backoff;
use super::tuner::Tuner;
use super::writer::{Order, Writer};
use async_io::Timer;
use futures::future::{Either, select};
use futures::stream::{BoxStream, SelectAll, StreamExt};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(50);
/// The caller hears of progress after so many bytes, or at the next tick.
const REPORT_EVERY: u64 = 1 << 20;

/// How a transfer ended, unless by an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All bytes went to the writer.
    Whole,
    /// What is here is of another file: start anew.
    Changed,
    /// The server gives whole files only: start anew.
    NoRanges,
    /// The writer ended; it knows why.
    WriterEnded,
}

/// A transfer under way.
pub(super) struct Transfer<'a> {
    pub(super) source: &'a Source,
    pub(super) plan: Plan,
    pub(super) writer: &'a Writer,
    pub(super) validator: Option<String>,
    /// Most connections.
    pub(super) connections: usize,
    pub(super) backoff: &'a mut Backoff,
    pub(super) progress: &'a mut (dyn FnMut(Progress) + Send),
}

/// A connection, as the transfer sees it.
struct Running {
    at: u64,
    /// Shared with the connection, which stops there.
    end: Arc<AtomicU64>,
}

/// What changes while the transfer runs.
struct Live<'a> {
    streams: SelectAll<BoxStream<'a, (usize, Event)>>,
    running: HashMap<usize, Running>,
    tuner: Tuner,
    next_id: usize,
    start: Instant,
    /// No connection is opened before.
    not_before: Instant,
    /// Bytes since the start.
    bytes: u64,
    /// Bytes of which the caller has not heard.
    unreported: u64,
}

impl<'a> Transfer<'a> {
    /// Runs until everything went to the writer, or nothing more will.
    pub(super) async fn run(mut self) -> anyhow::Result<End> {
        let now = Instant::now();
        let mut live = Live {
            streams: SelectAll::new(),
            running: HashMap::new(),
            tuner: Tuner::new(self.connections),
            next_id: 0,
            start: now,
            not_before: now,
            bytes: 0,
            unreported: 0,
        };
        let mut tick = Timer::interval(TICK);
        self.report(&mut live);
        while self.plan.missing() > 0 {
            self.open(&mut live);
            let event = if live.streams.is_empty() {
                tick.next().await;
                None
            } else {
                match select(live.streams.next(), tick.next()).await {
                    Either::Left((event, _)) => event,
                    Either::Right(_) => None,
                }
            };
            let Some((id, event)) = event else {
                self.look_at_the_clock(&mut live);
                continue;
            };
            let end = match event {
                Event::Opened { tag, ranges } => {
                    if !ranges {
                        live.tuner.give_up();
                    }
                    self.opened(tag).await
                }
                Event::Chunk(bytes) => self.chunk(&mut live, id, bytes).await,
                Event::End(result) => self.ended(&mut live, id, result)?,
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
        self.report(&mut live);
        // Of a piece that is whole, nothing more may come.
        while let Some((_, event)) = live.streams.next().await {
            if let Event::End(Err(Fault::Fatal(error))) = event {
                return Err(error);
            }
        }
        Ok(End::Whole)
    }

    /// Opens connections while there are fewer than there should be.
    fn open(&mut self, live: &mut Live<'a>) {
        while live.running.len() < live.tuner.wanted() && Instant::now() >= live.not_before {
            let limit = match live.tuner.wanted() {
                1 => u64::MAX,
                _ => live.tuner.piece(),
            };
            let id = live.next_id;
            let Some(range) = self.plan.claim(id, limit) else {
                return;
            };
            live.next_id += 1;
            let end = Arc::new(AtomicU64::new(range.end));
            live.running.insert(
                id,
                Running {
                    at: range.start,
                    end: end.clone(),
                },
            );
            let request = Request {
                id,
                range,
                size: self.plan.size(),
                validator: self.validator.clone(),
            };
            live.streams.push(connect(self.source, request, end));
        }
    }

    fn look_at_the_clock(&mut self, live: &mut Live<'a>) {
        if live.unreported > 0 {
            self.report(live);
        }
        let (elapsed, missing) = (live.start.elapsed(), self.plan.missing());
        if live.tuner.tick(elapsed, live.bytes, missing) && live.tuner.wanted() > 1 {
            // What runs now may have claimed all there is: it leaves some to the new one.
            let piece = live.tuner.piece();
            for (id, running) in &live.running {
                let at = running.at + piece;
                if at < running.end.load(Ordering::Relaxed) {
                    running.end.store(at, Ordering::Relaxed);
                    self.plan.cut(*id, at);
                }
            }
        }
    }

    async fn opened(&mut self, tag: Option<String>) -> Option<End> {
        if tag.is_some() && tag != self.validator {
            self.validator.clone_from(&tag);
            let told = match tag {
                Some(tag) => self.writer.order(Order::Validator(tag)).await,
                None => true,
            };
            return (!told).then_some(End::WriterEnded);
        }
        None
    }

    async fn chunk(&mut self, live: &mut Live<'a>, id: usize, bytes: Vec<u8>) -> Option<End> {
        let running = live.running.get_mut(&id)?;
        let (at, len) = (running.at, bytes.len() as u64);
        running.at += len;
        if !self.writer.order(Order::Write(at, bytes)).await {
            return Some(End::WriterEnded);
        }
        self.plan.wrote(at..at + len);
        self.backoff.reset();
        live.bytes += len;
        live.unreported += len;
        if live.unreported >= REPORT_EVERY {
            // A busy line leaves no time for ticks.
            self.look_at_the_clock(live);
        }
        None
    }

    fn ended(
        &mut self,
        live: &mut Live<'a>,
        id: usize,
        result: Result<(), Fault>,
    ) -> anyhow::Result<Option<End>> {
        live.running.remove(&id);
        self.plan.release(id);
        let (error, asked) = match result {
            Ok(()) => return Ok(None),
            Err(Fault::Fatal(error)) => return Err(error),
            Err(Fault::Changed) => return Ok(Some(End::Changed)),
            // One of several: the others go on, and it is not replaced.
            Err(Fault::NoRanges) if !live.running.is_empty() => {
                live.tuner.give_up();
                return Ok(None);
            }
            Err(Fault::NoRanges) => return Ok(Some(End::NoRanges)),
            Err(Fault::Transient(error, asked)) => (error, asked),
        };
        if !live.running.is_empty() {
            // A server that turns some away has no room for several.
            live.tuner.give_up();
        }
        match self.backoff.failed(asked) {
            Some(pause) => {
                live.not_before = live.not_before.max(Instant::now() + pause);
                Ok(None)
            }
            None => Err(error),
        }
    }

    fn report(&mut self, live: &mut Live<'a>) {
        live.unreported = 0;
        (self.progress)(Progress::Bytes {
            done: self.plan.done(),
            total: Some(self.plan.size()),
        });
    }
}
