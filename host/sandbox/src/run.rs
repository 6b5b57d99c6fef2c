//! One run of one guest.

use crate::bindings::{scenarios, types};
use crate::convert;
use crate::cpu::Worked;
use crate::grant::{Grant, Mount};
use crate::guest::{Export, Guest, chain};
use crate::host::{Ctx, Desk, ToolJob};
use crate::meter::{Consumption, Meter};
use crate::record::{End, Recording, outcome};
use crate::sandbox::Sandbox;
use crate::scratch::Scratch;
use crate::tape::Tape;
use async_channel::Sender;
use futures::channel::oneshot;
use futures::future::{AbortHandle, BoxFuture, Either, FutureExt, abortable, select};
use rusty_genius_core::{
    Budget, BudgetResource, Denial, Fragment, GeniusError, ModelSpec, Note, Observation,
    SandboxError, TestCase, ToolDescription, Usage,
};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use wasmtime::component::{
    ComponentNamedList, ComponentType, Instance, Lift, Lower, ResourceTableError,
};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

/// Most bytes of a workflow's arguments together: 1 MiB.
const ARGS_LIMIT: usize = 1 << 20;
/// Most bytes kept of what a guest says when it gives up: 16 KiB.
const WORDS_LIMIT: usize = 16 << 10;
/// Most bytes that one call of the host may bring from a guest: 16 MiB, and what the budget
/// allows in one request.
const CALL_LIMIT: u64 = 16 << 20;
/// What Wasmtime says of a guest with more handles than it may have.
const HANDLES_EXCEEDED: &str = "store handle limit exceeded";

/// How to run a guest.
#[derive(Debug, Clone)]
pub struct Job {
    /// What it may use.
    pub grant: Grant,
    /// What it may consume.
    pub budget: Budget,
    /// Where its reply goes, in order; `None` discards it. A bounded channel holds the
    /// guest back while the reader is behind.
    pub reply: Option<Sender<Vec<Fragment>>>,
    /// What keeps its requests to models and their answers, or answers in their place.
    /// Default none.
    pub tape: Option<Tape>,
}

impl Job {
    /// A run on this model with the default budget, its reply discarded.
    pub fn new(model: ModelSpec) -> Self {
        Self {
            grant: Grant::new(model),
            budget: Budget::default(),
            reply: None,
            tape: None,
        }
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Report<T> {
    /// The guest's answer, or why there is none.
    pub result: Result<T, GeniusError>,
    /// What its generations consumed together, counted by the host.
    pub usage: Usage,
    /// All it consumed, with its limits and its calls of the host.
    pub consumption: Consumption,
    /// Its journal.
    pub notes: Vec<Note>,
    /// What the host denied it, each with what would allow it; the first 100 different ones.
    pub denials: Vec<Denial>,
    /// From instantiation to the end.
    pub wall_time: Duration,
    /// Its directory, removed when this is dropped. Its id is the run's, and its record's.
    pub scratch: Scratch,
    /// Whether all of it is in the record; `None` where none is kept.
    pub recorded: Option<bool>,
}

impl<T> Report<T> {
    /// Most bytes its memories and tables held at once.
    pub fn memory_peak(&self) -> u64 {
        self.consumption.peak(BudgetResource::Memory)
    }

    fn map<U>(self, answer: impl FnOnce(T) -> U) -> Report<U> {
        Report {
            result: self.result.map(answer),
            usage: self.usage,
            consumption: self.consumption,
            notes: self.notes,
            denials: self.denials,
            wall_time: self.wall_time,
            scratch: self.scratch,
            recorded: self.recorded,
        }
    }
}

/// Reads a run's meter while it goes on, and after. A clone reads the same.
#[derive(Clone)]
pub struct Gauge(Meter);

impl Gauge {
    /// The figures of this moment. Times are as of the last moment the guest gave way.
    pub fn read(&self) -> Consumption {
        self.0.read()
    }
}

/// A run: a future of its report. Dropping it ends the run at once.
pub struct Running<T> {
    gauge: Gauge,
    report: BoxFuture<'static, Report<T>>,
}

impl<T: Send + 'static> Running<T> {
    /// The run on a task of its own: one guest cannot be polled within another's event loop.
    /// Dropping the future ends the run at its next step. `None` if the task is gone.
    pub(crate) async fn apart(self) -> Option<Report<T>> {
        let (report, ended) = oneshot::channel();
        let (work, stop) = abortable(async move {
            // Nobody waits for it any more: then it is stopped already.
            let _ = report.send(self.report.await);
        });
        let _stop = StopOnDrop(stop);
        async_std::task::spawn(work);
        ended.await.ok()
    }
}

struct StopOnDrop(AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Running<T> {
    /// What reads its meter.
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }
}

impl<T> Future for Running<T> {
    type Output = Report<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report<T>> {
        self.report.poll_unpin(cx)
    }
}

impl Sandbox {
    /// Runs a workflow to its end, or to the end of its budget. Dropping the future ends
    /// the run at once.
    ///
    /// Errors: [`SandboxError::MissingExport`], [`SandboxError::GuestUsage`] for more than
    /// 1 MiB of arguments, [`SandboxError::BadGrant`], [`SandboxError::Unrecorded`],
    /// [`SandboxError::Host`] where the run could not begin. How it
    /// ended is in the report.
    pub async fn run_workflow(
        &self,
        guest: &Guest,
        args: Vec<String>,
        job: Job,
    ) -> Result<Report<()>, SandboxError> {
        Ok(self.begin_workflow(guest, args, job)?.await)
    }

