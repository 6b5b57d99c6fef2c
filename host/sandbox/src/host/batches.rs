//! Native streams as a guest reads them: as many items a read as are ready.

use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Lower, StreamProducer, StreamResult, VecBuffer};

/// Most items of one read.
const BATCH: usize = 256;

/// A stream for a guest; `None` is one at its end.
pub(super) struct Batches<S>(Option<S>);

impl<S> Batches<S> {
    pub(super) fn new(stream: Option<S>) -> Self {
        Self(stream)
    }
}

impl<D, S> StreamProducer<D> for Batches<S>
where
    D: 'static,
    S: Stream<Item: Lower + Send + Sync + 'static> + Unpin + Send + 'static,
{
    type Item = S::Item;
    type Buffer = VecBuffer<S::Item>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let room = destination.remaining(store).unwrap_or(BATCH).min(BATCH);
        if room == 0 {
            // The guest asks whether a read would wait. It may find out by reading.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut batch = Vec::new();
        let mut over = false;
        while batch.len() < room && !over {
            // Polled as one stream, never through a future made anew: that keeps the
            // waker, without which the guest would wait for ever.
            match self.0.as_mut().map(|stream| stream.poll_next_unpin(cx)) {
                Some(Poll::Ready(Some(item))) => batch.push(item),
                Some(Poll::Pending) => break,
                Some(Poll::Ready(None)) | None => {
                    // Frees what it holds before the guest learns that it is over.
                    self.0 = None;
                    over = true;
                }
            }
        }
        let waiting = batch.is_empty() && !over;
        if !batch.is_empty() {
            destination.set_buffer(batch.into());
        }
        match (waiting, finish) {
            (true, false) => Poll::Pending,
            (true, true) => Poll::Ready(Ok(StreamResult::Cancelled)),
            _ if over => Poll::Ready(Ok(StreamResult::Dropped)),
            _ => Poll::Ready(Ok(StreamResult::Completed)),
        }
    }
}
