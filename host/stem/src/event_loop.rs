//! The loop: messages, finished work and timers in; what was decided, done.

use crate::freezer::Freezer;
use crate::ledger::Found;
use crate::machine::{Hands, Machine};
use crate::policy::Policy;
use crate::stem::{Ending, Lease, Loaded, StemConfig};
use async_channel::{Receiver, WeakSender};
use facecrab::Facecrab;
use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt, pending};
use futures::stream::{FuturesUnordered, StreamExt};
use rusty_genius_core::brainstem::{ModelId, Rejection, RequestId, State, Step, Tuning};
use rusty_genius_core::{
    AssetEvent, BrainstemInput, BrainstemOutput, EngineError, GeniusError, ModelSpec,
    ProtocolError, Usage,
};
use rusty_genius_cortex::{Backend, Clock, Cortex, LoadRequest, Model, Progress};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Specs kept of models that are not here.
const SPECS_LIMIT: usize = 8192;

pub(crate) type Reply = oneshot::Sender<Result<Lease, GeniusError>>;

pub(crate) enum Message {
    /// `reply` is where a request is answered; `None` for every other input.
    Input(BrainstemInput, Option<Reply>),
    /// Another policy decides from now on.
    Policy(Box<dyn Policy>),
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
    model: Arc<str>,
    reply: Reply,
}

/// A model whose files are here and looked at.
struct Measured {
    backend: Arc<dyn Backend>,
    request: LoadRequest,
}

/// Work that was done aside.
enum Done {
    Measured(ModelId, Result<(Measured, Option<u64>), GeniusError>),
    Loaded(ModelId, Result<Arc<dyn Model>, GeniusError>),
    Hibernated(ModelId, usize),
}

pub(crate) struct EventLoop {
    machine: Machine,
    world: World,
    /// Whether whoever asks is to send the words of his prompt.
    prompts: Arc<AtomicBool>,
    closing: bool,
}

impl EventLoop {
    pub(crate) fn new(
        cortex: Arc<Cortex>,
        facecrab: Facecrab,
        policy: Box<dyn Policy>,
        config: StemConfig,
        inbox: WeakSender<Message>,
        prompts: Arc<AtomicBool>,
    ) -> Self {
        let clock = cortex.clock().clone();
        Self {
            machine: Machine::new(config.budgets, policy),
            world: World {
                cortex,
                facecrab,
                started: clock.now(),
                clock,
                freezer: config.hibernation.clone().map(Freezer::new),
                config,
                inbox,
                specs: HashMap::new(),
                pending: BTreeMap::new(),
                running: BTreeMap::new(),
                models: BTreeMap::new(),
                work: FuturesUnordered::new(),
            },
            prompts,
            closing: false,
        }
    }

    /// Runs until nobody holds a handle, or until nothing runs after a shutdown.
    pub(crate) async fn run(mut self, inbox: Inbox) {
        while !(self.closing && self.machine.at_rest()) {
            let sees = self.machine.sees_prompts();
            self.prompts.store(sees, Ordering::Relaxed);
            let mut timer = match self.machine.next_due() {
                Some(at) => self.world.sleep_until(at),
                None => pending().boxed(),
            }
            .fuse();
            futures::select! {
                message = inbox.0.recv().fuse() => match message {
                    Ok(message) => self.hear(message),
                    Err(_) => break,
                },
                done = self.world.work.select_next_some() => self.finish(done),
                () = timer => {
                    self.machine.set_now(self.world.now());
                    self.machine.wake(&mut self.world);
                }
            }
            drop(timer);
            // A policy can keep the loop busy for ever: others get their turn.
            async_std::task::yield_now().await;
        }
        let resident = |here: &&Here| matches!(here.stage, Stage::Resident(_));
        let models = self.world.models.values().filter(resident);
        for id in models.map(|here| here.id).collect::<Vec<_>>() {
            self.world.unload(id);
        }
    }

