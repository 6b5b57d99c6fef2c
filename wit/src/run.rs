//! `genius.toml`: which component runs, and what it gets.

use crate::budget::PartialBudget;
use crate::manifest::{locate_toml, parse_toml};
use crate::text::{hex, is_sha256, reorders};
use crate::{GeniusError, ManifestError};
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use wildmatch::WildMatch;

/// What a run manifest is called.
pub const RUN_MANIFEST: &str = "genius.toml";
/// The directory every run has.
pub const SCRATCH: &str = "/scratch";

/// A run as a user describes it in `genius.toml`: the component, what it is granted, and
/// what it may consume. Paths in it are relative to its own folder.
///
/// A guest gets what its component asks for by its imports *and* the manifest grants. What
/// nobody grants it does not get; there is no key for the network, because there is none.
///
/// ```
/// use rusty_genius_core::RunManifest;
///
/// let manifest = RunManifest::parse("genius.toml", r#"
///     component = "review.wasm"
///     model = "qwen2.5-1.5b"
///
///     [grants]
///     models = ["qwen*"]
///     env = ["LANG"]
///
///     [grants.files]
///     "/src" = "src"                                     # read-only
///     "/out" = { host = "out", mode = "read-write" }
///
///     [grants.tools.calc]
///
///     [budget]
///     wall-time = "5m"
///     completion-tokens = 20_000
/// "#)?;
/// assert!(manifest.grants.files["/out"].writable());
/// # Ok::<(), rusty_genius_core::GeniusError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunManifest {
    /// A component file, or the name of a built-in guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// What the component must be, `sha256:HEX`. Default: whatever is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The run's default model. Default: the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it may use.
    pub grants: Grants,
    /// What it may consume.
    pub budget: PartialBudget,
}

/// What a run may use. Default: its default model, `/scratch`, a coarse clock, random
/// numbers, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Models it may open besides its default one: names of `models.toml` or specs of hub
    /// models, `*` and `?` as in file names. Never a path.
    pub models: Vec<Pattern>,
    /// Words for it when the command line has none.
    pub args: Vec<String>,
    /// Environment variables it sees, by name, with the host's values.
    pub env: Vec<String>,
    /// Which of its streams lead somewhere: `in` is the host's stdin, `out` is part of the
    /// reply, `err` goes to the journal.
    pub stdio: Vec<Stdio>,
    /// What time it sees.
    pub clocks: Clocks,
    /// What random numbers it gets.
    pub random: Random,
    /// Directories it sees besides `/scratch`, by the path it sees them under.
    pub files: BTreeMap<String, FileGrant>,
    /// Tools it may call, by name: `[a-zA-Z0-9_-]{1,64}`.
    pub tools: BTreeMap<String, ToolGrant>,
}

/// Names, with `*` for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(WildMatch);

impl Pattern {
    /// A pattern.
    pub fn new(text: &str) -> Self {
        Self(WildMatch::new(text))
    }

    /// Whether it covers the name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

/// A stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stdio {
    /// Standard input, read before the run begins: at most 16 MiB.
    #[serde(rename = "in")]
    In,
    /// Standard output.
    #[serde(rename = "out")]
    Out,
    /// Standard error.
    #[serde(rename = "err")]
    Err,
}

/// What time a guest sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clocks {
    /// Whole milliseconds of the host's clocks: too coarse to measure caches with.
    #[default]
    Coarse,
    /// The host's clocks.
    Fine,
    /// A calendar that stands at 1970-01-01, and whole milliseconds since the run began.
    None,
}

/// What random numbers a guest gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Random {
    /// The host's.
    #[default]
    Host,
    /// The same each time, from this seed. Nothing secret can be made of them.
    Seed(u64),
}

impl Serialize for Random {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Host => serializer.serialize_str("host"),
            Self::Seed(seed) => serializer.serialize_u64(*seed),
        }
    }
}

impl<'de> Deserialize<'de> for Random {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RandomVisitor)
    }
}

struct RandomVisitor;

impl Visitor<'_> for RandomVisitor {
    type Value = Random;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"host\", or a seed: a whole number")
    }

    fn visit_u64<E: de::Error>(self, seed: u64) -> Result<Random, E> {
        Ok(Random::Seed(seed))
    }

    fn visit_i64<E: de::Error>(self, seed: i64) -> Result<Random, E> {
        u64::try_from(seed)
            .map(Random::Seed)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(seed), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Random, E> {
        match text {
            "host" => Ok(Random::Host),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }
}

/// A directory of the host that a guest sees: its path alone, or a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileGrant {
    /// The directory, relative to the manifest.
    pub host: PathBuf,
    /// What may be done there. Default read-only.
    pub mode: FileMode,
}

impl FileGrant {
    /// Whether the guest may change something in it.
    pub fn writable(&self) -> bool {
        self.mode == FileMode::ReadWrite
    }
}

/// What a guest may do in a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileMode {
    /// List and read.
    #[default]
    ReadOnly,
    /// That, and make, write, rename and remove.
    ReadWrite,
}

impl<'de> Deserialize<'de> for FileGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FileGrantVisitor)
    }
}

struct FileGrantVisitor;

