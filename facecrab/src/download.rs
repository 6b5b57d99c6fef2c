//! Fetching one file: resumable, verified, visible only when whole. And `lay`, for one that
//! need not be fetched.

mod connection;
mod lay;
mod lock;
mod partial;
mod plan;
pub(crate) mod retry;
mod transfer;
mod tuner;
mod writer;

use crate::Settings;
use crate::hub::Remote;
use crate::transport::{Transport, network};
use async_io::Timer;
use connection::{Fault, Source};
pub(crate) use lay::lay;
use lock::Lock;
use partial::{Partial, Paths};
use plan::Plan;
use retry::Backoff;
use rusty_genius_core::AssetError;
use rusty_genius_core::text::hex;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use transfer::{End, Transfer};
use writer::Writer;

/// How often another process's download is looked at: it gives no signal.
const LOOK: Duration = Duration::from_millis(250);

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Another process fetches it; its progress follows as [`Progress::Bytes`].
    Queued,
    /// Bytes here, and in all where that is known.
    Bytes { done: u64, total: Option<u64> },
    /// Reading what is here to check it.
    Verifying,
}

/// A file that is here, whole.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) size: u64,
    /// 64 hexadecimal digits, lower case.
    pub(crate) sha256: String,
    /// Held until this is dropped: nobody removes the file before it is linked.
    _lock: Arc<Lock>,
}

