//! Gate: an engine that does what the test lets it do, when the test lets it.

use async_channel::{Receiver, Sender, unbounded};
use futures::Stream;
use rusty_genius_core::{EngineError, InferenceConfig, Logprobs, Turn};
use rusty_genius_cortex::{
    Backend, BoxFuture, LoadRequest, Model, ModelSession, RawEnd, RawEvent, RawStream,
};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

/// The next thing the engine does, in whichever generation asks first.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Token(Vec<u8>),
    Logprobs(Logprobs),
    End,
    /// An error halfway.
    Fail,
    /// The stream ends without saying so.
    Break,
}

impl From<&str> for Step {
    fn from(text: &str) -> Self {
        Self::Token(text.into())
    }
}

/// What comes of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    Works,
    Fails,
    NeverEnds,
    /// It works, with weights that facecrab has to find.
    NeedsWeights,
}

#[derive(Clone)]
pub(crate) struct Gate(Arc<Shared>);

struct Shared {
    load: Load,
    steps: (Sender<Step>, Receiver<Step>),
    waits: (Sender<()>, Receiver<()>),
    dropped: (Sender<()>, Receiver<()>),
    /// Generations alive, and sessions.
    live: AtomicUsize,
    sessions: AtomicUsize,
    conversations: Mutex<Vec<Vec<Turn>>>,
    configs: Mutex<Vec<InferenceConfig>>,
}

impl Gate {
    pub(crate) fn new(load: Load) -> Self {
        Self(Arc::new(Shared {
            load,
            steps: unbounded(),
            waits: unbounded(),
            dropped: unbounded(),
            live: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            conversations: Mutex::default(),
            configs: Mutex::default(),
        }))
    }

    /// Lets the engine do this.
    pub(crate) fn then(&self, step: impl Into<Step>) -> &Self {
        self.0.steps.0.try_send(step.into()).unwrap();
        self
    }

    /// Comes when a load or a generation has begun to wait for the test.
    pub(crate) async fn waits(&self) {
        self.0.waits.1.recv().await.unwrap();
    }

    /// Comes when a generation or a load that waited is dropped.
    pub(crate) async fn dropped(&self) {
        self.0.dropped.1.recv().await.unwrap();
    }

    /// Forgets what came and was not waited for.
    pub(crate) fn forget(&self) {
        while self.0.waits.1.try_recv().is_ok() {}
        while self.0.dropped.1.try_recv().is_ok() {}
    }

    /// Generations and sessions alive.
    pub(crate) fn live(&self) -> (usize, usize) {
        (self.0.live.load(SeqCst), self.0.sessions.load(SeqCst))
    }

    /// Steps nobody asked for yet.
    pub(crate) fn steps_left(&self) -> usize {
        self.0.steps.1.len()
    }

    /// What the engine was asked, in order.
    pub(crate) fn conversations(&self) -> Vec<Vec<Turn>> {
        self.0.conversations.lock().unwrap().clone()
    }

    /// How it was asked, in order.
    pub(crate) fn configs(&self) -> Vec<InferenceConfig> {
        self.0.configs.lock().unwrap().clone()
    }
}

fn failed() -> EngineError {
    EngineError::BackendFailed {
        engine: "gate".into(),
        reason: "the test said so".into(),
    }
}

impl Backend for Gate {
    fn name(&self) -> &str {
        "gate"
    }

    fn needs_weights(&self) -> bool {
        matches!(self.0.load, Load::NeedsWeights)
    }

    fn load(&self, request: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>> {
        Box::pin(async move {
            match self.0.load {
                Load::Works | Load::NeedsWeights => Ok(Arc::new(self.clone()) as Arc<dyn Model>),
                Load::Fails => Err(EngineError::LoadFailed {
                    model: request.model,
                    reason: "the test said so".into(),
                }),
                Load::NeverEnds => {
                    let _here = Here::new(&self.0);
                    self.0.waits.0.try_send(()).unwrap();
                    std::future::pending().await
                }
            }
        })
    }
}

impl Model for Gate {
    fn memory(&self) -> u64 {
        0
    }

    fn context_length(&self) -> u32 {
        u32::MAX
    }

    fn open(&self, _guest: &str) -> Result<Box<dyn ModelSession>, EngineError> {
        self.0.sessions.fetch_add(1, SeqCst);
        Ok(Box::new(GateSession(self.0.clone())))
    }

    fn count_tokens<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<u32, EngineError>> {
        Box::pin(std::future::ready(Err(failed())))
    }

    fn embed<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<f32>, EngineError>> {
        Box::pin(std::future::ready(Err(failed())))
    }
}

struct GateSession(Arc<Shared>);

impl Drop for GateSession {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, SeqCst);
    }
}

impl ModelSession for GateSession {
    fn generate(
        &mut self,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, EngineError> {
        self.0.configs.lock().unwrap().push(config.clone());
        let mut conversations = self.0.conversations.lock().unwrap();
        conversations.push(conversation.to_vec());
        Ok(Box::pin(Generation {
            steps: Box::pin(self.0.steps.1.clone()),
            here: Here::new(&self.0),
            waiting: false,
            over: false,
        }))
    }

    fn fork(&self) -> Result<Box<dyn ModelSession>, EngineError> {
        Gate(self.0.clone()).open("")
    }
}

/// Counts itself.
struct Here(Arc<Shared>);

impl Here {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.live.fetch_add(1, SeqCst);
        Self(shared.clone())
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, SeqCst);
        // The test may be over.
        let _ = self.0.dropped.0.try_send(());
    }
}

struct Generation {
    steps: Pin<Box<Receiver<Step>>>,
    here: Here,
    waiting: bool,
    over: bool,
}

impl Stream for Generation {
    type Item = Result<RawEvent, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let step = self.steps.as_mut().poll_next(cx);
        if step.is_pending() && !self.waiting {
            self.here.0.waits.0.try_send(()).unwrap();
        }
        self.waiting = step.is_pending();
        let event = match ready!(step) {
            Some(Step::Token(bytes)) => return Poll::Ready(Some(Ok(RawEvent::Token(bytes)))),
            Some(Step::Logprobs(logprobs)) => {
                return Poll::Ready(Some(Ok(RawEvent::Logprobs(logprobs))));
            }
            Some(Step::End) => Some(Ok(RawEvent::End(RawEnd::Stop))),
            Some(Step::Fail) => Some(Err(failed())),
            Some(Step::Break) | None => None,
        };
        self.over = true;
        Poll::Ready(event)
    }
}
