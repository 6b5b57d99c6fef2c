//! Writing and hashing, on a thread of its own.

use super::lock::Lock;
use super::partial::{Partial, Paths};
use async_channel::{Receiver, Sender};
use rusty_genius_core::AssetError;
use rusty_genius_core::text::hex;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// Chunks between the connections and the disk. What is here is lost by a SIGKILL.
const QUEUE: usize = 2;
/// The record is written after so many bytes.
const RECORD_EVERY: u64 = 256 << 10;
/// Bytes that are read back at a time.
const READ_BACK: usize = 256 << 10;

/// What the thread is told.
pub(super) enum Order {
    /// Bytes of the file, from this one on.
    Write(u64, Vec<u8>),
    /// The server's entity tag of the bytes to come.
    Validator(String),
}

/// The thread that writes. Dropping it lets it write what it was given, and end.
pub(super) struct Writer {
    orders: Sender<Order>,
    /// Always there, until it is waited for.
    thread: Option<blocking::Task<anyhow::Result<Outcome>>>,
}

/// What the thread leaves: a partial file that is closed, and its record.
pub(super) struct Outcome {
    /// Of the whole file, 64 hexadecimal digits; `None` while bytes are missing.
    pub(super) sha256: Option<String>,
}

impl Writer {
    /// Reads what is there, to hash it, and starts to take orders. The lock is held
    /// until the thread has ended.
    pub(super) async fn start(partial: Partial, lock: Arc<Lock>) -> anyhow::Result<Self> {
        let (orders, receiver) = async_channel::bounded(QUEUE);
        let (ready, is_ready) = async_channel::bounded(1);
        let thread = blocking::unblock(move || {
            let mut desk = Desk::new(partial, lock);
            // Gigabytes may be there: whoever does not want them any more drops this.
            desk.catch_up(|| receiver.is_closed())?;
            let _ = ready.try_send(());
            desk.work(&receiver)
        });
        let writer = Self {
            orders,
            thread: Some(thread),
        };
        match is_ready.recv().await {
            Ok(()) => Ok(writer),
            Err(_) => {
                writer.finish().await?;
                anyhow::bail!("the writer ended before it began")
            }
        }
    }

    /// Hands an order over, as soon as there is room for it. `false`: the thread ended,
    /// and [`Writer::finish`] says why.
    pub(super) async fn order(&self, order: Order) -> bool {
        self.orders.send(order).await.is_ok()
    }

    /// Waits until everything is written.
    pub(super) async fn finish(mut self) -> anyhow::Result<Outcome> {
        self.orders.close();
        match self.thread.take() {
            Some(thread) => thread.await,
            None => Ok(Outcome { sha256: None }),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A dropped task is cancelled, and may not even have begun.
        self.orders.close();
        if let Some(thread) = self.thread.take() {
            thread.detach();
        }
    }
}

/// [`AssetError::DiskFull`] if that is what the system says.
pub(super) fn full_or(error: &io::Error, paths: &Paths, needed: u64) -> anyhow::Error {
    match full(error, &paths.dest, needed) {
        Some(full) => full.into(),
        None => paths.error(error),
    }
}

/// The error of a disk without room for so many bytes of a file, if it is one.
pub(super) fn full(error: &io::Error, dest: &Path, needed: u64) -> Option<AssetError> {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    full.then(|| AssetError::DiskFull {
        path: dest.to_owned(),
        needed,
        free: dest
            .parent()
            .and_then(super::partial::free_space)
            .unwrap_or(0),
    })
}

struct Desk {
    partial: Partial,
    hasher: Sha256,
    /// Bytes that went into the hasher, from the first on.
    hashed: u64,
    /// Bytes written since the record was.
    unrecorded: u64,
    _lock: Arc<Lock>,
}

impl Desk {
    fn new(partial: Partial, lock: Arc<Lock>) -> Self {
        Self {
            partial,
            hasher: Sha256::new(),
            hashed: 0,
            unrecorded: 0,
            _lock: lock,
        }
    }

