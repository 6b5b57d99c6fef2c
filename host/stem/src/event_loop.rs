//! The loop: messages, finished loads and timers in; policy commands executed.

use crate::ledger::{Effect, Ledger};
use crate::policy::Policy;
use crate::stem::{Ending, Lease, Loaded, Observer};
use async_channel::{Receiver, WeakSender};
use facecrab::Facecrab;
use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt, pending};
use futures::stream::{FuturesUnordered, StreamExt};
use rusty_genius_core::brainstem::{Event, Rejection, RequestId};
use rusty_genius_core::{
    AssetEvent, BrainstemInput, BrainstemOutput, EngineError, GeniusError, ModelSpec,
    ProtocolError, Usage,
};
use rusty_genius_cortex::{Clock, Cortex, LoadRequest, Model, Progress};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Most refusals that one message, load or timer may lead to: a policy that answers
/// each with another bad command stops here. Its other commands still count.
const REFUSALS_LIMIT: usize = 64;
/// Most commands taken from one answer of a policy.
const COMMANDS_LIMIT: usize = 1024;

pub(crate) type Reply = oneshot::Sender<Result<Lease, GeniusError>>;

pub(crate) struct Message {
    pub(crate) input: BrainstemInput,
    /// Where a request is answered; `None` for every other input.
    pub(crate) reply: Option<Reply>,
}

/// The loop's end of the channel.
pub(crate) struct Inbox(pub(crate) Receiver<Message>);

impl Drop for Inbox {
    /// However the loop ended: whoever is in the queue learns it. Otherwise the message,
    /// and the reply in it, would stay there as long as anybody holds a handle.
    fn drop(&mut self) {
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}

struct Pending {
    model: Box<ModelSpec>,
    reply: Reply,
}

struct Finished {
    model: String,
    took: Duration,
    result: Result<Arc<dyn Model>, GeniusError>,
}

pub(crate) struct EventLoop {
    cortex: Arc<Cortex>,
    facecrab: Facecrab,
    policy: Box<dyn Policy>,
    observer: Observer,
    inbox: WeakSender<Message>,
    clock: Arc<dyn Clock>,
    started: Duration,
    ledger: Ledger,
    pending: BTreeMap<RequestId, Pending>,
    resident: BTreeMap<String, Arc<Loaded>>,
    loads: FuturesUnordered<BoxFuture<'static, Finished>>,
    events: VecDeque<Event>,
    closing: bool,
}

impl EventLoop {
    pub(crate) fn new(
        cortex: Arc<Cortex>,
        facecrab: Facecrab,
        policy: Box<dyn Policy>,
        observer: Observer,
        inbox: WeakSender<Message>,
    ) -> Self {
        let clock = cortex.clock().clone();
        Self {
            cortex,
            facecrab,
            policy,
            observer,
            inbox,
            started: clock.now(),
            clock,
            ledger: Ledger::default(),
            pending: BTreeMap::new(),
            resident: BTreeMap::new(),
            loads: FuturesUnordered::new(),
            events: VecDeque::new(),
            closing: false,
        }
    }

    /// Runs until nobody holds a handle, or until nothing runs after a shutdown.
    pub(crate) async fn run(mut self, inbox: Inbox) {
        while !(self.closing && self.ledger.at_rest()) {
            let mut timer = match self.ledger.next_timer() {
                Some(at) => self.clock.sleep(at.saturating_sub(self.now())),
                None => pending().boxed(),
            }
            .fuse();
            futures::select! {
                message = inbox.0.recv().fuse() => match message {
                    Ok(message) => self.hear(message),
                    Err(_) => break,
                },
                finished = self.loads.select_next_some() => self.finish_load(finished),
                () = timer => {
                    let due = self.ledger.due(self.now());
                    self.events.extend(due.into_iter().map(Event::Timer));
                }
            }
            drop(timer);
            self.settle().await;
            // A policy can keep the loop busy for ever: others get their turn.
            async_std::task::yield_now().await;
        }
        for model in self.resident.keys().cloned().collect::<Vec<_>>() {
            self.unload(model);
        }
    }

    fn now(&self) -> Duration {
        self.clock.now().saturating_sub(self.started)
    }

    fn hear(&mut self, message: Message) {
        match (message.input, message.reply) {
            (BrainstemInput::Request { request, model }, Some(reply)) => {
                if self.closing {
                    let _ = reply.send(Err(ProtocolError::Closed("the brainstem").into()));
                    return;
                }
                self.pending.insert(request.id, Pending { model, reply });
                self.ledger.arrive(request.clone());
                self.events.push_back(Event::RequestArrived(request));
            }
            (BrainstemInput::Cancel(id), _) => drop(self.take_back(id)),
            (BrainstemInput::Ended { id, usage }, _) => self.end(id, usage),
            (BrainstemInput::Shutdown, _) => {
                self.closing = true;
                for id in self.pending.keys().copied().collect::<Vec<_>>() {
                    if let Some(reply) = self.take_back(id) {
                        let _ = reply.send(Err(ProtocolError::Closed("the brainstem").into()));
                    }
                }
            }
            // A request nobody waits for.
            (BrainstemInput::Request { .. }, None) => {}
        }
    }

    /// Takes back a request that waits. Nothing happens to one that was answered.
    fn take_back(&mut self, id: RequestId) -> Option<Reply> {
        let Pending { model, reply } = self.pending.remove(&id)?;
        self.ledger.cancel(id);
        self.note_idle(model.load_key());
        Some(reply)
    }

    /// Tells the policy if nobody uses or wants the model any more.
    fn note_idle(&mut self, model: String) {
        if self.ledger.idle(&model) {
            self.events.push_back(Event::ModelIdle(model));
        }
    }

