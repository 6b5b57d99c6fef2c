//! Time as a dependency: the system's, or one that a test moves by hand.

use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A monotonic clock.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Time since the clock began; never goes back.
    fn now(&self) -> Duration;

    /// Waits so long, counted from this call. Zero is ready at once. Dropping the
    /// future takes the timer back.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The system's monotonic clock. It begins when the process first asks it.
///
/// Every value is the same clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let timer = async_io::Timer::after(duration);
        Box::pin(async move {
            timer.await;
        })
    }
}

/// A clock that stands still until [`VirtualClock::advance`] moves it: for tests and
/// simulation.
///
/// Clones are the same clock. Begins at zero.
#[derive(Clone, Default)]
pub struct VirtualClock {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    now: Duration,
    next_id: u64,
    /// By deadline, then by age. No waker until the sleeper was polled.
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
}

impl VirtualClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock and wakes the sleepers that are due: by deadline, and those of
    /// one deadline in the order they lay down.
    ///
    /// All of them see the time after the move; to see every deadline in between, go
    /// through [`VirtualClock::advance_to_next`].
    pub fn advance(&self, by: Duration) {
        let due = {
            let mut shared = self.lock();
            shared.now = shared.now.saturating_add(by);
            let last = (shared.now, u64::MAX);
            let later = shared.sleepers.split_off(&last);
            std::mem::replace(&mut shared.sleepers, later)
        };
        // Outside the lock: a waker may run anything, this clock included.
        for waker in due.into_values().flatten() {
            waker.wake();
        }
    }

    /// Moves the clock to the next deadline, if anybody sleeps; says whether it did.
    pub fn advance_to_next(&self) -> bool {
        let Some(deadline) = self.next_deadline() else {
            return false;
        };
        self.advance(deadline.saturating_sub(self.now()));
        true
    }

    /// When the next sleeper is due, if anybody sleeps.
    pub fn next_deadline(&self) -> Option<Duration> {
        let shared = self.lock();
        shared
            .sleepers
            .first_key_value()
            .map(|((deadline, _), _)| *deadline)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Nothing panics while the state is half changed.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.lock();
        f.debug_struct("VirtualClock")
            .field("now", &shared.now)
            .field("sleepers", &shared.sleepers.len())
            .finish()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.lock().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let mut shared = self.lock();
        let key = (shared.now.saturating_add(duration), shared.next_id);
        shared.next_id += 1;
        shared.sleepers.insert(key, None);
        Box::pin(Sleep {
            shared: self.shared.clone(),
            key,
        })
    }
}

struct Sleep {
    shared: Arc<Mutex<Shared>>,
    key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match lock(&self.shared).sleepers.get_mut(&self.key) {
            // `advance` took it out: it is due.
            None => Poll::Ready(()),
            Some(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        lock(&self.shared).sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::future::FutureExt;
    use futures::task::{ArcWake, waker};

    #[derive(Default)]
    struct Log {
        name: u32,
        woken: Arc<Mutex<Vec<u32>>>,
    }

    impl ArcWake for Log {
        fn wake_by_ref(this: &Arc<Self>) {
            this.woken.lock().unwrap().push(this.name);
        }
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_system_clock_goes_forward_and_does_not_wait_for_nothing() {
        let before = SystemClock.now();
        block_on(SystemClock.sleep(Duration::ZERO));
        block_on(SystemClock.sleep(Duration::from_micros(50)));
        assert!(SystemClock.now() >= before + Duration::from_micros(50));
        // As far away as can be: no overflow.
        assert!(SystemClock.sleep(Duration::MAX).now_or_never().is_none());
    }

    #[test]
    fn a_virtual_sleeper_is_due_when_its_time_has_come_and_not_before() {
        let clock = VirtualClock::new();
        let mut sleep = clock.sleep(secs(2));
        assert_eq!(clock.next_deadline(), Some(secs(2)));
        clock.advance(secs(1));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(secs(1));
        assert!(sleep.now_or_never().is_some());
        assert_eq!((clock.now(), clock.next_deadline()), (secs(2), None));
    }

    #[test]
    fn sleepers_wake_by_deadline_then_by_age() {
        let clock = VirtualClock::new();
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut sleepers: Vec<_> = [(0, 3), (1, 1), (2, 1), (3, 2), (4, 9)]
            .map(|(name, s)| {
                let waker = waker(Arc::new(Log {
                    name,
                    woken: woken.clone(),
                }));
                (clock.sleep(secs(s)), waker)
            })
            .into();
        for (sleep, waker) in &mut sleepers {
            assert!(
                sleep
                    .as_mut()
                    .poll(&mut Context::from_waker(waker))
                    .is_pending()
            );
        }
        clock.advance(secs(5));
        assert_eq!(*woken.lock().unwrap(), [1, 2, 3, 0]);
        assert_eq!(clock.next_deadline(), Some(secs(9)));
    }

    #[test]
    fn a_dropped_sleeper_is_forgotten() {
        let clock = VirtualClock::new();
        drop(clock.sleep(secs(1)));
        assert_eq!(clock.next_deadline(), None);
    }

    #[test]
    fn going_from_deadline_to_deadline_ends_when_nobody_sleeps() {
        let clock = VirtualClock::new();
        let sleepers = [clock.sleep(secs(4)), clock.sleep(secs(7))];
        assert!(clock.advance_to_next());
        assert_eq!(clock.now(), secs(4));
        assert!(clock.advance_to_next());
        assert_eq!(clock.now(), secs(7));
        assert!(!clock.advance_to_next());
        drop(sleepers);
    }

    #[test]
    fn the_end_of_time_wakes_everybody() {
        let clock = VirtualClock::new();
        clock.advance(secs(1));
        let sleep = clock.sleep(Duration::MAX);
        clock.advance(Duration::MAX);
        assert!(sleep.now_or_never().is_some());
        assert!(clock.sleep(Duration::ZERO).now_or_never().is_some());
    }
}
