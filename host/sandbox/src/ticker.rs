//! The engine's epoch clock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LockResult, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wasmtime::{Engine, EngineWeak};

/// How many ticks the clock goes on for after the last guest: one that is called often does
/// not wake the thread each time.
const LINGER: u32 = 20;

/// Advances the epoch of an engine while guests run, and sleeps when none does.
pub(crate) struct Ticker(Arc<Shared>);

struct Shared {
    /// Guests that run, and how often one began.
    runs: AtomicUsize,
    begun: AtomicUsize,
    /// Whether the thread sleeps until somebody wakes it.
    asleep: AtomicBool,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Ticker {
    /// A clock with this tick.
    pub(crate) fn start(engine: &Engine, tick: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            runs: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        });
        let (engine, inner) = (engine.weak(), shared.clone());
        std::thread::Builder::new()
            .name("genius-epoch".into())
            .spawn(move || run(&engine, &inner, tick))?;
        Ok(Self(shared))
    }

    /// Keeps the clock going until the guard is dropped.
    pub(crate) fn running(&self) -> Running {
        self.0.runs.fetch_add(1, Ordering::SeqCst);
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        if self.0.asleep.load(Ordering::SeqCst) {
            // The lock makes sure that the thread either sees the count or the wake-up.
            drop(lock(&self.0));
            self.0.wake.notify_one();
        }
        Running(self.0.clone())
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, bool> {
    unpoisoned(shared.stopped.lock())
}

fn run(engine: &EngineWeak, shared: &Shared, tick: Duration) {
    let mut stopped = lock(shared);
    let (mut idle, mut begun) = (0, 0);
    while !*stopped {
        let seen = shared.begun.load(Ordering::SeqCst);
        let busy = seen != begun || shared.runs.load(Ordering::SeqCst) > 0;
        begun = seen;
        idle = if busy { 0 } else { idle + 1 };
        if idle > LINGER {
            shared.asleep.store(true, Ordering::SeqCst);
            // Whoever began before that was seen does not wake anybody.
            if shared.begun.load(Ordering::SeqCst) == begun {
                stopped = unpoisoned(shared.wake.wait(stopped));
            }
            shared.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        } else {
            stopped = unpoisoned(shared.wake.wait_timeout(stopped, tick)).0;
            let Some(engine) = engine.upgrade() else {
                return;
            };
            engine.increment_epoch();
        }
    }
}

fn unpoisoned<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *lock(&self.0) = true;
        self.0.wake.notify_one();
    }
}

/// A guest runs as long as this lives.
pub(crate) struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Ordering::SeqCst);
    }
}
