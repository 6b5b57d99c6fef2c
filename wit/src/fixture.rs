//! Fixtures: one test of a model, read from a file and checked.
//!
//! A fixture is TOML front matter between two lines `+++`, and then the prompt, or several
//! with a line `+++` between them.
//! `fixtures/README.md` tells the format. What runs and judges one is the brainteaser.

mod call;
mod split;

pub use call::Call;

use crate::{
    Behavior, ConfigError, Constraint, ManifestError, ModelSource, ModelSpec, Overflow,
    PartialBehavior, PartialConfig, PartialSampling, Role, TestCase, Turn, locate_toml, parse_toml,
};
use serde::Deserialize;
use split::{FRONT_LINE, Fault};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
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
/// Most files that can be expected.
const FILES_LIMIT: usize = 32;

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

/// What a fixture expects of an answer. Judged only where a model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// What the answer, the last if there are several prompts, is to be like.
    pub answer: Words,
    /// What the answers before the last one are to be like, in order.
    pub earlier: Vec<Words>,
    /// A JSON Schema that the answer, as JSON, must satisfy. Default none.
    pub json_schema: Option<String>,
    /// The tools that must be called, in this order, and no others; none at all where the
    /// list is empty. Default: any.
    pub calls: Option<Vec<Call>>,
    /// How the generation must end. Default: with `tool-call` where `calls` expects some,
    /// else with `stop` or `length`.
    pub finish: Option<Finish>,
    /// Whether there must be thoughts, or must be none. Default: either.
    pub thought: Option<bool>,
    /// Most tokens to be generated for all prompts, thoughts included. Default: the
    /// fixture's limit.
    pub max_tokens: Option<u32>,
    /// Longest time from the requests to the ends of their answers, all prompts together;
    /// loading the model is not in it. Default: any.
    pub max_latency: Option<Duration>,
    /// Files below `/scratch`, and what they are to hold. Default none.
    pub files: BTreeMap<String, Words>,
    /// What the scenario is to be denied: each text is part of a denial, and each denial has
    /// one of the texts. Default: nothing is.
    pub denied: Vec<String>,
}

/// What a text is to be like. By default anything will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Words {
    /// Texts that must stand in it.
    pub contains: Vec<String>,
    /// Texts that must not stand in it.
    pub not_contains: Vec<String>,
    /// What it must begin with.
    pub starts_with: Option<String>,
    /// What it must end with.
    pub ends_with: Option<String>,
    /// A regular expression that matches somewhere in it; syntax of the crate `regex`.
    pub regex: Option<String>,
    /// What it must be, byte for byte.
    pub exact: Option<String>,
    /// Whether upper and lower case are the same in all of this. Default false.
    #[serde(rename = "matches-case", deserialize_with = "not")]
    pub ignores_case: bool,
}

fn not<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    bool::deserialize(deserializer).map(|value| !value)
}

/// How a generation can properly end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// The model was done, or wrote a stop text.
    Stop,
    /// `max-tokens` or the context was full.
    Length,
    /// The model asks for a tool.
    ToolCall,
}

impl Finish {
    /// The name as it stands in fixtures, and in `FinishReason::name`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCall => "tool-call",
        }
    }
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

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct FrontExpect {
    // Those of `Words`: a flattened field would swallow unknown ones.
    contains: Vec<String>,
    not_contains: Vec<String>,
    starts_with: Option<String>,
    ends_with: Option<String>,
    regex: Option<String>,
    exact: Option<String>,
    matches_case: Option<bool>,

    earlier: Vec<Words>,
    json_schema: Option<String>,
    calls: Option<Vec<Call>>,
    finish: Option<Finish>,
    thought: Option<bool>,
    max_tokens: Option<u32>,
    max_latency: Option<String>,
    files: BTreeMap<String, Words>,
    denied: Vec<String>,
}

