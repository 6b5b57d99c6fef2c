//! Facecrab, the asset authority: turns a model spec into verified files on this machine.
//!
//! A model is looked for in the registry of what was made ready before, then in the
//! Hugging Face cache that other tools share, then on the hub. What is fetched is
//! resumed after any interruption, checked against its sha256 while it arrives, and
//! visible only when it is whole. A model that is [`Bundled`] with the program is laid into
//! that cache at its first use, and never looked for on the hub.
//!
//! ```
//! use facecrab::{Facecrab, Settings};
//! use futures::StreamExt;
//! use rusty_genius_core::{ModelSource, ModelSpec};
//!
//! let mut settings = Settings::new("no/such/cache", "no/such/config");
//! settings.offline = true;
//! let crab = Facecrab::new(settings);
//! let spec = ModelSpec::new(ModelSource::parse("Qwen/Qwen2.5-1.5B-Instruct:Q4_K_M")?);
//!
//! let mut model = crab.ensure_model(&spec);
//! async_std::task::block_on(async {
//!     while let Some(event) = model.next().await {
//!         println!("{event:?}");
//!     }
//!     let error = model.finish().await.unwrap_err();
//!     assert!(error.to_string().contains("would have been fetched"));
//! });
//! # Ok::<(), rusty_genius_core::SpecError>(())
//! ```
#![deny(missing_docs)]

mod bundled;
pub mod catalog;
mod check;
mod download;
mod durable;
mod ensure;
mod hub;
mod installed;
mod progress;
mod registry;
mod select;
mod settings;
mod store;
mod transport;

pub use bundled::Bundled;
pub use installed::{Details, Installed, Verified};
pub use progress::{EnsureModel, ModelAsset, Task};
#[doc(hidden)]
pub use registry::check_registry_text;
pub use settings::Settings;
pub use store::Removed;

use ensure::Ensure;
use registry::Registry;
use rusty_genius_core::{GeniusError, ModelSpec};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;

/// The asset authority. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Facecrab {
    settings: Arc<Settings>,
    store: Store,
    registry: Registry,
    warnings: Arc<Mutex<Vec<GeniusError>>>,
}

impl Facecrab {
    /// One that works as these settings say.
    pub fn new(settings: Settings) -> Self {
        Self {
            store: Store::new(&settings.hub_cache),
            registry: Registry::open(&settings.config),
            settings: Arc::new(settings),
            warnings: Arc::default(),
        }
    }

    /// One that works as the environment says.
    pub fn from_env() -> Self {
        Self::new(Settings::from_env())
    }

    /// How it is set up.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Makes sure that the model's files are here, and says how far they are.
    pub fn ensure_model(&self, spec: &ModelSpec) -> EnsureModel {
        Task::new(|events| {
            let ensure = Ensure {
                settings: self.settings.clone(),
                store: self.store.clone(),
                registry: self.registry.clone(),
                spec: spec.id(),
                source: spec.source.clone(),
                events,
            };
            ensure.run()
        })
    }

    /// The model, if this machine has it. Reads the disk on the caller's thread; a bundled
    /// model is laid into the cache where it is not there.
    ///
    /// Errors: [`GeniusError::Asset`] for a file that is no model, for a quant or revision
    /// of a bundled model that is not bundled, and where a bundled one cannot be laid;
    /// [`GeniusError::Manifest`] for a registry that cannot be read.
    pub fn find(&self, spec: &ModelSpec) -> Result<Option<ModelAsset>, GeniusError> {
        let warn = |warning| self.warn(warning);
        let Self {
            settings,
            store,
            registry,
            ..
        } = self;
        ensure::find(settings, store, registry, &spec.id(), &spec.source, &warn)
            .map_err(|e| progress::edge(&e))
    }

    /// What a person should know of the files that were read since this was last asked:
    /// a damaged registry that its backup stood in for. Those of a [`Task`] come as
    /// events.
    pub fn take_warnings(&self) -> Vec<GeniusError> {
        std::mem::take(&mut self.warnings())
    }

    fn warn(&self, warning: GeniusError) {
        let mut warnings = self.warnings();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    fn warnings(&self) -> MutexGuard<'_, Vec<GeniusError>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
