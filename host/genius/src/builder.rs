//! Putting the house together.

use crate::component::{Component, component, no_such, read_component};
use crate::run::Run;
use crate::{bundled, home};
use facecrab::{Facecrab, catalog};
use rusty_genius_bytelm::Bytelm;
use rusty_genius_core::brainstem::Budgets;
use rusty_genius_core::{
    GeniusError, ModelSpec, Observation, SandboxError, TestCase, ToolDescription, UserManifest,
};
use rusty_genius_cortex::{Backend, Cortex, DEFAULT_ENGINE, SystemClock};
use rusty_genius_guests::Kind;
use rusty_genius_sandbox::{
    CodeCache, Guest, Job, PolicyGuest, PolicyHost, PolicyOptions, Records, Report, Resolve,
    Sandbox, SandboxConfig,
};
use rusty_genius_stem::{Observer, Policy, Recorder, Stem, StemConfig, StrategyPolicy};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Batches of a reply that may wait for their reader before the guest does.
const REPLY_QUEUE: usize = 64;

/// How the house is set up. Everything has a default.
pub struct Builder {
    engine: Option<String>,
    backends: Vec<Arc<dyn Backend>>,
    manifest: Option<UserManifest>,
    facecrab: Option<Facecrab>,
    policy: Mind,
    budgets: Budgets,
    record: Option<PathBuf>,
    observer: Observer,
    scratch_root: Option<PathBuf>,
    cache: Cache,
    records: Option<PathBuf>,
    max_runs: Option<u32>,
}

enum Mind {
    Native(Box<dyn Policy>),
    Guest(String, PolicyOptions),
}

enum Cache {
    Home,
    Off,
    In(PathBuf),
}

impl Builder {
    fn new() -> Self {
        Self {
            engine: None,
            backends: Vec::new(),
            manifest: None,
            facecrab: None,
            policy: Mind::Native(Box::new(StrategyPolicy::default())),
            budgets: Budgets::default(),
            record: None,
            observer: Arc::new(|_| {}),
            scratch_root: None,
            cache: Cache::Home,
            records: None,
            max_runs: None,
        }
    }

    /// The engine of every model, whatever the manifest says. Default: the manifest's, then
    /// `bytelm` for the model that comes with the house and the build's own
    /// ([`DEFAULT_ENGINE`]) for all others.
    pub fn engine(mut self, name: impl Into<String>) -> Self {
        self.engine = Some(name.into());
        self
    }