impl<'de> Visitor<'de> for FileGrantVisitor {
    type Value = FileGrant;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a directory, or a table with `host` and `mode`")
    }

    fn visit_str<E: de::Error>(self, host: &str) -> Result<FileGrant, E> {
        Ok(FileGrant {
            host: host.into(),
            mode: FileMode::ReadOnly,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FileGrant, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            host: PathBuf,
            #[serde(default)]
            mode: FileMode,
        }
        let Table { host, mode } = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(FileGrant { host, mode })
    }
}

/// A tool a guest may call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolGrant {
    /// A component file, or the name of a built-in tool. Default: the built-in one of the
    /// grant's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// What the component must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Directories the tool sees.
    pub files: BTreeMap<String, FileGrant>,
    /// What one call of it may consume, laid over
    /// [`Budget::for_tool`](crate::Budget::for_tool).
    pub budget: PartialBudget,
}

/// The sha256 of a component, spelled `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes, which a sha256 has.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` and 64 hexadecimal digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix("sha256:").ok_or(DigestError)?;
        if !is_sha256(digits) {
            return Err(DigestError);
        }
        let mut bytes = [0; 32];
        for (n, byte) in bytes.iter_mut().enumerate() {
            let pair = &digits[2 * n..2 * n + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Something a guest was denied, as the person who runs it is told. The guest itself gets a
/// closed error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What it tried. Parts of it are the guest's words: escape it wherever it is shown.
    pub what: String,
    /// The key of a manifest that would allow it, with a value where that helps; none where
    /// nothing would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}; `{key}` in genius.toml would allow it", self.what),
            None => write!(f, "{}; no grant allows it", self.what),
        }
    }
}

impl RunManifest {
    /// Parses and checks a manifest; `file` is only named in errors.
    pub fn parse(file: impl AsRef<Path>, text: &str) -> Result<Self, GeniusError> {
        let file = file.as_ref();
        let manifest: Self = parse_toml(file, text, 1)?;
        manifest
            .check()
            .map_err(|(path, reason)| -> ManifestError {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                locate_toml(file, text, 1, &path, reason)
            })?;
        Ok(manifest)
    }

    /// What parsed and is wrong all the same: where, and why.
    fn check(&self) -> Result<(), (Vec<String>, String)> {
        let at = |path: &[&str], reason: String| {
            Err((path.iter().map(ToString::to_string).collect(), reason))
        };
        for name in &self.grants.env {
            if let Err(reason) = check_env(name) {
                return at(&["grants", "env"], reason);
            }
        }
        for guest in self.grants.files.keys() {
            if let Err(reason) = check_guest_path(guest) {
                return at(&["grants", "files", guest], reason);
            }
        }
        for (name, tool) in &self.grants.tools {
            if let Err(reason) = check_tool_name(name) {
                return at(&["grants", "tools", name], reason);
            }
            for guest in tool.files.keys() {
                if let Err(reason) = check_guest_path(guest) {
                    return at(&["grants", "tools", name, "files", guest], reason);
                }
            }
        }
        Ok(())
    }

    /// Makes the paths in it relative to `folder`, the manifest's own, if they are relative.
    /// A component is a path where it begins with `.` or is absolute, or ends in `.wasm`; a
    /// built-in name otherwise.
    pub fn relative_to(mut self, folder: &Path) -> Self {
        let component = |component: &mut Option<String>| {
            if let Some(name) = component.as_mut().filter(|name| is_path(name)) {
                *name = folder.join(&*name).to_string_lossy().into_owned();
            }
        };
        let files = |files: &mut BTreeMap<String, FileGrant>| {
            for grant in files.values_mut() {
                grant.host = folder.join(&grant.host);
            }
        };
        component(&mut self.component);
        files(&mut self.grants.files);
        for tool in self.grants.tools.values_mut() {
            component(&mut tool.component);
            files(&mut tool.files);
        }
        self
    }
}

/// Whether a component's name is that of a file.
fn is_path(name: &str) -> bool {
    name.starts_with('.') || name.ends_with(".wasm") || Path::new(name).is_absolute()
}

/// Whether a directory can be seen under this path: absolute, in its shortest form, at most
/// 255 bytes, not the root, and not in `/scratch`.
///
/// Errors: words for a person.
pub fn check_guest_path(path: &str) -> Result<(), String> {
    let Some(below) = path.strip_prefix('/') else {
        return Err("a guest's path is absolute: \"/data\"".into());
    };
    if path.len() > 255 {
        return Err("it has more than 255 bytes".into());
    }
    if path
        .chars()
        .any(|c| c.is_control() || reorders(c) || c == '\\')
    {
        return Err("it has characters that paths do not have".into());
    }
    if below.is_empty() {
        return Err("the root cannot be granted: choose a folder below it, as \"/data\"".into());
    }
    if below.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("write it in its shortest form: no empty part, no `.`, no `..`".into());
    }
    if path == SCRATCH || path.starts_with("/scratch/") {
        return Err("/scratch is the run's own".into());
    }
    Ok(())
}

/// Whether a tool may have this name: `[a-zA-Z0-9_-]{1,64}`.
///
/// Errors: words for a person.
pub fn check_tool_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match (1..=64).contains(&name.len()) && name.chars().all(plain) {
        true => Ok(()),
        false => Err("a tool's name has 1 to 64 letters, digits, `_` or `-`".into()),
    }
}

fn check_env(name: &str) -> Result<(), String> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(format!(
            "{name:?} is no variable's name; values are the host's"
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
