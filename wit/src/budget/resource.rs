//! The limits by name: how each is counted, spelled and told.

use super::HISTORY_LIMIT;
use crate::text::parse_size;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use thiserror::Error;

/// What a run's budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetResource {
    /// Wall-clock time of the run, milliseconds.
    WallTime,
    /// Bytes over all linear memories and tables.
    Memory,
    /// Sessions open at once.
    Sessions,
    /// Generations at once.
    Inferences,
    /// Bytes of turns one session keeps.
    History,
    /// Bytes of one request's turns.
    Prompt,
    /// Bytes emitted through `reply`.
    Reply,
    /// Bytes appended to the journal.
    Journal,
    /// Processor time of the run, waiting for a model excluded, milliseconds.
    CpuTime,
    /// Tokens of all prompts together.
    PromptTokens,
    /// Tokens of all answers together.
    CompletionTokens,
    /// Generations in total.
    Generations,
    /// Handles of every kind open at once.
    Handles,
    /// Bytes written to files, holes included.
    Scratch,
    /// Files, folders and links made.
    ScratchFiles,
    /// Bytes printed to stdout and stderr.
    Stdout,
    /// Calls of tools in total.
    ToolCalls,
}

impl BudgetResource {
    fn describe(self, limit: u64) -> String {
        match self {
            Self::WallTime => format!(
                "its time of {}",
                humantime::format_duration(Duration::from_millis(limit))
            ),
            Self::Memory => format!("its memory of {limit} bytes"),
            Self::Sessions => format!("its {limit} open sessions"),
            Self::Inferences => format!("its {limit} generations at once"),
            Self::History => format!("its {limit} bytes of history in one session"),
            Self::Prompt => format!("its {limit} bytes of turns in one request"),
            Self::Reply => format!("its {limit} bytes of reply"),
            Self::Journal => format!("its {limit} bytes of journal"),
            Self::CpuTime => format!(
                "its processor time of {}",
                humantime::format_duration(Duration::from_millis(limit))
            ),
            Self::PromptTokens => format!("its {limit} tokens of prompts"),
            Self::CompletionTokens => format!("its {limit} tokens of answers"),
            Self::Generations => format!("its {limit} generations in all"),
            Self::Handles => format!("its {limit} open handles"),
            Self::Scratch => format!("its {limit} bytes written to files"),
            Self::ScratchFiles => format!("its {limit} files and folders made"),
            Self::Stdout => format!("its {limit} bytes printed"),
            Self::ToolCalls => format!("its {limit} calls of tools"),
        }
    }
}

/// A run reached a limit of its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("the guest has spent {}", resource.describe(*limit))]
pub struct BudgetError {
    /// Which limit.
    pub resource: BudgetResource,
    /// Its value, in the unit [`BudgetResource`] documents.
    pub limit: u64,
}

impl BudgetError {
    pub(crate) fn hint(&self) -> Option<String> {
        let key = self.resource.key();
        let flag = match self.resource {
            BudgetResource::WallTime => "--timeout SECONDS".to_owned(),
            BudgetResource::Memory => "--memory MIB".to_owned(),
            _ => format!("--budget {key}=…"),
        };
        Some(format!(
            "give it more with {flag}, or `budget.{key}` in its genius.toml, if it deserves it"
        ))
    }
}

/// How a limit is counted, and so how a manifest spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds; spelled with a unit: `"90s"`, `"1m 30s"`, `"500ms"`.
    Time,
    /// Bytes; spelled as a number, or with a unit: `"64MiB"`.
    Bytes,
    /// A plain number.
    Count,
}

impl BudgetResource {
    /// Every limit, in the order people are shown them.
    pub const ALL: [Self; 17] = [
        Self::WallTime,
        Self::CpuTime,
        Self::Memory,
        Self::PromptTokens,
        Self::CompletionTokens,
        Self::Inferences,
        Self::Generations,
        Self::Sessions,
        Self::Handles,
        Self::Prompt,
        Self::History,
        Self::Reply,
        Self::Stdout,
        Self::Journal,
        Self::Scratch,
        Self::ScratchFiles,
        Self::ToolCalls,
    ];