    /// Adds an engine, or replaces the one of its name.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backends.push(backend);
        self
    }

    /// The models' names and defaults. Default: the user's `models.toml` laid over the
    /// models that come with the house.
    pub fn manifest(mut self, manifest: UserManifest) -> Self {
        self.manifest = Some(manifest);
        self
    }

    /// Where model files are found. Default: as [`bundled::settings`]
    /// say.
    pub fn facecrab(mut self, facecrab: Facecrab) -> Self {
        self.facecrab = Some(facecrab);
        self
    }

    /// What decides about loading and admission. Default: [`StrategyPolicy`].
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Mind::Native(Box::new(policy));
        self
    }

    /// A policy that is a guest, in place of a native one: a built-in one by name, or a
    /// component file by path.
    pub fn policy_guest(mut self, name: impl Into<String>, options: PolicyOptions) -> Self {
        self.policy = Mind::Guest(name.into(), options);
        self
    }

    /// What models, requests and generations may consume together. Default
    /// [`Budgets::default`].
    pub fn budgets(mut self, budgets: Budgets) -> Self {
        self.budgets = budgets;
        self
    }

    /// A new file in which each step of the policy is recorded, for
    /// [`replay`](fn@rusty_genius_stem::replay). Default none.
    pub fn record(mut self, file: impl Into<PathBuf>) -> Self {
        self.record = Some(file.into());
        self
    }

    /// Who hears what the brainstem does. Default: nobody.
    pub fn observer(mut self, observer: Observer) -> Self {
        self.observer = observer;
        self
    }

    /// Where runs get their directories. Default: `RUSTY_GENIUS_TMP`, else `target/tmp`
    /// below the working directory.
    pub fn scratch_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.scratch_root = Some(root.into());
        self
    }

    /// Where compiled guests are kept, with the key that authenticates them in a file beside
    /// it (`DIR.key`); `None` keeps none. Default: the user's cache, and a key in the user's
    /// state.
    pub fn cache_dir(mut self, dir: Option<PathBuf>) -> Self {
        self.cache = dir.map_or(Cache::Off, Cache::In);
        self
    }

    /// A directory in which each run leaves a record. Default none; the command's is
    /// [`records_dir`](crate::records_dir).
    pub fn records(mut self, dir: impl Into<PathBuf>) -> Self {
        self.records = Some(dir.into());
        self
    }

    /// Most guests alive at once, tools included. Default 64.
    pub fn max_runs(mut self, runs: u32) -> Self {
        self.max_runs = Some(runs);
        self
    }

    /// Reads the user's manifest, sets up the sandbox and starts the brainstem.
    ///
    /// Errors: [`GeniusError::Manifest`] for a bad `models.toml`, [`GeniusError::Engine`]
    /// for an engine this build does not have, [`GeniusError::Sandbox`].
    pub fn build(self) -> Result<Genius, GeniusError> {
        let facecrab = self
            .facecrab
            .unwrap_or_else(|| Facecrab::new(bundled::settings()));
        let manifest = match self.manifest {
            Some(manifest) => manifest,
            None => catalog::load(&facecrab.settings().config)?,
        };
        let cortex = Cortex::new(Arc::new(SystemClock)).with(Arc::new(Bytelm));
        let cortex = self
            .backends
            .into_iter()
            .fold(cortex, |cortex, backend| cortex.with(backend));
        // A wrong name is better told now than at the first request.
        if let Some(engine) = &self.engine {
            cortex.backend(Some(engine))?;
        }
        let scratch_root = self.scratch_root.unwrap_or_else(home::scratch_root);
        let cache = match self.cache {
            Cache::Home => home_cache(),
            Cache::Off => None,
            Cache::In(dir) => Some(CodeCache {
                key: dir.with_extension("key"),
                dir,
            }),
        };
        let policies = Policies {
            cache: cache.as_ref().map(|cache| cache_of(cache, "policies")),
            host: OnceLock::new(),
        };
        let policy: Box<dyn Policy> = match self.policy {
            Mind::Native(policy) => policy,
            Mind::Guest(name, options) => Box::new(policies.load(&name, options)?),
        };
        let names = Arc::new(Names {
            manifest,
            engine: self.engine,
        });
        let mut stem = StemConfig {
            budgets: self.budgets,
            hibernation: Some(scratch_root.clone()),
            observer: self.observer,
            ..StemConfig::default()
        };
        let resolve = names.clone();
        stem.resolve = Some(Arc::new(move |name| resolve.model(name)));
        if let Some(file) = self.record {
            let recorder = Recorder::create(&file, self.budgets, policy.name(), policy.tick());
            let recorder = recorder.map_err(|e| SandboxError::Host {
                what: format!("recording to {}", file.display()),
                reason: e.to_string(),
            })?;
            let hear = stem.observer;
            stem.observer = Arc::new(move |output| {
                recorder.hear(output);
                hear(output);
            });
            stem.observe_steps = true;
        }
        let records = self.records.map(Records::new);
        if let Some(records) = records.clone() {
            let hear = stem.observer;
            stem.observer = Arc::new(move |output| {
                records.hear(output);
                hear(output);
            });
            stem.observe_steps = true;
        }
        let stem = Stem::start_with(Arc::new(cortex), facecrab, policy, stem);
        let mut config = SandboxConfig::new(scratch_root);
        config.cache = cache.map(|cache| cache_of(&cache, "guests"));
        config.records = records;
        if let Some(runs) = self.max_runs {
            config.max_runs = runs;
        }
        Ok(Genius {
            sandbox: Sandbox::new(config, stem.clone())?,
            policies: Arc::new(policies),
            stem,
            names,
        })
    }
}

/// The user's cache, and its key.
fn home_cache() -> Option<CodeCache> {
    Some(CodeCache {
        dir: home::cache()?,
        key: home::state()?.join("cache.key"),
    })
}

/// A part of the cache, under the same key.
fn cache_of(cache: &CodeCache, part: &str) -> CodeCache {
    CodeCache {
        dir: cache.dir.join(part),
        key: cache.key.clone(),
    }
}

/// What names mean: models, and the engines they run on.
struct Names {
    manifest: UserManifest,
    engine: Option<String>,
}

impl Names {
    fn model(&self, name: &str) -> Result<ModelSpec, GeniusError> {
        let mut spec = self.manifest.resolve(self.or_default(name))?;
        if let Some(engine) = &self.engine {
            spec.engine = Some(engine.clone());
        }
        if spec.engine.is_none() {
            let own = bundled::engine(&spec.source);
            spec.engine = Some(own.unwrap_or(DEFAULT_ENGINE).to_owned());
        }
        Ok(spec)
    }

    fn or_default<'a>(&'a self, name: &'a str) -> &'a str {
        match name {
            "" => self.manifest.defaults.model.as_deref(),
            name => Some(name),
        }
        .unwrap_or(bundled::DEFAULT_MODEL)
    }
}

/// Policies that are guests, and where they run: set up when the first one is asked for.
pub struct Policies {
    cache: Option<CodeCache>,
    host: OnceLock<PolicyHost>,
}

impl Policies {
    /// Where the user's compiled policies are kept.
    pub fn from_home() -> Self {
        Self {
            cache: home_cache().map(|cache| cache_of(&cache, "policies")),
            host: OnceLock::new(),
        }
    }

    /// Loads a policy: a built-in one by name, or a component file by path. Blocks while it
    /// compiles.
    ///
    /// Errors: [`SandboxError::NoSuchGuest`], and what [`PolicyHost::load`] says.
    pub fn load(&self, name: &str, options: PolicyOptions) -> Result<PolicyGuest, SandboxError> {
        let host = match self.host.get() {
            Some(host) => host,
            None => {
                let host = PolicyHost::new(self.cache.as_ref())?;
                self.host.get_or_init(|| host)
            }
        };
        if let Some(guest) = rusty_genius_guests::find(name) {
            return host.load(guest.name, guest.bytes, options);
        }
        let bytes = read_component(Path::new(name))
            .map_err(|reason| no_such(name, reason, Kind::Policy))?;
        host.load(name, &bytes, options)
    }
}