    fn hear(&mut self, message: Message) {
        self.machine.set_now(self.world.now());
        match message {
            Message::Policy(policy) => self.machine.change_policy(policy, &mut self.world),
            Message::Input(BrainstemInput::Request { request, model }, Some(reply)) => {
                if self.closing {
                    let _ = reply.send(Err(ProtocolError::Closed("the brainstem").into()));
                    return;
                }
                self.world.expect(&request.model, *model, request.id, reply);
                self.machine.arrive(request, &mut self.world);
            }
            Message::Input(BrainstemInput::Cancel(id), _) => self.take_back(id),
            Message::Input(BrainstemInput::Ended { id, usage }, _) => self.end(id, usage),
            Message::Input(BrainstemInput::Shutdown, _) => {
                self.closing = true;
                for id in self.world.pending.keys().copied().collect::<Vec<_>>() {
                    let error = ProtocolError::Closed("the brainstem").into();
                    self.world.answer(id, Err(error));
                    self.take_back(id);
                }
            }
            // A request nobody waits for.
            Message::Input(BrainstemInput::Request { .. }, None) => {}
        }
    }

    fn take_back(&mut self, id: RequestId) {
        self.world.pending.remove(&id);
        self.machine.take_back(id, &mut self.world);
    }

    fn end(&mut self, id: RequestId, usage: Usage) {
        let Some(model) = self.world.running.remove(&id) else {
            return;
        };
        self.world.tell(BrainstemOutput::Ended { id, usage });
        // First, so that nobody else is sent to a dead engine.
        if self.world.is_dead(model) {
            self.world.bury(model);
            self.machine.died(model, &mut self.world);
        }
        self.machine.ended(id, usage, &mut self.world);
    }

    fn finish(&mut self, done: Done) {
        self.machine.set_now(self.world.now());
        let world = &mut self.world;
        match done {
            Done::Measured(id, Ok((measured, need))) => {
                world.put(id, Stage::Measured(measured));
                self.machine.measured(id, need, world);
            }
            Done::Loaded(id, Ok(model)) => {
                let memory = model.memory();
                let (name, took) = world.arrived(id, model);
                world.tell(BrainstemOutput::Loaded {
                    model: name,
                    memory,
                    took,
                });
                self.machine.loaded(id, memory, world);
            }
            Done::Measured(id, Err(error)) | Done::Loaded(id, Err(error)) => {
                let name = world.remove(id);
                world.tell(BrainstemOutput::LoadFailed {
                    model: name,
                    error: error.clone(),
                });
                for id in self.machine.failed(id, world) {
                    self.world.answer(id, Err(error.clone()));
                }
            }
            Done::Hibernated(id, saved) => {
                let model = world.remove(id);
                world.tell(BrainstemOutput::Unloaded { model, saved });
                self.machine.unloaded(id, world);
            }
        }
    }
}

/// A model in the world: how far it is.
struct Here {
    id: ModelId,
    name: Arc<str>,
    since: Duration,
    stage: Stage,
}

enum Stage {
    /// Something is done with it aside.
    Busy,
    Measured(Measured),
    Resident(Arc<Loaded>),
}

/// What the loop acts on.
struct World {
    cortex: Arc<Cortex>,
    facecrab: Facecrab,
    clock: Arc<dyn Clock>,
    started: Duration,
    freezer: Option<Freezer>,
    inbox: WeakSender<Message>,
    /// The models that were asked for, by what names the load.
    specs: HashMap<Arc<str>, ModelSpec>,
    pending: BTreeMap<RequestId, Pending>,
    /// The requests that generate, with their models.
    running: BTreeMap<RequestId, ModelId>,
    models: BTreeMap<ModelId, Here>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Dropped last, and its observer with it: nothing of the loop is left by then.
    config: StemConfig,
}

impl World {
    fn now(&self) -> Duration {
        self.clock.now().saturating_sub(self.started)
    }

    fn sleep_until(&self, at: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(at.saturating_sub(self.now()))
    }

