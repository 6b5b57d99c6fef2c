//! What a run may consume: the limits, their names in a manifest, and their defaults.

mod resource;

pub use resource::{BudgetError, BudgetResource, Unit};

use resource::KEYS;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Limits of one run. Each is enforced by the host, per run, whatever the guest does; what
/// tools consume counts for the run that calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Wall-clock time from instantiation to the end, a guest parked in a host call
    /// included. Default 60 s. Checked every 10 ms. The host's own compilation of the
    /// component is not counted.
    pub wall_time: Duration,
    /// Processor time, on however many threads: the guest's own, and what the host does
    /// while the guest waits for its answer; not what an engine computes. Default 10 s.
    /// Checked every 10 ms, and whenever the guest waits.
    pub cpu_time: Duration,
    /// Bytes over all linear memories and tables of the run and its tools. Default 256 MiB.
    /// Growth beyond it fails inside the guest (`memory.grow` gives -1).
    pub memory: u64,
    /// Tokens of all prompts together, those in the cache included, and those counted or
    /// embedded. Default 4,000,000. Checked before a request; a prompt that is begun is read
    /// to its end.
    pub prompt_tokens: u64,
    /// Tokens of all answers together, thoughts included. Default 1,000,000. An answer is cut
    /// where they end, or at most one batch of 256 events later for each that runs beside it.
    pub completion_tokens: u64,
    /// Generations at once. Default 16.
    pub inferences: u64,
    /// Generations in total. Default 10,000.
    pub generations: u64,
    /// Sessions open at once. Default 64.
    pub sessions: u64,
    /// Handles of every kind open at once: descriptors, streams, pollables, sessions,
    /// generations. Default 4096. The guest traps beyond it.
    pub handles: u64,
    /// Bytes of the turns, or of the text, of one request; each turn counts 16 more than
    /// its words. Default 1 MiB.
    pub prompt: u64,
    /// Bytes of turns one session keeps. Default 4 MiB, and not more.
    pub history: u64,
    /// Bytes said through `reply`; each fragment counts one more. Default 64 MiB.
    pub reply: u64,
    /// Bytes printed to stdout and stderr, granted or not. Default 1 MiB.
    pub stdout: u64,
    /// Bytes of the journal; each note counts 16 more than its text. Default 1 MiB.
    pub journal: u64,
    /// Bytes written to files, in `/scratch` and in writable directories; a hole counts as
    /// if it were written. What is overwritten or removed is not given back, so that no order
    /// of operations gets more. Default 256 MiB.
    pub scratch: u64,
    /// Files, folders and links made. What is removed is not given back. Default 10,000.
    pub scratch_files: u64,
    /// Calls of tools in total. Default 1000.
    pub tool_calls: u64,
}

/// Most bytes of turns any session keeps: 4 MiB.
pub const HISTORY_LIMIT: u64 = 4 << 20;

impl Default for Budget {
    fn default() -> Self {
        Self {
            wall_time: Duration::from_secs(60),
            cpu_time: Duration::from_secs(10),
            memory: 256 << 20,
            prompt_tokens: 4_000_000,
            completion_tokens: 1_000_000,
            inferences: 16,
            generations: 10_000,
            sessions: 64,
            handles: 4096,
            prompt: 1 << 20,
            history: HISTORY_LIMIT,
            reply: 64 << 20,
            stdout: 1 << 20,
            journal: 1 << 20,
            scratch: 256 << 20,
            scratch_files: 10_000,
            tool_calls: 1000,
        }
    }
}

impl Budget {
    /// What one call of a tool may consume unless its grant says otherwise: 10 s, 2 s of the
    /// processor, 64 MiB of memory, 16 MiB and 1000 files in `/scratch`.
    pub fn for_tool() -> Self {
        Self {
            wall_time: Duration::from_secs(10),
            cpu_time: Duration::from_secs(2),
            memory: 64 << 20,
            scratch: 16 << 20,
            scratch_files: 1000,
            ..Self::default()
        }
    }

