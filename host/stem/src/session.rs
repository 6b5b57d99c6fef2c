//! Conversations: what was said, and the place the engine keeps for it.

use crate::stem::{Lease, Loaded, Stem};
use futures::stream::Stream;
use rusty_genius_core::{
    BudgetError, BudgetResource, FinishReason, GeniusError, InferenceConfig, InferenceEvent,
    ModelSpec, PartialConfig, ProtocolError, Role, Turn, Usage,
};
use rusty_genius_cortex::{
    Canceller, DEFAULT_ENGINE, Inference as Generation, ModelSession, RawStream,
};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

/// Most bytes of turns a session keeps: 4 MiB.
pub const HISTORY_LIMIT: u64 = 4 << 20;

/// A conversation with one model. It outlives the model's stay in memory: when the
/// model comes back, it goes on where it stopped. A clone is the same conversation.
#[derive(Clone)]
pub struct Session {
    stem: Stem,
    model: Arc<ModelSpec>,
    guest: Arc<str>,
    talk: Arc<Mutex<Talk>>,
    slot: Arc<Slot>,
}

/// What was said.
#[derive(Clone, Default)]
struct Talk {
    turns: Vec<Turn>,
    bytes: u64,
    busy: bool,
}

/// The place the engine keeps for a session, while the model is in memory.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Place>>);

struct Place {
    session: Box<dyn ModelSession>,
    home: Weak<Loaded>,
}

impl Slot {
    pub(crate) fn clear(&self) {
        *lock(&self.0) = None;
    }

