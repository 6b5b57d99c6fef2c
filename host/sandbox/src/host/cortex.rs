//! `cortex`: sessions and generations.

use super::batches::Batches;
use super::{Ctx, Desk, Host};
use crate::bindings::cortex;
use crate::bindings::types::{Error, InferenceConfig, InferenceEvent, Turn};
use crate::convert;
use crate::meter::{CallClass, Meter, Permit};
use futures::{Stream, StreamExt};
use rusty_genius_core as core;
use rusty_genius_core::{
    AssetError, BudgetResource, Completion, FinishReason, GeniusError, ModelSource, ModelSpec,
    Usage,
};
use rusty_genius_cortex::Canceller;
use rusty_genius_stem::{Demand, Inference, Lease, Session};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::component::{Access, Accessor, Resource, StreamReader};

/// A guest's `session`.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct HostSession {
    session: Session,
    _open: Permit,
}

/// A guest's `inference`. Dropping it cancels the generation.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct HostInference {
    /// Here until `events` takes it.
    generation: Option<Generation>,
    canceller: Canceller,
}

impl Drop for HostInference {
    fn drop(&mut self) {
        self.canceller.cancel();
    }
}

/// A generation with what it owes: its place in the budget, and its usage to the meter.
struct Generation {
    events: Inference,
    meter: Meter,
    /// What of its usage is charged already.
    charged: Usage,
    /// Whether it was stopped because the run's tokens are spent.
    cut: bool,
    _running: Permit,
}

impl Generation {
    /// Charges what was consumed since the last time.
    fn charge(&mut self) {
        let usage = self.events.usage();
        let more = |now: u32, before: u32| u64::from(now.saturating_sub(before));
        let prompt = more(usage.prompt_tokens, self.charged.prompt_tokens);
        let answer = more(usage.completion_tokens, self.charged.completion_tokens);
        self.meter.add(BudgetResource::PromptTokens, prompt);
        self.meter.add(BudgetResource::CompletionTokens, answer);
        self.charged = usage;
    }
}

impl Stream for Generation {
    type Item = InferenceEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<InferenceEvent>> {
        let mut event = std::task::ready!(Pin::new(&mut self.events).poll_next(cx));
        self.charge();
        match &mut event {
            Some(core::InferenceEvent::Complete(Completion { finish, .. })) => {
                if let FinishReason::Failed(error) = finish {
                    self.meter.trouble(&error.clone().into());
                }
                if self.cut && *finish == FinishReason::Cancelled {
                    *finish = FinishReason::Length;
                }
            }
            // Others that run beside it may have spent what it was promised.
            Some(_) if !self.cut && self.meter.left(BudgetResource::CompletionTokens) == 0 => {
                self.cut = true;
                self.events.canceller().cancel();
            }
            _ => {}
        }
        Poll::Ready(event.map(convert::event_out))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.charge();
        self.meter.consumed(&self.events.usage());
    }
}

impl HostInference {
    /// The next event, for the blocking twin.
    pub(super) async fn next(&mut self) -> Option<InferenceEvent> {
        let generation = self.generation.as_mut()?;
        let event = generation.next().await;
        if event.is_none() {
            self.generation = None;
        }
        event
    }

    pub(super) fn cancel(&self) {
        self.canceller.cancel();
    }
}

impl HostSession {
    pub(super) fn handle(&self) -> Session {
        self.session.clone()
    }
}

/// What both twins of the interface do.
impl Desk {
    pub(super) fn open(&self, model: &str) -> Result<HostSession, Error> {
        self.meter.called(CallClass::Cortex);
        self.report(self.try_open(model))
    }

    fn try_open(&self, model: &str) -> Result<HostSession, GeniusError> {
        let spec = self.granted(model)?;
        Ok(HostSession {
            _open: self.meter.permit(BudgetResource::Sessions)?,
            session: self
                .stem
                .session(spec, self.run.clone())
                .on_terms(self.grant.terms)
                .keeping(self.meter.limit(BudgetResource::History)),
        })
    }

