//! Traces that nobody recorded: what they are made from, as one word of a command line.

use super::size::format_size;
use super::trace::{MODELS_LIMIT, REQUESTS_LIMIT};
use rusty_genius_core::brainstem::Budgets;
use rusty_genius_core::text::parse_size;
use std::fmt;
use std::str::FromStr;

/// Longest trace, seconds: 180 days.
const SPAN_LIMIT: f64 = 180.0 * DAY;
pub(super) const DAY: f64 = 86_400.0;
/// Least memory: the smallest model needs so much.
pub(super) const SMALLEST: u64 = 512 << 20;

/// When requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// At any time alike: a Poisson process.
    Steady,
    /// In bursts of some twenty requests, four times as fast as the mean and mostly for one
    /// model, with pauses between them.
    Bursty,
    /// Through a day of 24 hours with its night, two rushes and a lunch.
    Day,
}

impl Pattern {
    const ALL: [Self; 3] = [Self::Steady, Self::Bursty, Self::Day];

    fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Bursty => "bursty",
            Self::Day => "day",
        }
    }
}

/// What a synthetic trace is made from. The same gives the same trace, on every machine.
///
/// Written as `key=value,…`, as in `pattern=day,models=40,requests=2000,seed=7`. Its keys:
///
/// | key           | means                                              | default          |
/// |---------------|----------------------------------------------------|------------------|
/// | `pattern`     | `steady`, `bursty` or `day`                        | `steady`         |
/// | `seed`        | which of all such traces                           | 1                |
/// | `requests`    | how many, 1 to 10,000,000                          | 1000             |
/// | `rate`        | of them a second, on average, 0.001 to 1,000,000   | 1; all in a day  |
/// | `models`      | 1 to 4096, the first is asked for most (Zipf)      | 4; 40 for `day`  |
/// | `guests`      | who ask, 1 to 4096                                 | 8                |
/// | `memory`      | for all models, 512MiB or more, or `none`          | 24GiB            |
/// | `queue`       | requests that may wait                             | 1024             |
/// | `generations` | at once                                            | 64               |
/// | `prompt`      | tokens of a prompt, on average, 1 to 4096          | 400              |
/// | `completion`  | tokens of an answer, on average, 1 to 4096         | 150              |
/// | `deadline`    | seconds an answer is of use, 1 to 86,400, or `none`| `none`           |
/// | `impatient`   | share of requests taken back after some 10 s       | 0                |
///
/// Models have 0.5 to 24 GiB, smaller ones being more frequent, and never more than `memory`.
/// Four of their generations run at full speed.
#[derive(Debug, Clone, PartialEq)]
pub struct Synthetic {
    pub(super) pattern: Pattern,
    pub(super) seed: u64,
    pub(super) requests: usize,
    pub(super) rate: f64,
    pub(super) models: usize,
    pub(super) guests: usize,
    pub(super) memory: Option<u64>,
    pub(super) queue: u32,
    pub(super) generations: u32,
    pub(super) prompt: u32,
    pub(super) completion: u32,
    pub(super) deadline: Option<u32>,
    pub(super) impatient: f64,
}

/// What is wrong with the text of a [`Synthetic`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntheticError {
    /// The key, or what stands in its place.
    pub key: String,
    /// What is wrong, and what must be.
    pub reason: String,
}

impl fmt::Display for SyntheticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.reason)
    }
}

impl std::error::Error for SyntheticError {}

const KEYS: [&str; 13] = [
    "pattern",
    "seed",
    "requests",
    "rate",
    "models",
    "guests",
    "memory",
    "queue",
    "generations",
    "prompt",
    "completion",
    "deadline",
    "impatient",
];

impl FromStr for Synthetic {
    type Err = SyntheticError;

    fn from_str(text: &str) -> Result<Self, SyntheticError> {
        let mut values = [None; KEYS.len()];
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| {
                (key.trim(), Some(value.trim()))
            });
            let wrong = |reason: String| SyntheticError {
                key: key.chars().take(40).collect(),
                reason,
            };
            let known = KEYS.iter().position(|known| *known == key);
            let place = known
                .ok_or_else(|| wrong(format!("no such key; there are {}", KEYS.join(", "))))?;
            let value =
                value.ok_or_else(|| wrong("a value must follow, as in key=value".into()))?;
            if values[place].replace(value).is_some() {
                return Err(wrong("it stands there twice".into()));
            }
        }
        Self::read(&Values(values))
    }
}

struct Values<'a>([Option<&'a str>; KEYS.len()]);

