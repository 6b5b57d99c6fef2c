//! What a policy's store holds, and the host's side of its interfaces.

use super::{JOURNAL_LIMIT, MEMORY_LIMIT, convert, wasi};
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub use crate::bindings::rusty_genius::genius::types;
use crate::cpu::thread_time;
use crate::dice::Dice;
use crate::meter::{MemoryMeter, Meter};
use bindings::journal;
use rusty_genius_core::brainstem::{ModelId, RequestId, State};
use rusty_genius_core::{Budget, Note};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::ResourceLimiter;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// Bytes kept of what a policy says on stderr, which is why it panicked.
const WORDS_LIMIT: usize = 4 << 10;

/// The contract as Rust types, without anything that waits.
pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "rusty-genius:genius/policy",
        imports: { default: trappable },
        with: {
            "rusty-genius:genius/types": crate::policy::context::types,
            "rusty-genius:genius/brainstem.state": super::Look,
        },
        require_store_data_send: true,
    });

    pub(crate) use rusty_genius::genius::{brainstem, journal};
}

use bindings::brainstem;
pub(super) use bindings::brainstem::Profile;

/// The state as a policy holds it: there is one, and the store has it.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Look;

pub(super) struct Context {
    wasi: WasiCtx,
    table: ResourceTable,
    stderr: MemoryOutputPipe,
    memory: MemoryMeter,
    meter: Meter,
    /// What the policy may look at, during a step.
    state: Option<Arc<State>>,
    dice: Dice,
    /// Whether there are notes that nobody took.
    noted: bool,
    /// Processor time of one call, and of the thread when the call was first seen to run.
    allowed: Duration,
    since: Option<Duration>,
    overran: bool,
}

impl Context {
    pub(super) fn new() -> Self {
        let budget = Budget {
            memory: MEMORY_LIMIT,
            journal: JOURNAL_LIMIT,
            ..Budget::default()
        };
        let meter = Meter::new(budget, None);
        let stderr = MemoryOutputPipe::new(WORDS_LIMIT);
        Self {
            wasi: wasi::context(stderr.clone()),
            table: ResourceTable::new(),
            stderr,
            memory: MemoryMeter::new(meter.clone()),
            meter,
            state: None,
            dice: Dice::new(0),
            noted: false,
            allowed: Duration::ZERO,
            since: None,
            overran: false,
        }
    }

    pub(super) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    pub(super) fn show(&mut self, state: Option<Arc<State>>) {
        self.state = state;
    }

    pub(super) fn time(&self) -> Duration {
        self.state.as_ref().map_or(Duration::ZERO, |s| s.now)
    }

    /// A number nobody could guess, but the same each time.
    pub(super) fn dice(&mut self) -> u64 {
        self.dice.roll()
    }

    pub(super) fn begin(&mut self, allowed: Duration) {
        self.allowed = allowed;
        self.since = None;
        self.overran = false;
    }

    /// Whether a call may go on. Counted from when it is first asked, at the first tick: a
    /// call that is over by then costs no look at the clock.
    pub(super) fn has_time_left(&mut self) -> bool {
        let now = thread_time();
        let since = *self.since.get_or_insert(now);
        self.overran = now.saturating_sub(since) >= self.allowed;
        !self.overran
    }

    /// The time that was too short, if it was.
    pub(super) fn overran(&self) -> Option<Duration> {
        self.overran.then_some(self.allowed)
    }

    /// The last line it said on stderr.
    pub(super) fn last_words(&self) -> String {
        let said = self.stderr.contents();
        let said = String::from_utf8_lossy(&said);
        // A panic is told in two lines, the place first.
        let lines: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
        let line = lines.iter().rfind(|line| !line.starts_with("note:"));
        let plain = |c: &char| !c.is_control() && !rusty_genius_core::text::reorders(*c);
        line.map_or_else(String::new, |line| {
            line.chars().filter(plain).take(200).collect()
        })
    }

    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        match std::mem::take(&mut self.noted) {
            true => self.meter.take_record().notes,
            false => Vec::new(),
        }
    }

    fn state(&self) -> wasmtime::Result<&Arc<State>> {
        let gone = || wasmtime::Error::msg("there is a state only during a step");
        self.state.as_ref().ok_or_else(gone)
    }
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

struct Own;

impl HasData for Own {
    type Data<'a> = &'a mut Context;
}

pub(super) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    bindings::Policy::add_to_linker::<_, Own>(linker, |context| context)
}

impl types::Host for Context {}

impl journal::Host for Context {
    fn append(
        &mut self,
        level: journal::Level,
        text: String,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        let level = match level {
            journal::Level::Debug => rusty_genius_core::Level::Debug,
            journal::Level::Info => rusty_genius_core::Level::Info,
            journal::Level::Warn => rusty_genius_core::Level::Warn,
        };
        let noted = self.meter.note(Note { level, text });
        self.noted |= noted.is_ok();
        Ok(noted.map_err(|e| crate::convert::error_out(&e.into())))
    }
}

impl brainstem::Host for Context {}

impl brainstem::HostState for Context {
    fn now(&mut self, _: Resource<Look>) -> wasmtime::Result<u64> {
        Ok(convert::millis(self.state()?.now))
    }

    fn budgets(&mut self, _: Resource<Look>) -> wasmtime::Result<brainstem::Budgets> {
        let budgets = self.state()?.budgets;
        Ok(brainstem::Budgets {
            memory: budgets.memory,
            queue: budgets.queue,
            generations: budgets.generations,
            models: budgets.models,
            undecided: budgets.undecided,
        })
    }

    fn memory_used(&mut self, _: Resource<Look>) -> wasmtime::Result<u64> {
        Ok(self.state()?.memory_used)
    }

    fn running(&mut self, _: Resource<Look>) -> wasmtime::Result<u32> {
        Ok(self.state()?.running)
    }

    fn waiting_count(&mut self, _: Resource<Look>) -> wasmtime::Result<u32> {
        let count = self.state()?.waiting.len();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn models(&mut self, _: Resource<Look>) -> wasmtime::Result<Vec<brainstem::ModelState>> {
        let models = self.state()?.present.values();
        Ok(models.map(convert::model_out).collect())
    }

    fn model(
        &mut self,
        _: Resource<Look>,
        id: u32,
    ) -> wasmtime::Result<Option<brainstem::ModelState>> {
        let model = self.state()?.model(ModelId(id));
        Ok(model.map(convert::model_out))
    }

    fn model_name(&mut self, _: Resource<Look>, id: u32) -> wasmtime::Result<Option<String>> {
        let model = self.state()?.model(ModelId(id));
        Ok(model.map(|model| model.name.to_string()))
    }

    fn waiting(&mut self, _: Resource<Look>) -> wasmtime::Result<Vec<brainstem::Request>> {
        let requests = self.state()?.waiting.values();
        Ok(requests.map(convert::request_out).collect())
    }

    fn request(
        &mut self,
        _: Resource<Look>,
        id: u64,
    ) -> wasmtime::Result<Option<brainstem::Request>> {
        let request = self.state()?.waiting.get(&RequestId(id));
        Ok(request.map(convert::request_out))
    }

    fn drop(&mut self, _: Resource<Look>) -> wasmtime::Result<()> {
        Ok(())
    }
}
