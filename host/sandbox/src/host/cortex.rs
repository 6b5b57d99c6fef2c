//! `cortex`: sessions and generations.

use super::batches::Batches;
use super::generation::{Generation, Source, Take};
use super::{Ctx, Desk, Host};
use crate::bindings::cortex;
use crate::bindings::types::{Error, InferenceConfig, InferenceEvent, Turn};
use crate::convert;
use crate::meter::{CallClass, Permit};
use crate::tape::{Answer, Reply, Request, Tape, Taped, wrong};
use futures::StreamExt;
use rusty_genius_core as core;
use rusty_genius_core::{AssetError, BudgetResource, GeniusError, ModelSource, ModelSpec};
use rusty_genius_cortex::Canceller;
use rusty_genius_stem::{Demand, Lease, Session};
use wasmtime::component::{Access, Accessor, Resource, StreamReader};

/// A guest's `session`.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct HostSession {
    talk: Talk,
    _open: Permit,
}

/// A conversation, and its number on the run's tape.
#[derive(Clone)]
pub(super) struct Talk {
    session: Session,
    number: u32,
}

/// A guest's `inference`. Dropping it cancels the generation.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct HostInference {
    /// Here until `events` takes it.
    generation: Option<Generation>,
    /// None of what comes from a tape.
    canceller: Option<Canceller>,
}

impl Drop for HostInference {
    fn drop(&mut self) {
        self.cancel();
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
        if let Some(canceller) = &self.canceller {
            canceller.cancel();
        }
    }
}

impl HostSession {
    pub(super) fn handle(&self) -> Talk {
        self.talk.clone()
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
        let _open = self.meter.permit(BudgetResource::Sessions)?;
        let session = self
            .stem
            .session(spec, self.run.clone())
            .on_terms(self.grant.terms)
            .keeping(self.meter.limit(BudgetResource::History));
        let talk = self.talk(session);
        Ok(HostSession { talk, _open })
    }

    fn talk(&self, session: Session) -> Talk {
        let number = self.tape.as_ref().map_or(0, Tape::session);
        Talk { session, number }
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
            let _open = self.meter.permit(BudgetResource::Sessions)?;
            let talk = self.talk(session.talk.session.fork()?);
            Ok(HostSession { talk, _open })
        };
        self.report(fork())
    }

    pub(super) async fn infer(
        &self,
        talk: Talk,
        turns: Vec<Turn>,
        config: InferenceConfig,
    ) -> Result<HostInference, Error> {
        self.meter.called(CallClass::Cortex);
        let turns = convert::turns_in(turns);
        self.report(self.try_infer(talk, turns, config).await)
    }

    async fn try_infer(
        &self,
        talk: Talk,
        turns: Vec<core::Turn>,
        config: InferenceConfig,
    ) -> Result<HostInference, GeniusError> {
        let Talk { session, number } = talk;
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
        let request = || Request::Infer {
            session: number,
            model: session.model().id(),
            turns: turns.clone(),
            config: Box::new(config.clone()),
        };
        let reply = self.tape.as_ref().map(|tape| tape.ask(request()));
        let kept = match reply.transpose()? {
            Some(Reply::Play(answer)) => {
                let events = Source::Tape(Taped::new(answer)?);
                return Ok(self.generation(events, None, None, running));
            }
            Some(Reply::Keep(kept)) => Some(kept),
            None => None,
        };
        let clock = self.stem.clock();
        let began = clock.now();
        let events = match session.infer(turns, config).await {
            Ok(events) => events,
            Err(error) => {
                if let Some(kept) = kept {
                    kept.failed(&error);
                }
                return Err(error);
            }
        };
        let canceller = events.canceller();
        let take = kept.map(|kept| Take::new(kept, began));
        let events = Source::Engine(Box::new(events));
        Ok(self.generation(events, Some(canceller), take, running))
    }

    fn generation(
        &self,
        events: Source,
        canceller: Option<Canceller>,
        take: Option<Take>,
        running: Permit,
    ) -> HostInference {
        let (meter, clock) = (self.meter.clone(), self.stem.clock());
        HostInference {
            canceller,
            generation: Some(Generation::new(events, take, meter, clock, running)),
        }
    }

    pub(super) async fn count_tokens(&self, model: &str, text: &str) -> Result<u32, Error> {
        self.meter.called(CallClass::Cortex);
        let count = async {
            let request = || Request::CountTokens {
                model: model.to_owned(),
                text: text.to_owned(),
            };
            let work = async {
                let lease = self.lease(model, text).await?;
                Ok(Answer::Tokens(lease.model().count_tokens(text).await?))
            };
            match self.taped(model, text, request, work).await? {
                Answer::Tokens(tokens) => {
                    self.meter.add(BudgetResource::PromptTokens, tokens.into());
                    Ok(tokens)
                }
                _ => Err(wrong("the tape has no number of tokens there").into()),
            }
        };
        self.report(count.await)
    }

    pub(super) async fn embed(&self, model: &str, text: &str) -> Result<Vec<f32>, Error> {
        self.meter.called(CallClass::Cortex);
        let embed = async {
            let request = || Request::Embed {
                model: model.to_owned(),
                text: text.to_owned(),
            };
            let work = async {
                let lease = self.lease(model, text).await?;
                let tokens = lease.model().count_tokens(text).await?;
                self.meter.add(BudgetResource::PromptTokens, tokens.into());
                Ok(Answer::Embedding(lease.model().embed(text).await?))
            };
            match self.taped(model, text, request, work).await? {
                Answer::Embedding(vector) => Ok(vector),
                _ => Err(wrong("the tape has no embedding there").into()),
            }
        };
        self.report(embed.await)
    }

    /// Does the work, beside the tape or in its place.
    async fn taped(
        &self,
        model: &str,
        text: &str,
        request: impl FnOnce() -> Request,
        work: impl Future<Output = Result<Answer, GeniusError>>,
    ) -> Result<Answer, GeniusError> {
        let Some(tape) = &self.tape else {
            return work.await;
        };
        // A tape answers nothing that the engine would not be asked.
        self.meter.check_text(text.len())?;
        self.granted(model)?;
        match tape.ask(request())? {
            Reply::Play(answer) => Ok(answer),
            Reply::Keep(kept) => {
                let answer = work.await;
                match &answer {
                    Ok(answer) => kept.put(answer.clone()),
                    Err(error) => kept.failed(error),
                }
                answer
            }
        }
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
