//! The loop: messages, finished loads and timers in; policy commands executed.

use crate::ledger::{Effect, Ledger};
use crate::policy::Policy;
use crate::stem::{Lease, Loaded, Observer};
use async_channel::{Receiver, WeakSender};
use facecrab::Facecrab;
use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt, pending};
use futures::stream::{FuturesUnordered, StreamExt};
use rusty_genius_core::brainstem::{Event, RequestId};
use rusty_genius_core::{
    BrainstemInput, BrainstemOutput, EngineError, GeniusError, ModelSpec, ProtocolError, Usage,
};
use rusty_genius_cortex::{Clock, Cortex, LoadRequest, Model};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Most events one message may lead to: a policy that answers every refusal with
/// another bad command stops here.
const CASCADE_LIMIT: usize = 1024;
/// Most commands taken from one answer of a policy.
const COMMANDS_LIMIT: usize = 1024;

pub(crate) type Reply = oneshot::Sender<Result<Lease, GeniusError>>;

pub(crate) struct Message {
    pub(crate) input: BrainstemInput,
    /// Where a request is answered; `None` for every other input.
    pub(crate) reply: Option<Reply>,
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
    pending: HashMap<RequestId, Pending>,
    resident: HashMap<String, Arc<Loaded>>,
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
            pending: HashMap::new(),
            resident: HashMap::new(),
            loads: FuturesUnordered::new(),
            events: VecDeque::new(),
            closing: false,
        }
    }

    pub(crate) async fn run(mut self, messages: Receiver<Message>) {
        loop {
            let mut timer = match self.ledger.next_timer() {
                Some(at) => self.clock.sleep(at.saturating_sub(self.now())),
                None => pending().boxed(),
            }
            .fuse();
            futures::select! {
                message = messages.recv().fuse() => match message {
                    Ok(message) => self.hear(message),
                    Err(_) => return,
                },
                finished = self.loads.select_next_some() => self.finish_load(finished),
                () = timer => {
                    let due = self.ledger.due(self.now());
                    self.events.extend(due.into_iter().map(Event::Timer));
                }
            }
            drop(timer);
            self.settle().await;
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
            (BrainstemInput::Cancel(id), _) => self.cancel(id),
            (BrainstemInput::Ended { id, usage }, _) => self.end(id, usage),
            (BrainstemInput::Shutdown, _) => {
                self.closing = true;
                for id in self.pending.keys().copied().collect::<Vec<_>>() {
                    self.answer(id, Err(ProtocolError::Closed("the brainstem").into()));
                    self.cancel(id);
                }
            }
            // A request nobody waits for.
            (BrainstemInput::Request { .. }, None) => {}
        }
    }

    fn cancel(&mut self, id: RequestId) {
        let model = self.pending.remove(&id).map(|p| p.model.id());
        self.ledger.cancel(id);
        if let Some(model) = model.filter(|model| self.ledger.idle(model)) {
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
                if self.ledger.idle(&model) {
                    self.events.push_back(Event::ModelIdle(model));
                }
            }
            Err(error) => {
                for id in self.ledger.failed(&model) {
                    self.answer(id, Err(error.clone()));
                }
                self.tell(BrainstemOutput::LoadFailed {
                    model: model.clone(),
                    error,
                });
                self.events.push_back(Event::ModelFailed(model));
            }
        }
    }

    /// Lets the policy answer every event, and the events its commands lead to.
    async fn settle(&mut self) {
        for _ in 0..CASCADE_LIMIT {
            let Some(event) = self.events.pop_front() else {
                return;
            };
            let state = self.ledger.state(self.now());
            let commands = self.policy.decide(&event, &state).await;
            for command in commands.into_iter().take(COMMANDS_LIMIT) {
                match self.ledger.apply(&command, self.now()) {
                    Ok(effects) => self.execute(effects),
                    Err(refusal) => {
                        self.tell(BrainstemOutput::Refused {
                            command: command.clone(),
                            refusal,
                        });
                        self.events.push_back(Event::Refused(command, refusal));
                    }
                }
            }
        }
        self.events.retain(|e| !matches!(e, Event::Refused(..)));
    }

    fn execute(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Load(model) => self.load(model),
                Effect::Unload(model) => {
                    if let Some(loaded) = self.resident.remove(&model) {
                        loaded.evict();
                    }
                    self.tell(BrainstemOutput::Unloaded { model });
                }
                Effect::Reject(id, reason) => {
                    self.tell(BrainstemOutput::Rejected { id, reason });
                    let model = self.pending.get(&id).map(|p| p.model.id());
                    let error = EngineError::Rejected {
                        model: model.unwrap_or_default(),
                        reason: reason.describe().to_owned(),
                    };
                    self.answer(id, Err(error.into()));
                }
                Effect::Start(id) => self.start(id),
            }
        }
    }

    fn load(&mut self, model: String) {
        let Some(pending) = self.pending.values().find(|p| p.model.id() == model) else {
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
        self.loads.push(
            async move {
                let began = clock.now();
                let result = load(&cortex, &facecrab, &spec).await;
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
        let (Some(loaded), Some(inbox)) = (self.resident.get(&model.id()), self.inbox.upgrade())
        else {
            return;
        };
        self.tell(BrainstemOutput::Admitted { id });
        self.events.push_back(Event::GenerationStarted(id));
        let lease = Lease {
            id,
            loaded: loaded.clone(),
            usage: Usage::default(),
            inbox,
        };
        // Nobody there any more: the lease ends as it is dropped.
        let _ = reply.send(Ok(lease));
    }

    fn answer(&mut self, id: RequestId, answer: Result<Lease, GeniusError>) {
        if let Some(pending) = self.pending.remove(&id) {
            let _ = pending.reply.send(answer);
        }
    }

    fn tell(&self, output: BrainstemOutput) {
        (self.observer)(&output);
    }
}

async fn load(
    cortex: &Cortex,
    facecrab: &Facecrab,
    spec: &ModelSpec,
) -> Result<Arc<dyn Model>, GeniusError> {
    let backend = cortex.backend(spec.engine.as_deref())?;
    let weights = if backend.needs_weights() {
        facecrab.ensure_model(spec).await?.files
    } else {
        Vec::new()
    };
    let model = spec.id();
    Ok(backend.load(LoadRequest { model, weights }).await?)
}