    fn work(&mut self, orders: &Receiver<Order>) -> anyhow::Result<Outcome> {
        while let Ok(order) = orders.recv_blocking() {
            let done = match order {
                Order::Write(at, bytes) => self.write(at, &bytes),
                Order::Validator(tag) => {
                    self.partial.record.validator = Some(tag);
                    Ok(())
                }
            };
            done.map_err(|e| self.error(&e))?;
        }
        self.record().map_err(|e| self.error(&e))?;
        let whole = self.hashed == self.partial.record.size;
        let digest = || hex(&std::mem::take(&mut self.hasher).finalize());
        Ok(Outcome {
            sha256: whole.then(digest),
        })
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = &mut self.partial.file;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        let len = bytes.len() as u64;
        self.partial.written.insert(at..at + len);
        if at == self.hashed {
            self.hasher.update(bytes);
            self.hashed += len;
            // What other connections brought before has its turn now.
            self.read_back(self.partial.written.frontier(), || false)?;
        }
        self.unrecorded += len;
        if self.unrecorded >= RECORD_EVERY {
            self.record()?;
        }
        Ok(())
    }

    fn record(&mut self) -> io::Result<()> {
        self.unrecorded = 0;
        self.partial.save()
    }

    /// Hashes what an earlier attempt left.
    fn catch_up(&mut self, cancelled: impl Fn() -> bool) -> anyhow::Result<()> {
        let frontier = self.partial.written.frontier();
        self.read_back(frontier, cancelled)
            .map_err(|e| self.error(&e))
    }

    fn read_back(&mut self, frontier: u64, cancelled: impl Fn() -> bool) -> io::Result<()> {
        if self.hashed >= frontier {
            return Ok(());
        }
        let mut buffer = vec![0; READ_BACK];
        self.partial.file.seek(SeekFrom::Start(self.hashed))?;
        while self.hashed < frontier && !cancelled() {
            let len = (frontier - self.hashed).min(READ_BACK as u64) as usize;
            self.partial.file.read_exact(&mut buffer[..len])?;
            self.hasher.update(&buffer[..len]);
            self.hashed += len as u64;
        }
        Ok(())
    }

    fn error(&self, error: &io::Error) -> anyhow::Error {
        let Partial {
            record,
            written,
            paths,
            ..
        } = &self.partial;
        full_or(error, paths, record.size - written.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::tests::{folder, remote};
    use std::fs;

    fn start(paths: &Paths) -> Writer {
        let lock = Lock::try_take(&paths.dest).unwrap().unwrap();
        let partial = Partial::open(paths.clone(), &remote(10), 10).unwrap();
        async_io::block_on(Writer::start(partial, Arc::new(lock))).unwrap()
    }

    fn write(writer: &Writer, at: u64, bytes: &[u8]) {
        assert!(async_io::block_on(
            writer.order(Order::Write(at, bytes.to_vec()))
        ));
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order() {
        let paths = Paths::new(&folder("order").join("m.gguf"));
        let expected = hex(&Sha256::digest(b"0123456789"));
        let writer = start(&paths);
        for (at, bytes) in [(6, &b"67"[..]), (0, b"012"), (8, b"89"), (3, b"345")] {
            write(&writer, at, bytes);
        }
        let outcome = async_io::block_on(writer.finish()).unwrap();
        assert_eq!(outcome.sha256, Some(expected));
        assert_eq!(fs::read(&paths.data).unwrap(), b"0123456789");
    }

    #[test]
    fn what_was_written_before_counts() {
        let paths = Paths::new(&folder("before").join("m.gguf"));
        let writer = start(&paths);
        write(&writer, 0, b"0123");
        write(&writer, 6, b"67");
        let outcome = async_io::block_on(writer.finish()).unwrap();
        assert_eq!(outcome.sha256, None);
        let writer = start(&paths);
        write(&writer, 4, b"45");
        write(&writer, 8, b"89");
        let outcome = async_io::block_on(writer.finish()).unwrap();
        assert_eq!(outcome.sha256, Some(hex(&Sha256::digest(b"0123456789"))));
    }

    #[test]
    fn a_dropped_writer_leaves_the_record_of_what_it_wrote() {
        let paths = Paths::new(&folder("dropped").join("m.gguf"));
        let writer = start(&paths);
        write(&writer, 0, b"0123");
        drop(writer);
        // The lock is free once the thread has ended.
        while Lock::try_take(&paths.dest).unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let partial = Partial::open(paths, &remote(10), 10).unwrap();
        assert_eq!(partial.written.pairs(), [(0, 4)]);
    }
}