    fn end(&mut self, id: RequestId, usage: Usage) {
        let Some(idle) = self.ledger.ended(id) else {
            return;
        };
        self.tell(BrainstemOutput::Ended { id, usage });
        self.events.push_back(Event::GenerationEnded(id, usage));
        self.events.extend(idle.map(Event::ModelIdle));
    }

    fn finish_load(&mut self, finished: Finished) {
        let Finished {
            model,
            took,
            result,
        } = finished;
        match result {
            Ok(loaded) => {
                let memory = loaded.memory();
                self.resident
                    .insert(model.clone(), Arc::new(Loaded::new(loaded)));
                let effects = self.ledger.loaded(&model, memory);
                self.tell(BrainstemOutput::Loaded {
                    model: model.clone(),
                    memory,
                    took,
                });
                self.events.push_back(Event::ModelLoaded(model.clone()));
                self.execute(effects);
                // Everybody who wanted it may have gone while it loaded.
                self.note_idle(model);
            }
            Err(error) => {
                for id in self.ledger.failed(&model) {
                    if let Some(Pending { reply, .. }) = self.pending.remove(&id) {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
                self.tell(BrainstemOutput::LoadFailed {
                    model: model.clone(),
                    error,
                });
                self.events.push_back(Event::ModelFailed(model));
            }
        }
    }

    /// Lets the policy answer every event, and the events its commands lead to. These
    /// are few: each but a refusal uses up a request that waits.
    async fn settle(&mut self) {
        let mut patience = REFUSALS_LIMIT;
        while let Some(event) = self.events.pop_front() {
            let state = self.ledger.state(self.now());
            let commands = self.policy.decide(&event, &state).await;
            for command in commands.into_iter().take(COMMANDS_LIMIT) {
                match self.ledger.apply(&command, self.now()) {
                    Ok(effects) => self.execute(effects),
                    Err(_) if patience == 0 => {}
                    Err(refusal) => {
                        patience -= 1;
                        self.tell(BrainstemOutput::Refused {
                            command: command.clone(),
                            refusal,
                        });
                        self.events.push_back(Event::Refused(command, refusal));
                    }
                }
            }
        }
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Load(model) => self.load(model),
                Effect::Unload(model) => self.unload(model),
                Effect::Reject(id, reason) => self.reject(id, reason),
                Effect::Start(id) => self.start(id),
            }
        }
    }

    fn unload(&mut self, model: String) {
        if let Some(loaded) = self.resident.remove(&model) {
            loaded.evict();
        }
        self.tell(BrainstemOutput::Unloaded { model });
    }

    fn reject(&mut self, id: RequestId, reason: Rejection) {
        let Some(Pending { model, reply }) = self.pending.remove(&id) else {
            return;
        };
        self.tell(BrainstemOutput::Rejected { id, reason });
        let error = EngineError::Rejected {
            model: model.id(),
            reason: reason.describe().to_owned(),
        };
        let _ = reply.send(Err(error.into()));
        // It may have been the last that kept a model from being idle.
        self.note_idle(model.load_key());
    }

    fn load(&mut self, model: String) {
        let Some(pending) = self.pending.values().find(|p| p.model.load_key() == model) else {
            return;
        };
        self.tell(BrainstemOutput::Loading {
            model: model.clone(),
        });
        let spec = pending.model.clone();
        let (cortex, facecrab, clock) = (
            self.cortex.clone(),
            self.facecrab.clone(),
            self.clock.clone(),
        );
        let (observer, name) = (self.observer.clone(), model.clone());
        self.loads.push(
            async move {
                let began = clock.now();
                let tell = observer.clone();
                let loading = name.clone();
                let assets = |event| {
                    let model = name.clone();
                    observer(&BrainstemOutput::Asset { model, event });
                };
                let progress = Progress::new(move |percent| {
                    let model = loading.clone();
                    tell(&BrainstemOutput::LoadProgress { model, percent });
                });
                let result = load(&cortex, &facecrab, &spec, assets, progress).await;
                Finished {
                    model,
                    took: clock.now().saturating_sub(began),
                    result,
                }
            }
            .boxed(),
        );
    }

    fn start(&mut self, id: RequestId) {
        let Some(Pending { model, reply }) = self.pending.remove(&id) else {
            return;
        };
        let (Some(loaded), Some(inbox)) =
            (self.resident.get(&model.load_key()), self.inbox.upgrade())
        else {
            return;
        };
        self.tell(BrainstemOutput::Admitted { id });
        self.events.push_back(Event::GenerationStarted(id));
        let lease = Lease {
            loaded: loaded.clone(),
            ending: Ending {
                id,
                usage: Usage::default(),
                inbox,
            },
        };
        // Nobody there any more: the lease ends as it is dropped.
        let _ = reply.send(Ok(lease));
    }

    fn tell(&self, output: BrainstemOutput) {
        (self.observer)(&output);
    }
}

async fn load(
    cortex: &Cortex,
    facecrab: &Facecrab,
    spec: &ModelSpec,
    assets: impl Fn(AssetEvent),
    progress: Progress,
) -> Result<Arc<dyn Model>, GeniusError> {
    let backend = cortex.backend(spec.engine.as_deref())?;
    let weights = if backend.needs_weights() {
        let mut model = facecrab.ensure_model(spec);
        while let Some(event) = model.next().await {
            assets(event);
        }
        model.finish().await?.files
    } else {
        Vec::new()
    };
    let model = spec.id();
    let request = LoadRequest {
        model,
        weights,
        progress,
    };
    Ok(backend.load(request).await?)
}
