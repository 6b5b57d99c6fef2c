//! The handle through which everybody talks to the loop.

use crate::event_loop::{EventLoop, Inbox, Message};
use crate::freezer::Freezer;
use crate::policy::Policy;
use crate::session::{Session, Slot};
use async_channel::Sender;
use facecrab::{EnsureModel, Facecrab};
use futures::channel::oneshot;
use rusty_genius_core::brainstem::{Budgets, NewRequest, RequestId, Tuning};
use rusty_genius_core::{
    BrainstemInput, BrainstemOutput, GeniusError, ModelSpec, ProtocolError, Terms, Usage,
};
use rusty_genius_cortex::{Clock, Cortex, Model};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Hears what the brainstem does, in order, on the loop's own task: it must be quick.
pub type Observer = Arc<dyn Fn(&BrainstemOutput) + Send + Sync>;

/// Says which model a spec, or a name, of a policy means.
pub type Resolve = Arc<dyn Fn(&str) -> Result<ModelSpec, GeniusError> + Send + Sync>;

/// How a brainstem is set up.
#[derive(Clone)]
pub struct StemConfig {
    /// What may be consumed.
    pub budgets: Budgets,
    /// Where sessions of models that hibernate are saved. `None`, the default, saves none:
    /// their conversations are read anew.
    pub hibernation: Option<PathBuf>,
    /// What the specs mean that a policy names. `None`, the default: nothing, so that it can
    /// load only what is asked for.
    pub resolve: Option<Resolve>,
    /// Who hears what the brainstem does. Default nobody. It is dropped after all else of a
    /// brainstem that ends: what was saved is removed by then.
    pub observer: Observer,
    /// Whether the observer hears each step ([`BrainstemOutput::Decided`]), which costs a
    /// copy of it. Default no.
    pub observe_steps: bool,
}

impl Default for StemConfig {
    fn default() -> Self {
        Self {
            budgets: Budgets::default(),
            hibernation: None,
            resolve: None,
            observer: Arc::new(|_| {}),
            observe_steps: false,
        }
    }
}

/// What somebody asks of [`Stem::acquire`].
#[derive(Debug, Clone, Default)]
pub struct Demand {
    /// Who asks, for policies and records.
    pub guest: Arc<str>,
    /// Bytes of all turns.
    pub prompt_bytes: u64,
    /// The words, if [`Stem::sees_prompts`].
    pub prompt: Option<Arc<str>>,
    /// Most tokens to generate.
    pub max_tokens: u32,
    /// Priority, deadline, and what happens to the model afterwards.
    pub terms: Terms,
}

/// A running brainstem. Clones are handles to the same loop; it stops when the last
/// handle, session and lease are gone, or after [`Stem::shutdown`].
#[derive(Clone)]
pub struct Stem {
    inbox: Sender<Message>,
    next: Arc<AtomicU64>,
    prompts: Arc<AtomicBool>,
    cortex: Arc<Cortex>,
    facecrab: Facecrab,
}

impl Stem {
    /// Starts the loop on the async-std runtime.
    pub fn start(cortex: Arc<Cortex>, facecrab: Facecrab, policy: impl Policy + 'static) -> Self {
        Self::start_with(cortex, facecrab, policy, StemConfig::default())
    }

    /// [`Stem::start`], with limits and somebody who hears what the loop does.
    pub fn start_with(
        cortex: Arc<Cortex>,
        facecrab: Facecrab,
        policy: impl Policy + 'static,
        config: StemConfig,
    ) -> Self {
        // Unbounded, because requests are taken back and leases end in `drop`, which
        // cannot wait. The queue of requests has its own bound.
        let (inbox, messages) = async_channel::unbounded();
        let prompts = Arc::new(AtomicBool::new(policy.sees_prompts()));
        let event_loop = EventLoop::new(
            cortex.clone(),
            facecrab.clone(),
            Box::new(policy),
            config,
            inbox.downgrade(),
            prompts.clone(),
        );
        async_std::task::spawn(event_loop.run(Inbox(messages)));
        Self {
            inbox,
            next: Arc::new(AtomicU64::new(1)),
            prompts,
            cortex,
            facecrab,
        }
    }

    /// Lets another policy decide from now on. Nothing that runs or waits is lost: the new
    /// one is told of every request that waits undecided.
    pub fn change_policy(&self, policy: impl Policy + 'static) {
        let _ = self.inbox.try_send(Message::Policy(Box::new(policy)));
    }

    /// Whether the policy may see prompts.
    pub fn sees_prompts(&self) -> bool {
        self.prompts.load(Ordering::Relaxed)
    }

    /// Opens a conversation. `guest` names who asks, for policies and records.
    pub fn session(&self, model: ModelSpec, guest: impl Into<Arc<str>>) -> Session {
        Session::new(self.clone(), model, guest.into())
    }