    /// A limit, in the unit [`BudgetResource`] documents.
    pub fn limit(&self, resource: BudgetResource) -> u64 {
        let millis = |time: Duration| time.as_millis().try_into().unwrap_or(u64::MAX);
        match resource {
            BudgetResource::WallTime => millis(self.wall_time),
            BudgetResource::CpuTime => millis(self.cpu_time),
            BudgetResource::Memory => self.memory,
            BudgetResource::PromptTokens => self.prompt_tokens,
            BudgetResource::CompletionTokens => self.completion_tokens,
            BudgetResource::Inferences => self.inferences,
            BudgetResource::Generations => self.generations,
            BudgetResource::Sessions => self.sessions,
            BudgetResource::Handles => self.handles,
            BudgetResource::Prompt => self.prompt,
            BudgetResource::History => self.history,
            BudgetResource::Reply => self.reply,
            BudgetResource::Stdout => self.stdout,
            BudgetResource::Journal => self.journal,
            BudgetResource::Scratch => self.scratch,
            BudgetResource::ScratchFiles => self.scratch_files,
            BudgetResource::ToolCalls => self.tool_calls,
        }
    }

    /// Changes a limit, given in the unit [`BudgetResource`] documents.
    pub fn set(&mut self, resource: BudgetResource, limit: u64) {
        let field = match resource {
            BudgetResource::WallTime => return self.wall_time = Duration::from_millis(limit),
            BudgetResource::CpuTime => return self.cpu_time = Duration::from_millis(limit),
            BudgetResource::Memory => &mut self.memory,
            BudgetResource::PromptTokens => &mut self.prompt_tokens,
            BudgetResource::CompletionTokens => &mut self.completion_tokens,
            BudgetResource::Inferences => &mut self.inferences,
            BudgetResource::Generations => &mut self.generations,
            BudgetResource::Sessions => &mut self.sessions,
            BudgetResource::Handles => &mut self.handles,
            BudgetResource::Prompt => &mut self.prompt,
            BudgetResource::History => &mut self.history,
            BudgetResource::Reply => &mut self.reply,
            BudgetResource::Stdout => &mut self.stdout,
            BudgetResource::Journal => &mut self.journal,
            BudgetResource::Scratch => &mut self.scratch,
            BudgetResource::ScratchFiles => &mut self.scratch_files,
            BudgetResource::ToolCalls => &mut self.tool_calls,
        };
        *field = limit;
    }
}

/// Limits that somebody set; the others stay as they are. A table of keys in a manifest:
/// times as `"90s"`, bytes as `"64MiB"` or a number, counts as a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartialBudget(BTreeMap<BudgetResource, u64>);

impl PartialBudget {
    /// Sets a limit, in the unit [`BudgetResource`] documents.
    pub fn set(&mut self, resource: BudgetResource, limit: u64) {
        self.0.insert(resource, limit);
    }

    /// The limit, if it is set.
    pub fn get(&self, resource: BudgetResource) -> Option<u64> {
        self.0.get(&resource).copied()
    }

    /// Its limits laid over those of `budget`.
    pub fn over(&self, mut budget: Budget) -> Budget {
        for (resource, limit) in &self.0 {
            budget.set(*resource, *limit);
        }
        budget
    }
}

impl<'de> Deserialize<'de> for PartialBudget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Limits)
    }
}

struct Limits;

impl<'de> Visitor<'de> for Limits {
    type Value = PartialBudget;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of limits")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PartialBudget, A::Error> {
        let mut limits = PartialBudget::default();
        while let Some(Key(resource)) = map.next_key()? {
            limits.set(resource, map.next_value_seed(Limit(resource))?);
        }
        Ok(limits)
    }
}

/// A key; a type of its own, so that an error names the place of the key.
struct Key(BudgetResource);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        BudgetResource::from_key(&key)
            .map(Self)
            .ok_or_else(|| de::Error::unknown_field(&key, &KEYS))
    }
}