    /// [`Sandbox::run_workflow`] in two steps: what can fail before the guest runs is
    /// done here, and the future is the run itself.
    pub fn begin_workflow(
        &self,
        guest: &Guest,
        args: Vec<String>,
        job: Job,
    ) -> Result<Running<()>, SandboxError> {
        if args.iter().map(String::len).sum::<usize>() > ARGS_LIMIT {
            return Err(SandboxError::GuestUsage {
                component: guest.name().to_owned(),
                message: "the arguments have more than 1 MiB together".to_owned(),
            });
        }
        let prepared = self.prepare(guest, Export::Run, job)?;
        Ok(prepared.run(guest, (args,), own_result))
    }

    /// Runs one test case through a scenario. As [`Sandbox::run_workflow`].
    pub async fn run_case(
        &self,
        guest: &Guest,
        case: TestCase,
        job: Job,
    ) -> Result<Report<Observation>, SandboxError> {
        let prepared = self.prepare(guest, Export::RunCase, job)?;
        let grant = &prepared.desk.grant;
        let engine = grant.model.engine.clone().unwrap_or_default();
        let case = convert::case_out(case, grant.guest_name());
        let report: Report<scenarios::Observation> = prepared.run(guest, (case,), own_result).await;
        Ok(report.map(|seen| convert::observation_in(seen, &engine)))
    }

    /// Asks a tool what it is, without a workflow that it serves. As
    /// [`Sandbox::run_workflow`].
    pub async fn tool_description(
        &self,
        guest: &Guest,
        job: Job,
    ) -> Result<Report<ToolDescription>, SandboxError> {
        let report = self.describe_tool(guest, alone(job))?.await;
        Ok(report.map(|told| ToolDescription {
            name: told.name,
            description: told.description,
            parameters: told.parameters,
        }))
    }

    /// Calls a tool, without a workflow that it serves; `arguments` is one JSON object. As
    /// [`Sandbox::run_workflow`].
    pub async fn run_tool(
        &self,
        guest: &Guest,
        arguments: String,
        job: Job,
    ) -> Result<Report<String>, SandboxError> {
        Ok(self.call_tool(guest, arguments, alone(job))?.await)
    }

    /// Asks a tool what it is.
    pub(crate) fn describe_tool(
        &self,
        guest: &Guest,
        job: ToolJob,
    ) -> Result<Running<types::ToolDescription>, SandboxError> {
        let prepared = self.prepare_tool(guest, Export::Describe, job)?;
        Ok(prepared.run(guest, (), |(described,)| Ok(described)))
    }

    /// Calls a tool.
    pub(crate) fn call_tool(
        &self,
        guest: &Guest,
        arguments: String,
        job: ToolJob,
    ) -> Result<Running<String>, SandboxError> {
        let prepared = self.prepare_tool(guest, Export::Call, job)?;
        Ok(prepared.run(guest, (arguments,), own_result))
    }

    /// Makes a directory as each run gets one: for start-up checks and benchmarks.
    pub fn scratch(&self, name: &str) -> Result<Scratch, SandboxError> {
        Scratch::create(&self.0.scratch_root, name)
    }

    /// Instantiates the guest as a run does, and drops it uncalled: for start-up checks
    /// and benchmarks. Without a limit of time; a guest's start functions do run.
    ///
    /// Errors: [`SandboxError::Host`], also where it traps.
    pub async fn instantiate(
        &self,
        guest: &Guest,
        job: Job,
        scratch: &Scratch,
    ) -> Result<(), SandboxError> {
        let _running = self.0.ticker.running();
        let meter = Meter::new(job.budget, None);
        let desk = Desk::new(self, job.grant, meter, scratch.id());
        match self.start(guest, &desk, scratch, job.reply).await {
            Ok(_) => Ok(()),
            Err(e) => Err(SandboxError::Host {
                what: format!("instantiating {}", guest.name()),
                reason: chain(&e),
            }),
        }
    }