    /// Waits until the policy lets the request run and its model is in memory.
    /// Dropping the future takes the request back.
    ///
    /// Errors: [`GeniusError::Asset`], [`GeniusError::Engine`] from the load, the policy or
    /// a limit, [`ProtocolError::Closed`] after a shutdown.
    pub async fn acquire(&self, model: &ModelSpec, demand: Demand) -> Result<Lease, GeniusError> {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let request = NewRequest {
            id,
            guest: demand.guest,
            model: model.load_key().into(),
            prompt_bytes: demand.prompt_bytes,
            prompt: demand.prompt,
            max_tokens: demand.max_tokens,
            terms: demand.terms,
            strategy: demand.terms.keep_alive.unwrap_or(model.strategy),
        };
        let (reply, answer) = oneshot::channel();
        let input = BrainstemInput::Request {
            request,
            model: Box::new(model.clone()),
        };
        let closed = || GeniusError::from(ProtocolError::Closed("the brainstem"));
        let message = Message::Input(input, Some(reply));
        self.inbox.try_send(message).map_err(|_| closed())?;
        let mut asker = Asker {
            stem: self,
            waits_for: Some(id),
        };
        let answer = answer.await;
        asker.waits_for = None;
        answer.map_err(|_| closed())?
    }

    /// Sees to it that the model's files are here, without loading it. `None` where its
    /// engine needs none.
    ///
    /// Errors: [`EngineError::Unknown`](rusty_genius_core::EngineError::Unknown).
    pub fn ensure_model(&self, model: &ModelSpec) -> Result<Option<EnsureModel>, GeniusError> {
        let backend = self.cortex.backend(model.engine.as_deref())?;
        Ok(backend
            .needs_weights()
            .then(|| self.facecrab.ensure_model(model)))
    }

    /// The asset authority that models come from.
    pub fn facecrab(&self) -> &Facecrab {
        &self.facecrab
    }

    /// Lets what runs end; refuses what waits and what comes. When nothing runs any
    /// more, every model is unloaded and the loop stops.
    pub fn shutdown(&self) {
        self.tell(BrainstemInput::Shutdown);
    }

    /// The clock everything is timed by.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.cortex.clock().clone()
    }

    fn tell(&self, input: BrainstemInput) {
        // The loop is gone only when nothing is left to be told.
        let _ = self.inbox.try_send(Message::Input(input, None));
    }
}

/// Takes its request back when it goes away unanswered. The loop may have answered
/// meanwhile: then the lease in the answer ends, unseen.
struct Asker<'a> {
    stem: &'a Stem,
    waits_for: Option<RequestId>,
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.waits_for {
            self.stem.tell(BrainstemInput::Cancel(id));
        }
    }
}

/// A model in memory, with the sessions that hold a place in it.
pub(crate) struct Loaded {
    pub(crate) model: Arc<dyn Model>,
    /// `None` once it was unloaded.
    slots: Mutex<Option<Vec<Weak<Slot>>>>,
}

impl Loaded {
    pub(crate) fn new(model: Arc<dyn Model>) -> Self {
        Self {
            model,
            slots: Mutex::new(Some(Vec::new())),
        }
    }

    /// Remembers a session's place, to free it when the model is unloaded. False if it
    /// was: nobody would free the place then.
    pub(crate) fn remember(&self, slot: &Arc<Slot>) -> bool {
        match self.slots().as_mut() {
            Some(slots) => {
                slots.retain(|slot| slot.strong_count() > 0);
                slots.push(Arc::downgrade(slot));
                true
            }
            None => false,
        }
    }

    /// Frees every session's place.
    pub(crate) fn evict(&self) {
        for slot in self.close() {
            slot.clear(self);
        }
    }

    /// Saves every session's place, and frees it. How many were saved.
    pub(crate) async fn freeze(&self, freezer: &Freezer) -> usize {
        let mut saved = 0;
        for slot in self.close() {
            saved += usize::from(slot.freeze(self, freezer).await);
        }
        saved
    }

    /// From now on no place is remembered: those there are.
    fn close(&self) -> Vec<Arc<Slot>> {
        let slots = self.slots().take();
        let slots = slots.iter().flatten();
        slots.filter_map(Weak::upgrade).collect()
    }

    fn slots(&self) -> MutexGuard<'_, Option<Vec<Weak<Slot>>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use a model that is in memory. It stays there until this is dropped.
pub struct Lease {
    pub(crate) loaded: Arc<Loaded>,
    /// What the policy changes about the generation.
    pub(crate) tuning: Option<Box<Tuning>>,
    /// After `loaded`, for fields are dropped in order: once the loop hears that the
    /// lease ended, nothing of the lease keeps the model in memory.
    pub(crate) ending: Ending,
}

/// Tells the loop, as it is dropped, that a lease ended.
pub(crate) struct Ending {
    pub(crate) id: RequestId,
    pub(crate) usage: Usage,
    pub(crate) inbox: Sender<Message>,
}

impl Lease {
    /// The model.
    pub fn model(&self) -> &Arc<dyn Model> {
        &self.loaded.model
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.ending.id)
            .finish_non_exhaustive()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (id, usage) = (self.id, self.usage);
        let input = BrainstemInput::Ended { id, usage };
        let _ = self.inbox.try_send(Message::Input(input, None));
    }
}
