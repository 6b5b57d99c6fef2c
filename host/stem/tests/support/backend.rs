//! An engine that does as it is told, and counts what is alive.

use async_channel::{Receiver, Sender};
use futures::stream::{self, Stream, StreamExt};
use rusty_genius_core::{EngineError, InferenceConfig, Turn};
use rusty_genius_cortex::{
    Backend, BoxFuture, LoadRequest, Model, ModelSession, RawEnd, RawEvent, RawStream,
};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

pub(crate) type Raw = Result<RawEvent, EngineError>;

pub(crate) fn token(text: &str) -> Raw {
    Ok(RawEvent::Token(text.into()))
}

pub(crate) fn end(end: RawEnd) -> Raw {
    Ok(RawEvent::End(end))
}

pub(crate) fn fault() -> EngineError {
    EngineError::BackendFailed {
        engine: "test".into(),
        reason: "it was told to".into(),
    }
}

/// The backend `test`. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct TestBackend {
    needs_weights: bool,
    saves: bool,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    loads: usize,
    weights: Vec<Vec<PathBuf>>,
    prompts: Vec<Vec<Turn>>,
    configs: Vec<InferenceConfig>,
    answered: Vec<String>,
    alive: BTreeMap<String, Alive>,
    /// Who waits until nothing is.
    watchers: Vec<Waker>,
    /// What must never happen, and did.
    broken: Vec<String>,
    sizes: BTreeMap<String, u64>,
    restored: usize,
    dead: bool,
    load_gate: Option<Receiver<Result<(), EngineError>>>,
    tokens: Option<Receiver<Raw>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Alive {
    loading: usize,
    models: usize,
    sessions: usize,
    streams: usize,
}

impl TestBackend {
    pub(crate) fn with_weights() -> Self {
        Self {
            needs_weights: true,
            ..Self::default()
        }
    }

    /// Sessions can be saved.
    pub(crate) fn with_saves() -> Self {
        Self {
            saves: true,
            ..Self::default()
        }
    }

    /// What a model needs, in bytes. 1 if nobody says.
    pub(crate) fn set_size(&self, model: &str, bytes: u64) {
        self.lock().sizes.insert(model.to_owned(), bytes);
    }

    fn size(&self, model: &str) -> u64 {
        self.lock().sizes.get(model).copied().unwrap_or(1)
    }

    /// The engine of every model dies.
    pub(crate) fn kill(&self) {
        self.lock().dead = true;
    }

    /// Sessions that were saved and taken back.
    pub(crate) fn taken_back(&self) -> usize {
        self.lock().restored
    }

    /// Every load from now on waits for one result; with the sender gone they succeed.
    pub(crate) fn gate_loads(&self) -> Sender<Result<(), EngineError>> {
        let (sender, receiver) = async_channel::unbounded();
        self.lock().load_gate = Some(receiver);
        sender
    }

    /// Every generation from now on says what comes from here, and breaks off when the
    /// sender is gone.
    pub(crate) fn gate_tokens(&self) -> Sender<Raw> {
        let (sender, receiver) = async_channel::unbounded();
        self.lock().tokens = Some(receiver);
        sender
    }

    pub(crate) fn loads(&self) -> usize {
        self.lock().loads
    }

    /// The files of every load.
    pub(crate) fn weights(&self) -> Vec<Vec<PathBuf>> {
        self.lock().weights.clone()
    }

    /// The conversation of every generation.
    pub(crate) fn prompts(&self) -> Vec<Vec<Turn>> {
        self.lock().prompts.clone()
    }

    /// The config of every generation.
    pub(crate) fn configs(&self) -> Vec<InferenceConfig> {
        self.lock().configs.clone()
    }

    /// The model of every generation.
    pub(crate) fn answered(&self) -> Vec<String> {
        self.lock().answered.clone()
    }

    /// Comes when nothing is alive. What is dropped as the last thing of a task may go on
    /// another thread.
    pub(crate) async fn gone(&self) {
        let gone = |cx: &mut Context<'_>| {
            let mut shared = self.lock();
            let alive = |a: &Alive| a.models + a.sessions + a.streams;
            if shared.alive.values().map(alive).sum::<usize>() == 0 {
                return Poll::Ready(());
            }
            shared.watchers.push(cx.waker().clone());
            Poll::Pending
        };
        poll_fn(gone).await;
    }

    pub(crate) fn models(&self) -> usize {
        self.lock().alive.values().map(|a| a.models).sum()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.lock().alive.values().map(|a| a.sessions).sum()
    }

    pub(crate) fn streams(&self) -> usize {
        self.lock().alive.values().map(|a| a.streams).sum()
    }

    pub(crate) fn broken(&self) -> Vec<String> {
        self.lock().broken.clone()
    }

    /// What is alive of a model, if anything. Its sessions aside: whoever owns one may
    /// be about to free it, on another thread.
    pub(crate) fn alive(&self, model: &str) -> Option<String> {
        let alive = self.lock().alive.get(model).copied().unwrap_or_default();
        let Alive {
            loading,
            models,
            streams,
            ..
        } = alive;
        (loading + models + streams > 0).then(|| format!("{alive:?}"))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    fn enter(&self, model: &str, kind: fn(&mut Alive) -> &mut usize) -> Guard {
        *kind(self.lock().alive.entry(model.to_owned()).or_default()) += 1;
        Guard {
            engine: self.clone(),
            model: model.to_owned(),
            kind,
        }
    }
}

