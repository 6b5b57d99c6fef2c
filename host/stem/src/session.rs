//! Conversations: what was said, and the place the engine keeps for it.

use crate::freezer::{Freezer, Saved};
use crate::stem::{Demand, Lease, Loaded, Stem};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::Stream;
use rusty_genius_core::{
    BudgetError, BudgetResource, EngineError, FinishReason, GeniusError, HISTORY_LIMIT,
    InferenceConfig, InferenceEvent, ModelSpec, PartialConfig, ProtocolError, Role, Terms, Turn,
    Usage,
};
use rusty_genius_cortex::{
    Canceller, DEFAULT_ENGINE, Inference as Generation, ModelSession, RawStream,
};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

/// Most bytes of a prompt that a policy sees: 16 KiB.
const PROMPT_LIMIT: usize = 16 << 10;

/// A conversation with one model. It outlives the model's stay in memory: when the
/// model comes back, it goes on where it stopped. A clone is the same conversation.
#[derive(Clone)]
pub struct Session {
    stem: Stem,
    model: Arc<ModelSpec>,
    guest: Arc<str>,
    terms: Terms,
    history: u64,
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

/// The place a session has: in the engine while the model is in memory, or on disk.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Place>);

#[derive(Default)]
enum Place {
    #[default]
    None,
    Engine {
        session: Box<dyn ModelSession>,
        home: Weak<Loaded>,
    },
    Disk(Arc<Saved>),
}

impl Place {
    fn is_in(&self, model: &Loaded) -> bool {
        matches!(self, Self::Engine { home, .. } if std::ptr::eq(home.as_ptr(), model))
    }
}

impl Slot {
    /// Frees the place, if it is in this model.
    pub(crate) fn clear(&self, home: &Loaded) {
        drop(self.take(home));
    }

    /// Saves the place and frees it, if it is in this model. Whether it was saved.
    pub(crate) async fn freeze(&self, home: &Loaded, freezer: &Freezer) -> bool {
        let Some(mut session) = self.take(home) else {
            return false;
        };
        let Some(saved) = freezer.save(&mut *session).await else {
            return false;
        };
        *lock(&self.0) = Place::Disk(Arc::new(saved));
        true
    }

    fn take(&self, from: &Loaded) -> Option<Box<dyn ModelSession>> {
        let mut place = lock(&self.0);
        if !place.is_in(from) {
            return None;
        }
        match std::mem::take(&mut *place) {
            Place::Engine { session, .. } => Some(session),
            Place::None | Place::Disk(_) => None,
        }
    }

    /// Takes the place back into the engine, if it was saved. One that cannot be taken back
    /// is read anew, as any conversation can be.
    async fn thaw(self: &Arc<Self>, loaded: &Arc<Loaded>, guest: &str) {
        let place = std::mem::take(&mut *lock(&self.0));
        let Place::Disk(saved) = place else { return };
        if let Ok(session) = loaded.model.restore(guest, saved.file()).await {
            self.settle(session, loaded);
        }
    }

    fn settle(self: &Arc<Self>, session: Box<dyn ModelSession>, loaded: &Arc<Loaded>) {
        *lock(&self.0) = Place::Engine {
            session,
            home: Arc::downgrade(loaded),
        };
        // The lease keeps the model from being unloaded: it does remember.
        loaded.remember(self);
    }