    fn expect(&mut self, name: &Arc<str>, spec: ModelSpec, id: RequestId, reply: Reply) {
        self.remember(name, spec);
        let model = name.clone();
        self.pending.insert(id, Pending { model, reply });
    }

    fn remember(&mut self, name: &Arc<str>, spec: ModelSpec) {
        if self.specs.len() >= SPECS_LIMIT {
            let Self {
                specs,
                pending,
                models,
                ..
            } = self;
            let held = pending.values().map(|p| &p.model);
            let held: std::collections::HashSet<_> =
                held.chain(models.values().map(|m| &m.name)).collect();
            specs.retain(|name, _| held.contains(name));
        }
        self.specs.entry(name.clone()).or_insert(spec);
    }

    fn answer(&mut self, id: RequestId, answer: Result<Lease, GeniusError>) {
        if let Some(Pending { reply, .. }) = self.pending.remove(&id) {
            // Nobody there any more: a lease ends as it is dropped.
            let _ = reply.send(answer);
        }
    }

    fn put(&mut self, id: ModelId, stage: Stage) {
        if let Some(here) = self.models.get_mut(&id) {
            here.stage = stage;
        }
    }

    fn take(&mut self, id: ModelId) -> Option<Stage> {
        let here = self.models.get_mut(&id)?;
        Some(std::mem::replace(&mut here.stage, Stage::Busy))
    }

    /// A model is in memory: its name, and how long that took.
    fn arrived(&mut self, id: ModelId, model: Arc<dyn Model>) -> (String, Duration) {
        self.put(id, Stage::Resident(Arc::new(Loaded::new(model))));
        let here = self.models.get(&id);
        here.map_or_else(Default::default, |here| {
            (here.name.to_string(), self.now().saturating_sub(here.since))
        })
    }

    fn remove(&mut self, id: ModelId) -> String {
        let here = self.models.remove(&id);
        here.map_or_else(String::new, |here| here.name.to_string())
    }

    fn resident(&self, id: ModelId) -> Option<&Arc<Loaded>> {
        match &self.models.get(&id)?.stage {
            Stage::Resident(loaded) => Some(loaded),
            _ => None,
        }
    }

    fn is_dead(&self, id: ModelId) -> bool {
        let loaded = self.resident(id);
        loaded.is_some_and(|loaded| loaded.model.fault().is_some())
    }

    /// A model whose engine died goes.
    fn bury(&mut self, id: ModelId) {
        if let Some(Stage::Resident(loaded)) = self.take(id) {
            loaded.evict();
        }
        let model = self.remove(id);
        self.tell(BrainstemOutput::EngineDied { model });
    }
}

impl Hands for World {
    fn measure(&mut self, id: ModelId, name: &Arc<str>) {
        let here = Here {
            id,
            name: name.clone(),
            since: self.now(),
            stage: Stage::Busy,
        };
        self.models.insert(id, here);
        self.tell(BrainstemOutput::Loading {
            model: name.to_string(),
        });
        let spec = self.specs.get(name).cloned();
        let (cortex, facecrab) = (self.cortex.clone(), self.facecrab.clone());
        let (observer, name) = (self.config.observer.clone(), name.to_string());
        self.work.push(
            async move {
                let result = match spec {
                    Some(spec) => measure(&cortex, &facecrab, &spec, name, observer).await,
                    // It was asked for, or found: its spec is kept as long as it waits.
                    None => Err(ProtocolError::Closed("the model's request").into()),
                };
                Done::Measured(id, result)
            }
            .boxed(),
        );
    }

    fn load(&mut self, id: ModelId) {
        let Some(Stage::Measured(Measured { backend, request })) = self.take(id) else {
            return;
        };
        let work = async move {
            let loaded = backend.load(request).await;
            Done::Loaded(id, loaded.map_err(GeniusError::from))
        };
        self.work.push(work.boxed());
    }

