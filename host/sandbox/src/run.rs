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
    BudgetResource, Fragment, GeniusError, ModelSource, ModelSpec, Note, Observation, SandboxError,
    Terms, TestCase, Usage,
};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{ComponentNamedList, ComponentType, Instance, Lift, Lower};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

/// Most bytes of a workflow's arguments together: 1 MiB.
const ARGS_LIMIT: usize = 1 << 20;
/// Most bytes kept of what a guest says when it gives up: 16 KiB.
const WORDS_LIMIT: usize = 16 << 10;

/// What a run may use.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The one model it may open; the empty name means this one too.
    pub model: ModelSpec,
    /// The name a manifest gives the model, which the guest may use as well.
    pub model_name: Option<String>,
    /// Priority and deadline of its requests, and what happens to the model afterwards.
    pub terms: Terms,
}

impl Grant {
    /// What a guest calls the model: never a path or a URL. The empty name stands for
    /// one that has no other.
    pub(crate) fn guest_name(&self) -> String {
        let id = self.model.id();
        match (&self.model.source, &self.model_name) {
            (ModelSource::Hub { .. }, _) => id,
            (_, Some(name)) if *name != id => name.clone(),
            _ => String::new(),
        }
    }
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
                terms: Terms::default(),
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
    /// Errors: [`SandboxError::MissingExport`], [`SandboxError::GuestUsage`] for more than
    /// 1 MiB of arguments, [`SandboxError::Host`] where the run could not begin. How it
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
    ) -> Result<impl Future<Output = Report<()>> + Send + 'static, SandboxError> {
        if args.iter().map(String::len).sum::<usize>() > ARGS_LIMIT {
            return Err(SandboxError::GuestUsage {
                component: guest.name().to_owned(),
                message: "the arguments have more than 1 MiB together".to_owned(),
            });
        }
        let prepared = self.prepare(guest, Export::Run, job)?;
        Ok(prepared.call(guest.clone(), (args,)))
    }

    /// Runs one test case through a scenario. As [`Sandbox::run_workflow`].
    pub async fn run_case(
        &self,
        guest: &Guest,
        case: TestCase,
        job: Job,
    ) -> Result<Report<Observation>, SandboxError> {
        let prepared = self.prepare(guest, Export::RunCase, job)?;
        let model = prepared.desk.grant.model.clone();
        let case = convert::case_out(case, prepared.desk.grant.guest_name());
        let report: Report<scenarios::Observation> = prepared.call(guest.clone(), (case,)).await;
        let engine = model.engine.unwrap_or_default();
        Ok(report.map(|seen| convert::observation_in(seen, &engine)))
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
        let desk = self.desk(job.grant, &job.budget, scratch);
        match self.start(guest, &desk, scratch, job.reply).await {
            Ok(_) => Ok(()),
            Err(e) => Err(SandboxError::Host {
                what: format!("instantiating {}", guest.name()),
                reason: chain(&e),
            }),
        }
    }

    fn desk(&self, grant: Grant, budget: &Budget, scratch: &Scratch) -> Desk {
        Desk {
            stem: self.0.stem.clone(),
            grant: Arc::new(grant),
            meter: Meter::new(budget.clone()),
            run: scratch.id().into(),
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
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let instance = guest.pre.instantiate_async(&mut store).await?;
        Ok((store, instance))
    }

    fn prepare(&self, guest: &Guest, export: Export, job: Job) -> Result<Prepared, SandboxError> {
        guest.check_export(export)?;
        let scratch = self.scratch(guest.name())?;
        Ok(Prepared {
            sandbox: self.clone(),
            export,
            desk: self.desk(job.grant, &job.budget, &scratch),
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
    export: Export,
    desk: Desk,
    budget: Budget,
    reply: Option<Sender<Vec<Fragment>>>,
    scratch: Scratch,
}

impl Prepared {
    async fn call<P, R>(mut self, guest: Guest, params: P) -> Report<R>
    where
        P: Params,
        R: Answer,
    {
        let clock = self.desk.stem.clock();
        let began = clock.now();
        let reply = self.reply.take();
        let result = {
            let _running = self.sandbox.0.ticker.running();
            let work = pin!(self.work(&guest, params, reply));
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
        params: P,
        reply: Option<Sender<Vec<Fragment>>>,
    ) -> Result<R, GeniusError>
    where
        P: Params,
        R: Answer,
    {
        let (mut store, instance) = self
            .sandbox
            .start(guest, &self.desk, &self.scratch, reply)
            .await
            .map_err(|e| self.trap(guest, &e))?;
        let export = self.export.name();
        let function = instance
            .get_typed_func::<P, (Result<R, types::Failure>,)>(&mut store, export)
            .map_err(|e| SandboxError::MissingExport {
                component: guest.name().to_owned(),
                export: export.to_owned(),
                reason: format!("it exports one of another type: {}", chain(&e)),
            })?;
        let answer = store
            .run_concurrent(async |accessor| function.call_concurrent(accessor, params).await)
            .await
            .and_then(|answer| answer);
        match answer {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_told_no_path_and_no_url() {
        let name = |source: &str, name: Option<&str>| {
            let grant = Grant {
                model: ModelSpec::new(ModelSource::parse(source).unwrap()),
                model_name: name.map(str::to_owned),
                terms: Terms::default(),
            };
            grant.guest_name()
        };
        let url = format!("https://example.org/x.gguf#sha256={}", "0".repeat(64));
        assert_eq!(name("o/r:Q8_0", Some("small")), "o/r:Q8_0");
        assert_eq!(name("/home/u/x.gguf", Some("small")), "small");
        assert_eq!(name("/home/u/x.gguf", Some("/home/u/x.gguf")), "");
        assert_eq!(name(&url, Some(&url)), "");
        assert_eq!(name(&url, None), "");
    }
}