/// One limit, spelled as its unit asks.
struct Limit(BudgetResource);

impl<'de> de::DeserializeSeed<'de> for Limit {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Limit {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.unit() {
            Unit::Time => "a time with its unit, as in \"90s\"",
            Unit::Bytes => "a number of bytes, or a size as in \"64MiB\"",
            Unit::Count => "a whole number",
        })
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
        match self.0.unit() {
            Unit::Time => Err(E::invalid_type(de::Unexpected::Unsigned(value), &self)),
            _ => self.0.check(value).map_err(E::custom),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<u64, E> {
        let unsigned = u64::try_from(value)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))?;
        self.visit_u64(unsigned)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        self.0.parse(text).map_err(E::custom)
    }
}

impl Serialize for PartialBudget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (resource, limit) in &self.0 {
            map.serialize_entry(resource.key(), &Shown(*resource, *limit))?;
        }
        map.end()
    }
}

impl Serialize for Budget {
    /// As a table of a manifest: every key, as [`PartialBudget`] reads it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(BudgetResource::ALL.len()))?;
        for resource in BudgetResource::ALL {
            map.serialize_entry(resource.key(), &Shown(resource, self.limit(resource)))?;
        }
        map.end()
    }
}

struct Shown(BudgetResource, u64);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.unit() {
            Unit::Time => serializer.serialize_str(&self.0.show(self.1)),
            _ => serializer.serialize_u64(self.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_limit_has_its_own_key_and_field() {
        let mut budget = Budget::default();
        for (n, resource) in (1..).zip(BudgetResource::ALL) {
            assert_eq!(BudgetResource::from_key(resource.key()), Some(resource));
            let word = serde_json::to_value(resource).unwrap();
            assert_eq!(word.as_str(), Some(resource.key()));
            budget.set(resource, n);
        }
        for (n, resource) in (1..).zip(BudgetResource::ALL) {
            assert_eq!(budget.limit(resource), n, "{resource:?}");
        }
        assert_eq!(BudgetResource::from_key("tokens"), None);
    }

    fn parse(text: &str) -> Result<PartialBudget, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn limits_are_spelled_as_their_units_ask() {
        let limits = parse("wall-time = '1m 30s'\nmemory = '64MiB'\nscratch = 1000\nsessions = 3");
        let budget = limits.unwrap().over(Budget::default());
        assert_eq!(budget.wall_time, Duration::from_secs(90));
        assert_eq!((budget.memory, budget.scratch), (64 << 20, 1000));
        assert_eq!((budget.sessions, budget.inferences), (3, 16));
    }

    #[test]
    fn what_is_no_limit_is_told_so() {
        for (text, why) in [
            ("wall-time = 90", "with its unit"),
            ("wall-time = 'soon'", "with its unit"),
            ("memory = '64 apples'", "MiB"),
            ("memory = -1", "64MiB"),
            ("memory = '65GiB'", "the most is 64GiB"),
            ("history = '5MiB'", "the most is 4MiB"),
            ("sessions = 1.5", "whole number"),
            ("memroy = 1", "unknown field"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_limit_that_is_shown_is_read_back(n in 0usize..17, value in 0u64..=1 << 62) {
            let resource = BudgetResource::ALL[n];
            let value = value % (resource.ceiling() + 1);
            prop_assert_eq!(resource.parse(&resource.show(value)), Ok(value));
        }

        #[test]
        fn a_budget_that_is_written_is_read_back(values in proptest::array::uniform17(0u64..1 << 40)) {
            let mut budget = Budget::default();
            for (resource, value) in BudgetResource::ALL.into_iter().zip(values) {
                budget.set(resource, value % (resource.ceiling() + 1));
            }
            let text = toml::to_string(&budget).unwrap();
            prop_assert_eq!(parse(&text).unwrap().over(Budget::default()), budget);
        }
    }
}
