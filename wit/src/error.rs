//! Everything that can go wrong, as closed enums with their context.

use crate::BudgetError;
use crate::config::ConfigError;
use crate::run::Digest;
use crate::spec::SpecError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Any failure of the house.
///
/// `Display` says what failed and on what; [`GeniusError::hint`] says what to do.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum GeniusError {
    /// A message broke the contract.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A manifest, fixture or registry file is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A model's files could not be had.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// Inference failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A guest was refused or failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A limit was reached.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}

impl GeniusError {
    /// What a person can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Protocol(_) => None,
            Self::Manifest(e) => e
                .key
                .as_ref()
                .map(|key| format!("correct `{key}` in {}", e.file.display())),
            Self::Asset(e) => e.hint(),
            Self::Engine(e) => e.hint(),
            Self::Sandbox(e) => e.hint(),
            Self::Budget(e) => e.hint(),
        }
    }
}

impl From<ConfigError> for GeniusError {
    fn from(e: ConfigError) -> Self {
        Self::Protocol(ProtocolError::Config(e))
    }
}

impl From<SpecError> for GeniusError {
    fn from(e: SpecError) -> Self {
        Self::Protocol(ProtocolError::Spec(e))
    }
}

/// A message broke the contract.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A field of the inference config is out of range.
    #[error("invalid inference config: {0}")]
    Config(#[from] ConfigError),
    /// A model spec cannot be parsed.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A request has no turns.
    #[error("a request needs at least one turn")]
    NoTurns,
    /// A session was asked for a second generation while one runs.
    #[error("the session runs a generation already")]
    Busy,
    /// The other side of a channel is gone.
    #[error("{0} is shut down")]
    Closed(&'static str),
}

/// A TOML file that people write is wrong.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{}{}: {}{reason}", file.display(), location(*line, *column), key_prefix(key.as_deref()))]
pub struct ManifestError {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// The key, dotted: `models.small.sampling.temperature`.
    pub key: Option<String>,
    /// What is wrong.
    pub reason: String,
}

fn location(line: Option<usize>, column: Option<usize>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!(":{line}:{column}"),
        (Some(line), None) => format!(":{line}"),
        _ => String::new(),
    }
}

fn key_prefix(key: Option<&str>) -> String {
    key.map_or_else(String::new, |key| format!("`{key}`: "))
}

/// A model's files could not be had.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum AssetError {
    /// The run's grant does not name the model.
    #[error("model {spec} is not granted to this run")]
    NotGranted {
        /// The spec, canonical.
        spec: String,
    },
    /// Nothing of that name is on this machine, nor on the hub.
    #[error("model {spec} was not found (looked in {})", searched.join(", "))]
    NotFound {
        /// The spec, canonical.
        spec: String,
        /// Where it was looked for: folders and pages.
        searched: Vec<String>,
    },
    /// Several files fit the spec, or none fits its quant.
    #[error("model {spec}: {} (there is: {})", if *none { "no file has this quant" } else { "several files fit" }, candidates.join(", "))]
    Ambiguous {
        /// The spec, canonical.
        spec: String,
        /// Whether no file fits; else several do.
        none: bool,
        /// The quants or files there are.
        candidates: Vec<String>,
    },
    /// The file is there and is not a model.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing a file failed.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The network is forbidden (`HF_HUB_OFFLINE`).
    #[error("offline: {what} would have been fetched")]
    Offline {
        /// What would have been fetched.
        what: String,
    },
    /// The hub wants to know who asks, or whether its terms were accepted.
    #[error("{repo} is gated or private: the hub answered {status}")]
    Gated {
        /// `org/repo`.
        repo: String,
        /// The page on which access is asked for.
        page: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was sent.
        token: bool,
    },
    /// A server could not be reached, or broke off too often.
    #[error("{url}: {reason}")]
    Network {
        /// What was asked for, without secrets.
        url: String,
        /// What went wrong, at the last of so many tries.
        reason: String,
    },
    /// What arrived is not what the hub announced.
    #[error("{file}: {reason}")]
    Corrupt {
        /// The file's name in its repository, or its URL.
        file: String,
        /// What differs: length, sha256, range.
        reason: String,
    },
    /// The disk has no room for the file.
    #[error("{} has no room: {needed} bytes are needed, {free} are free", path.display())]
    DiskFull {
        /// Where the file was to go.
        path: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes there are.
        free: u64,
    },
}

