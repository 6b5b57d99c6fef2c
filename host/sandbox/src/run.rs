//! One run of one guest.

use crate::bindings::{scenarios, types};
use crate::budget::{Budget, Meter};
use crate::convert;
use crate::guest::{Export, Guest, chain};
use crate::host::{Ctx, Desk};
use crate::sandbox::Sandbox;
use crate::scratch::Scratch;
use async_channel::Sender;
use futures::future::{Either, select};
use rusty_genius_core::{
    BudgetResource, Fragment, GeniusError, ModelSpec, Note, Observation, SandboxError, TestCase,
    Usage,
};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
use wasmtime::{Store, Trap};

/// Most bytes of a workflow's arguments together: 1 MiB.
const ARGS_LIMIT: usize = 1 << 20;

/// What a run may use.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The one model it may open; the empty name means this one too.
    pub model: ModelSpec,
    /// The name a manifest gives the model, which the guest may use as well.
    pub model_name: Option<String>,
}

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
}

impl Job {
    /// A run on this model with the default budget, its reply discarded.
    pub fn new(model: ModelSpec) -> Self {
        Self {
            grant: Grant {
                model,
                model_name: None,
            },
            budget: Budget::default(),
            reply: None,
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
    /// Its journal.
    pub notes: Vec<Note>,
    /// What the host denied it, each with what would allow it; the first 100.
    pub refusals: Vec<String>,
    /// From instantiation to the end.
    pub wall_time: Duration,
    /// Most bytes its memories and tables held at once.
    pub memory_peak: u64,
    /// Its directory, removed when this is dropped.
    pub scratch: Scratch,
}

impl<T> Report<T> {
    fn map<U>(self, answer: impl FnOnce(T) -> U) -> Report<U> {
        Report {
            result: self.result.map(answer),
            usage: self.usage,
            notes: self.notes,
            refusals: self.refusals,
            wall_time: self.wall_time,
            memory_peak: self.memory_peak,
            scratch: self.scratch,
        }
    }
}

impl Sandbox {
    /// Runs a workflow to its end, or to the end of its budget. Dropping the future ends
    /// the run at once.
    ///
    /// Errors: [`SandboxError::Host`] where the run could not begin. How it ended is in
    /// the report.
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
    ) -> Result<impl Future<Output = Report<()>> + Send + 'static, SandboxError> {
        if args.iter().map(String::len).sum::<usize>() > ARGS_LIMIT {
            return Err(SandboxError::GuestUsage {
                component: guest.name().to_owned(),
                message: "the arguments have more than 1 MiB together".to_owned(),
            });
        }
        let prepared = self.prepare(guest, job)?;
        Ok(prepared.call(guest.clone(), Export::Run, (args,)))
    }

    /// Runs one test case through a scenario. As [`Sandbox::run_workflow`].
    pub async fn run_case(
        &self,
        guest: &Guest,
        case: TestCase,
        job: Job,
    ) -> Result<Report<Observation>, SandboxError> {
        let prepared = self.prepare(guest, job)?;
        let model = prepared.desk.grant.model.clone();
        let case = convert::case_out(case, model.id());
        let report: Report<scenarios::Observation> =
            prepared.call(guest.clone(), Export::RunCase, (case,)).await;
        let engine = model.engine.unwrap_or_default();
        Ok(report.map(|seen| convert::observation_in(seen, &engine)))
    }

    fn prepare(&self, guest: &Guest, job: Job) -> Result<Prepared, SandboxError> {
        let scratch = Scratch::create(&self.0.scratch_root, guest.name())?;
        let desk = Desk {
            stem: self.0.stem.clone(),
            grant: Arc::new(job.grant),
            meter: Meter::new(job.budget.clone()),
            run: scratch.id().into(),
        };
        Ok(Prepared {
            sandbox: self.clone(),
            desk,
            budget: job.budget,
            reply: job.reply,
            scratch,
        })
    }
}

/// Parameters of an export.
trait Params: ComponentNamedList + Lower + Send + Sync + 'static {}
impl<T: ComponentNamedList + Lower + Send + Sync + 'static> Params for T {}

/// What an export answers.
trait Answer: ComponentType + Lift + Send + Sync + 'static {}
impl<T: ComponentType + Lift + Send + Sync + 'static> Answer for T {}

/// A run that has not begun.
struct Prepared {
    sandbox: Sandbox,
    desk: Desk,
    budget: Budget,
    reply: Option<Sender<Vec<Fragment>>>,
    scratch: Scratch,
}

impl Prepared {
    async fn call<P, R>(mut self, guest: Guest, export: Export, params: P) -> Report<R>
    where
        P: Params,
        R: Answer,
    {
        let clock = self.desk.stem.clock();
        let began = clock.now();
        let reply = self.reply.take();
        let result = {
            let _running = self.sandbox.0.ticker.running();
            let work = pin!(self.work(&guest, export, params, reply));
            let deadline = clock.sleep(self.budget.wall_time);
            // The guest gives way every tick, so that the deadline is seen whatever it
            // does; leaving drops the store, and with it all the guest held.
            match select(work, deadline).await {
                Either::Left((result, _)) => result,
                Either::Right(((), _)) => {
                    Err(self.desk.meter.error(BudgetResource::WallTime).into())
                }
            }
        };
        self.finish(result, clock.now().saturating_sub(began))
    }

    async fn work<P, R>(
        &self,
        guest: &Guest,
        export: Export,
        params: P,
        reply: Option<Sender<Vec<Fragment>>>,
    ) -> Result<R, GeniusError>
    where
        P: Params,
        R: Answer,
    {
        guest.check_export(export)?;
        let run = async {
            let ctx = Ctx::new(self.desk.clone(), &self.scratch, reply)?;
            let mut store = Store::new(&self.sandbox.0.engine, ctx);
            store.limiter(|ctx| &mut ctx.memory);
            store.set_epoch_deadline(1);
            store.epoch_deadline_async_yield_and_update(1);
            let instance = guest.pre.instantiate_async(&mut store).await?;
            let function = instance
                .get_typed_func::<P, (Result<R, types::Failure>,)>(&mut store, export.name())?;
            store
                .run_concurrent(async |accessor| function.call_concurrent(accessor, params).await)
                .await?
        };
        match run.await {
            Ok((Ok(answer),)) => Ok(answer),
            Ok((Err(failure),)) => Err(self.failure(guest, failure)),
            Err(error) => Err(self.trap(guest, &error)),
        }
    }

    /// What the guest gave up for.
    fn failure(&self, guest: &Guest, failure: types::Failure) -> GeniusError {
        let component = guest.name().to_owned();
        match failure {
            types::Failure::Usage(message) => {
                SandboxError::GuestUsage { component, message }.into()
            }
            types::Failure::Failed(message) => {
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

    fn finish<R>(self, result: Result<R, GeniusError>, wall_time: Duration) -> Report<R> {
        let meter = &self.desk.meter;
        let record = meter.take_record();
        Report {
            result,
            usage: record.usage,
            notes: record.notes,
            refusals: record.refusals,
            wall_time,
            memory_peak: meter.memory_peak(),
            scratch: self.scratch,
        }
    }
}