    /// The guest in a store of its own, started but not called.
    async fn start(
        &self,
        guest: &Guest,
        desk: &Desk,
        scratch: &Scratch,
        reply: Option<Sender<Vec<Fragment>>>,
    ) -> wasmtime::Result<(Store<Ctx>, Instance)> {
        let ctx = Ctx::new(desk.clone(), scratch, reply)?;
        let mut store = Store::new(&self.0.engine, ctx);
        store.limiter(|ctx| &mut ctx.memory);
        let request = desk.meter.limit(BudgetResource::Prompt);
        let call = CALL_LIMIT.saturating_add(request.saturating_mul(2));
        store.set_hostcall_fuel(usize::try_from(call).unwrap_or(usize::MAX));
        // Those that the guest has made itself, too: each end of a stream costs the host.
        let handles = desk.meter.limit(BudgetResource::Handles);
        store.set_max_component_handles(usize::try_from(handles).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let instance = guest.pre.instantiate_async(&mut store).await?;
        Ok((store, instance))
    }

    fn prepare(&self, guest: &Guest, export: Export, job: Job) -> Result<Prepared, SandboxError> {
        guest.check_export(export)?;
        check_mounts("grants.files", &job.grant.files)?;
        for (name, tool) in &job.grant.tools {
            check_mounts(&format!("grants.tools.{name}.files"), &tool.files)?;
        }
        let scratch = self.scratch(guest.name())?;
        let record = match &self.0.records {
            Some(records) => Some(Recording::begin(
                records,
                guest,
                export,
                &job,
                scratch.id(),
            )?),
            None => None,
        };
        let log = record.as_ref().map(Recording::log);
        let meter = Meter::new(job.budget, log);
        let mut desk = Desk::new(self, job.grant, meter, scratch.id());
        desk.tape = job.tape;
        Ok(Prepared {
            sandbox: self.clone(),
            export,
            desk,
            reply: job.reply,
            scratch,
            record,
        })
    }

    fn prepare_tool(
        &self,
        guest: &Guest,
        export: Export,
        job: ToolJob,
    ) -> Result<Prepared, SandboxError> {
        guest.check_export(export)?;
        check_mounts("grants.files", &job.grant.files)?;
        let scratch = self.scratch(guest.name())?;
        Ok(Prepared {
            sandbox: self.clone(),
            export,
            desk: Desk::new(self, job.grant, job.meter, scratch.id()),
            reply: None,
            scratch,
            record: None,
        })
    }
}

/// A call that nobody else pays for.
fn alone(job: Job) -> ToolJob {
    ToolJob {
        meter: Meter::new(job.budget, None),
        grant: job.grant,
    }
}

/// Refuses what is no directory, before anything runs.
fn check_mounts(key: &str, mounts: &[Mount]) -> Result<(), SandboxError> {
    for mount in mounts {
        let wrong = |reason: String| SandboxError::BadGrant {
            key: format!("{key}.\"{}\"", mount.guest),
            reason: format!("{}: {reason}", mount.host.display()),
        };
        rusty_genius_core::check_guest_path(&mount.guest).map_err(wrong)?;
        let found = std::fs::metadata(&mount.host).map_err(|e| wrong(e.to_string()))?;
        if !found.is_dir() {
            return Err(wrong("it is no directory".into()));
        }
    }
    Ok(())
}

/// Parameters of an export.
trait Params: ComponentNamedList + Lower + Send + Sync + 'static {}
impl<T: ComponentNamedList + Lower + Send + Sync + 'static> Params for T {}

/// What an export answers.
trait Answer: ComponentType + Lift + Send + Sync + 'static {}
impl<T: ComponentType + Lift + Send + Sync + 'static> Answer for T {}

/// What most exports answer.
fn own_result<R>((result,): (Result<R, types::Failure>,)) -> Result<R, types::Failure> {
    result
}

/// A run that has not begun.
struct Prepared {
    sandbox: Sandbox,
    export: Export,
    desk: Desk,
    reply: Option<Sender<Vec<Fragment>>>,
    scratch: Scratch,
    record: Option<Recording>,
}

impl Prepared {
    /// The run itself; `read` finds the answer in what the export gives.
    fn run<P, O, R>(
        self,
        guest: &Guest,
        params: P,
        read: fn(O) -> Result<R, types::Failure>,
    ) -> Running<R>
    where
        P: Params,
        O: ComponentNamedList + Answer,
        R: Send + 'static,
    {
        Running {
            gauge: Gauge(self.desk.meter.clone()),
            report: self.call(guest.clone(), params, read).boxed(),
        }
    }