impl AssetError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotGranted { spec } => format!("grant it with --model {spec}"),
            Self::NotFound { .. } => {
                "check the name (a private model needs HF_TOKEN), or give the path of a GGUF file: \
                 ./file.gguf; --engine pinky needs no weights"
                    .into()
            }
            Self::Ambiguous { .. } => "name the quant: org/repo:QUANT".into(),
            Self::Invalid { .. } => "give the path of a GGUF file".into(),
            Self::Offline { .. } => "unset HF_HUB_OFFLINE to fetch it".into(),
            Self::Gated { page, token, .. } => {
                let token = match token {
                    true => "the token that was sent (HF_TOKEN) may not read it",
                    false => "set HF_TOKEN to a token that may read it",
                };
                format!("ask for access on {page}; {token}")
            }
            Self::Network { .. } => "try again: what was fetched so far is kept".into(),
            Self::Corrupt { .. } => "nothing of it was registered; try again, or another \
                 mirror (HF_ENDPOINT)"
                .into(),
            Self::DiskFull { needed, free, .. } => format!(
                "free {} bytes, or move the cache with HF_HOME",
                needed.saturating_sub(*free)
            ),
            Self::Io { .. } => "see who may read and write there; HF_HUB_CACHE names another \
                 place for models, RUSTY_GENIUS_HOME for settings"
                .into(),
        })
    }
}

/// Inference failed.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EngineError {
    /// No backend of that name is in this build.
    #[error("no engine named {name:?} in this build (there is: {})", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The model could not be loaded.
    #[error("loading {model} failed: {reason}")]
    LoadFailed {
        /// The model.
        model: String,
        /// What went wrong.
        reason: String,
    },
    /// The prompt and its answer do not fit the context.
    #[error("the prompt needs {needed} tokens of context, the model has {limit}")]
    ContextOverflow {
        /// Tokens needed.
        needed: u64,
        /// Tokens there are.
        limit: u64,
    },
    /// The model does not fit the memory it may have.
    #[error("{model} needs {needed} bytes of memory, the limit is {limit}")]
    MemoryExceeded {
        /// The model.
        model: String,
        /// Bytes of weights, cache and buffers together.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A schema, expression or grammar cannot constrain an answer.
    #[error("invalid constraint: {reason}")]
    InvalidConstraint {
        /// What is wrong with it.
        reason: String,
    },
    /// A saved session cannot be restored, or not with this model.
    #[error("saved session {}: {reason}", path.display())]
    InvalidSession {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The backend does not offer this.
    #[error("engine {engine} cannot {operation}")]
    Unsupported {
        /// The backend's name.
        engine: String,
        /// What was asked, as a verb: `embed text`.
        operation: String,
    },
    /// The answer did not come before its deadline.
    #[error("the answer was not there after {}", humantime::format_duration(*after))]
    DeadlinePassed {
        /// How long it might have taken.
        after: Duration,
    },
    /// The policy, or a limit of the host, turned the request away.
    #[error("the request for {model} was refused: {reason}")]
    Rejected {
        /// The model asked for.
        model: String,
        /// The policy's reason.
        reason: String,
    },
    /// The backend reported a fault.
    #[error("engine {engine} failed: {reason}")]
    BackendFailed {
        /// The backend's name.
        engine: String,
        /// What it said.
        reason: String,
    },
}

impl EngineError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some("choose one with --engine NAME".into()),
            Self::ContextOverflow { .. } => {
                Some("shorten the prompt or lower behavior.max-tokens".into())
            }
            Self::MemoryExceeded { .. } => {
                Some("choose a smaller model or quant, or raise --memory-limit".into())
            }
            Self::Rejected { .. } => Some("try again when the host is less busy".into()),
            _ => None,
        }
    }
}

