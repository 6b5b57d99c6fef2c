//! The engine as the house sees it: models, sessions and streams that talk to its thread.

use super::engine::{Info, Post, Serve, Watch, start};
use super::generation::failed;
use super::message::{
    Answer, CallId, FromEngine, GenerationId, Question, SessionId, Stats, ToEngine,
};
use super::scheduler::Settings;
use crate::{BoxFuture, Model, ModelSession, Progress, RawEvent, RawStream};
use futures::channel::{mpsc, oneshot};
use futures::{FutureExt, Stream, StreamExt};
use rusty_genius_core::{EngineError, InferenceConfig, Turn};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

type Events = mpsc::UnboundedSender<Result<RawEvent, EngineError>>;
type Answers = oneshot::Sender<Result<Answer, EngineError>>;

/// Who waits for what the engine says.
#[derive(Default)]
struct Router(Mutex<Routes>);

#[derive(Default)]
struct Routes {
    streams: HashMap<GenerationId, Events>,
    calls: HashMap<CallId, Answers>,
    /// Why the engine is gone.
    gone: Option<EngineError>,
}

impl Router {
    fn lock(&self) -> MutexGuard<'_, Routes> {
        // Each change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, message: Result<FromEngine, EngineError>) {
        match message {
            Ok(FromEngine::Event { generation, event }) => {
                let over = matches!(event, Err(_) | Ok(RawEvent::End(_)));
                let mut routes = self.lock();
                if let Some(events) = routes.streams.get(&generation) {
                    let _ = events.unbounded_send(event);
                }
                if over {
                    routes.streams.remove(&generation);
                }
            }
            Ok(FromEngine::Answer { call, answer }) => {
                let waiting = self.lock().calls.remove(&call);
                if let Some(waiting) = waiting {
                    let _ = waiting.send(answer);
                }
            }
            Err(error) => {
                let Routes { streams, calls, .. } = std::mem::replace(
                    &mut *self.lock(),
                    Routes {
                        gone: Some(error.clone()),
                        ..Routes::default()
                    },
                );
                for events in streams.into_values() {
                    let _ = events.unbounded_send(Err(error.clone()));
                }
                for waiting in calls.into_values() {
                    let _ = waiting.send(Err(error.clone()));
                }
            }
        }
    }
}

/// One running engine. Dropping it stops the engine.
struct Line {
    engine: Post,
    router: Arc<Router>,
    ids: AtomicU64,
    /// Kept as long as the engine runs.
    _held: Box<dyn Send + Sync>,
}

impl Line {
    fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, message: ToEngine) {
        self.engine.send(message);
    }

    fn ask(&self, question: Question) -> BoxFuture<'static, Result<Answer, EngineError>> {
        let call = self.id();
        let (sender, answer) = oneshot::channel();
        {
            let mut routes = self.router.lock();
            if let Some(gone) = routes.gone.clone() {
                return Box::pin(std::future::ready(Err(gone)));
            }
            routes.calls.insert(call, sender);
        }
        self.send(ToEngine::Ask { call, question });
        Box::pin(answer.map(|answer| answer.unwrap_or_else(|_| Err(failed("it is gone")))))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.send(ToEngine::Stop);
    }
}

/// A model that an engine thread runs.
pub(super) struct EngineModel {
    line: Arc<Line>,
    info: Info,
}

impl EngineModel {
    /// Starts an engine; see [`start`]. `held` is dropped with the model.
    pub(super) async fn start(
        settings: Settings,
        progress: Progress,
        held: Box<dyn Send + Sync>,
        load: impl FnOnce(Watch, Serve<'_>) -> Result<(), EngineError> + Send + 'static,
    ) -> Result<Self, EngineError> {
        let router = Arc::new(Router::default());
        let routes = router.clone();
        let out = move |message| routes.take(message);
        let (engine, info) = start(settings, progress, load, out).await?;
        Ok(Self {
            line: Arc::new(Line {
                engine,
                router,
                ids: AtomicU64::new(0),
                _held: held,
            }),
            info,
        })
    }

    /// What the engine holds.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for tests, which look for leaks")
    )]
    pub(super) async fn stats(&self) -> Result<Stats, EngineError> {
        match self.line.ask(Question::Stats).await? {
            Answer::Stats(stats) => Ok(stats),
            _ => Err(unexpected()),
        }
    }

    fn session(&self, guest: &str) -> EngineSession {
        let session = self.line.id();
        self.line.send(ToEngine::Open {
            session,
            guest: guest.to_owned(),
        });
        EngineSession {
            line: self.line.clone(),
            session,
        }
    }
}