    async fn call<P, O, R>(
        mut self,
        guest: Guest,
        params: P,
        read: fn(O) -> Result<R, types::Failure>,
    ) -> Report<R>
    where
        P: Params,
        O: ComponentNamedList + Answer,
    {
        let clock = self.desk.stem.clock();
        let began = clock.now();
        let reply = self.reply.take();
        let result = {
            let _running = self.sandbox.0.ticker.running();
            let meter = self.desk.meter.clone();
            let work = pin!(Worked::new(
                self.work(&guest, params, read, reply),
                meter.clone(),
                clock.clone(),
            ));
            let deadline =
                clock.sleep(Duration::from_millis(meter.limit(BudgetResource::WallTime)));
            // The guest gives way every tick, so that the deadline is seen whatever it
            // does; leaving drops the store, and with it all the guest held.
            match select(work, deadline).await {
                Either::Left((result, _)) => result,
                Either::Right(((), _)) => Err(meter.error(BudgetResource::WallTime).into()),
            }
        };
        self.finish(result, clock.now().saturating_sub(began))
    }

    async fn work<P, O, R>(
        &self,
        guest: &Guest,
        params: P,
        read: fn(O) -> Result<R, types::Failure>,
        reply: Option<Sender<Vec<Fragment>>>,
    ) -> Result<R, GeniusError>
    where
        P: Params,
        O: ComponentNamedList + Answer,
    {
        let (mut store, instance) = self
            .sandbox
            .start(guest, &self.desk, &self.scratch, reply)
            .await
            .map_err(|e| self.trap(guest, &e))?;
        let export = self.export.name();
        let function = instance
            .get_typed_func::<P, O>(&mut store, export)
            .map_err(|e| SandboxError::MissingExport {
                component: guest.name().to_owned(),
                export: export.to_owned(),
                reason: format!("it exports one of another type: {}", chain(&e)),
            })?;
        let answer = store
            .run_concurrent(async |accessor| function.call_concurrent(accessor, params).await)
            .await
            .and_then(|answer| answer);
        match answer.map(read) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(self.failure(guest, failure)),
            Err(error) => Err(self.trap(guest, &error)),
        }
    }

    /// What the guest gave up for.
    fn failure(&self, guest: &Guest, failure: types::Failure) -> GeniusError {
        let component = guest.name().to_owned();
        match failure {
            types::Failure::Usage(message) => {
                let message = cut(message);
                SandboxError::GuestUsage { component, message }.into()
            }
            types::Failure::Failed(message) => {
                let message = cut(message);
                SandboxError::GuestFailed { component, message }.into()
            }
            types::Failure::Host(error) => {
                // The host knows more of its own error than the guest was told.
                let told = format!("{error:?}");
                let trouble = self.desk.meter.trouble_taken();
                trouble
                    .filter(|e| format!("{:?}", convert::error_out(e)) == told)
                    .unwrap_or_else(|| {
                        let message = convert::describe(&error);
                        SandboxError::GuestFailed { component, message }.into()
                    })
            }
        }
    }

    /// What stopped the guest.
    fn trap(&self, guest: &Guest, error: &wasmtime::Error) -> GeniusError {
        let component = guest.name().to_owned();
        if self.desk.meter.starved() {
            return self.desk.meter.error(BudgetResource::Memory).into();
        }
        let full = matches!(
            error.downcast_ref::<ResourceTableError>(),
            Some(ResourceTableError::Full)
        );
        // Wasmtime has no type for this one.
        if full || error.root_cause().to_string().ends_with(HANDLES_EXCEEDED) {
            return self.desk.meter.error(BudgetResource::Handles).into();
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return SandboxError::Host {
                what: format!("finding room for {component}"),
                reason: format!("too many guests run at once: {}", chain(error)),
            }
            .into();
        }
        if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            let message = format!("it exited with code {}", exit.0);
            return SandboxError::GuestFailed { component, message }.into();
        }
        let reason = match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => chain(error),
        };
        SandboxError::GuestTrapped { component, reason }.into()
    }

    fn finish<R>(mut self, result: Result<R, GeniusError>, wall_time: Duration) -> Report<R> {
        let meter = &self.desk.meter;
        meter.passed(wall_time);
        let (kept, consumption) = (meter.take_record(), meter.read());
        let error = result.as_ref().err();
        let recorded = self.record.take().map(|record| {
            record.end(&End {
                outcome: outcome(error),
                error: error.map(ToString::to_string),
                usage: &kept.usage,
                consumption: &consumption,
                files: &self.scratch.files().unwrap_or_default(),
            })
        });
        Report {
            result,
            usage: kept.usage,
            consumption,
            notes: kept.notes,
            denials: kept.denials,
            wall_time,
            scratch: self.scratch,
            recorded,
        }
    }
}

/// A guest's last words, as many as a person may want to read.
fn cut(mut words: String) -> String {
    if words.len() > WORDS_LIMIT {
        let bytes = words.len();
        words.truncate(words.floor_char_boundary(WORDS_LIMIT));
        words.shrink_to_fit();
        words += &format!("… ({bytes} bytes in all)");
    }
    words
}
