//! Fixtures: one test of a model, read from a file and checked.
//!
//! A fixture is TOML front matter between two lines `+++`, and then the prompt, or several
//! with a line `+++` between them.
//! `fixtures/README.md` tells the format. What runs and judges one is the brainteaser.

mod call;
mod expect;
mod split;

pub use call::Call;
pub use expect::{Expect, Finish, Words};

use crate::{
    Behavior, ConfigError, Constraint, ManifestError, ModelSource, ModelSpec, Overflow,
    PartialBehavior, PartialConfig, PartialSampling, Role, TestCase, Turn, locate_toml, parse_toml,
};
use expect::FrontExpect;
use serde::Deserialize;
use split::{FRONT_LINE, Fault};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest fixture, bytes: 1 MiB, as much as one request may hold.
pub const FIXTURE_LIMIT: u64 = 1 << 20;
/// Longest name of a test, bytes: it becomes part of file names.
const NAME_LIMIT: usize = 100;
/// Time of a run, where the fixture says nothing: as any run has it.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest timeout: an hour.
const TIMEOUT_LIMIT: Duration = Duration::from_secs(3600);
/// Memory of a run, where the fixture says nothing, MiB: as any run has it.
const MEMORY: u64 = 256;
/// Most memory, MiB: what 32 bits can address.
const MEMORY_LIMIT: u64 = 4096;
/// Most times a test that failed is tried again.
const RETRIES_LIMIT: u32 = 10;
/// Longest tag, bytes.
const TAG_LIMIT: usize = 64;

/// A test: what to ask which model, within which limits, and what to expect.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixture {
    /// `ORG/REPO/QUANT/TEST`.
    pub name: String,
    /// The file, as it is shown to people.
    pub file: PathBuf,
    /// The model that the path names. Engine and config are left to the runner.
    pub model: ModelSpec,
    /// What to say: a system turn if there is one, and a user turn for each prompt.
    pub turns: Vec<Turn>,
    /// The component that runs it: the name of a built-in one, or a path, from the
    /// fixture's own folder. Default: the scenario `fixture`.
    pub scenario: Option<String>,
    /// What it can be chosen by. Default none.
    pub tags: Vec<String>,
    /// How often it is tried again if it fails, 0 to 10. Default: as the runner says.
    pub retries: Option<u32>,
    /// How to generate. `max-tokens` and `logprobs` are always set.
    pub config: PartialConfig,
    /// What the run may consume besides tokens.
    pub limits: Limits,
    /// What the answer should be like.
    pub expect: Expect,
}

/// What a fixture's run may consume. Tokens and stop texts are in the fixture's config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time, loading the model included. Over 0, at most an hour. Default
    /// 60 s.
    pub timeout: Duration,
    /// Bytes of memory of the scenario guest, not of the model. 1 to 4096 MiB. Default
    /// 256 MiB.
    pub memory: u64,
}

/// The front matter as people write it.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Front {
    system: Option<String>,
    scenario: Option<String>,
    tags: Vec<String>,
    retries: Option<u32>,
    sampling: PartialSampling,
    limits: FrontLimits,
    expect: FrontExpect,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct FrontLimits {
    max_tokens: Option<u32>,
    stop: Option<Vec<String>>,
    overflow: Option<Overflow>,
    constraint: Option<Constraint>,
    logprobs: Option<u32>,
    timeout: Option<String>,
    memory: Option<u64>,
}

impl Fixture {
    /// Reads a fixture. `name` is `ORG/REPO/QUANT/TEST`; `file` is only named in errors.
    ///
    /// Errors name the line, and in the front matter column and key too.
    pub fn parse(name: &str, file: &Path, bytes: &[u8]) -> Result<Self, ManifestError> {
        let at = |fault: Fault| ManifestError {
            file: file.to_owned(),
            line: Some(fault.line),
            column: fault.column,
            key: None,
            reason: fault.reason,
        };
        let model = model(name).map_err(|reason| whole_file(file, reason))?;
        if bytes.len() as u64 > FIXTURE_LIMIT {
            return Err(whole_file(file, too_large(bytes.len() as u64)));
        }
        let parts = split::split(split::text(bytes).map_err(at)?).map_err(at)?;
        let front: Front = parse_toml(file, parts.front, FRONT_LINE)?;
        let wrong =
            |key: &[&str], reason: String| locate_toml(file, parts.front, FRONT_LINE, key, reason);
        let limits =
            limits(&front.limits).map_err(|(key, reason)| wrong(&["limits", key], reason))?;
        let config = config(&front).map_err(|e| {
            let reason = format!("it is {}; it must be {}", e.value, e.rule);
            // In a fixture the behavior's limits stand with the other limits.
            let (table, key) = e.field.split_once('.').unwrap_or(("", e.field));
            let table = if table == "behavior" { "limits" } else { table };
            wrong(&[table, key], reason)
        })?;
        let misplaced = |(path, reason): (Key, String)| {
            let path: Vec<&str> = path.iter().map(|key| &**key).collect();
            wrong(&path, reason)
        };
        check(&front).map_err(misplaced)?;
        let expect = front.expect.check(parts.prompts.len()).map_err(misplaced)?;

        let mut turns = Vec::with_capacity(1 + parts.prompts.len());
        turns.extend(front.system.map(|text| Turn::new(Role::System, text)));
        turns.extend(parts.prompts.into_iter().map(Turn::user));
        Ok(Self {
            name: name.to_owned(),
            file: file.to_owned(),
            model,
            turns,
            scenario: front.scenario,
            tags: front.tags,
            retries: front.retries,
            config,
            limits,
            expect,
        })
    }

