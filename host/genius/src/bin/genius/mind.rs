//! The flags about the policy, and a policy file that changes while it decides.

use crate::safe;
use async_signal::Signals;
use clap::Args;
use futures::stream::{FusedStream, Stream, StreamExt};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rusty_genius::core::{CortexStrategy, GeniusError, SandboxError, Terms};
use rusty_genius::sandbox::PolicyOptions;
use rusty_genius::{Builder, Genius, guests};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Default, Args)]
pub(crate) struct MindArgs {
    /// Policy that decides about models and requests: a component file, or a built-in one
    /// (see `genius guests`). A file is loaded again when it changes, or on SIGHUP
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,

    /// A setting for the policy; may be given more than once
    #[arg(long = "policy-set", value_name = "KEY=VALUE", value_parser = setting, requires = "policy")]
    settings: Vec<(String, String)>,

    /// Let the policy see prompts, if it wants to
    #[arg(long, requires = "policy")]
    policy_prompts: bool,

    /// Record each decision in this new file, for `genius policy replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Place in the queue, 0 to 255: higher first; 100 if not said
    #[arg(long, value_name = "N")]
    priority: Option<u8>,

    /// Seconds after which an answer is of no use any more; for ever if not said
    #[arg(long, value_name = "SECONDS", value_parser = crate::cli::seconds)]
    deadline: Option<Duration>,

    /// What happens to the model afterwards: 0 unloads it, 5m keeps it so long, forever keeps
    /// it; what models.toml says if not said
    #[arg(long, value_name = "TIME", value_parser = keep_alive)]
    keep_alive: Option<CortexStrategy>,
}

impl MindArgs {
    pub(crate) fn terms(&self) -> Terms {
        let default = Terms::default();
        Terms {
            priority: self.priority.unwrap_or(default.priority),
            deadline: self.deadline,
            keep_alive: self.keep_alive,
        }
    }

    pub(crate) fn apply(&self, mut builder: Builder) -> Builder {
        if let Some(policy) = &self.policy {
            builder = builder.policy_guest(policy, self.options());
        }
        if let Some(file) = &self.record {
            builder = builder.record(file);
        }
        builder
    }

    fn options(&self) -> PolicyOptions {
        PolicyOptions {
            settings: self.settings.clone(),
            prompts: self.policy_prompts,
            ..PolicyOptions::default()
        }
    }

    /// Loads the policy again whenever its file changes. Never ends.
    pub(crate) async fn keep_current(&self, genius: &Genius) {
        let file = self.policy.as_deref();
        if let Some(name) = file.filter(|name| guests::find(name).is_none()) {
            let mut changes = changes(Path::new(name));
            while !changes.is_terminated() {
                match changes.next().await {
                    Some(()) => say(name, genius.change_policy(name, self.options()).await),
                    None => break,
                }
            }
        }
        futures::future::pending::<()>().await;
    }
}

fn say(name: &str, loaded: Result<(), GeniusError>) {
    let name = safe::line(name);
    match loaded {
        Ok(()) => eprintln!("policy: {name} was loaded again"),
        // Halfway through writing it, or for good: the one before goes on.
        Err(GeniusError::Sandbox(SandboxError::NoSuchGuest { .. })) => {}
        Err(e) => eprintln!(
            "warning: {name} was not loaded again: {}",
            safe::line(&e.to_string())
        ),
    }
}

/// When a file changed, or somebody says so by SIGHUP.
fn changes(file: &Path) -> impl FusedStream<Item = ()> + Unpin {
    let (tell, told) = async_channel::bounded(1);
    // As long as the stream lives.
    let watcher = watch(file, tell).ok();
    let told = Box::pin(told).map(move |()| {
        let _ = &watcher;
    });
    futures::stream::select(told, hang_ups()).fuse()
}

/// Watches the folder, for a file that is replaced is another one.
fn watch(file: &Path, tell: async_channel::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let file = std::path::absolute(file)?;
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let is_written = match event.kind {
            EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
            EventKind::Modify(ModifyKind::Name(_)) => true,
            // Elsewhere nobody says when a file is closed.
            EventKind::Modify(_) => !cfg!(target_os = "linux"),
            _ => false,
        };
        if is_written && event.paths.contains(&file) {
            // One is enough, if there are more.
            let _ = tell.try_send(());
        }
    })?;
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(unix)]
fn hang_ups() -> impl Stream<Item = ()> + Unpin {
    let signals = Signals::new([async_signal::Signal::Hup]);
    let signals = futures::stream::iter(signals).flatten();
    Box::pin(signals.map(|_| ()))
}

#[cfg(not(unix))]
fn hang_ups() -> impl Stream<Item = ()> + Unpin {
    futures::stream::empty()
}

/// A key and a value.
fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give a key and a value: ttl=300".into()),
    }
}

fn keep_alive(text: &str) -> Result<CortexStrategy, String> {
    match text {
        "0" | "immediate" => Ok(CortexStrategy::Immediate),
        "forever" | "keep-alive" => Ok(CortexStrategy::KeepAlive),
        text => match humantime::parse_duration(text) {
            Ok(ttl) => Ok(CortexStrategy::HibernateAfter(ttl)),
            Err(e) => Err(format!("{e}; give 0, forever, or a time like 5m")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_kept_as_long_as_people_say() {
        let minutes = CortexStrategy::HibernateAfter(Duration::from_secs(300));
        assert_eq!(keep_alive("0"), Ok(CortexStrategy::Immediate));
        assert_eq!(keep_alive("5m"), Ok(minutes));
        assert_eq!(keep_alive("forever"), Ok(CortexStrategy::KeepAlive));
        for bad in ["", "soon", "-1", "5"] {
            assert!(keep_alive(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_setting_has_a_key() {
        assert_eq!(setting("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(setting("a="), Ok(("a".into(), String::new())));
        assert!(setting("=b").is_err() && setting("a").is_err());
    }
}
