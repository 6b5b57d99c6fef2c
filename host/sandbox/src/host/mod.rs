//! The host side of every WIT interface.

mod batches;
mod clock;
mod cortex;
mod cortex_blocking;
mod facecrab;
mod journal;
mod reply;

pub(crate) use clock::add_to_linker as add_clock_to_linker;
#[expect(unreachable_pub, reason = "the bindings re-export them")]
pub use cortex::{HostInference, HostSession};

use crate::budget::{MemoryMeter, Meter};
use crate::run::Grant;
use crate::scratch::Scratch;
use async_channel::Sender;
use rusty_genius_core::{Fragment, GeniusError};
use rusty_genius_stem::Stem;
use std::sync::Arc;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Most handles of every kind a guest may hold: descriptors, pollables, sessions.
const HANDLES_LIMIT: usize = 4096;
/// Most random bytes of one call.
const RANDOM_LIMIT: u64 = 1 << 20;

/// What a store of one run holds.
pub(crate) struct Ctx {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) memory: MemoryMeter,
    /// What an async host function takes with it while the guest goes on.
    desk: Desk,
    reply: Option<Sender<Vec<Fragment>>>,
}

/// The run as host functions see it; a clone is the same run.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) stem: Stem,
    pub(crate) grant: Arc<Grant>,
    pub(crate) meter: Meter,
    pub(crate) run: Arc<str>,
}

impl Ctx {
    pub(crate) fn new(
        desk: Desk,
        scratch: &Scratch,
        reply: Option<Sender<Vec<Fragment>>>,
    ) -> wasmtime::Result<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_LIMIT);
        Ok(Self {
            wasi: wasi(scratch)?,
            table,
            memory: MemoryMeter::new(desk.meter.clone()),
            desk,
            reply,
        })
    }
}

/// WASI with nothing inherited: no arguments, no environment, closed stdin, stdout and
/// stderr that go nowhere, no network, and one directory.
fn wasi(scratch: &Scratch) -> wasmtime::Result<WasiCtx> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_LIMIT)
        .preopened_dir(scratch.open_path(), "/scratch", FsPerms::ReadWrite)?;
    Ok(builder.build())
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// How a linker gets from a store's data to the host's traits.
pub(crate) struct Host;

impl HasData for Host {
    type Data<'a> = &'a mut Ctx;
}

impl crate::bindings::types::Host for Ctx {}
impl crate::bindings::scenarios::Host for Ctx {}

impl Desk {
    /// Keeps an error's details for the person who runs the guest; the guest itself is
    /// told its kind.
    fn report<T>(
        &self,
        result: Result<T, GeniusError>,
    ) -> Result<T, crate::bindings::types::Error> {
        result.map_err(|error| {
            self.meter.trouble(&error);
            crate::convert::error_out(&error)
        })
    }
}