impl FrontExpect {
    fn answer(&self) -> Words {
        Words {
            contains: self.contains.clone(),
            not_contains: self.not_contains.clone(),
            starts_with: self.starts_with.clone(),
            ends_with: self.ends_with.clone(),
            regex: self.regex.clone(),
            exact: self.exact.clone(),
            ignores_case: self.matches_case == Some(false),
        }
    }
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
        check(&front, parts.prompts.len()).map_err(|(path, reason)| {
            let path: Vec<&str> = path.iter().map(|key| &**key).collect();
            wrong(&path, reason)
        })?;
        let max_latency = front.expect.max_latency.as_deref().map(latency);
        let max_latency = max_latency
            .transpose()
            .map_err(|reason| wrong(&["expect", "max-latency"], reason))?;

        let mut turns = Vec::with_capacity(1 + parts.prompts.len());
        turns.extend(front.system.map(|text| Turn::new(Role::System, text)));
        turns.extend(parts.prompts.into_iter().map(Turn::user));
        let answer = front.expect.answer();
        let expect = front.expect;
        let calls = expect.calls.as_ref().is_some_and(|calls| !calls.is_empty());
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
            expect: Expect {
                answer,
                earlier: expect.earlier,
                json_schema: expect.json_schema,
                calls: expect.calls,
                finish: expect.finish.or(calls.then_some(Finish::ToolCall)),
                thought: expect.thought,
                max_tokens: expect.max_tokens,
                max_latency,
                files: expect.files,
                denied: expect.denied,
            },
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

fn latency(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it is 0s; it must be over 0".into()),
        latency => Ok(latency),
    }
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
fn check(front: &Front, prompts: usize) -> Result<(), (Key, String)> {
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
    expectations(&front.expect, prompts)
}

fn expectations(expect: &FrontExpect, prompts: usize) -> Result<(), (Key, String)> {
    words(&expect.answer(), &["expect"])?;
    for earlier in &expect.earlier {
        words(earlier, &["expect", "earlier"])?;
    }
    if expect.earlier.len() >= prompts.max(1) {
        let reason = format!(
            "it is about {} answers before the last one, and there are {}",
            expect.earlier.len(),
            prompts.saturating_sub(1)
        );
        return Err((key(&["expect", "earlier"]), reason));
    }
    if expect.files.len() > FILES_LIMIT {
        let reason = format!("it names more than {FILES_LIMIT} files");
        return Err((key(&["expect", "files"]), reason));
    }
    for (path, file) in &expect.files {
        let plain = |part| matches!(part, Component::Normal(_));
        if path.is_empty() || !Path::new(path).components().all(plain) {
            let reason = "a file's path begins below /scratch, and has no `..`".into();
            return Err((key(&["expect", "files", path]), reason));
        }
        words(file, &["expect", "files", path])?;
    }
    if expect.denied.iter().any(String::is_empty) {
        let reason = "an empty text is part of every denial".into();
        return Err((key(&["expect", "denied"]), reason));
    }
    if let Some(schema) = &expect.json_schema
        && let Err(e) = serde_json::from_str::<serde_json::Value>(schema)
    {
        let reason = format!("it is not JSON: {e}");
        return Err((key(&["expect", "json-schema"]), reason));
    }
    let none = expect.calls.as_ref().is_some_and(Vec::is_empty);
    if none && expect.finish == Some(Finish::ToolCall) {
        let reason = "there must be no calls, and only a call ends so".into();
        return Err((key(&["expect", "finish"]), reason));
    }
    if expect.max_tokens == Some(0) {
        let reason = "it is 0; it must be at least 1".into();
        return Err((key(&["expect", "max-tokens"]), reason));
    }
    Ok(())
}

fn words(words: &Words, table: &[&str]) -> Result<(), (Key, String)> {
    let one = |text: &Option<String>| text.iter().cloned().collect::<Vec<_>>();
    for (name, texts) in [
        ("contains", &words.contains),
        ("not-contains", &words.not_contains),
        ("starts-with", &one(&words.starts_with)),
        ("ends-with", &one(&words.ends_with)),
    ] {
        if texts.iter().any(String::is_empty) {
            let reason = "an empty text stands in every answer".into();
            return Err((key(&[table, &[name]].concat()), reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