    /// The model of this name, if it is granted.
    pub(super) fn granted(&self, model: &str) -> Result<ModelSpec, GeniusError> {
        let grant = &self.grant;
        let default = grant.model.id();
        if model.is_empty() || model == default || grant.model_name.as_deref() == Some(model) {
            return Ok(grant.model.clone());
        }
        if let Some(spec) = grant.models.find(model)? {
            return Ok(spec);
        }
        let spec = ModelSource::parse(model)?.to_string();
        if spec == default {
            return Ok(grant.model.clone());
        }
        let key = format!("grants.models = [\"{spec}\"]");
        self.meter.deny(format!("model {spec}"), Some(key));
        Err(AssetError::NotGranted { spec }.into())
    }

    pub(super) fn fork(&self, session: &HostSession) -> Result<HostSession, Error> {
        self.meter.called(CallClass::Cortex);
        let fork = || {
            Ok(HostSession {
                _open: self.meter.permit(BudgetResource::Sessions)?,
                session: session.session.fork()?,
            })
        };
        self.report(fork())
    }

    pub(super) async fn infer(
        &self,
        session: Session,
        turns: Vec<Turn>,
        config: InferenceConfig,
    ) -> Result<HostInference, Error> {
        self.meter.called(CallClass::Cortex);
        let turns = convert::turns_in(turns);
        self.report(self.try_infer(session, turns, config).await)
    }

    async fn try_infer(
        &self,
        session: Session,
        turns: Vec<core::Turn>,
        config: InferenceConfig,
    ) -> Result<HostInference, GeniusError> {
        let mut config = convert::config_in(config)?;
        self.meter.check_prompt(&turns)?;
        let left = u32::try_from(self.meter.tokens_left()?).unwrap_or(u32::MAX);
        let running = self.meter.permit(BudgetResource::Inferences)?;
        self.meter.take(BudgetResource::Generations, 1)?;
        // It ends where the run's tokens do. Where they are plenty, the model's own limit
        // stands.
        let asked = config.behavior.max_tokens;
        let asked = asked.or(session.model().config.behavior.max_tokens);
        let asked = asked.unwrap_or_else(|| core::Behavior::default().max_tokens);
        // What is out of range is the guest's mistake, and is told so.
        if asked > left && asked <= core::MAX_TOKENS_LIMIT {
            config.behavior.max_tokens = Some(left);
        }
        let events = session.infer(turns, config).await?;
        Ok(HostInference {
            canceller: events.canceller(),
            generation: Some(Generation {
                events,
                meter: self.meter.clone(),
                charged: Usage::default(),
                cut: false,
                _running: running,
            }),
        })
    }

    pub(super) async fn count_tokens(&self, model: &str, text: &str) -> Result<u32, Error> {
        self.meter.called(CallClass::Cortex);
        let count = async {
            let lease = self.lease(model, text).await?;
            let tokens = lease.model().count_tokens(text).await?;
            self.meter.add(BudgetResource::PromptTokens, tokens.into());
            Ok(tokens)
        };
        self.report(count.await)
    }

    pub(super) async fn embed(&self, model: &str, text: &str) -> Result<Vec<f32>, Error> {
        self.meter.called(CallClass::Cortex);
        let embed = async {
            let lease = self.lease(model, text).await?;
            let tokens = lease.model().count_tokens(text).await?;
            self.meter.add(BudgetResource::PromptTokens, tokens.into());
            Ok(lease.model().embed(text).await?)
        };
        self.report(embed.await)
    }

    async fn lease(&self, model: &str, text: &str) -> Result<Lease, GeniusError> {
        self.meter.check_text(text.len())?;
        self.meter.tokens_left()?;
        let spec = self.granted(model)?;
        let demand = Demand {
            guest: self.run.clone(),
            prompt_bytes: text.len() as u64,
            terms: self.grant.terms,
            ..Demand::default()
        };
        self.stem.acquire(&spec, demand).await
    }
}