/// Counts one thing while it lives.
struct Guard {
    engine: TestBackend,
    model: String,
    kind: fn(&mut Alive) -> &mut usize,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut shared = self.engine.lock();
        *(self.kind)(shared.alive.get_mut(&self.model).unwrap()) -= 1;
        for watcher in shared.watchers.drain(..) {
            watcher.wake();
        }
    }
}

impl Backend for TestBackend {
    fn name(&self) -> &str {
        "test"
    }

    fn needs_weights(&self) -> bool {
        self.needs_weights
    }

    fn memory_needed<'a>(
        &'a self,
        request: &'a LoadRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, EngineError>> {
        Box::pin(std::future::ready(Ok(Some(self.size(&request.model)))))
    }

    fn load(&self, request: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>> {
        Box::pin(async move {
            let LoadRequest { model, weights, .. } = request;
            if let Some(alive) = self.alive(&model) {
                let what = format!("{model} was loaded again beside {alive}");
                self.lock().broken.push(what);
            }
            let loading = self.enter(&model, |alive| &mut alive.loading);
            let gate = {
                let mut shared = self.lock();
                shared.loads += 1;
                shared.weights.push(weights);
                shared.load_gate.clone()
            };
            if let Some(gate) = gate {
                gate.recv().await.unwrap_or(Ok(()))?;
            }
            drop(loading);
            self.lock().dead = false;
            let loaded = TestModel {
                guard: self.enter(&model, |alive| &mut alive.models),
            };
            Ok(Arc::new(loaded) as Arc<dyn Model>)
        })
    }
}

struct TestModel {
    guard: Guard,
}

impl Model for TestModel {
    fn memory(&self) -> u64 {
        self.guard.engine.size(&self.guard.model)
    }

    fn fault(&self) -> Option<EngineError> {
        self.guard.engine.lock().dead.then(fault)
    }

    fn restore<'a>(
        &'a self,
        _: &'a str,
        file: &'a Path,
    ) -> BoxFuture<'a, Result<Box<dyn ModelSession>, EngineError>> {
        let saved = std::fs::read_to_string(file);
        let result = match saved {
            Ok(model) if model == self.guard.model => {
                self.guard.engine.lock().restored += 1;
                Ok(session(&self.guard))
            }
            other => Err(EngineError::InvalidSession {
                path: file.to_owned(),
                reason: format!("{other:?}"),
            }),
        };
        Box::pin(std::future::ready(result))
    }

    fn context_length(&self) -> u32 {
        8192
    }

    fn open(&self, _guest: &str) -> Result<Box<dyn ModelSession>, EngineError> {
        Ok(session(&self.guard))
    }

    fn count_tokens<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<u32, EngineError>> {
        Box::pin(std::future::ready(Ok(1)))
    }

    fn embed<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<f32>, EngineError>> {
        Box::pin(std::future::ready(Ok(vec![1.0])))
    }
}

struct TestSession {
    guard: Guard,
}

fn session(near: &Guard) -> Box<dyn ModelSession> {
    Box::new(TestSession {
        guard: near.engine.enter(&near.model, |alive| &mut alive.sessions),
    })
}

impl ModelSession for TestSession {
    fn generate(
        &mut self,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, EngineError> {
        let engine = &self.guard.engine;
        let tokens = {
            let mut shared = engine.lock();
            shared.prompts.push(conversation.to_vec());
            shared.configs.push(config.clone());
            shared.answered.push(self.guard.model.clone());
            shared.tokens.clone()
        };
        let said = match tokens {
            Some(tokens) => tokens.boxed(),
            None => stream::iter([token("Poit."), end(RawEnd::Stop)]).boxed(),
        };
        Ok(Box::pin(TestStream {
            said,
            _guard: engine.enter(&self.guard.model, |alive| &mut alive.streams),
        }))
    }

    fn save<'a>(&'a mut self, file: &'a Path) -> BoxFuture<'a, Result<(), EngineError>> {
        let saved = match self.guard.engine.saves {
            true => std::fs::write(file, &self.guard.model).map_err(|e| e.to_string()),
            false => Err("it saves none".into()),
        };
        let saved = saved.map_err(|reason| EngineError::InvalidSession {
            path: file.to_owned(),
            reason,
        });
        Box::pin(std::future::ready(saved))
    }

    fn fork(&self) -> Result<Box<dyn ModelSession>, EngineError> {
        // Others get their chance to come in between.
        std::thread::yield_now();
        Ok(session(&self.guard))
    }
}

struct TestStream {
    said: Pin<Box<dyn Stream<Item = Raw> + Send>>,
    _guard: Guard,
}

impl Stream for TestStream {
    type Item = Raw;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Raw>> {
        self.said.as_mut().poll_next(cx)
    }
}
