//! Making sure that a model is here: what is bundled, else the registry, then this
//! machine's cache, then the hub.

use crate::download::{self, Progress};
use crate::hub::{Hub, Remote, RepoInfo};
use crate::progress::{Events, ModelAsset};
use crate::registry::{self, Entry, FileRecord, Registry, Warn};
use crate::store::{self, Snapshot, Store};
use crate::transport::Transport;
use crate::{Bundled, Settings, bundled, check, select};
use blocking::unblock;
use rusty_genius_core::text::is_sha256;
use rusty_genius_core::{AssetError, AssetEvent, GeniusError, ModelSource};
use std::path::Path;
use std::sync::Arc;

/// One model on its way.
pub(crate) struct Ensure {
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) spec: String,
    pub(crate) source: ModelSource,
    pub(crate) events: Events,
}

/// A model's files, found or fetched.
struct Found {
    files: Vec<FileRecord>,
    revision: Option<String>,
    source: String,
}

impl Ensure {
    pub(crate) async fn run(self) -> anyhow::Result<ModelAsset> {
        let spec = self.spec.clone();
        self.tell(AssetEvent::Resolving { spec: spec.clone() });
        let asset = match self.here().await? {
            Some(asset) => asset,
            None => {
                let found = self.fetch().await?;
                self.register(found).await
            }
        };
        let size = asset.size;
        self.tell(AssetEvent::Ready { spec, size });
        Ok(asset)
    }

    /// Whoever asked may have stopped listening.
    fn tell(&self, event: AssetEvent) {
        let _ = self.events.unbounded_send(event);
    }

    /// The model, if this machine has it.
    async fn here(&self) -> anyhow::Result<Option<ModelAsset>> {
        let (settings, store) = (self.settings.clone(), self.store.clone());
        let (registry, spec) = (self.registry.clone(), self.spec.clone());
        let (source, warn) = (self.source.clone(), self.warn());
        unblock(move || find(&settings, &store, &registry, &spec, &source, &warn)).await
    }