/// Fetches `remote` to `dest`, whose folder is made where there is none. What an earlier attempt, of
/// whatever process, left beside it is used; one process at a time fetches, and the
/// others wait. Dropping the future stops it, and keeps what is there.
///
/// A file that is at `dest` already and has the right size is taken as it is: it was
/// checked by whoever put it there.
///
/// Memory: some chunks of 128 KiB per connection. A SIGKILL loses less than 1 MiB.
///
/// Errors: [`AssetError::Offline`], [`AssetError::Network`], [`AssetError::Corrupt`],
/// [`AssetError::Gated`], [`AssetError::NotFound`], [`AssetError::DiskFull`],
/// [`AssetError::Io`].
pub(crate) async fn fetch(
    transport: &Transport,
    settings: &Settings,
    remote: &Remote,
    dest: &Path,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<Fetched> {
    let paths = Paths::new(dest);
    let lock = Arc::new(wait_for_lock(&paths, progress).await?);
    if let Some((size, sha256)) = already_there(&paths, remote, progress).await? {
        // Whoever made it visible may have been killed before its last step.
        let left = paths.clone();
        let _ = blocking::unblock(move || left.discard()).await;
        let total = Some(size);
        progress(Progress::Bytes { done: size, total });
        return Ok(Fetched {
            size,
            sha256,
            _lock: lock,
        });
    }
    if settings.offline {
        return Err(AssetError::Offline {
            what: remote.name.clone(),
        }
        .into());
    }
    let source = Source {
        transport: transport.clone(),
        settings: settings.clone(),
        remote: remote.clone(),
    };
    let size = match remote.size {
        Some(size) => size,
        None => ask_for_size(&source).await?,
    };
    let sha256 = attempts(&source, size, &paths, &lock, progress).await?;
    let published = paths.clone();
    blocking::unblock(move || publish(&published).map_err(|e| published.error(&e))).await?;
    Ok(Fetched {
        size,
        sha256,
        _lock: lock,
    })
}

/// Fetches and checks the whole file, and leaves it where partial files are.
async fn attempts(
    source: &Source,
    size: u64,
    paths: &Paths,
    lock: &Arc<Lock>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<String> {
    let mut backoff = Backoff::new(&source.settings);
    // A server without ranges starts from zero each time: that must not go on for ever,
    // though every time brings bytes.
    let mut beginnings = Backoff::new(&source.settings);
    let mut connections = source.settings.connections;
    let mut changed = false;
    loop {
        let partial = open(paths, &source.remote, size).await?;
        let resumed = partial.written.total();
        let validator = partial.record.validator.clone();
        let plan = Plan::new(size, partial.written.clone());
        if resumed > 0 {
            progress(Progress::Verifying);
        }
        let writer = Writer::start(partial, lock.clone()).await?;
        let end = Transfer {
            source,
            plan,
            writer: &writer,
            validator,
            connections,
            backoff: &mut backoff,
            progress,
        }
        .run()
        .await;
        if matches!(end, Ok(End::Whole)) {
            progress(Progress::Verifying);
        }
        // Also after an error: what came before it is written.
        let outcome = writer.finish().await;
        let again = match end {
            Err(error) if is_corrupt(&error) => {
                discard(paths).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
            Ok(End::Whole | End::WriterEnded) => {
                let found = outcome?.sha256.unwrap_or_default();
                match &source.remote.sha256 {
                    Some(expected) if *expected != found => {
                        discard(paths).await?;
                        // Perhaps what was there before was wrong, and not the server.
                        if resumed > 0 && !changed {
                            changed = true;
                            continue;
                        }
                        return Err(source.corrupt(format!(
                            "its sha256 is {found}, and {expected} was announced"
                        )));
                    }
                    _ => return Ok(found),
                }
            }
            Ok(End::Changed) if changed => {
                Err(source.corrupt("the server keeps changing it".to_owned()))
            }
            Ok(End::Changed) => {
                changed = true;
                Ok(None)
            }
            Ok(End::NoRanges) => {
                connections = 1;
                let reason = "the server breaks off, and cannot continue where it did";
                let give_up = || network(&source.remote.url, reason);
                beginnings.failed(None).map(Some).ok_or_else(give_up)
            }
        };
        discard(paths).await?;
        if let Some(pause) = again? {
            Timer::after(pause).await;
        }
    }
}

/// Waits for the lock, showing what its holder does.
async fn wait_for_lock(
    paths: &Paths,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<Lock> {
    let mut queued = false;
    let mut last = None;
    loop {
        let looked = paths.clone();
        let (lock, there) = blocking::unblock(move || {
            let lock = Lock::try_take(&looked.dest)?;
            let there = match lock {
                Some(_) => None,
                None => partial::peek(&looked),
            };
            anyhow::Ok((lock, there))
        })
        .await?;
        if let Some(lock) = lock {
            return Ok(lock);
        }
        if !queued {
            queued = true;
            progress(Progress::Queued);
        }
        if let Some((done, total)) = there
            && last != Some(done)
        {
            last = Some(done);
            let total = Some(total);
            progress(Progress::Bytes { done, total });
        }
        Timer::after(LOOK).await;
    }
}

/// Size and digest of the file at `dest`, if it has the right size.
async fn already_there(
    paths: &Paths,
    remote: &Remote,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<Option<(u64, String)>> {
    let Ok(metadata) = fs::metadata(&paths.dest) else {
        return Ok(None);
    };
    let size = metadata.len();
    if !metadata.is_file() || remote.size.is_some_and(|announced| announced != size) {
        return Ok(None);
    }
    let sha256 = match &remote.sha256 {
        Some(sha256) => sha256.clone(),
        None => {
            progress(Progress::Verifying);
            let paths = paths.clone();
            blocking::unblock(move || digest(&paths.dest).map_err(|e| paths.error(&e))).await?
        }
    };
    Ok(Some((size, sha256)))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

async fn ask_for_size(source: &Source) -> anyhow::Result<u64> {
    let mut backoff = Backoff::new(&source.settings);
    loop {
        let (error, asked) = match source.size().await {
            Ok(size) => return Ok(size),
            Err(Fault::Transient(error, asked)) => (error, asked),
            Err(Fault::Fatal(error)) => return Err(error),
            Err(Fault::Changed | Fault::NoRanges) => {
                return Err(source.corrupt("the server does not say how long it is".to_owned()));
            }
        };
        match backoff.failed(asked) {
            Some(pause) => Timer::after(pause).await,
            None => return Err(error),
        };
    }
}

/// Opens what there is of the file, if the disk has room for the rest.
async fn open(paths: &Paths, remote: &Remote, size: u64) -> anyhow::Result<Partial> {
    let (paths, remote) = (paths.clone(), remote.clone());
    blocking::unblock(move || {
        let partial = Partial::open(paths.clone(), &remote, size)?;
        let needed = size - partial.written.total();
        match paths.dest.parent().and_then(partial::free_space) {
            Some(free) if free < needed => Err(AssetError::DiskFull {
                path: paths.dest,
                needed,
                free,
            }
            .into()),
            _ => Ok(partial),
        }
    })
    .await
}

async fn discard(paths: &Paths) -> anyhow::Result<()> {
    let paths = paths.clone();
    blocking::unblock(move || paths.discard()).await
}

fn is_corrupt(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(AssetError::Corrupt { .. }))
}

/// Makes the whole file visible. On the disk before its name is: a name never stands
/// for less than the file, even if the power goes.
fn publish(paths: &Paths) -> io::Result<()> {
    File::options().write(true).open(&paths.data)?.sync_all()?;
    fs::rename(&paths.data, &paths.dest)?;
    #[cfg(unix)]
    if let Some(folder) = paths.dest.parent() {
        File::open(folder)?.sync_all()?;
    }
    // What describes it is of no more use; left over, it describes nothing.
    let _ = paths.discard();
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
