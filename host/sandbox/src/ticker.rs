//! The engine's epoch clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use wasmtime::{Engine, EngineWeak};

/// How often a running guest is interrupted to see whether its time is up.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Advances the epoch of an engine while guests run, and sleeps while none does.
pub(crate) struct Ticker(Arc<Shared>);

struct Shared {
    runs: AtomicUsize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            runs: AtomicUsize::new(0),
            state: Mutex::default(),
            wake: Condvar::new(),
        });
        let (engine, inner) = (engine.weak(), shared.clone());
        std::thread::Builder::new()
            .name("genius-epoch".into())
            .spawn(move || tick(&engine, &inner))?;
        Ok(Self(shared))
    }

    /// Keeps the clock going until the guard is dropped.
    pub(crate) fn running(&self) -> Running {
        if self.0.runs.fetch_add(1, Ordering::AcqRel) == 0 {
            // The lock makes sure that the thread either sees the count or the wake-up.
            drop(lock(&self.0));
            self.0.wake.notify_one();
        }
        Running(self.0.clone())
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tick(engine: &EngineWeak, shared: &Shared) {
    let mut state = lock(shared);
    while !state.stopped {
        state = if shared.runs.load(Ordering::Acquire) == 0 {
            shared.wake.wait(state)
        } else {
            let Some(engine) = engine.upgrade() else {
                return;
            };
            engine.increment_epoch();
            shared
                .wake
                .wait_timeout(state, TICK)
                .map(|(s, _)| s)
                .map_err(|e| PoisonError::new(e.into_inner().0))
        }
        .unwrap_or_else(PoisonError::into_inner);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        lock(&self.0).stopped = true;
        self.0.wake.notify_one();
    }
}

/// A guest runs as long as this lives.
pub(crate) struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, Ordering::AcqRel);
    }
}