    fn warn(&self) -> impl Fn(GeniusError) + Send + 'static {
        let events = self.events.clone();
        move |warning: GeniusError| {
            let text = warning.to_string();
            let _ = events.unbounded_send(AssetEvent::Warning { text });
        }
    }

    async fn fetch(&self) -> anyhow::Result<Found> {
        if self.settings.offline {
            let what = match &self.source {
                ModelSource::Url { url, .. } => url.clone(),
                _ => format!("{} from {}", self.spec, self.settings.endpoint),
            };
            return Err(AssetError::Offline { what }.into());
        }
        let transport = Transport::new(&self.settings)?;
        match &self.source {
            ModelSource::Url { url, sha256 } => self.fetch_url(&transport, url, sha256).await,
            ModelSource::Hub {
                repo,
                quant,
                revision,
            } => {
                let (quant, revision) = (quant.as_deref(), revision.as_deref());
                self.fetch_hub(transport, repo, quant, revision).await
            }
            // It is here or nowhere, and `here` came before.
            ModelSource::File(path) => Err(no_file(&self.spec, path).into()),
        }
    }

    async fn fetch_url(
        &self,
        transport: &Transport,
        url: &str,
        sha256: &str,
    ) -> anyhow::Result<Found> {
        let remote = Remote::url(url, sha256);
        let name = store::url_file_name(url, sha256);
        let file = self
            .fetch_file(transport, &remote, store::URLS, sha256, &name, sha256)
            .await?;
        Ok(Found {
            files: vec![file],
            revision: None,
            source: url.to_owned(),
        })
    }

    async fn fetch_hub(
        &self,
        transport: Transport,
        repo: &str,
        quant: Option<&str>,
        revision: Option<&str>,
    ) -> anyhow::Result<Found> {
        let hub = Hub::new(transport.clone(), (*self.settings).clone());
        let mut searched = Vec::new();
        for repo in siblings(repo) {
            searched.push(format!("{}/{repo}", self.settings.endpoint));
            let Some(info) = hub.repo(&repo, revision).await? else {
                continue;
            };
            let listed: Vec<(&str, u64)> = info
                .files
                .iter()
                .map(|file| (file.name.as_str(), file.size.unwrap_or(0)))
                .collect();
            let Some(model) = select::choose(&self.spec, &listed, quant)? else {
                continue;
            };
            let mut files = Vec::new();
            for index in model.files {
                let name = &info.files[index].name;
                files.push(self.fetch_member(&hub, &transport, &info, name).await?);
            }
            let (store, commit) = (self.store.clone(), info.commit.clone());
            let branch = revision.unwrap_or("main").to_owned();
            let source = format!("{}/{repo}", self.settings.endpoint);
            // Last: another tool that follows the ref then finds the files.
            unblock(move || store.write_ref(&repo, &branch, &commit)).await?;
            return Ok(Found {
                files,
                revision: Some(info.commit),
                source,
            });
        }
        let spec = self.spec.clone();
        Err(AssetError::NotFound { spec, searched }.into())
    }

    async fn fetch_member(
        &self,
        hub: &Hub,
        transport: &Transport,
        info: &RepoInfo,
        name: &str,
    ) -> anyhow::Result<FileRecord> {
        let remote = hub.locate(&info.repo, &info.commit, name).await?;
        let etag = remote.etag.clone().or_else(|| remote.sha256.clone());
        let etag = etag.ok_or_else(|| AssetError::Corrupt {
            file: name.to_owned(),
            reason: "the hub does not say what its content is known by (no ETag)".to_owned(),
        })?;
        self.fetch_file(transport, &remote, &info.repo, &info.commit, name, &etag)
            .await
    }

    /// Fetches a file unless its blob is here, and makes it a file of its snapshot.
    async fn fetch_file(
        &self,
        transport: &Transport,
        remote: &Remote,
        repo: &str,
        commit: &str,
        name: &str,
        etag: &str,
    ) -> anyhow::Result<FileRecord> {
        let (store, at, tag) = (self.store.clone(), repo.to_owned(), etag.to_owned());
        let dest = unblock(move || store.blob_place(&at, &tag)).await?;
        let file = name.to_owned();
        let mut progress = |progress| {
            let file = file.clone();
            self.tell(match progress {
                Progress::Queued => AssetEvent::Queued { file },
                Progress::Bytes { done, total } => AssetEvent::Bytes { file, done, total },
                Progress::Verifying => AssetEvent::Verifying { file },
            });
        };
        let fetched =
            download::fetch(transport, &self.settings, remote, &dest, &mut progress).await?;
        let store = self.store.clone();
        let (repo, commit, etag) = (repo.to_owned(), commit.to_owned(), etag.to_owned());
        unblock(move || {
            // What is no model is never linked: nobody finds it under its name.
            check::gguf(&dest)?;
            let path = store.link(&repo, &commit, &file, &etag)?;
            // `fetched` holds the blob's lock till here: nobody removed it meanwhile.
            Ok(FileRecord {
                path,
                size: fetched.size,
                sha256: Some(fetched.sha256),
            })
        })
        .await
    }

    async fn register(&self, found: Found) -> ModelAsset {
        let (registry, spec) = (self.registry.clone(), self.spec.clone());
        let warn = self.warn();
        unblock(move || record(&registry, spec, found, &warn)).await
    }
}

/// The repositories a model may be in: weights mostly live in a sibling.
fn siblings(repo: &str) -> impl Iterator<Item = String> {
    let sibling = (!repo.to_ascii_lowercase().ends_with("-gguf")).then(|| format!("{repo}-GGUF"));
    [repo.to_owned()].into_iter().chain(sibling)
}

/// Looks in this program and on this machine; what the cache has is registered.
pub(crate) fn find(
    settings: &Settings,
    store: &Store,
    registry: &Registry,
    spec: &str,
    source: &ModelSource,
    warn: Warn<'_>,
) -> anyhow::Result<Option<ModelAsset>> {
    if let ModelSource::File(path) = source {
        if !path.exists() {
            return Err(no_file(spec, path).into());
        }
        let size = check::gguf(path)?;
        return Ok(Some(ModelAsset {
            files: vec![path.clone()],
            size,
        }));
    }
    if let Some(bundle) = bundled::choose(&settings.bundled, spec, source)? {
        return lay(bundle, store, registry, warn).map(Some);
    }
    let entry = registered(registry, spec, warn);
    if let Some(entry) = &entry
        && intact(entry)
    {
        return Ok(Some(asset(entry)));
    }
    // A file that is not what it was is not taken again because it is there.
    let sound = |found: &Found| {
        entry
            .as_ref()
            .is_none_or(|entry| !contradicts(found, entry))
    };
    match cached(store, spec, source)?.filter(sound) {
        Some(found) => Ok(Some(record(registry, spec.to_owned(), found, warn))),
        None => Ok(None),
    }
}

/// Without the registry the cache still answers.
fn registered(registry: &Registry, spec: &str, warn: Warn<'_>) -> Option<Entry> {
    match registry.get(spec) {
        Ok(answer) => answer.heed(warn),
        Err(error) => {
            warn(error);
            None
        }
    }
}