fn unexpected() -> EngineError {
    failed("an answer to another question")
}

impl Model for EngineModel {
    fn memory(&self) -> u64 {
        self.info.memory
    }

    fn context_length(&self) -> u32 {
        self.info.context
    }

    fn fault(&self) -> Option<EngineError> {
        self.line.router.lock().gone.clone()
    }

    fn open(&self, guest: &str) -> Result<Box<dyn ModelSession>, EngineError> {
        Ok(Box::new(self.session(guest)))
    }

    fn restore<'a>(
        &'a self,
        guest: &'a str,
        file: &'a Path,
    ) -> BoxFuture<'a, Result<Box<dyn ModelSession>, EngineError>> {
        Box::pin(async move {
            let session = self.session(guest);
            let question = Question::Restore {
                session: session.session,
                file: file.to_owned(),
            };
            self.line.ask(question).await?;
            Ok(Box::new(session) as Box<dyn ModelSession>)
        })
    }

    fn count_tokens<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<u32, EngineError>> {
        let answer = self.line.ask(Question::Count {
            text: text.to_owned(),
        });
        Box::pin(async {
            match answer.await? {
                Answer::Count(count) => Ok(count),
                _ => Err(unexpected()),
            }
        })
    }

    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Vec<f32>, EngineError>> {
        let answer = self.line.ask(Question::Embed {
            text: text.to_owned(),
        });
        Box::pin(async {
            match answer.await? {
                Answer::Vector(vector) => Ok(vector),
                _ => Err(unexpected()),
            }
        })
    }
}

/// A session of an engine. Dropping it closes it.
struct EngineSession {
    line: Arc<Line>,
    session: SessionId,
}

impl ModelSession for EngineSession {
    fn generate(
        &mut self,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, EngineError> {
        let generation = self.line.id();
        let (sender, events) = mpsc::unbounded();
        {
            let mut routes = self.line.router.lock();
            if let Some(gone) = routes.gone.clone() {
                return Err(gone);
            }
            routes.streams.insert(generation, sender);
        }
        self.line.send(ToEngine::Generate {
            session: self.session,
            generation,
            conversation: conversation.to_vec(),
            behavior: config.behavior().clone(),
            sampling: config.sampling().clone(),
        });
        Ok(Box::pin(GenerationEvents {
            line: self.line.clone(),
            generation,
            events,
            over: false,
        }))
    }

    fn fork(&self) -> Result<Box<dyn ModelSession>, EngineError> {
        let session = self.line.id();
        self.line.send(ToEngine::Fork {
            parent: self.session,
            session,
        });
        Ok(Box::new(Self {
            line: self.line.clone(),
            session,
        }))
    }

    fn save<'a>(&'a mut self, file: &'a Path) -> BoxFuture<'a, Result<(), EngineError>> {
        let question = Question::Save {
            session: self.session,
            file: PathBuf::from(file),
        };
        let answer = self.line.ask(question);
        Box::pin(async { answer.await.map(|_| ()) })
    }
}

impl Drop for EngineSession {
    fn drop(&mut self) {
        self.line.send(ToEngine::Close {
            session: self.session,
        });
    }
}

/// The events of a generation. Dropping it cancels the generation.
struct GenerationEvents {
    line: Arc<Line>,
    generation: GenerationId,
    events: mpsc::UnboundedReceiver<Result<RawEvent, EngineError>>,
    over: bool,
}

impl Stream for GenerationEvents {
    type Item = Result<RawEvent, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = std::task::ready!(self.events.poll_next_unpin(cx));
        match &event {
            Some(Ok(RawEvent::Token(_))) => self.line.send(ToEngine::Taken {
                generation: self.generation,
            }),
            Some(Ok(RawEvent::Prefilled { .. } | RawEvent::Logprobs(_))) => {}
            Some(Ok(RawEvent::End(_)) | Err(_)) | None => self.over = true,
        }
        Poll::Ready(event)
    }
}

impl Drop for GenerationEvents {
    fn drop(&mut self) {
        if !self.over {
            self.line.router.lock().streams.remove(&self.generation);
            self.line.send(ToEngine::Cancel {
                generation: self.generation,
            });
        }
    }
}
