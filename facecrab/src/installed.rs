//! What this machine has, looked into.

use crate::progress::{Events, ModelAsset, Task, io};
use crate::registry::Entry;
use crate::store::Removed;
use crate::{Bundled, Facecrab, bundled, check, select, store};
use anyhow::Context;
use blocking::unblock;
use rusty_genius_core::gguf::Gguf;
use rusty_genius_core::text::hex;
use rusty_genius_core::{AssetError, AssetEvent, GeniusError, ModelSpec};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes read at once to verify a file.
const CHUNK: usize = 1 << 20;

/// A model that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// What it was asked for as, or `org/repo:QUANT` where another tool fetched it or it
    /// is bundled.
    pub spec: String,
    /// Bytes of all its files.
    pub size: u64,
    /// The files, in order; none where it is bundled and was not used yet.
    pub files: Vec<PathBuf>,
    /// Where it came from: a page of the hub, a URL, `bundled`.
    pub source: String,
    /// When it was registered, RFC 3339; `None` where another tool fetched it, or where it
    /// is bundled and was not used yet.
    pub time: Option<String>,
}

/// A model's own words about itself, from its header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Details {
    /// What it was asked for as.
    pub spec: String,
    /// Its name, as the file has it.
    pub name: Option<String>,
    /// Its architecture.
    pub architecture: Option<String>,
    /// Its quantisation.
    pub quant: Option<String>,
    /// How many numbers it is made of, over all files.
    pub parameters: u64,
    /// Longest context, tokens.
    pub context_length: Option<u64>,
    /// Its licence.
    pub license: Option<String>,
    /// Whether it brings a chat template.
    pub chat_template: bool,
    /// Bytes of all its files.
    pub size: u64,
    /// The files, in order.
    pub files: Vec<PathBuf>,
}

/// A file that was read from end to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The file.
    pub path: PathBuf,
    /// Its sha256.
    pub sha256: String,
    /// Whether it is the one that was registered or is bundled; `None` where neither is
    /// known.
    pub matches: Option<bool>,
}

impl Facecrab {
    /// The models that are here, by spec: those that were registered, those that are
    /// bundled, and those other tools left in the cache. Reads the disk on the caller's
    /// thread.
    ///
    /// Errors: [`GeniusError::Manifest`] for a registry that cannot be read.
    pub fn installed(&self) -> Result<Vec<Installed>, GeniusError> {
        let mut models: BTreeMap<String, Installed> = BTreeMap::new();
        for entry in self.registry.list()?.heed(&|w| self.warn(w)) {
            models.insert(entry.spec.clone(), registered(entry));
        }
        for bundle in &self.settings.bundled {
            let laid = bundle.laid(&self.store)?;
            models
                .entry(bundle.spec())
                .or_insert_with_key(|spec| Installed {
                    spec: spec.clone(),
                    size: bundle.size(),
                    files: laid.into_iter().collect(),
                    source: bundled::SOURCE.to_owned(),
                    time: None,
                });
        }
        let known: Vec<PathBuf> = models.values().flat_map(|m| m.files.clone()).collect();
        for snapshot in self.store.installed()? {
            for model in select::models(&snapshot.listed()) {
                let files: Vec<PathBuf> = model
                    .files
                    .iter()
                    .map(|index| snapshot.files[*index].path.clone())
                    .collect();
                if files.iter().any(|file| known.contains(file)) {
                    continue;
                }
                let quant = model
                    .quant
                    .map_or_else(String::new, |quant| format!(":{quant}"));
                let spec = match (snapshot.repo.as_str(), files.as_slice()) {
                    // Which URL it was is in the registry alone: the path names it too.
                    (store::URLS, [file]) => file.display().to_string(),
                    (repo, _) => format!("{repo}{quant}"),
                };
                models.entry(spec.clone()).or_insert(Installed {
                    spec,
                    size: model.size,
                    files,
                    source: "the cache".to_owned(),
                    time: None,
                });
            }
        }
        Ok(models.into_values().collect())
    }

    /// What a model that is here says of itself. Reads the disk on the caller's thread.
    ///
    /// Errors: [`AssetError::NotFound`], [`AssetError::Invalid`] for a damaged header.
    pub fn details(&self, spec: &ModelSpec) -> Result<Details, GeniusError> {
        let asset = self.here(spec)?;
        let headers = asset
            .files
            .iter()
            .map(|file| check::header(file))
            .collect::<Result<Vec<Gguf>, AssetError>>()?;
        // The first file of a split model has the metadata.
        let Some(first) = headers.first() else {
            return Err(not_here(spec));
        };
        Ok(Details {
            spec: spec.id(),
            name: first.name().map(str::to_owned),
            architecture: first.architecture().map(str::to_owned),
            quant: first.quant().map(str::to_owned),
            parameters: headers.iter().map(Gguf::parameter_count).sum(),
            context_length: first.context_length(),
            license: first.license().map(str::to_owned),
            chat_template: first.chat_template().is_some(),
            size: asset.size,
            files: asset.files,
        })
    }

