//! The hub's state: repositories, what goes wrong with them, and what was asked.

use super::content::{Content, hex};
use super::http::Request;
use super::serve;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The three servers, each an origin of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// Listings and redirects.
    Hub,
    /// The bytes of large files.
    Cdn,
    /// Where nobody should be led to.
    Elsewhere,
}

/// Which kind of request a fault befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum At {
    /// `/api/models/…`
    Api,
    /// `/org/repo/resolve/…`
    Resolve,
    /// The bytes of a large file.
    Cdn,
}

/// What goes wrong with one answer.
#[derive(Clone)]
pub(crate) enum Fault {
    /// This status and perhaps `Retry-After`.
    Status(u16, Option<String>),
    /// The body announces so many bytes more or fewer than it has, then the connection ends.
    Length(i64),
    /// The connection ends after so many bytes of the body.
    Cut(u64),
    /// After so many bytes nothing comes any more, until the client leaves.
    Stall(u64),
    /// After so many bytes nothing comes until [`Hub::release`].
    Hold(u64),
    /// So many bytes at a time, with a pause after each.
    Drip(usize, Duration),
    /// No length, and bytes for ever.
    Endless,
    /// No length, the right bytes in chunks.
    Chunked,
    /// The whole file with status 200, whatever was asked.
    IgnoreRange,
    /// A 206 for a range that lies so many bytes further on, and says so.
    OtherRange(u64),
    /// A 206 that says what was asked and sends what lies so many bytes further on.
    LyingRange(u64),
    /// Noise of the right length.
    Garbage,
    /// Other content under the same address, with its own etag.
    Swap(Content),
    /// A redirect to this address.
    Redirect(String),
    /// A redirect to the same address again.
    Loop,
    /// This body with status 200.
    Body(Vec<u8>),
    /// `Content-Encoding: gzip` and this body.
    Gzip(Arc<Vec<u8>>),
    /// Headers for ever.
    HeaderBomb,
    /// The connection is reset in the middle of the head.
    Reset,
    /// Half a head, then nothing until the client leaves.
    Silence,
    /// Headers that the answer has besides, or instead where it has them.
    Header(&'static str, String),
    /// The answer lacks this header.
    Without(&'static str),
}

/// Who may read a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    Open,
    /// The listing is public, the files are not.
    Gated(String),
    /// Who has not this token does not even learn that it is there.
    Private(String),
}

/// One request, as it was met.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) origin: Origin,
    pub(crate) request: Request,
    status: AtomicU16,
    /// Where in the file the body began.
    start: AtomicU64,
    sent: AtomicU64,
    left: AtomicBool,
    over: AtomicBool,
}

impl Seen {
    pub(crate) fn status(&self) -> u16 {
        self.status.load(Ordering::SeqCst)
    }

    /// Where in the file the body began.
    pub(crate) fn start(&self) -> u64 {
        self.start.load(Ordering::SeqCst)
    }

    /// Bytes of the body that were handed to the system, or of the head for a bomb.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Whether the client broke off.
    pub(crate) fn left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    /// Whether the answer is over, one way or the other.
    pub(crate) fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }

    pub(super) fn begin(&self, status: u16, start: u64) {
        self.status.store(status, Ordering::SeqCst);
        self.start.store(start, Ordering::SeqCst);
    }

    pub(super) fn add(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone)]
pub(super) struct File {
    pub(super) content: Content,
    /// Large files live on the second origin and are known by their sha256.
    pub(super) large: bool,
}

impl File {
    /// What the hub calls the content: a sha256, or 40 digits for a small file.
    pub(super) fn etag(&self) -> String {
        let sha256 = self.content.sha256();
        if self.large { sha256 } else { &sha256[..40] }.to_owned()
    }
}

#[derive(Clone)]
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) files: BTreeMap<String, File>,
}

#[derive(Clone)]
pub(super) struct Repo {
    pub(super) access: Access,
    pub(super) commits: Vec<Commit>,
    pub(super) refs: BTreeMap<String, String>,
}

impl Repo {
    pub(super) fn at(&self, revision: &str) -> Option<&Commit> {
        let id = self.refs.get(revision).map_or(revision, String::as_str);
        self.commits.iter().find(|commit| commit.id == id)
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) repos: BTreeMap<String, Repo>,
    faults: HashMap<(At, String), Vec<(usize, Fault)>>,
    /// Whatever was ever there stays there under its digest.
    pub(super) blobs: HashMap<String, Content>,
    pub(super) moved: HashMap<String, String>,
    seen: Vec<Arc<Seen>>,
    connections: HashMap<u64, TcpStream>,
}

