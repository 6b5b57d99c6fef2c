//! `wasi:clocks/monotonic-clock`, on the clock everything here goes by. Wasmtime's own
//! sleeps on a timer of another runtime, and panics where that one does not run.

use super::{Ctx, Host};
use rusty_genius_cortex::Clock;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

/// Puts it in the place of Wasmtime's.
pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let added = monotonic_clock::add_to_linker::<_, Host>(linker, |ctx| ctx);
    linker.allow_shadowing(false);
    added
}

impl monotonic_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let now = self.desk.stem.clock().now();
        Ok(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.timer(Duration::from_nanos(when))
    }

    fn subscribe_duration(&mut self, after: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.desk.stem.clock().now();
        self.timer(now.saturating_add(Duration::from_nanos(after)))
    }
}

impl Ctx {
    fn timer(&mut self, at: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let clock = self.desk.stem.clock();
        let timer = self.table.push(Timer { clock, at })?;
        subscribe(&mut self.table, timer)
    }
}

struct Timer {
    clock: Arc<dyn Clock>,
    at: Duration,
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        let left = self.at.saturating_sub(self.clock.now());
        self.clock.sleep(left).await;
    }
}
