//! What time a guest sees: `wasi:clocks/monotonic-clock`, on the clock everything here goes by. Wasmtime's own
//! sleeps on a timer of another runtime, and panics where that one does not run.

use super::{Ctx, Host};
use crate::meter::CallClass;
use rusty_genius_core::Clocks;
use rusty_genius_cortex::Clock;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostWallClock, async_trait};

/// Puts it in the place of Wasmtime's.
pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<_, Host>(linker, |ctx| ctx)
}

/// Whole milliseconds.
fn coarse(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The calendar that a run sees.
pub(super) struct Calendar(pub(super) Clocks);

impl HostWallClock for Calendar {
    fn resolution(&self) -> Duration {
        match self.0 {
            Clocks::Fine => Duration::from_nanos(1),
            Clocks::Coarse => Duration::from_millis(1),
            Clocks::None => Duration::from_secs(1),
        }
    }

    fn now(&self) -> Duration {
        let now = || {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.unwrap_or_default()
        };
        match self.0 {
            Clocks::Fine => now(),
            Clocks::Coarse => coarse(now()),
            Clocks::None => Duration::ZERO,
        }
    }
}

impl monotonic_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.desk.meter.called(CallClass::Clocks);
        let now = self.desk.stem.clock().now();
        let now = match self.desk.grant.clocks {
            Clocks::Fine => now,
            Clocks::Coarse => coarse(now),
            Clocks::None => coarse(now.saturating_sub(self.began)),
        };
        Ok(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(match self.desk.grant.clocks {
            Clocks::Fine => 1,
            Clocks::Coarse | Clocks::None => 1_000_000,
        })
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = Duration::from_nanos(when);
        self.timer(match self.desk.grant.clocks {
            Clocks::None => self.began.saturating_add(when),
            Clocks::Fine | Clocks::Coarse => when,
        })
    }

    fn subscribe_duration(&mut self, after: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.desk.stem.clock().now();
        self.timer(now.saturating_add(Duration::from_nanos(after)))
    }
}

impl Ctx {
    fn timer(&mut self, at: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        self.desk.meter.called(CallClass::Clocks);
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