    /// An error about a value of a fixture that parses: it names the key, and where it
    /// stands in the file.
    pub fn wrong(file: &Path, bytes: &[u8], path: &[&str], reason: String) -> ManifestError {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        match split::split(text) {
            Ok(parts) => locate_toml(file, parts.front, FRONT_LINE, path, reason),
            Err(_) => whole_file(file, reason),
        }
    }

    /// How many answers it asks for.
    pub fn answers(&self) -> usize {
        let asks = |turn: &&Turn| turn.role == Role::User;
        self.turns.iter().filter(asks).count()
    }

    /// Most tokens it lets the model generate.
    pub fn max_tokens(&self) -> u32 {
        let set = self.config.behavior.max_tokens;
        set.unwrap_or_else(|| Behavior::default().max_tokens)
    }

    /// What a scenario guest is given of it: not the expectations.
    pub fn test_case(&self) -> TestCase {
        TestCase {
            name: self.name.clone(),
            turns: self.turns.clone(),
            config: self.config.clone(),
        }
    }
}

/// An error about the file as such: on its first line, for want of a better one.
pub fn whole_file(file: &Path, reason: impl Into<String>) -> ManifestError {
    ManifestError {
        file: file.to_owned(),
        line: Some(1),
        column: None,
        key: None,
        reason: reason.into(),
    }
}

/// What is wrong with a file of more than [`FIXTURE_LIMIT`] bytes.
pub fn too_large(bytes: u64) -> String {
    format!("it has {bytes} bytes, and a fixture has at most {FIXTURE_LIMIT}")
}

/// The model of `ORG/REPO/QUANT/TEST`.
fn model(name: &str) -> Result<ModelSpec, String> {
    let parts: Vec<&str> = name.split('/').collect();
    let [org, repo, quant, test] = parts[..] else {
        return Err("a fixture's path is ORG/REPO/QUANT/TEST.md".into());
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if test.is_empty() || test.starts_with('.') || !test.chars().all(legal) {
        return Err("a test's name is letters, digits, `-`, `_` and `.`, not first".into());
    }
    if test.len() > NAME_LIMIT {
        return Err(format!("a test's name has at most {NAME_LIMIT} bytes"));
    }
    match ModelSource::parse(&format!("{org}/{repo}:{quant}")) {
        // A revision, or a file's name, that hides in a folder's name is none.
        Ok(source @ ModelSource::Hub { revision: None, .. }) => Ok(ModelSpec::new(source)),
        Ok(_) => Err("the folders above it are not ORG/REPO/QUANT".into()),
        Err(e) => Err(format!("the folders above it name no model: {}", e.reason)),
    }
}

/// A time that people write, over none.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|e| format!("{text:?} is no duration like \"60s\": {e}"))
}

fn limits(front: &FrontLimits) -> Result<Limits, (&'static str, String)> {
    let timeout = match &front.timeout {
        None => TIMEOUT,
        Some(text) => duration(text).map_err(|reason| ("timeout", reason))?,
    };
    if timeout.is_zero() || timeout > TIMEOUT_LIMIT {
        let given = humantime::format_duration(timeout);
        return Err((
            "timeout",
            format!("it is {given}; it must be over 0 and at most 1h"),
        ));
    }
    let memory = front.memory.unwrap_or(MEMORY);
    if !(1..=MEMORY_LIMIT).contains(&memory) {
        let reason = format!("it is {memory} MiB; it must be 1 to {MEMORY_LIMIT}");
        return Err(("memory", reason));
    }
    Ok(Limits {
        timeout,
        memory: memory << 20,
    })
}

/// The config, every range checked.
fn config(front: &Front) -> Result<PartialConfig, ConfigError> {
    let default = Behavior::default();
    let config = PartialConfig {
        behavior: PartialBehavior {
            // Set, so that the scenario checks them whatever the host's defaults are.
            max_tokens: Some(front.limits.max_tokens.unwrap_or(default.max_tokens)),
            logprobs: Some(front.limits.logprobs.unwrap_or(default.logprobs)),
            stop: front.limits.stop.clone(),
            overflow: front.limits.overflow,
            constraint: front.limits.constraint.clone(),
            thoughts: None,
        },
        sampling: front.sampling.clone(),
    };
    config.build().map(|_| config)
}

/// A key of the front matter, its parts apart.
type Key = Vec<String>;

fn key(parts: &[&str]) -> Key {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

/// What the types alone do not say.
fn check(front: &Front) -> Result<(), (Key, String)> {
    if let Some(system) = &front.system {
        if system.trim().is_empty() {
            return Err((key(&["system"]), "it is empty; leave it out".into()));
        }
        if let Some(fault) = split::control(system) {
            return Err((key(&["system"]), fault.reason));
        }
    }
    if front.scenario.as_deref() == Some("") {
        return Err((key(&["scenario"]), "it is empty; leave it out".into()));
    }
    let plain = |c: char| c.is_alphanumeric() || "-_.:/".contains(c);
    let is_tag = |tag: &String| (1..=TAG_LIMIT).contains(&tag.len()) && tag.chars().all(plain);
    if let Some(tag) = front.tags.iter().find(|tag| !is_tag(tag)) {
        let rule = format!("1 to {TAG_LIMIT} letters, digits, `-`, `_`, `.`, `:` and `/`");
        return Err((key(&["tags"]), format!("{tag:?} is no tag: {rule}")));
    }
    if front.retries.is_some_and(|retries| retries > RETRIES_LIMIT) {
        let reason = format!("it must be 0 to {RETRIES_LIMIT}");
        return Err((key(&["retries"]), reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