/// A guest was refused or failed.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// There is no guest of that name.
    #[error("{name}: {reason}")]
    NoSuchGuest {
        /// The file or built-in name asked for.
        name: String,
        /// What is there instead.
        reason: String,
        /// The built-in guests.
        known: Vec<String>,
    },
    /// The bytes are no component that can run here.
    #[error("{component} is not a runnable component: {reason}")]
    NotAComponent {
        /// The file or built-in name.
        component: String,
        /// What it is instead.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// It imports what nobody grants.
    #[error("{component} imports `{import}`, which no grant gives it: {reason}")]
    UngrantedImport {
        /// The file or built-in name.
        component: String,
        /// The import, by its WIT name.
        import: String,
        /// Why it is not granted.
        reason: String,
    },
    /// It does not export what its world asks for.
    #[error("{component} does not export `{export}`: {reason}")]
    MissingExport {
        /// The file or built-in name.
        component: String,
        /// The export its world asks for.
        export: String,
        /// What is wrong.
        reason: String,
    },
    /// It is a policy that wants to see prompts, and nobody grants that.
    #[error("{component} wants to see prompts, which nobody grants it")]
    UngrantedPrompts {
        /// The file or built-in name.
        component: String,
    },
    /// The guest said that its arguments are wrong.
    #[error("{component} does not take these arguments: {message}")]
    GuestUsage {
        /// The file or built-in name.
        component: String,
        /// The guest's words.
        message: String,
    },
    /// The guest said that it failed.
    #[error("{component} failed: {message}")]
    GuestFailed {
        /// The file or built-in name.
        component: String,
        /// The guest's words, or the error it could not go on from.
        message: String,
    },
    /// The grant names no tool of this name.
    #[error("tool {name:?} is not granted to this run")]
    ToolNotGranted {
        /// The name the guest asked for.
        name: String,
    },
    /// A tool could not answer: it trapped, spent its budget, or broke its contract.
    #[error("tool {name} could not answer: {reason}")]
    ToolBroken {
        /// The tool, by the name of the grant.
        name: String,
        /// What it did.
        reason: String,
    },
    /// What is granted is not there, or cannot be granted.
    #[error("`{key}`: {reason}")]
    BadGrant {
        /// The manifest's key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A run's record could not be begun.
    #[error("starting a record in {}: {reason}", dir.display())]
    Unrecorded {
        /// Where records are kept.
        dir: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A pinned component is another one.
    #[error("{component} has the digest {found}, and {pinned} is asked for")]
    WrongDigest {
        /// The file or built-in name.
        component: String,
        /// What was found.
        found: Digest,
        /// What the manifest pins.
        pinned: Digest,
    },
    /// The guest trapped.
    #[error("{component} trapped: {reason}")]
    GuestTrapped {
        /// The file or built-in name.
        component: String,
        /// The trap.
        reason: String,
    },
    /// The host could not do its part.
    #[error("{what}: {reason}")]
    Host {
        /// What the host was doing, and on what.
        what: String,
        /// What went wrong.
        reason: String,
    },
}

impl SandboxError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchGuest { known, .. } => Some(format!(
                "give the path of a component, or the name of a built-in guest: {}",
                known.join(", ")
            )),
            Self::NotAComponent { hint, .. } => Some(hint.clone()),
            Self::UngrantedImport { .. } => Some(format!(
                "build it without this import; the worlds of {} in wit/ say what each kind of \
                 guest gets",
                crate::WIT_PACKAGE
            )),
            Self::MissingExport { export, .. } => Some(match export.as_str() {
                "decide" | "configure" => {
                    "build the component for the world `policy` of the WIT package in wit/".into()
                }
                "run-case" => {
                    "build the component for the world `scenario` (or `scenario-blocking`) of \
                     the WIT package in wit/"
                        .into()
                }
                "describe" | "call" => {
                    "build the component for the world `tool` (or `tool-blocking`) of the WIT \
                     package in wit/"
                        .into()
                }
                _ => "build the component for the world `workflow` (or `workflow-blocking`) of \
                      the WIT package in wit/"
                    .into(),
            }),
            Self::UngrantedPrompts { .. } => {
                Some("grant it with --policy-prompts, if it deserves that".into())
            }
            Self::Unrecorded { .. } => {
                Some("make room there, or run it without a record: --no-record".into())
            }
            Self::ToolNotGranted { .. } => {
                Some("grant it with `[grants.tools.NAME]` in its genius.toml, or --tool".into())
            }
            Self::WrongDigest { .. } => {
                Some("see what changed (`genius guest inspect`) before you pin the new one".into())
            }
            Self::BadGrant { .. } => {
                Some("correct it in genius.toml, or on the command line".into())
            }
            Self::GuestUsage { .. } => {
                Some("arguments for the guest stand after `--`, or after its name".into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_error_names_file_line_column_and_key() {
        let error = ManifestError {
            file: "models.toml".into(),
            line: Some(3),
            column: Some(7),
            key: Some("defaults.quant".into()),
            reason: "expected a string".into(),
        };
        assert_eq!(
            error.to_string(),
            "models.toml:3:7: `defaults.quant`: expected a string"
        );
    }
}
