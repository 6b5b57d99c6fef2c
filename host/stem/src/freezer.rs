//! Sessions of models that are away, on disk.

use rusty_genius_cortex::ModelSession;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes of saved sessions together: 4 GiB. What goes beyond is not kept; the
/// conversation is then read anew when it goes on.
const BYTES_LIMIT: u64 = 4 << 30;

/// Where sessions are saved: a directory of this process alone, which goes with the last of
/// them. A clone is the same.
#[derive(Clone)]
pub(crate) struct Freezer(Arc<Room>);

struct Room {
    root: PathBuf,
    dir: PathBuf,
    next: AtomicU64,
    bytes: AtomicU64,
}

/// A session on disk. Dropping it removes the file.
pub(crate) struct Saved {
    file: PathBuf,
    bytes: u64,
    room: Arc<Room>,
}

impl Freezer {
    /// One below `root`. Nothing is made before there is something to save.
    pub(crate) fn new(root: PathBuf) -> Self {
        static ROOMS: AtomicU64 = AtomicU64::new(0);
        let room = ROOMS.fetch_add(1, Ordering::Relaxed);
        let dir = root.join(format!("sessions-{}-{room}", std::process::id()));
        Self(Arc::new(Room {
            root,
            dir,
            next: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }))
    }

    /// Saves a session; `None` where the engine saves none, or there is no room.
    pub(crate) async fn save(&self, session: &mut dyn ModelSession) -> Option<Saved> {
        let room = &self.0;
        room.make().ok()?;
        let name = room.next.fetch_add(1, Ordering::Relaxed).to_string();
        let mut saved = Saved {
            file: room.dir.join(name),
            bytes: 0,
            room: room.clone(),
        };
        session.save(&saved.file).await.ok()?;
        saved.bytes = fs::metadata(&saved.file).ok()?.len();
        let before = room.bytes.fetch_add(saved.bytes, Ordering::Relaxed);
        (before.saturating_add(saved.bytes) <= BYTES_LIMIT).then_some(saved)
    }
}

impl Room {
    /// What was said is nobody else's business, and what is read back is believed.
    fn make(&self) -> std::io::Result<()> {
        fs::create_dir_all(&self.root)?;
        let mut dir = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut dir, 0o700);
        match dir.create(&self.dir) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_dir(&self.dir);
    }
}

impl Saved {
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        // A save that failed left none.
        let _ = fs::remove_file(&self.file);
    }
}