impl Values<'_> {
    /// The value of a key, or the default.
    fn get<T>(
        &self,
        key: &str,
        default: T,
        rule: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, SyntheticError> {
        let place = KEYS.iter().position(|known| *known == key);
        let Some(text) = place.and_then(|place| self.0[place]) else {
            return Ok(default);
        };
        read(text).ok_or_else(|| SyntheticError {
            key: key.to_owned(),
            reason: format!(
                "it is {:?}; it must be {rule}",
                text.chars().take(40).collect::<String>()
            ),
        })
    }

    fn number(&self, key: &str, default: u32, most: u32) -> Result<u32, SyntheticError> {
        let rule = format!("a whole number, 1 to {most}");
        self.get(key, default, &rule, |text| {
            text.parse().ok().filter(|n| (1..=most).contains(n))
        })
    }

    fn count(&self, key: &str, default: usize, most: usize) -> Result<usize, SyntheticError> {
        let rule = format!("a whole number, 1 to {most}");
        self.get(key, default, &rule, |text| {
            text.parse().ok().filter(|n| (1..=most).contains(n))
        })
    }

    fn real(
        &self,
        key: &str,
        default: f64,
        range: std::ops::RangeInclusive<f64>,
        rule: &str,
    ) -> Result<f64, SyntheticError> {
        self.get(key, default, rule, |text| {
            text.parse().ok().filter(|n| range.contains(n))
        })
    }
}

/// A value, or `none`.
fn unless_none<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        "none" => Some(None),
        text => read(text).map(Some),
    }
}

impl Synthetic {
    fn read(values: &Values<'_>) -> Result<Self, SyntheticError> {
        let budgets = Budgets::default();
        let pattern = values.get(
            "pattern",
            Pattern::Steady,
            "steady, bursty or day",
            |text| {
                Pattern::ALL
                    .into_iter()
                    .find(|pattern| pattern.name() == text)
            },
        )?;
        let seed_rule = "a whole number, at most 18446744073709551615";
        let requests = values.count("requests", 1000, REQUESTS_LIMIT)?;
        let is_day = pattern == Pattern::Day;
        let rate = if is_day { requests as f64 / DAY } else { 1.0 };
        let rate_rule = "requests a second, 0.001 to 1000000";
        let memory_rule = "512MiB or more, as in 24GiB, or none";
        let deadline_rule = "whole seconds, 1 to 86400, or none";
        let synthetic = Self {
            pattern,
            seed: values.get("seed", 1, seed_rule, |text| text.parse().ok())?,
            requests,
            rate: values.real("rate", rate, 0.001..=1e6, rate_rule)?,
            models: values.count("models", if is_day { 40 } else { 4 }, MODELS_LIMIT)?,
            guests: values.count("guests", 8, 4096)?,
            memory: values.get("memory", Some(24 << 30), memory_rule, |text| {
                unless_none(text, |text| {
                    parse_size(text).ok().filter(|bytes| *bytes >= SMALLEST)
                })
            })?,
            queue: values.number("queue", budgets.queue, u32::MAX)?,
            generations: values.number("generations", budgets.generations, u32::MAX)?,
            prompt: values.number("prompt", 400, 4096)?,
            completion: values.number("completion", 150, 4096)?,
            deadline: values.get("deadline", None, deadline_rule, |text| {
                unless_none(text, |text| {
                    text.parse().ok().filter(|s| (1..=86_400).contains(s))
                })
            })?,
            impatient: values.real("impatient", 0.0, 0.0..=1.0, "a share, 0 to 1")?,
        };
        if synthetic.requests as f64 / synthetic.rate > SPAN_LIMIT {
            return Err(SyntheticError {
                key: "rate".to_owned(),
                reason: "so many requests at this rate take longer than 180 days".to_owned(),
            });
        }
        Ok(synthetic)
    }
}

impl fmt::Display for Synthetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "none".to_owned();
        write!(f, "pattern={},seed={}", self.pattern.name(), self.seed)?;
        write!(f, ",requests={},rate={}", self.requests, self.rate)?;
        write!(f, ",models={},guests={}", self.models, self.guests)?;
        write!(f, ",memory={}", self.memory.map_or_else(none, format_size))?;
        write!(f, ",queue={},generations={}", self.queue, self.generations)?;
        write!(f, ",prompt={},completion={}", self.prompt, self.completion)?;
        let deadline = self.deadline.map_or_else(none, |s| s.to_string());
        write!(f, ",deadline={deadline},impatient={}", self.impatient)
    }
}
