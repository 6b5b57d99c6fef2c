//! Policies that are guests: the brainstem's mind in a sandbox of its own.
//!
//! A policy is called where the brainstem's loop runs, and the loop waits for it: nothing it
//! imports can wait, and what it computes has a limit of processor time. It lives as long as
//! the host, so its memory, its journal and the size of its answers are bounded too.
//!
//! # What this does not protect against
//!
//! A policy that uses nearly all its time for each step slows the loop down, and costs a
//! core. What it commands within the rules is done: it may keep a model out for ever, or
//! turn everybody away. It is the operator who chooses it.

mod context;
mod convert;
mod wasi;

use crate::cache::{Cache, CodeCache};
use crate::guest::{self, Export, chain};
use crate::ticker::Ticker;
use context::{Context, Profile, bindings};
use rusty_genius_core::brainstem::{Command, Event, EventKinds, PolicyFault, State};
use rusty_genius_core::text::reorders;
use rusty_genius_core::{Note, SandboxError};
use rusty_genius_stem::Policy;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{Component, Linker, Resource};
use wasmtime::{Config, Engine, Store, StoreContextMut, UpdateDeadline};

/// How often a policy is interrupted to see whether its time is up.
const TICK: Duration = Duration::from_millis(5);
/// Bytes of a policy's memories and tables together.
const MEMORY_LIMIT: u64 = 64 << 20;
/// Bytes of its journal, over its whole life.
const JOURNAL_LIMIT: u64 = 256 << 10;
/// Bytes that the host takes from one answer of a policy.
const ANSWER_LIMIT: usize = 4 << 20;
/// Handles a policy may hold at once.
const HANDLES_LIMIT: usize = 1000;
/// Longest name, characters.
const NAME_LIMIT: usize = 64;
/// Most characters kept of why it does not take its settings.
const WORDS_LIMIT: usize = 1000;
/// How much longer `configure` may take than a step: it is called once.
const CONFIGURE_FACTOR: u32 = 100;

/// How a policy is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyOptions {
    /// Processor time of one step. Default 10 ms. Checked every 5 ms.
    pub deadline: Duration,
    /// The operator's words for it, keys and values.
    pub settings: Vec<(String, String)>,
    /// Whether it may see prompts. Default no.
    pub prompts: bool,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(10),
            settings: Vec::new(),
            prompts: false,
        }
    }
}

/// Where policies are compiled. A clone is the same.
#[derive(Clone)]
pub struct PolicyHost(Arc<Inner>);

struct Inner {
    engine: Engine,
    ticker: Ticker,
    cache: Option<Cache>,
}

impl PolicyHost {
    /// Sets up the engine; compiled policies are kept in `cache`, if there is one.
    ///
    /// Errors: [`SandboxError::Host`], as for [`Sandbox::new`](crate::Sandbox::new).
    pub fn new(cache: Option<&CodeCache>) -> Result<Self, SandboxError> {
        let failed = |reason: String| SandboxError::Host {
            what: "setting up the sandbox for policies".into(),
            reason,
        };
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .epoch_interruption(true)
            .wasm_backtrace_max_frames(None);
        let engine = Engine::new(&config).map_err(|e| failed(chain(&e)))?;
        let ticker = Ticker::start(&engine, TICK).map_err(|e| failed(e.to_string()))?;
        let cache = match cache {
            Some(cache) => Cache::open(cache, &engine)?,
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            engine,
            ticker,
            cache,
        })))
    }

    /// Compiles a policy, or takes it from the cache, configures it and looks at what it says
    /// of itself. `name` is its file or built-in name, for messages. Blocks while it compiles.
    ///
    /// Errors: [`SandboxError::NotAComponent`], [`SandboxError::UngrantedImport`],
    /// [`SandboxError::MissingExport`], [`SandboxError::GuestUsage`] if it does not take its
    /// settings, [`SandboxError::GuestTrapped`], [`SandboxError::UngrantedPrompts`].
    pub fn load(
        &self,
        name: &str,
        bytes: &[u8],
        options: PolicyOptions,
    ) -> Result<PolicyGuest, SandboxError> {
        let inner = &self.0;
        guest::check_bytes(name, bytes)?;
        let digest = guest::digest(bytes);
        let cached = inner
            .cache
            .as_ref()
            .and_then(|c| c.get(&inner.engine, digest));
        let component = match cached {
            Some(component) => component,
            None => {
                let component = Component::from_binary(&inner.engine, bytes)
                    .map_err(|e| guest::invalid(name, &e))?;
                if let Some(cache) = &inner.cache {
                    // A full disk costs the next start its head start, and nothing else.
                    let _ = cache.put(digest, &component);
                }
                component
            }
        };
        let pre = link(name, &inner.engine, &component)?;
        let mut policy = PolicyGuest {
            host: self.clone(),
            component: name.into(),
            pre,
            options,
            name: String::new(),
            events: EventKinds::ALL,
            tick: None,
            prompts: false,
            live: None,
        };
        let (live, profile) = policy.start()?;
        if profile.prompts && !policy.options.prompts {
            return Err(SandboxError::UngrantedPrompts {
                component: name.to_owned(),
            });
        }
        policy.live = Some(live);
        policy.name = shown(&profile.name);
        policy.events = EventKinds::from_bits(convert::kinds(profile.events));
        policy.tick = profile.tick.map(Duration::from_millis);
        policy.prompts = profile.prompts;
        Ok(policy)
    }
}

