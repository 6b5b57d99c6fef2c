//! The host side of every WIT interface.

mod batches;
mod clock;
mod cortex;
mod cortex_blocking;
mod facecrab;
mod files;
mod generation;
mod journal;
mod network;
mod reply;
mod stdio;
mod tools;

#[expect(unreachable_pub, reason = "the bindings re-export them")]
pub use cortex::{HostInference, HostSession};
pub(crate) use tools::ToolJob;

use crate::dice::Dice;
use crate::grant::Grant;
use crate::meter::{MemoryMeter, Meter};
use crate::sandbox::Sandbox;
use crate::scratch::Scratch;
use crate::tape::Tape;
use async_channel::Sender;
use async_lock::Semaphore;
use clock::Calendar;
use files::Files;
use rusty_genius_core::{BudgetResource, Fragment, GeniusError, Random, SCRATCH};
use rusty_genius_stem::Stem;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Most random bytes of one call.
const RANDOM_LIMIT: u64 = 1 << 20;

/// What a store of one run holds.
pub(crate) struct Ctx {
    wasi: WasiCtx,
    table: ResourceTable,
    files: Files,
    pub(crate) memory: MemoryMeter,
    /// What an async host function takes with it while the guest goes on.
    desk: Desk,
    /// When the run began, on the host's clock.
    began: Duration,
    reply: Option<Sender<Vec<Fragment>>>,
}

/// The run as host functions see it; a clone is the same run.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) sandbox: Sandbox,
    pub(crate) stem: Stem,
    pub(crate) grant: Arc<Grant>,
    pub(crate) meter: Meter,
    pub(crate) run: Arc<str>,
    pub(crate) tape: Option<Tape>,
    /// The tools that may run at once.
    pub(crate) turns: Arc<Semaphore>,
}

impl Desk {
    pub(crate) fn new(sandbox: &Sandbox, grant: Grant, meter: Meter, run: &str) -> Self {
        Self {
            sandbox: sandbox.clone(),
            stem: sandbox.0.stem.clone(),
            grant: Arc::new(grant),
            meter,
            run: run.into(),
            tape: None,
            turns: Arc::new(Semaphore::new(tools::AT_ONCE)),
        }
    }
}

impl Ctx {
    pub(crate) fn new(
        desk: Desk,
        scratch: &Scratch,
        reply: Option<Sender<Vec<Fragment>>>,
    ) -> wasmtime::Result<Self> {
        let mut table = ResourceTable::new();
        let handles = desk.meter.limit(BudgetResource::Handles);
        table.set_max_capacity(usize::try_from(handles).unwrap_or(usize::MAX));
        Ok(Self {
            wasi: wasi(&desk.grant, scratch)?,
            table,
            files: Files::new(&desk.grant.files),
            memory: MemoryMeter::new(desk.meter.clone()),
            began: desk.stem.clock().now(),
            desk,
            reply,
        })
    }
}

/// WASI with what is granted and nothing inherited: no arguments, no network; stdout and
/// stderr are in `stdio`.
fn wasi(grant: &Grant, scratch: &Scratch) -> wasmtime::Result<WasiCtx> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_LIMIT)
        .wall_clock(Calendar(grant.clocks))
        .preopened_dir(scratch.open_path(), SCRATCH, FsPerms::ReadWrite)?;
    for mount in &grant.files {
        let perms = match mount.writable {
            true => FsPerms::ReadWrite,
            false => FsPerms::ReadOnly,
        };
        builder.preopened_dir(&mount.host, &mount.guest, perms)?;
    }
    for (name, value) in &grant.env {
        builder.env(name, value);
    }
    if !grant.stdin.is_empty() {
        builder.stdin(MemoryInputPipe::new(grant.stdin.to_vec()));
    }
    if let Random::Seed(seed) = grant.random {
        builder
            .secure_random(Dice::new(seed))
            .insecure_random(Dice::new(!seed))
            .insecure_random_seed(seed.into());
    }
    Ok(builder.build())
}

/// Puts this host's own in the place of what Wasmtime does for WASI.
pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    clock::add_to_linker(linker)?;
    files::add_to_linker(linker)?;
    stdio::add_to_linker(linker)?;
    network::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
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
