//! A cache and a registry of one test's own, and what must always be true of them.

use super::content::{Content, sha256_of};
use super::hub::Hub;
use facecrab::{Bundled, Facecrab, ModelAsset, Settings};
use futures::StreamExt;
use rusty_genius_core::{AssetError, AssetEvent, GeniusError, ModelSource, ModelSpec};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs a test on the async-std runtime. One that hangs fails, long before the runner
/// gives up on it.
pub(crate) fn test(body: impl Future<Output = ()>) {
    let limit = Duration::from_secs(120);
    async_std::task::block_on(async_std::future::timeout(limit, body)).expect("the test hangs");
}

pub(crate) fn spec(text: &str) -> ModelSpec {
    ModelSpec::new(ModelSource::parse(text).expect("a spec"))
}

/// A model that comes inside the program.
pub(crate) fn bundled(repo: &str, file: &str, content: &Content) -> &'static Bundled {
    let text = |text: &str| &*Box::leak(Box::<str>::from(text));
    let bytes = Box::leak(content.to_vec().into_boxed_slice());
    Box::leak(Box::new(Bundled::new(text(repo), text(file), bytes)))
}

/// A folder of one test's own, empty at first.
#[derive(Clone)]
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("facecrab")
            .join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a folder for the test");
        Self(dir)
    }

    /// A place that another process made.
    pub(crate) fn at(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    /// Also right for `HF_HUB_CACHE`.
    pub(crate) fn cache(&self) -> PathBuf {
        self.0.join("hub")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// Settings of somebody who is in a hurry.
    pub(crate) fn settings(&self, endpoint: &str) -> Settings {
        let mut settings = Settings::new(self.cache(), self.config());
        settings.endpoint = endpoint.to_owned();
        settings.retries = 4;
        settings.backoff = Duration::from_millis(5);
        settings.stall = Duration::from_millis(700);
        settings.connections = 1;
        settings
    }

    pub(crate) fn crab(&self, hub: &Hub) -> Facecrab {
        Facecrab::new(self.settings(&hub.endpoint()))
    }

    pub(crate) async fn ensure(&self, hub: &Hub, text: &str) -> Result<ModelAsset, GeniusError> {
        self.crab(hub).ensure_model(&spec(text)).finish().await
    }

    /// What went wrong, which must be an asset's fault and leave nothing behind.
    pub(crate) async fn refusal(&self, hub: &Hub, text: &str) -> AssetError {
        let error = match self.ensure(hub, text).await {
            Ok(asset) => panic!("{text} was taken: {asset:?}"),
            Err(error) => error,
        };
        self.assert_empty();
        match error {
            GeniusError::Asset(error) => error,
            other => panic!("not an asset's error: {other:?}"),
        }
    }

    /// Every file below a folder of each repository: `blobs` or `snapshots`.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for repo in list(&self.cache()) {
            walk(&repo.join(folder), &mut found);
        }
        found
    }

    /// Blobs that look whole: what other tools would take for one.
    pub(crate) fn blobs(&self) -> Vec<PathBuf> {
        let mut found = self.files("blobs");
        found.retain(|path| {
            let name = name(path);
            (name.len() == 64 || name.len() == 40) && name.bytes().all(|b| b.is_ascii_hexdigit())
        });
        found
    }

    pub(crate) fn snapshot_files(&self) -> Vec<PathBuf> {
        self.files("snapshots")
    }

    /// Files in `blobs` that are not whole ones: their names and lengths.
    pub(crate) fn parts(&self) -> Vec<(String, u64)> {
        self.settle();
        let whole = self.blobs();
        let mut parts = self.files("blobs");
        parts.retain(|path| !whole.contains(path));
        let len = |p: &PathBuf| fs::metadata(p).map_or(0, |m| m.len());
        parts.iter().map(|p| (name(p), len(p))).collect()
    }

    /// Waits for whatever still writes here: a dropped download's last bytes are on their
    /// way to the disk, and their lock is held until they are there.
    fn settle(&self) {
        let mut locks = Vec::new();
        walk(&self.cache().join(".locks"), &mut locks);
        for lock in locks {
            let lock = fs::File::open(lock).expect("a lock file");
            lock.lock().expect("the lock");
        }
    }

    /// The registry as text; empty where there is none.
    pub(crate) fn registry(&self) -> String {
        fs::read_to_string(self.config().join("registry.toml")).unwrap_or_default()
    }

    /// No model is visible to anybody, and the registry names none.
    pub(crate) fn assert_empty(&self) {
        self.assert_sound();
        let visible = [self.blobs(), self.snapshot_files()].concat();
        assert!(visible.is_empty(), "{visible:?}");
        assert!(
            !self.registry().contains("snapshots"),
            "{}",
            self.registry()
        );
    }

    /// Whatever is visible is right: each blob hashes to its name, each snapshot's file
    /// leads to a blob, the registry is TOML.
    pub(crate) fn assert_sound(&self) {
        for blob in self.blobs() {
            let digest = sha256_of(&blob).expect("a blob can be read");
            assert!(
                digest.starts_with(&name(&blob)),
                "{} is wrong",
                blob.display()
            );
        }
        for file in self.snapshot_files() {
            let blob = fs::canonicalize(&file).expect("a snapshot's file leads somewhere");
            let digest = sha256_of(&blob).expect("a snapshot's file can be read");
            let known = name(&blob);
            assert!(digest.starts_with(&known), "{}: {known}", file.display());
        }
        let registry = self.registry();
        assert!(registry.parse::<toml::Table>().is_ok(), "{registry}");
    }
}

/// The events and the outcome.
pub(crate) async fn watch(
    mut ensure: facecrab::EnsureModel,
) -> (Vec<AssetEvent>, Result<ModelAsset, GeniusError>) {
    let mut events = Vec::new();
    while let Some(event) = ensure.next().await {
        events.push(event);
    }
    (events, ensure.finish().await)
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for path in list(dir) {
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir());
        if is_folder {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}
