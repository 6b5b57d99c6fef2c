//! The engine all guests share.

use crate::bindings;
use crate::cache::{Cache, CodeCache};
use crate::guest::{self, Guest, Role};
use crate::host::{self, Ctx, Host};
use crate::record::Records;
use crate::ticker::Ticker;
use futures::future::{Either, select};
use rusty_genius_core::SandboxError;
use rusty_genius_stem::Stem;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a running guest is interrupted to see whether its time is up.
const TICK: Duration = Duration::from_millis(10);

/// How long anybody waits for a component to be compiled. The largest known, of a Python
/// interpreter, takes some seconds; a function that is made for it takes for ever.
const LOAD_TIME: Duration = Duration::from_secs(120);

/// How the host is set up.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where each run gets its directory. Made if need be.
    pub scratch_root: PathBuf,
    /// Where compiled guests are kept; `None` compiles anew each time.
    pub cache: Option<CodeCache>,
    /// Where runs leave their records; `None` keeps none.
    pub records: Option<Records>,
    /// Most guests alive at once, tools included; 64 by default. One more is refused. Each
    /// costs address space (16 GiB of it), not memory.
    pub max_runs: u32,
}

impl SandboxConfig {
    /// The defaults, with runs under `scratch_root`, no cache and no records.
    pub fn new(scratch_root: impl Into<PathBuf>) -> Self {
        Self {
            scratch_root: scratch_root.into(),
            cache: None,
            records: None,
            max_runs: 64,
        }
    }
}

/// Where guests run. A clone is the same sandbox.
#[derive(Clone)]
pub struct Sandbox(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    linker: Linker<Ctx>,
    cache: Option<Cache>,
    pub(crate) ticker: Ticker,
    pub(crate) stem: Stem,
    pub(crate) scratch_root: PathBuf,
    pub(crate) records: Option<Records>,
}

impl Sandbox {
    /// Sets up the engine. Guests get their inference from `stem`.
    ///
    /// Errors: [`SandboxError::Host`] where Wasmtime cannot run on this machine, or the
    /// cache directory is open to others.
    pub fn new(config: SandboxConfig, stem: Stem) -> Result<Self, SandboxError> {
        let failed = |e: wasmtime::Error| SandboxError::Host {
            what: "setting up the sandbox".into(),
            reason: guest::chain(&e),
        };
        // Where the address space is limited (`ulimit -v`), the pool cannot be reserved;
        // guests then get their memory one by one, more slowly.
        let engine = engine(Some(config.max_runs))
            .or_else(|_| engine(None))
            .map_err(failed)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        host::add_to_linker(&mut linker).map_err(failed)?;
        bindings::Host_::add_to_linker::<_, Host>(&mut linker, |ctx| ctx).map_err(failed)?;
        let cache = match &config.cache {
            Some(cache) => Cache::open(cache, &engine)?,
            None => None,
        };
        let ticker = Ticker::start(&engine, TICK).map_err(|e| failed(e.into()))?;
        Ok(Self(Arc::new(Inner {
            engine,
            linker,
            cache,
            ticker,
            stem,
            scratch_root: config.scratch_root,
            records: config.records,
        })))
    }

    /// Compiles a workflow or a scenario, or takes it from the cache, and checks that it may
    /// run. `name` is its file or built-in name, for messages. The work is done on a thread
    /// of its own; dropping the future abandons it.
    ///
    /// Errors: [`SandboxError::NotAComponent`], also where that takes more than two minutes;
    /// [`SandboxError::UngrantedImport`].
    pub async fn load(
        &self,
        name: impl Into<String>,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Guest, SandboxError> {
        self.load_as(name.into(), bytes, Role::Workflow).await
    }

    /// [`Sandbox::load`], for a tool.
    ///
    /// Errors: [`SandboxError::MissingExport`] besides.
    pub async fn load_tool(
        &self,
        name: impl Into<String>,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Guest, SandboxError> {
        let guest = self.load_as(name.into(), bytes, Role::Tool).await?;
        guest.check_export(guest::Export::Describe)?;
        guest.check_export(guest::Export::Call)?;
        Ok(guest)
    }

    async fn load_as(
        &self,
        name: String,
        bytes: impl AsRef<[u8]> + Send + 'static,
        role: Role,
    ) -> Result<Guest, SandboxError> {
        let (inner, component) = (self.0.clone(), name.clone());
        let load = blocking::unblock(move || inner.load(&name, bytes.as_ref(), role));
        match select(load, self.0.stem.clock().sleep(LOAD_TIME)).await {
            Either::Left((guest, _)) => guest,
            // Its thread goes on to the end, and nobody waits for it.
            Either::Right(((), _)) => Err(SandboxError::NotAComponent {
                component,
                reason: format!("it was not compiled after {} s", LOAD_TIME.as_secs()),
                hint: "build it with smaller functions".to_owned(),
            }),
        }
    }
}

impl Inner {
    fn load(&self, name: &str, bytes: &[u8], role: Role) -> Result<Guest, SandboxError> {
        guest::check_bytes(name, bytes)?;
        let digest = guest::digest(bytes);
        let cached = self.cache.as_ref();
        if let Some(component) = cached.and_then(|c| c.get(&self.engine, digest)) {
            return Guest::link(name, digest, &component, &self.linker, role, true);
        }
        let component =
            Component::from_binary(&self.engine, bytes).map_err(|e| guest::invalid(name, &e))?;
        let guest = Guest::link(name, digest, &component, &self.linker, role, false)?;
        if let Some(cache) = &self.cache {
            // A full disk costs the next run its head start, and nothing else.
            let _ = cache.put(digest, &component);
        }
        Ok(guest)
    }
}

/// An engine with a pool for so many runs, or without a pool.
fn engine(pool: Option<u32>) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        // What a guest's own frames are called is no business of an error message.
        .wasm_backtrace_max_frames(None);
    if let Some(runs) = pool {
        let mut pool = PoolingAllocationConfig::new();
        // A component made by one toolchain run is a few core instances around one
        // memory; linked ones have more.
        pool.total_component_instances(runs)
            .total_core_instances(runs.saturating_mul(8))
            .total_memories(runs.saturating_mul(4))
            .total_tables(runs.saturating_mul(8))
            .total_stacks(runs.saturating_mul(2))
            .max_memories_per_component(16)
            .max_tables_per_component(32)
            .max_core_instances_per_component(64)
            // The run's meter is what limits memory; a slot is as large as wasm32 can be.
            .max_memory_size(4 << 30);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    Engine::new(&config)
}
