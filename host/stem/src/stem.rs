//! The handle through which everybody talks to the loop.

use crate::event_loop::{EventLoop, Inbox, Message};
use crate::policy::Policy;
use crate::session::{Session, Slot};
use async_channel::Sender;
use facecrab::{EnsureModel, Facecrab};
use futures::channel::oneshot;
use rusty_genius_core::brainstem::{Request, RequestId};
use rusty_genius_core::{
    BrainstemInput, BrainstemOutput, GeniusError, ModelSpec, ProtocolError, Usage,
};
use rusty_genius_cortex::{Clock, Cortex, Model};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Hears what the brainstem does, in order, on the loop's own task: it must be quick.
pub type Observer = Arc<dyn Fn(&BrainstemOutput) + Send + Sync>;

/// A running brainstem. Clones are handles to the same loop; it stops when the last
/// handle, session and lease are gone, or after [`Stem::shutdown`].
#[derive(Clone)]
pub struct Stem {
    inbox: Sender<Message>,
    next: Arc<AtomicU64>,
    cortex: Arc<Cortex>,
    facecrab: Facecrab,
}

impl Stem {
    /// Starts the loop on the async-std runtime.
    pub fn start(cortex: Arc<Cortex>, facecrab: Facecrab, policy: impl Policy + 'static) -> Self {
        Self::start_observed(cortex, facecrab, policy, Arc::new(|_| {}))
    }

    /// [`Stem::start`], with somebody who hears what the loop does.
    pub fn start_observed(
        cortex: Arc<Cortex>,
        facecrab: Facecrab,
        policy: impl Policy + 'static,
        observer: Observer,
    ) -> Self {
        // Unbounded, because requests are taken back and leases end in `drop`, which
        // cannot wait.
        let (inbox, messages) = async_channel::unbounded();
        let event_loop = EventLoop::new(
            cortex.clone(),
            facecrab.clone(),
            Box::new(policy),
            observer,
            inbox.downgrade(),
        );
        async_std::task::spawn(event_loop.run(Inbox(messages)));
        Self {
            inbox,
            next: Arc::new(AtomicU64::new(1)),
            cortex,
            facecrab,
        }
    }

    /// Opens a conversation. `guest` names who asks, for policies and records.
    pub fn session(&self, model: ModelSpec, guest: impl Into<Arc<str>>) -> Session {
        Session::new(self.clone(), model, guest.into())
    }

    /// Waits until the policy lets the request run and its model is in memory.
    /// Dropping the future takes the request back.
    ///
    /// Errors: [`GeniusError::Asset`], [`GeniusError::Engine`] from the load or the
    /// policy, [`ProtocolError::Closed`] after a shutdown.
    pub async fn acquire(
        &self,
        model: &ModelSpec,
        guest: &str,
        prompt_bytes: u64,
        max_tokens: u32,
    ) -> Result<Lease, GeniusError> {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let request = Request {
            id,
            guest: guest.to_owned(),
            model: model.load_key(),
            prompt_bytes,
            max_tokens,
            strategy: model.strategy,
        };
        let (reply, answer) = oneshot::channel();
        let input = BrainstemInput::Request {
            request,
            model: Box::new(model.clone()),
        };
        let closed = || GeniusError::from(ProtocolError::Closed("the brainstem"));
        let message = Message {
            input,
            reply: Some(reply),
        };
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
        let _ = self.inbox.try_send(Message { input, reply: None });
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
        let slots = self.slots().take();
        for slot in slots.iter().flatten().filter_map(Weak::upgrade) {
            slot.clear();
        }
    }

    fn slots(&self) -> MutexGuard<'_, Option<Vec<Weak<Slot>>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use a model that is in memory. It stays there until this is dropped.
pub struct Lease {
    pub(crate) loaded: Arc<Loaded>,
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
        let _ = self.inbox.try_send(Message { input, reply: None });
    }
}