    /// Reads a model's files from end to end and compares their sha256 with what was
    /// registered.
    ///
    /// Errors: [`AssetError::NotFound`], [`AssetError::Io`], [`AssetError::Invalid`] for
    /// a damaged header.
    pub fn verify(&self, spec: &ModelSpec) -> Task<Vec<Verified>> {
        Task::new(|events| {
            let (crab, spec) = (self.clone(), spec.clone());
            unblock(move || crab.verify_here(&spec, &events))
        })
    }

    fn verify_here(&self, spec: &ModelSpec, events: &Events) -> anyhow::Result<Vec<Verified>> {
        let bundle = self.bundled(spec)?;
        let asset = self.here(spec)?;
        let entry = self.registry.get(&spec.id())?.heed(&|w| self.warn(w));
        let mut verified = Vec::new();
        for path in asset.files {
            check::header(&path)?;
            let sha256 = digest(&path, events)?;
            let recorded = entry
                .iter()
                .flat_map(|entry| &entry.files)
                .find(|file| file.path == path)
                .and_then(|file| file.sha256.as_deref());
            let recorded = bundle.map(Bundled::sha256).or(recorded);
            verified.push(Verified {
                matches: recorded.map(|recorded| recorded == sha256),
                path,
                sha256,
            });
        }
        Ok(verified)
    }

    /// Forgets a model, and removes its files from the cache where nothing else uses
    /// them. A file that was named by its path is left alone; a bundled model comes back
    /// with its next use.
    ///
    /// Errors: [`AssetError::NotFound`], [`AssetError::Io`].
    pub fn remove(&self, spec: &ModelSpec) -> Result<Removed, GeniusError> {
        if let Some(bundle) = self.bundled(spec)? {
            return self.remove_bundled(bundle, spec);
        }
        let asset = self.here(spec)?;
        let mut removed = Removed::default();
        for snapshot in self.store.installed()? {
            let names: Vec<&str> = snapshot
                .files
                .iter()
                .filter(|file| asset.files.contains(&file.path))
                .map(|file| file.name.as_str())
                .collect();
            if !names.is_empty() {
                let gone = self
                    .store
                    .remove(&snapshot.repo, &snapshot.commit, &names)?;
                removed.links += gone.links;
                removed.bytes += gone.bytes;
            }
        }
        self.registry.remove(&spec.id())?.heed(&|w| self.warn(w));
        Ok(removed)
    }

    fn remove_bundled(&self, bundle: &Bundled, spec: &ModelSpec) -> Result<Removed, GeniusError> {
        let removed = bundle.remove(&self.store)?;
        let known = self.registry.remove(&bundle.spec())?;
        match known.heed(&|w| self.warn(w)) || removed.links > 0 {
            true => Ok(removed),
            false => Err(not_here(spec)),
        }
    }

    fn bundled(&self, spec: &ModelSpec) -> Result<Option<&'static Bundled>, AssetError> {
        bundled::choose(&self.settings.bundled, &spec.id(), &spec.source)
    }

    fn here(&self, spec: &ModelSpec) -> Result<ModelAsset, GeniusError> {
        self.find(spec)?.ok_or_else(|| not_here(spec))
    }
}

fn not_here(spec: &ModelSpec) -> GeniusError {
    AssetError::NotFound {
        spec: spec.id(),
        searched: vec!["the registry and the cache of this machine".to_owned()],
    }
    .into()
}

fn registered(entry: Entry) -> Installed {
    Installed {
        size: entry.files.iter().map(|f| f.size).sum(),
        files: entry.files.into_iter().map(|f| f.path).collect(),
        spec: entry.spec,
        source: entry.source,
        time: Some(entry.time),
    }
}

fn digest(path: &Path, events: &Events) -> anyhow::Result<String> {
    let (mut file, metadata) = check::open(path)?;
    let name = path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let _ = events.unbounded_send(AssetEvent::Verifying { file: name.clone() });
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    loop {
        let read = file.read(&mut chunk).map_err(io(path))?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
        done += read as u64;
        let event = AssetEvent::Bytes {
            file: name.clone(),
            done,
            total: Some(metadata.len()),
        };
        // Nobody listens any more: nobody wants to know the rest.
        events
            .unbounded_send(event)
            .ok()
            .context("the verification was cancelled")?;
    }
    Ok(hex(&hasher.finalize()))
}