/// A name as people are shown it: one line, not too long, nothing that plays tricks.
fn shown(name: &str) -> String {
    let plain = |c: &char| !c.is_control() && !reorders(*c);
    name.chars().filter(plain).take(NAME_LIMIT).collect()
}

/// Refuses what is no policy, and gives it what every policy gets.
fn link(
    name: &str,
    engine: &Engine,
    component: &Component,
) -> Result<bindings::PolicyPre<Context>, SandboxError> {
    guest::check_imports(name, component, guest::policy_import)?;
    for export in [Export::Configure, Export::Decide] {
        guest::check_export(name, component, export)?;
    }
    let linked = || {
        let mut linker = Linker::new(engine);
        context::add_to_linker(&mut linker)?;
        wasi::add_to_linker(&mut linker)?;
        linker.instantiate_pre(component)
    };
    let pre = linked().map_err(|e| guest::unfit(name, &e))?;
    bindings::PolicyPre::new(pre).map_err(|e| SandboxError::MissingExport {
        component: name.to_owned(),
        export: "decide".into(),
        reason: format!("its exports are of another type: {}", chain(&e)),
    })
}

/// A policy that is a guest.
pub struct PolicyGuest {
    host: PolicyHost,
    component: String,
    pre: bindings::PolicyPre<Context>,
    options: PolicyOptions,
    name: String,
    events: EventKinds,
    tick: Option<Duration>,
    prompts: bool,
    /// None after a trap: what it remembered is lost, and it begins anew.
    live: Option<Live>,
}

/// An instance with what it remembers.
struct Live {
    store: Store<Context>,
    bindings: bindings::Policy,
}

impl PolicyGuest {
    /// Its file or built-in name.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// Instantiates and configures it.
    fn start(&self) -> Result<(Live, Profile), SandboxError> {
        let mut store = Store::new(&self.host.0.engine, Context::new());
        store.limiter(Context::limiter);
        store.set_hostcall_fuel(ANSWER_LIMIT);
        store.set_max_component_handles(HANDLES_LIMIT);
        store.epoch_deadline_callback(check_time);
        let _running = self.host.0.ticker.running();
        let allowed = self.options.deadline.saturating_mul(CONFIGURE_FACTOR);
        arm(&mut store, allowed);
        let called = self.pre.instantiate(&mut store).and_then(|bindings| {
            let profile = bindings.call_configure(&mut store, &self.options.settings)?;
            Ok((bindings, profile))
        });
        match called {
            Ok((bindings, Ok(profile))) => Ok((Live { store, bindings }, profile)),
            Ok((_, Err(message))) => Err(SandboxError::GuestUsage {
                component: self.component.clone(),
                message: message.chars().take(WORDS_LIMIT).collect(),
            }),
            Err(e) => Err(SandboxError::GuestTrapped {
                component: self.component.clone(),
                reason: match fault(store.data(), &e) {
                    PolicyFault::Trapped(reason) => reason,
                    other => other.to_string(),
                },
            }),
        }
    }
}

/// Gives a store so much time from now on.
fn arm(store: &mut Store<Context>, allowed: Duration) {
    store.data_mut().begin(allowed);
    store.set_epoch_deadline(1);
}

/// Sees whether a policy has had its time. Only the processor's counts: a machine that is
/// busy with other things is not the policy's fault.
fn check_time(mut store: StoreContextMut<'_, Context>) -> wasmtime::Result<UpdateDeadline> {
    match store.data_mut().has_time_left() {
        true => Ok(UpdateDeadline::Continue(1)),
        false => Err(wasmtime::Error::msg("its time is up")),
    }
}

fn fault(context: &Context, error: &wasmtime::Error) -> PolicyFault {
    if let Some(allowed) = context.overran() {
        return PolicyFault::TooSlow(allowed);
    }
    let reason = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => chain(error),
    };
    let words = context.last_words();
    PolicyFault::Trapped(match words.is_empty() {
        true => reason,
        false => format!("{reason} ({words})"),
    })
}

impl Policy for PolicyGuest {
    fn name(&self) -> &str {
        &self.name
    }

    fn events(&self) -> EventKinds {
        self.events
    }

    fn tick(&self) -> Option<Duration> {
        self.tick
    }

    fn sees_prompts(&self) -> bool {
        self.prompts
    }

    fn take_notes(&mut self) -> Vec<Note> {
        let live = self.live.as_mut();
        live.map_or_else(Vec::new, |live| live.store.data_mut().take_notes())
    }

    fn decide(&mut self, event: &Event, state: &Arc<State>) -> Result<Vec<Command>, PolicyFault> {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => {
                let started = self.start();
                started.map_err(|e| PolicyFault::Trapped(e.to_string()))?.0
            }
        };
        let _running = self.host.0.ticker.running();
        arm(&mut live.store, self.options.deadline);
        live.store.data_mut().show(Some(state.clone()));
        let event = convert::event_out(event);
        let answer = live
            .bindings
            .call_decide(&mut live.store, &event, Resource::new_borrow(0));
        live.store.data_mut().show(None);
        match answer {
            Ok(commands) => {
                self.live = Some(live);
                convert::commands_in(commands)
            }
            Err(e) => Err(fault(live.store.data(), &e)),
        }
    }
}
