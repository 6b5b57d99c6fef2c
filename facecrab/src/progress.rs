//! A model on its way: what the caller sees of it.

use futures::channel::mpsc;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{Stream, StreamExt};
use rusty_genius_core::{AssetError, AssetEvent, GeniusError};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A model whose files are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAsset {
    /// The GGUF files, in order; more than one where the model is split.
    pub files: Vec<PathBuf>,
    /// Bytes of all files.
    pub size: u64,
}

/// Where the work says how far it is. Never waits: only the latest count of each file
/// matters, and the caller polls the work itself.
pub(crate) type Events = mpsc::UnboundedSender<AssetEvent>;

/// A model on its way; see [`Task`].
pub type EnsureModel = Task<ModelAsset>;

/// Work on a model's files. It is a stream of [`AssetEvent`]s, and works only while it is
/// polled; dropping it cancels, and what was fetched so far is kept for the next time.
pub struct Task<T> {
    events: mpsc::UnboundedReceiver<AssetEvent>,
    state: State<T>,
}

enum State<T> {
    Working(BoxFuture<'static, anyhow::Result<T>>),
    Done(Result<T, GeniusError>),
}

impl<T: Unpin> Task<T> {
    pub(crate) fn new<F>(work: impl FnOnce(Events) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<T>> + Send + 'static,
    {
        let (sender, events) = mpsc::unbounded();
        Self {
            events,
            state: State::Working(work(sender).boxed()),
        }
    }

    /// What came of it. Events not yet read are discarded.
    ///
    /// Errors: [`GeniusError::Asset`], [`GeniusError::Manifest`] for a registry that
    /// cannot be read.
    pub async fn finish(mut self) -> Result<T, GeniusError> {
        // Read, not closed: work that finds nobody listening stops.
        while self.next().await.is_some() {}
        match self.state {
            State::Working(work) => work.await.map_err(|e| edge(&e)),
            State::Done(outcome) => outcome,
        }
    }
}

impl<T: Unpin> Stream for Task<T> {
    type Item = AssetEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AssetEvent>> {
        if let State::Working(work) = &mut self.state
            && let Poll::Ready(outcome) = work.poll_unpin(cx)
        {
            self.state = State::Done(outcome.map_err(|e| edge(&e)));
        }
        // The sender lives in the work: the channel ends when the work does.
        self.events.poll_next_unpin(cx)
    }
}

/// An inner error as the rest of the house knows it.
pub(crate) fn edge(error: &anyhow::Error) -> GeniusError {
    if let Some(known) = error.chain().find_map(|e| e.downcast_ref::<GeniusError>()) {
        return known.clone();
    }
    if let Some(known) = error.chain().find_map(|e| e.downcast_ref::<AssetError>()) {
        return known.clone().into();
    }
    AssetError::Io {
        path: PathBuf::from("facecrab"),
        reason: format!("{error:#}"),
    }
    .into()
}

/// An I/O error about a path.
pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> AssetError {
    let path = path.to_owned();
    move |e| AssetError::Io {
        path,
        reason: e.to_string(),
    }
}