    fn generate(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        guest: &str,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, GeniusError> {
        let mut held = lock(&self.0);
        let place = match &mut *held {
            Some(place) => place,
            empty => {
                let session = loaded.model.open(guest)?;
                // The lease keeps the model from being unloaded: it does remember.
                loaded.remember(self);
                empty.insert(Place {
                    session,
                    home: Arc::downgrade(loaded),
                })
            }
        };
        Ok(place.session.generate(conversation, config)?)
    }

    /// A place that starts as this one does; an empty one while the model is away.
    fn fork(&self) -> Result<Arc<Self>, GeniusError> {
        let held = lock(&self.0);
        let fork = Arc::new(Self::default());
        let home = held.as_ref().and_then(|place| place.home.upgrade());
        if let (Some(place), Some(home)) = (&*held, home) {
            let session = place.session.fork()?;
            // No lease here, so the model may be unloaded at any moment. Under the lock:
            // whoever unloads it then waits, and finds the place.
            let mut room = lock(&fork.0);
            if home.remember(&fork) {
                *room = Some(Place {
                    session,
                    home: place.home.clone(),
                });
            }
        }
        Ok(fork)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change under these locks is one assignment: a panic of an engine between
    // them leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes(turns: &[Turn]) -> u64 {
    turns.iter().map(|t| t.content.len() as u64).sum()
}

impl Session {
    pub(crate) fn new(stem: Stem, model: ModelSpec, guest: Arc<str>) -> Self {
        Self {
            stem,
            model: Arc::new(model),
            guest,
            talk: Arc::default(),
            slot: Arc::default(),
        }
    }

    /// Appends `turns` and generates the next one. Gaps of `config` are filled from the
    /// model's. The answer joins the conversation when it completes; an answer that is
    /// cancelled or fails does not, and neither do its `turns`.
    ///
    /// Errors: [`ProtocolError::NoTurns`], [`ProtocolError::Busy`], a config out of
    /// range, [`BudgetResource::History`] beyond [`HISTORY_LIMIT`], and what
    /// [`Stem::acquire`] says.
    pub async fn infer(
        &self,
        turns: Vec<Turn>,
        config: PartialConfig,
    ) -> Result<Inference, GeniusError> {
        if turns.is_empty() {
            return Err(ProtocolError::NoTurns.into());
        }
        let config = config.or(&self.model.config).build()?;
        let claim = Claim::new(&self.talk, turns)?;
        if claim.prompt_bytes() > HISTORY_LIMIT {
            return Err(history_spent());
        }
        let lease = self
            .stem
            .acquire(
                &self.model,
                &self.guest,
                claim.prompt_bytes(),
                config.behavior().max_tokens,
            )
            .await?;
        let raw = self
            .slot
            .generate(&lease.loaded, &self.guest, &claim.conversation(), &config)?;
        let engine = self.model.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        Ok(Inference {
            generation: Generation::new(raw, &config, self.stem.clock()).named(engine),
            claim: Some(claim),
            lease: Some(lease),
        })
    }

    /// A second conversation that starts with this one's history.
    ///
    /// Errors: [`ProtocolError::Busy`] while a generation runs.
    pub fn fork(&self) -> Result<Session, GeniusError> {
        // Its turn meanwhile: a clone must not begin to generate halfway.
        let _claim = Claim::new(&self.talk, Vec::new())?;
        let talk = Talk {
            busy: false,
            ..lock(&self.talk).clone()
        };
        Ok(Session {
            talk: Arc::new(Mutex::new(talk)),
            slot: self.slot.fork()?,
            ..self.clone()
        })
    }

    /// What was said so far.
    pub fn turns(&self) -> Vec<Turn> {
        lock(&self.talk).turns.clone()
    }

    /// The model this session talks to.
    pub fn model(&self) -> &ModelSpec {
        &self.model
    }
}

/// The right to be a session's one generation; given back on drop.
struct Claim {
    talk: Arc<Mutex<Talk>>,
    turns: Vec<Turn>,
}

impl Claim {
    fn new(talk: &Arc<Mutex<Talk>>, turns: Vec<Turn>) -> Result<Self, GeniusError> {
        let mut held = lock(talk);
        if held.busy {
            return Err(ProtocolError::Busy.into());
        }
        held.busy = true;
        Ok(Self {
            talk: talk.clone(),
            turns,
        })
    }

    fn prompt_bytes(&self) -> u64 {
        lock(&self.talk).bytes + bytes(&self.turns)
    }

    fn conversation(&self) -> Vec<Turn> {
        let mut turns = lock(&self.talk).turns.clone();
        turns.extend_from_slice(&self.turns);
        turns
    }

    /// Makes the turns and their answer part of the conversation.
    fn commit(mut self, answer: String) {
        let mut turns = std::mem::take(&mut self.turns);
        turns.push(Turn::new(Role::Assistant, answer));
        let mut talk = lock(&self.talk);
        talk.bytes += bytes(&turns);
        talk.turns.append(&mut turns);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.talk).busy = false;
    }
}

fn history_spent() -> GeniusError {
    BudgetError {
        resource: BudgetResource::History,
        limit: HISTORY_LIMIT,
    }
    .into()
}

/// One generation in progress: a stream of events, [`InferenceEvent::Complete`] last.
/// Dropping it cancels the generation within one decode step.
pub struct Inference {
    generation: Generation,
    claim: Option<Claim>,
    lease: Option<Lease>,
}

impl Inference {
    /// A handle that stops the generation from elsewhere. The engine is free at once; the
    /// model and the session are when this stream is read to its end, or dropped.
    pub fn canceller(&self) -> Canceller {
        self.generation.canceller()
    }

    /// What was consumed so far.
    pub fn usage(&self) -> Usage {
        self.generation.usage()
    }

    /// The generation is over: gives the session its turn, and the model back. In this
    /// order, so that whoever hears of the end can go on with the session.
    fn end(&mut self, commit: bool) {
        if let Some(claim) = self.claim.take().filter(|_| commit) {
            claim.commit(self.generation.answer().to_owned());
        }
        if let Some(mut lease) = self.lease.take() {
            lease.ending.usage = self.generation.usage();
        }
    }
}

impl Stream for Inference {
    type Item = InferenceEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = std::task::ready!(Pin::new(&mut self.generation).poll_next(cx));
        if let Some(InferenceEvent::Complete(completion)) = &event {
            let commit = matches!(
                completion.finish,
                FinishReason::Stop | FinishReason::Length | FinishReason::ToolCall
            );
            self.end(commit);
        }
        Poll::Ready(event)
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        // The engine's stream first: without its lease the model may be unloaded.
        self.generation.canceller().cancel();
        self.end(false);
    }
}