impl<T: Send + 'static> cortex::HostSessionWithStore<T> for Host {
    async fn open(
        accessor: &Accessor<T, Self>,
        model: String,
    ) -> wasmtime::Result<Result<Resource<HostSession>, Error>> {
        accessor.with(|mut access| access.get().open_session(&model))
    }

    async fn infer(
        accessor: &Accessor<T, Self>,
        session: Resource<HostSession>,
        turns: Vec<Turn>,
        config: InferenceConfig,
    ) -> wasmtime::Result<Result<Resource<HostInference>, Error>> {
        let (desk, session) = accessor.with(|mut access| {
            let ctx = access.get();
            let session = ctx.table.get(&session)?.handle();
            wasmtime::error::Ok((ctx.desk.clone(), session))
        })?;
        let inference = desk.infer(session, turns, config).await;
        accessor.with(|mut access| access.get().push(inference))
    }
}

impl cortex::HostSession for Ctx {
    async fn fork(
        &mut self,
        session: Resource<HostSession>,
    ) -> wasmtime::Result<Result<Resource<HostSession>, Error>> {
        self.fork_session(&session)
    }

    async fn drop(&mut self, session: Resource<HostSession>) -> wasmtime::Result<()> {
        self.table.delete(session)?;
        Ok(())
    }
}

impl<T: 'static> cortex::HostInferenceWithStore<T> for Host {
    fn events(
        mut access: Access<T, Self>,
        inference: Resource<HostInference>,
    ) -> wasmtime::Result<StreamReader<InferenceEvent>> {
        let inference = access.get().table.get_mut(&inference)?;
        let events = Batches::new(inference.generation.take());
        StreamReader::new(&mut access, events)
    }
}

impl cortex::HostInference for Ctx {
    async fn cancel(&mut self, inference: Resource<HostInference>) -> wasmtime::Result<()> {
        self.table.get(&inference)?.cancel();
        Ok(())
    }

    async fn drop(&mut self, inference: Resource<HostInference>) -> wasmtime::Result<()> {
        self.table.delete(inference)?;
        Ok(())
    }
}

impl<T: Send + 'static> cortex::HostWithStore<T> for Host {
    async fn count_tokens(
        accessor: &Accessor<T, Self>,
        model: String,
        text: String,
    ) -> wasmtime::Result<Result<u32, Error>> {
        let desk = accessor.with(|mut access| access.get().desk.clone());
        Ok(desk.count_tokens(&model, &text).await)
    }

    async fn embed(
        accessor: &Accessor<T, Self>,
        model: String,
        text: String,
    ) -> wasmtime::Result<Result<Vec<f32>, Error>> {
        let desk = accessor.with(|mut access| access.get().desk.clone());
        Ok(desk.embed(&model, &text).await)
    }
}

impl cortex::Host for Ctx {}

impl Ctx {
    pub(super) fn open_session(
        &mut self,
        model: &str,
    ) -> wasmtime::Result<Result<Resource<HostSession>, Error>> {
        let session = self.desk.open(model);
        self.push(session)
    }

    pub(super) fn fork_session(
        &mut self,
        session: &Resource<HostSession>,
    ) -> wasmtime::Result<Result<Resource<HostSession>, Error>> {
        let fork = self.desk.fork(self.table.get(session)?);
        self.push(fork)
    }

    /// A handle for the guest, if there is something to hold.
    pub(super) fn push<T: Send + 'static>(
        &mut self,
        made: Result<T, Error>,
    ) -> wasmtime::Result<Result<Resource<T>, Error>> {
        Ok(match made {
            Ok(made) => Ok(self.table.push(made)?),
            Err(error) => Err(error),
        })
    }
}