pub(super) struct Inner {
    pub(super) ports: [u16; 3],
    state: Mutex<State>,
    changed: Condvar,
    pub(super) stop: AtomicBool,
    /// Bytes a second and connection; 0 is as fast as can be.
    pub(super) pace: AtomicU64,
    pub(super) released: AtomicBool,
    pub(super) close: AtomicBool,
    tight: AtomicBool,
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self, origin: Origin) -> String {
        format!("http://127.0.0.1:{}", self.ports[origin as usize])
    }

    /// The faults of the next answer of this kind, each used once more.
    pub(super) fn faults(&self, at: At, name: &str) -> Vec<Fault> {
        let mut state = self.state();
        let Some(queue) = state.faults.get_mut(&(at, name.to_owned())) else {
            return vec![];
        };
        let Some((left, fault)) = queue.first_mut() else {
            return vec![];
        };
        let fault = fault.clone();
        *left = left.saturating_sub(1);
        if *left == 0 {
            queue.remove(0);
        }
        vec![fault]
    }

    pub(super) fn record(&self, origin: Origin, request: &Request) -> Arc<Seen> {
        let seen = Arc::new(Seen {
            origin,
            request: request.clone(),
            status: AtomicU16::new(0),
            start: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            left: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        self.state().seen.push(seen.clone());
        self.changed.notify_all();
        seen
    }

    pub(super) fn finish(&self, seen: &Seen) {
        seen.over.store(true, Ordering::SeqCst);
        self.notify();
    }

    pub(super) fn notify(&self) {
        // Taking the lock in between keeps a waiter from missing the change.
        drop(self.state());
        self.changed.notify_all();
    }
}

/// The emulator. Dropping it ends its servers and connections.
pub(crate) struct Hub(Arc<Inner>);

impl Hub {
    pub(crate) fn start() -> Self {
        let listeners = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let port = |l: &TcpListener| l.local_addr().map_or(0, |a| a.port());
        let inner = Arc::new(Inner {
            ports: [
                port(&listeners[0]),
                port(&listeners[1]),
                port(&listeners[2]),
            ],
            state: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            pace: AtomicU64::new(0),
            released: AtomicBool::new(false),
            close: AtomicBool::new(false),
            tight: AtomicBool::new(false),
        });
        let origins = [Origin::Hub, Origin::Cdn, Origin::Elsewhere];
        for (listener, origin) in listeners.into_iter().zip(origins) {
            let inner = inner.clone();
            std::thread::spawn(move || listen(&inner, &listener, origin));
        }
        Self(inner)
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self, origin: Origin) -> String {
        self.0.url(origin)
    }

    /// What `HF_ENDPOINT` is to be.
    pub(crate) fn endpoint(&self) -> String {
        self.url(Origin::Hub)
    }

    /// Adds a large file to a repository, at the head of `main`: a new commit, whose id
    /// comes back.
    pub(crate) fn add(&self, repo: &str, file: &str, content: &Content) -> String {
        self.push(repo, &[(file, content, true)])
    }

    /// Adds files at the head of `main`; the small ones are served by the hub itself.
    pub(crate) fn push(&self, repo: &str, files: &[(&str, &Content, bool)]) -> String {
        let mut state = self.0.state();
        for (_, content, _) in files {
            let sha256 = content.sha256().to_owned();
            state.blobs.insert(sha256, (*content).clone());
        }
        let entry = state.repos.entry(repo.to_owned()).or_insert_with(|| Repo {
            access: Access::Open,
            commits: vec![],
            refs: BTreeMap::new(),
        });
        let mut all = entry
            .commits
            .last()
            .map(|c| c.files.clone())
            .unwrap_or_default();
        for (name, content, large) in files {
            let file = File {
                content: (*content).clone(),
                large: *large,
            };
            all.insert((*name).to_owned(), file);
        }
        let seed = format!("{repo} {}", entry.commits.len());
        let id = hex(&Sha256::digest(seed.as_bytes()))[..40].to_owned();
        entry.commits.push(Commit {
            id: id.clone(),
            files: all,
        });
        entry.refs.insert("main".to_owned(), id.clone());
        id
    }

    /// Names a commit.
    pub(crate) fn tag(&self, repo: &str, tag: &str, commit: &str) {
        let mut state = self.0.state();
        let repo = state.repos.get_mut(repo).expect("the repository is there");
        repo.refs.insert(tag.to_owned(), commit.to_owned());
    }

    pub(crate) fn restrict(&self, repo: &str, access: Access) {
        let mut state = self.0.state();
        let repo = state.repos.get_mut(repo).expect("the repository is there");
        repo.access = access;
    }

    /// The repository is called otherwise now, and the hub redirects.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let mut state = self.0.state();
        let repo = state.repos.remove(from).expect("the repository is there");
        state.repos.insert(to.to_owned(), repo);
        state.moved.insert(from.to_owned(), to.to_owned());
    }

    /// The next answer about `name` (a file, or a repository where `at` is the API) goes
    /// wrong so. Faults of the same place and name befall one answer after the other.
    pub(crate) fn fault(&self, at: At, name: &str, fault: Fault) {
        self.faults(at, name, 1, fault);
    }

    /// The next `times` answers.
    pub(crate) fn faults(&self, at: At, name: &str, times: usize, fault: Fault) {
        let mut state = self.0.state();
        let queue = state.faults.entry((at, name.to_owned())).or_default();
        queue.push((times, fault));
    }

    /// Every answer from now on.
    pub(crate) fn always(&self, at: At, name: &str, fault: Fault) {
        self.faults(at, name, usize::MAX, fault);
    }

    /// No faults any more.
    pub(crate) fn heal(&self) {
        self.0.state().faults.clear();
    }

    /// Large files come at so many bytes a second and connection.
    pub(crate) fn pace(&self, bytes: u64) {
        self.0.pace.store(bytes, Ordering::SeqCst);
    }

    /// Little waits in the sockets' buffers from now on: what counts as sent has nearly
    /// arrived, even at a client that is slow.
    pub(crate) fn tight(&self) {
        self.0.tight.store(true, Ordering::SeqCst);
    }

    /// Every connection is closed after one answer.
    pub(crate) fn close_each(&self) {
        self.0.close.store(true, Ordering::SeqCst);
    }

    /// What is held goes on.
    pub(crate) fn release(&self) {
        self.0.released.store(true, Ordering::SeqCst);
    }

    /// Everything asked so far, in order.
    pub(crate) fn seen(&self) -> Vec<Arc<Seen>> {
        self.0.state().seen.clone()
    }

    pub(crate) fn forget(&self) {
        self.0.state().seen.clear();
    }

    /// What one origin was asked.
    pub(crate) fn at(&self, origin: Origin) -> Vec<Arc<Seen>> {
        let mut seen = self.seen();
        seen.retain(|s| s.origin == origin);
        seen
    }

    /// Bytes of large files that were sent.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.at(Origin::Cdn).iter().map(|s| s.sent()).sum()
    }

    /// Waits until a request is as wanted; fails after [`PATIENCE`].
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Arc<Seen> {
        let until = Instant::now() + PATIENCE;
        let mut state = self.0.state();
        loop {
            if let Some(found) = state.seen.iter().find(|s| wanted(s)) {
                return found.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain: {what}");
            let step = left.min(Duration::from_millis(200));
            state = self
                .0
                .changed
                .wait_timeout(state, step)
                .map_or_else(|e| e.into_inner().0, |(state, _)| state);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
        for connection in self.0.state().connections.values() {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        for port in self.0.ports {
            let _ = TcpStream::connect(("127.0.0.1", port));
        }
    }
}

fn listen(inner: &Arc<Inner>, listener: &TcpListener, origin: Origin) {
    for (count, stream) in (0_u64..).zip(listener.incoming()) {
        if inner.stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let _ = stream.set_nodelay(true);
        #[cfg(unix)]
        if inner.tight.load(Ordering::SeqCst) {
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, 32 << 10);
        }
        let id = count * 3 + origin as u64;
        if let Ok(copy) = stream.try_clone() {
            inner.state().connections.insert(id, copy);
        }
        let inner = inner.clone();
        std::thread::spawn(move || {
            let _ = serve::connection(&inner, origin, stream);
            // Open till the copy goes too.
            inner.state().connections.remove(&id);
        });
    }
}

/// An address on this machine where nobody listens.
pub(crate) fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().map_or(0, |a| a.port())
}
