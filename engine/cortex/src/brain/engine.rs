//! The thread that owns a model: it takes messages, computes steps, and says what came of
//! them. It waits for messages only.

use super::device::Device;
use super::generation::failed;
use super::message::{FromEngine, ToEngine};
use super::scheduler::{Scheduler, Settings};
use super::scribe::{self, Done};
use crate::Progress;
use futures::channel::oneshot;
use rusty_genius_core::EngineError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// What is known of a model once it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Info {
    /// Bytes it holds.
    pub(super) memory: u64,
    /// Tokens of one conversation.
    pub(super) context: u32,
}

/// Who waits for a load.
pub(super) struct Watch {
    progress: Progress,
    abandoned: Arc<AtomicBool>,
}

impl Watch {
    /// A load that nobody can abandon.
    #[cfg(all(test, feature = "real-engine"))]
    pub(super) fn nobody(progress: Progress) -> Self {
        Self {
            progress,
            abandoned: Arc::default(),
        }
    }

    /// So many percent are done; `false` if nobody wants the model any more.
    pub(super) fn report(&self, percent: u8) -> bool {
        self.progress.report(percent);
        !self.abandoned.load(Ordering::Relaxed)
    }
}

/// What a device does once it is there: it is served until nobody needs it.
pub(super) type Serve<'a> = &'a mut dyn FnMut(&mut dyn Device, Info);

/// Tells the engine that nobody waits for it any more, when dropped.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What comes to the engine's thread.
enum Inbox {
    /// From the house.
    Said(ToEngine),
    /// From its scribe.
    Done(Done),
}

/// Where the house sends its messages.
pub(super) struct Post(Sender<Inbox>);

impl Post {
    /// Sends a message; an engine that is gone has told everybody so.
    pub(super) fn send(&self, message: ToEngine) {
        let _ = self.0.send(Inbox::Said(message));
    }
}

/// Starts an engine: on a thread of its own, `load` makes a device and serves it. `out` takes
/// what it says, and at last why it is gone. Dropping the future abandons the load.
pub(super) async fn start(
    settings: Settings,
    progress: Progress,
    load: impl FnOnce(Watch, Serve<'_>) -> Result<(), EngineError> + Send + 'static,
    out: impl Fn(Result<FromEngine, EngineError>) + Send + 'static,
) -> Result<(Post, Info), EngineError> {
    let (inbox, messages) = channel();
    let own = inbox.clone();
    let (ready, loaded) = oneshot::channel();
    let abandoned = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        progress,
        abandoned: abandoned.clone(),
    };
    std::thread::Builder::new()
        .name(super::ENGINE.into())
        .spawn(move || {
            let mut ready = Some(ready);
            let run = || {
                load(watch, &mut |device, info| {
                    let wanted = ready
                        .take()
                        .is_some_and(|ready| ready.send(Ok(info)).is_ok());
                    if wanted {
                        serve(device, settings, (&own, &messages), &mut |message| {
                            out(Ok(message));
                        });
                    }
                })
            };
            let error = match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ok(())) => failed("the model was unloaded"),
                Ok(Err(error)) => error,
                Err(panic) => failed(panic_message(&*panic)),
            };
            if let Some(ready) = ready.take() {
                let _ = ready.send(Err(error.clone()));
            }
            out(Err(error));
        })
        .map_err(|e| failed(format_args!("no thread for the engine: {e}")))?;
    let _abandon = Abandon(abandoned);
    match loaded.await {
        Ok(info) => Ok((Post(inbox), info?)),
        Err(_) => Err(failed("the engine's thread is gone")),
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a fault of its own: {}", text.unwrap_or_default())
}

/// Serves until [`ToEngine::Stop`].
fn serve(
    device: &mut dyn Device,
    settings: Settings,
    (own, messages): (&Sender<Inbox>, &Receiver<Inbox>),
    out: &mut dyn FnMut(FromEngine),
) {
    let mut scheduler = Scheduler::new(device.limits(), settings);
    let (jobs, todo) = channel();
    let (scribe, done) = (device.scribe(), own.clone());
    // It ends with the last job it was given, when `jobs` is dropped.
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            scribe::work(&*scribe, &todo, |d| {
                let _ = done.send(Inbox::Done(d));
            });
        });
        loop {
            let message = if scheduler.is_idle() {
                messages.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                messages.try_recv()
            };
            match message {
                Ok(Inbox::Said(ToEngine::Stop)) | Err(TryRecvError::Disconnected) => return,
                Ok(Inbox::Said(message)) => {
                    if let Some(job) = scheduler.handle(device, message, out) {
                        let _ = jobs.send(job);
                    }
                }
                Ok(Inbox::Done(done)) => scheduler.prepared(done, out),
                Err(TryRecvError::Empty) => scheduler.step(device, out),
            }
        }
    });
}
