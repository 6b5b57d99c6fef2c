//! What of WASI a policy gets: as much as a standard library needs to start, to hash and to
//! say why it panics. Time is the loop's, and random numbers are the same each time, so that a
//! step is what its event and state make of it. Nothing can be waited for.

use super::context::Context;
use std::time::Duration;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder};

/// Most random bytes of one call.
const RANDOM_LIMIT: u64 = 1 << 16;

/// How a linker gets from a store's data to the traits below.
struct Own;

impl HasData for Own {
    type Data<'a> = &'a mut Context;
}

pub(super) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<_, Own>(linker, |context| context)?;
    random::add_to_linker::<_, Own>(linker, |context| context)?;
    insecure::add_to_linker::<_, Own>(linker, |context| context)?;
    insecure_seed::add_to_linker::<_, Own>(linker, |context| context)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// No arguments, no environment, no files, no network; what it says on stderr is kept.
pub(super) fn context(stderr: MemoryOutputPipe) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .stderr(stderr)
        .wall_clock(Epoch);
    builder.build()
}

/// A calendar that stands still.
struct Epoch;

impl HostWallClock for Epoch {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl monotonic_clock::Host for Context {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.time().as_nanos()).unwrap_or(u64::MAX))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000_000)
    }

    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        Err(waits())
    }

    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        Err(waits())
    }
}

fn waits() -> wasmtime::Error {
    wasmtime::Error::msg("a policy cannot wait; the command `set-timer` is for that")
}

impl random::Host for Context {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > RANDOM_LIMIT {
            return Err(wasmtime::Error::msg("too many random bytes at once"));
        }
        Ok((0..len).map(|_| self.dice() as u8).collect())
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.dice())
    }
}

impl insecure::Host for Context {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        random::Host::get_random_bytes(self, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.dice())
    }
}

impl insecure_seed::Host for Context {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.dice(), self.dice()))
    }
}