    /// Its key in the `[budget]` of a manifest.
    pub fn key(self) -> &'static str {
        KEYS[self as usize]
    }

    /// The limit of this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.key() == key)
    }

    /// How it is counted.
    pub fn unit(self) -> Unit {
        match self {
            Self::WallTime | Self::CpuTime => Unit::Time,
            Self::Memory
            | Self::Prompt
            | Self::History
            | Self::Reply
            | Self::Stdout
            | Self::Journal
            | Self::Scratch => Unit::Bytes,
            Self::PromptTokens
            | Self::CompletionTokens
            | Self::Inferences
            | Self::Generations
            | Self::Sessions
            | Self::Handles
            | Self::ScratchFiles
            | Self::ToolCalls => Unit::Count,
        }
    }

    /// Most that can be asked for: a year, 4 GiB of memory (what 32 bits can address, times
    /// sixteen memories), [`HISTORY_LIMIT`], a million handles (more the host does not keep),
    /// and elsewhere what 63 bits can count.
    pub fn ceiling(self) -> u64 {
        match self {
            Self::WallTime | Self::CpuTime => 365 * 24 * 3600 * 1000,
            Self::Memory => 64 << 30,
            Self::History => HISTORY_LIMIT,
            Self::Handles => 1_000_000,
            _ => i64::MAX as u64,
        }
    }

    /// Reads a limit as people write it.
    ///
    /// Errors: words for a person.
    pub fn parse(self, text: &str) -> Result<u64, String> {
        let text = text.trim();
        let limit = match self.unit() {
            Unit::Time => humantime::parse_duration(text)
                .ok()
                .and_then(|time| time.as_millis().try_into().ok())
                .ok_or("give a time with its unit: 90s, 500ms, 2m")?,
            Unit::Bytes => parse_size(text).map_err(|e| e.to_string())?,
            Unit::Count => text
                .replace('_', "")
                .parse()
                .map_err(|_| "give a whole number")?,
        };
        self.check(limit)
    }

    pub(super) fn check(self, limit: u64) -> Result<u64, String> {
        match limit <= self.ceiling() {
            true => Ok(limit),
            false => Err(format!("the most is {}", self.show(self.ceiling()))),
        }
    }

    /// A value of this limit as people read it, in a way [`BudgetResource::parse`] reads back.
    pub fn show(self, value: u64) -> String {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match self.unit() {
            Unit::Time => humantime::format_duration(Duration::from_millis(value)).to_string(),
            Unit::Count => value.to_string(),
            Unit::Bytes => UNITS
                .into_iter()
                .find(|(unit, _)| value > 0 && value.is_multiple_of(*unit))
                .map_or_else(
                    || value.to_string(),
                    |(unit, name)| format!("{}{name}", value / unit),
                ),
        }
    }
}

/// In the order of the variants of [`BudgetResource`]; a test compares them.
pub(super) const KEYS: [&str; 17] = [
    "wall-time",
    "memory",
    "sessions",
    "inferences",
    "history",
    "prompt",
    "reply",
    "journal",
    "cpu-time",
    "prompt-tokens",
    "completion-tokens",
    "generations",
    "handles",
    "scratch",
    "scratch-files",
    "stdout",
    "tool-calls",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GeniusError;

    #[test]
    fn a_spent_budget_says_how_much_it_was() {
        let error = GeniusError::from(BudgetError {
            resource: BudgetResource::WallTime,
            limit: 1500,
        });
        assert_eq!(
            error.to_string(),
            "the guest has spent its time of 1s 500ms"
        );
        assert!(error.hint().unwrap().contains("--timeout"));
    }
}