    async fn generate(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        guest: &str,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, GeniusError> {
        let is_here = || lock(&self.0).is_in(loaded);
        if !is_here() {
            self.thaw(loaded, guest).await;
        }
        // A policy may have chosen another model than that of the last answer.
        if !is_here() {
            self.settle(loaded.model.open(guest)?, loaded);
        }
        match &mut *lock(&self.0) {
            Place::Engine { session, .. } => Ok(session.generate(conversation, config)?),
            _ => Err(ProtocolError::Closed("the model").into()),
        }
    }

    /// A place that starts as this one does; an empty one while the model is away.
    fn fork(&self) -> Result<Arc<Self>, GeniusError> {
        let held = lock(&self.0);
        let fork = Arc::new(Self::default());
        match &*held {
            Place::None => {}
            Place::Disk(saved) => *lock(&fork.0) = Place::Disk(saved.clone()),
            Place::Engine { session, home } => {
                let Some(loaded) = home.upgrade() else {
                    return Ok(fork);
                };
                let session = session.fork()?;
                // No lease here, so the model may be unloaded at any moment. Under the lock:
                // whoever unloads it then waits, and finds the place.
                let mut room = lock(&fork.0);
                if loaded.remember(&fork) {
                    let home = home.clone();
                    *room = Place::Engine { session, home };
                }
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

/// The words of the turns, for a policy that may see them: the first [`PROMPT_LIMIT`] bytes.
fn words(turns: &[Turn]) -> String {
    let mut words = String::new();
    for turn in turns {
        let room = PROMPT_LIMIT - words.len();
        words.push_str(&turn.content[..turn.content.floor_char_boundary(room)]);
        if words.len() < PROMPT_LIMIT {
            words.push('\n');
        }
    }
    words
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
            terms: Terms::default(),
            history: HISTORY_LIMIT,
            talk: Arc::default(),
            slot: Arc::default(),
        }
    }

    /// The same conversation, its requests on these terms from now on.
    pub fn on_terms(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// The same conversation, keeping at most so many bytes of turns. Default, and most,
    /// [`HISTORY_LIMIT`].
    pub fn keeping(mut self, history: u64) -> Self {
        self.history = history.min(HISTORY_LIMIT);
        self
    }

    /// Appends `turns` and generates the next one. Gaps of `config` are filled from the
    /// model's. The answer joins the conversation when it completes; an answer that is
    /// cancelled or fails does not, and neither do its `turns`.
    ///
    /// Errors: [`ProtocolError::NoTurns`], [`ProtocolError::Busy`], a config out of
    /// range, [`BudgetResource::History`] beyond what it may keep, and what
    /// [`Stem::acquire`] says.
    pub async fn infer(
        &self,
        turns: Vec<Turn>,
        config: PartialConfig,
    ) -> Result<Inference, GeniusError> {
        if turns.is_empty() {
            return Err(ProtocolError::NoTurns.into());
        }
        let wish = config.or(&self.model.config);
        let mut config = wish.build()?;
        let clock = self.stem.clock();
        let deadline = self.terms.deadline;
        let too_late = deadline.map(|after| (after, clock.sleep(after)));
        let claim = Claim::new(&self.talk, turns)?;
        if claim.prompt_bytes() > self.history {
            let resource = BudgetResource::History;
            let limit = self.history;
            return Err(BudgetError { resource, limit }.into());
        }
        let demand = Demand {
            guest: self.guest.clone(),
            prompt_bytes: claim.prompt_bytes(),
            prompt: self.stem.sees_prompts().then(|| words(&claim.turns).into()),
            max_tokens: config.behavior().max_tokens,
            terms: self.terms,
        };
        let lease = self.stem.acquire(&self.model, demand).await?;
        if let Some(tuning) = &lease.tuning {
            config = tuning.over(wish).build()?;
        }
        let conversation = claim.conversation();
        let raw = self
            .slot
            .generate(&lease.loaded, &self.guest, &conversation, &config)
            .await?;
        let engine = self.model.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        Ok(Inference {
            generation: Generation::new(raw, &config, clock).named(engine),
            claim: Some(claim),
            lease: Some(lease),
            too_late,
            late: None,
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

/// One generation in progress: a stream of events, [`InferenceEvent::Complete`] last.
/// Dropping it cancels the generation within one decode step.
pub struct Inference {
    generation: Generation,
    claim: Option<Claim>,
    lease: Option<Lease>,
    /// When its answer is of no use any more, and how long that was from the beginning.
    too_late: Option<(Duration, BoxFuture<'static, ()>)>,
    /// It was cancelled for that.
    late: Option<Duration>,
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
        if let Some((after, time)) = &mut self.too_late
            && time.poll_unpin(cx).is_ready()
        {
            self.late = Some(*after);
            self.too_late = None;
            self.generation.canceller().cancel();
        }
        let mut event = std::task::ready!(Pin::new(&mut self.generation).poll_next(cx));
        if let Some(InferenceEvent::Complete(completion)) = &mut event {
            if let (Some(after), FinishReason::Cancelled) = (self.late, &completion.finish) {
                completion.finish = FinishReason::Failed(EngineError::DeadlinePassed { after });
            }
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