    fn too_large(&mut self, id: ModelId, needed: u64, waiting: &[RequestId]) {
        let model = self.remove(id);
        let error = GeniusError::from(EngineError::MemoryExceeded {
            model: model.clone(),
            needed,
            limit: self.config.budgets.memory.unwrap_or(u64::MAX),
        });
        for id in waiting {
            self.answer(*id, Err(error.clone()));
        }
        self.tell(BrainstemOutput::LoadFailed { model, error });
    }

    fn no_room(&mut self, id: ModelId) {
        let model = self.remove(id);
        let reason = Rejection::NoMemory.describe().to_owned();
        let error = EngineError::Rejected {
            model: model.clone(),
            reason,
        };
        self.tell(BrainstemOutput::LoadFailed {
            model,
            error: error.into(),
        });
    }

    fn unload(&mut self, id: ModelId) {
        if let Some(Stage::Resident(loaded)) = self.take(id) {
            loaded.evict();
        }
        let model = self.remove(id);
        self.tell(BrainstemOutput::Unloaded { model, saved: 0 });
    }

    fn hibernate(&mut self, id: ModelId) {
        let Some(Stage::Resident(loaded)) = self.take(id) else {
            return;
        };
        let freezer = self.freezer.clone();
        let work = async move {
            let saved = match freezer {
                Some(freezer) => loaded.freeze(&freezer).await,
                None => {
                    loaded.evict();
                    0
                }
            };
            drop(loaded);
            Done::Hibernated(id, saved)
        };
        self.work.push(work.boxed());
    }

    fn start(&mut self, id: RequestId, model: ModelId, tuning: Option<Box<Tuning>>) {
        self.running.insert(id, model);
        // Without an inbox nobody is left who could have asked.
        let loaded = self.resident(model).cloned();
        let (Some(loaded), Some(inbox)) = (loaded, self.inbox.upgrade()) else {
            return;
        };
        self.tell(BrainstemOutput::Admitted { id });
        let lease = Lease {
            loaded,
            tuning,
            ending: Ending {
                id,
                usage: Usage::default(),
                inbox,
            },
        };
        self.answer(id, Ok(lease));
    }

    fn reject(&mut self, id: RequestId, reason: Rejection) {
        let Some(pending) = self.pending.get(&id) else {
            return;
        };
        let spec = self.specs.get(&pending.model);
        let error = EngineError::Rejected {
            model: spec.map_or_else(|| pending.model.to_string(), ModelSpec::id),
            reason: reason.describe().to_owned(),
        };
        self.answer(id, Err(error.into()));
    }

    fn find(&mut self, spec: &str) -> Option<Found> {
        let spec = self.config.resolve.as_ref()?(spec).ok()?;
        let found = Found {
            name: spec.load_key().into(),
            strategy: spec.strategy,
        };
        self.remember(&found.name, spec);
        Some(found)
    }

    fn decided(&mut self, step: &Step, _: &Arc<State>) {
        if self.config.observe_steps {
            self.tell(BrainstemOutput::Decided(step.clone()));
        }
    }

    fn tell(&mut self, output: BrainstemOutput) {
        (self.config.observer)(&output);
    }
}

/// Gets a model's files, and finds out what it needs.
async fn measure(
    cortex: &Cortex,
    facecrab: &Facecrab,
    spec: &ModelSpec,
    name: String,
    observer: crate::Observer,
) -> Result<(Measured, Option<u64>), GeniusError> {
    let backend = cortex.backend(spec.engine.as_deref())?;
    let tell = |event: AssetEvent| {
        let model = name.clone();
        observer(&BrainstemOutput::Asset { model, event });
    };
    let weights = if backend.needs_weights() {
        let mut model = facecrab.ensure_model(spec);
        while let Some(event) = model.next().await {
            tell(event);
        }
        model.finish().await?.files
    } else {
        Vec::new()
    };
    let progress = Progress::new(move |percent| {
        let model = name.clone();
        observer(&BrainstemOutput::LoadProgress { model, percent });
    });
    let request = LoadRequest {
        model: spec.id(),
        weights,
        progress,
    };
    let need = backend.memory_needed(&request).await?;
    Ok((Measured { backend, request }, need))
}