/// The house: models, engines and a sandbox for guests. A clone is the same house.
#[derive(Clone)]
pub struct Genius {
    pub(crate) sandbox: Sandbox,
    policies: Arc<Policies>,
    stem: Stem,
    names: Arc<Names>,
}

impl Genius {
    /// Begins to set one up.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Loads a guest: a built-in one by name, or a component file by path.
    ///
    /// Errors: [`SandboxError::NoSuchGuest`], and what [`Sandbox::load`] says.
    pub async fn guest(&self, name: &str) -> Result<Guest, GeniusError> {
        self.load(name, Kind::Workflow).await
    }

    async fn load(&self, name: &str, kind: Kind) -> Result<Guest, GeniusError> {
        match component(name, kind).await? {
            Component::BuiltIn(guest) => Ok(self.sandbox.load(guest.name, guest.bytes).await?),
            Component::File(bytes) => Ok(self.sandbox.load(name, bytes).await?),
        }
    }

    /// Loads a tool: a built-in one by name, or a component file by path.
    ///
    /// Errors: [`SandboxError::NoSuchGuest`], and what [`Sandbox::load_tool`] says.
    pub async fn tool(&self, name: &str) -> Result<Guest, GeniusError> {
        match component(name, Kind::Tool).await? {
            Component::BuiltIn(guest) => {
                Ok(self.sandbox.load_tool(guest.name, guest.bytes).await?)
            }
            Component::File(bytes) => Ok(self.sandbox.load_tool(name, bytes).await?),
        }
    }

    /// Loads a test scenario: a built-in one by name, or a component file by path.
    ///
    /// Errors: as [`Genius::guest`].
    pub async fn scenario(&self, name: &str) -> Result<Guest, GeniusError> {
        self.load(name, Kind::Scenario).await
    }

    /// Asks a tool what it is.
    pub async fn tool_description(
        &self,
        tool: &Guest,
        job: Job,
    ) -> Result<Report<ToolDescription>, GeniusError> {
        Ok(self.sandbox.tool_description(tool, job).await?)
    }

    /// Calls a tool once; `arguments` is one JSON object.
    pub async fn call_tool(
        &self,
        tool: &Guest,
        arguments: String,
        job: Job,
    ) -> Result<Report<String>, GeniusError> {
        Ok(self.sandbox.run_tool(tool, arguments, job).await?)
    }

    /// Resolves a model: a name of the manifest, or a spec; the empty string is the
    /// default model.
    pub fn model(&self, name: &str) -> Result<ModelSpec, GeniusError> {
        self.names.model(name)
    }

    /// What a guest's grant takes for the meaning of models' names.
    pub(crate) fn resolve(&self) -> Resolve {
        let names = self.names.clone();
        Arc::new(move |name| names.model(name))
    }

    /// The names of the manifest.
    pub(crate) fn model_names(&self) -> Vec<String> {
        self.names.manifest.models.keys().cloned().collect()
    }

    /// Loads a policy and lets it decide from now on. Nothing that runs or waits is lost. If
    /// it cannot be loaded, the one before goes on.
    ///
    /// Errors: as [`Policies::load`].
    pub async fn change_policy(
        &self,
        name: &str,
        options: PolicyOptions,
    ) -> Result<(), GeniusError> {
        let (policies, name) = (self.policies.clone(), name.to_owned());
        let policy = blocking::unblock(move || policies.load(&name, options)).await?;
        self.stem.change_policy(policy);
        Ok(())
    }

    /// A job on this model with the default budget.
    pub fn job(&self, model: &str) -> Result<Job, GeniusError> {
        let mut job = Job::new(self.model(model)?);
        job.grant.model_name = Some(self.names.or_default(model).to_owned());
        Ok(job)
    }

    /// Starts a workflow. It runs while its [`Run`] is polled; the job's own `reply` is
    /// replaced.
    pub fn run(
        &self,
        guest: &Guest,
        args: impl IntoIterator<Item = impl Into<String>>,
        mut job: Job,
    ) -> Result<Run, GeniusError> {
        let args = args.into_iter().map(Into::into).collect();
        let (sender, replies) = async_channel::bounded(REPLY_QUEUE);
        job.reply = Some(sender);
        let begun = self.sandbox.begin_workflow(guest, args, job)?;
        Ok(Run::new(replies, begun))
    }

    /// Runs one test case through a scenario guest.
    pub async fn run_case(
        &self,
        guest: &Guest,
        case: TestCase,
        job: Job,
    ) -> Result<Report<Observation>, GeniusError> {
        Ok(self.sandbox.run_case(guest, case, job).await?)
    }

    /// The brainstem, for native code that wants inference without a guest.
    pub fn stem(&self) -> &Stem {
        &self.stem
    }
}
