//! Processor time.

use crate::meter::Meter;
use rusty_genius_core::BudgetError;
use rusty_genius_cortex::Clock;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Time that this thread used of a processor.
#[cfg(unix)]
pub(crate) fn thread_time() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(secs, nanos)
}

/// Time that went by, where threads have no clock of their own.
#[cfg(not(unix))]
pub(crate) fn thread_time() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed()
}

/// Work whose processor time is counted: what the thread spends while it is polled. Whatever
/// waits elsewhere, an engine or a timer, is not in it.
///
/// It ends with an error at the first poll after which its time is spent. A guest that
/// computes gives way every tick, so that is soon; one that is done by then is done.
pub(crate) struct Worked<F> {
    work: Pin<Box<F>>,
    meter: Meter,
    clock: Arc<dyn Clock>,
    began: Duration,
}

impl<F> Worked<F> {
    pub(crate) fn new(work: F, meter: Meter, clock: Arc<dyn Clock>) -> Self {
        let began = clock.now();
        Self {
            work: Box::pin(work),
            meter,
            clock,
            began,
        }
    }
}

impl<T, E: From<BudgetError>, F: Future<Output = Result<T, E>>> Future for Worked<F> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = thread_time();
        let polled = self.work.as_mut().poll(cx);
        let spent = thread_time().saturating_sub(before);
        self.meter
            .passed(self.clock.now().saturating_sub(self.began));
        match (polled, self.meter.worked(spent)) {
            (Poll::Pending, Err(spent)) => Poll::Ready(Err(spent.into())),
            (polled, _) => polled,
        }
    }
}