/// Makes a bundled model one of the cache and of the registry; where it is, nothing is
/// written.
fn lay(
    bundle: &Bundled,
    store: &Store,
    registry: &Registry,
    warn: Warn<'_>,
) -> anyhow::Result<ModelAsset> {
    let spec = bundle.spec();
    let file = bundle.lay(store)?;
    // For other tools: the file is here and whole without it.
    if let Err(error) = store.write_ref(bundle.repo(), bundled::BRANCH, bundle.commit()) {
        warn(error.into());
    }
    let found = Found {
        files: vec![file],
        revision: Some(bundle.commit().to_owned()),
        source: bundled::SOURCE.to_owned(),
    };
    let same = |entry: &Entry| {
        (&entry.files, &entry.revision, &entry.source)
            == (&found.files, &found.revision, &found.source)
    };
    match registered(registry, &spec, warn).filter(same) {
        Some(entry) => Ok(asset(&entry)),
        None => Ok(record(registry, spec, found, warn)),
    }
}

fn no_file(spec: &str, path: &Path) -> AssetError {
    AssetError::NotFound {
        spec: spec.to_owned(),
        searched: vec![path.display().to_string()],
    }
}

/// Whether the files are still what was registered, as far as a look tells.
fn intact(entry: &Entry) -> bool {
    !entry.files.is_empty()
        && entry
            .files
            .iter()
            .all(|file| check::gguf(&file.path).is_ok_and(|size| size == file.size))
}

/// Whether a file has another size than was registered of it.
fn contradicts(found: &Found, entry: &Entry) -> bool {
    found.files.iter().any(|file| {
        let registered = entry.files.iter().find(|known| known.path == file.path);
        registered.is_some_and(|known| known.size != file.size)
    })
}

fn asset(entry: &Entry) -> ModelAsset {
    ModelAsset {
        files: entry.files.iter().map(|f| f.path.clone()).collect(),
        size: entry.files.iter().map(|f| f.size).sum(),
    }
}

/// The model in the cache, whichever tool fetched it.
fn cached(store: &Store, spec: &str, source: &ModelSource) -> anyhow::Result<Option<Found>> {
    match source {
        ModelSource::Url { url, sha256 } => {
            let snapshots = store.find(store::URLS, Some(sha256))?;
            let name = store::url_file_name(url, sha256);
            let file = snapshots
                .iter()
                .flat_map(|s| &s.files)
                .find(|file| file.name == name && check::gguf(&file.path).is_ok());
            Ok(file.map(|file| Found {
                files: vec![FileRecord {
                    path: file.path.clone(),
                    size: file.size,
                    sha256: Some(sha256.clone()),
                }],
                revision: None,
                source: url.clone(),
            }))
        }
        ModelSource::Hub {
            repo,
            quant,
            revision,
        } => {
            for repo in siblings(repo) {
                for snapshot in store.find(&repo, revision.as_deref())? {
                    if let Some(found) = in_snapshot(&snapshot, spec, quant.as_deref()) {
                        return Ok(Some(found));
                    }
                }
            }
            Ok(None)
        }
        ModelSource::File(_) => Ok(None),
    }
}

/// What is ambiguous among the files that happen to be here may be clear to the hub.
fn in_snapshot(snapshot: &Snapshot, spec: &str, quant: Option<&str>) -> Option<Found> {
    let model = select::choose(spec, &snapshot.listed(), quant)
        .ok()
        .flatten()?;
    let files: Vec<FileRecord> = model
        .files
        .iter()
        .map(|index| &snapshot.files[*index])
        .filter(|file| check::gguf(&file.path).is_ok())
        .map(|file| FileRecord {
            path: file.path.clone(),
            size: file.size,
            sha256: file.etag.clone().filter(|etag| is_sha256(etag)),
        })
        .collect();
    (files.len() == model.files.len()).then(|| Found {
        files,
        revision: Some(snapshot.commit.clone()),
        source: format!("the cache, {}", snapshot.repo),
    })
}

fn record(registry: &Registry, spec: String, found: Found, warn: Warn<'_>) -> ModelAsset {
    let entry = Entry {
        spec,
        files: found.files,
        revision: found.revision,
        source: found.source,
        time: registry::now(),
    };
    // The files are here and whole: that they are not in the books is no reason to refuse.
    match registry.record(&entry) {
        Ok(answer) => answer.heed(warn),
        Err(error) => warn(error),
    }
    asset(&entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gguf_sibling_is_looked_at_second_and_has_none_of_its_own() {
        let names = |repo| siblings(repo).collect::<Vec<_>>();
        assert_eq!(names("o/x"), ["o/x", "o/x-GGUF"]);
        assert_eq!(names("o/x-gguf"), ["o/x-gguf"]);
    }
}
