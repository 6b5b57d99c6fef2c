//! The handle through which everybody talks to the loop.

use crate::event_loop::{EventLoop, Message};
use crate::policy::Policy;
use crate::session::{Session, Slot};
use async_channel::Sender;
use facecrab::Facecrab;
use futures::channel::oneshot;
use rusty_genius_core::brainstem::{Request, RequestId};
use rusty_genius_core::{
    BrainstemInput, BrainstemOutput, GeniusError, ModelSpec, ProtocolError, Usage,
};
use rusty_genius_cortex::{Clock, Cortex, Model};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Hears what the brainstem does, in order, on the loop's own task: it must be quick.
pub type Observer = Arc<dyn Fn(&BrainstemOutput) + Send + Sync>;

/// A running brainstem. Clones are handles to the same loop; it stops when the last
/// handle, session and lease are gone.
#[derive(Clone)]
pub struct Stem {
    inbox: Sender<Message>,
    next: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
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
        // Unbounded, because a lease tells its end from `drop`. Each sender waits for its
        // answer before it asks again, so the queue is no longer than there are guests.
        let (inbox, messages) = async_channel::unbounded();
        let clock = cortex.clock().clone();
        let event_loop = EventLoop::new(
            cortex,
            facecrab,
            Box::new(policy),
            observer,
            inbox.downgrade(),
        );
        async_std::task::spawn(event_loop.run(messages));
        Self {
            inbox,
            next: Arc::new(AtomicU64::new(1)),
            clock,
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
            model: model.id(),
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
        let _take_back = TakeBack { stem: self, id };
        answer.await.map_err(|_| closed())?
    }

    /// Lets what runs end and refuses what comes.
    pub fn shutdown(&self) {
        self.tell(BrainstemInput::Shutdown);
    }

    /// The clock everything is timed by.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn tell(&self, input: BrainstemInput) {
        // The loop is gone only when nothing is left to be told.
        let _ = self.inbox.try_send(Message { input, reply: None });
    }
}

/// Cancels a request whose asker went away. The loop ignores it for one that was
/// answered.
struct TakeBack<'a> {
    stem: &'a Stem,
    id: RequestId,
}

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        self.stem.tell(BrainstemInput::Cancel(self.id));
    }
}

/// A model in memory, with the sessions that hold a place in it.
pub(crate) struct Loaded {
    pub(crate) model: Arc<dyn Model>,
    slots: Mutex<Vec<Weak<Slot>>>,
}

impl Loaded {
    pub(crate) fn new(model: Arc<dyn Model>) -> Self {
        Self {
            model,
            slots: Mutex::default(),
        }
    }

    /// Remembers a session's place, to free it when the model is unloaded.
    pub(crate) fn remember(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(slot));
    }

    /// Frees every session's place.
    pub(crate) fn evict(&self) {
        let slots = std::mem::take(&mut *self.slots.lock().unwrap_or_else(PoisonError::into_inner));
        for slot in slots.iter().filter_map(Weak::upgrade) {
            slot.clear();
        }
    }
}

/// The right to use a model that is in memory. It stays there until this is dropped.
pub struct Lease {
    pub(crate) id: RequestId,
    pub(crate) loaded: Arc<Loaded>,
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
        f.debug_struct("Lease").field("id", &self.id).finish()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (id, usage) = (self.id, self.usage);
        let input = BrainstemInput::Ended { id, usage };
        let _ = self.inbox.try_send(Message { input, reply: None });
    }
}
