//! What guests say to the host besides asking for inference.

use crate::{FinishReason, PartialConfig, ThoughtEvent, ToolCall, Turn, Usage};
use serde::{Deserialize, Serialize};

/// A piece of what a guest says to whoever ran it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Fragment {
    /// More of the answer: data, for stdout.
    Content {
        /// The words.
        text: String,
    },
    /// More of the thinking: for people, on stderr.
    Thought(ThoughtEvent),
}

impl Fragment {
    /// Bytes of its text.
    pub fn len(&self) -> usize {
        match self {
            Self::Content { text } | Self::Thought(ThoughtEvent::Delta { text }) => text.len(),
            Self::Thought(_) => 0,
        }
    }

    /// Whether it has no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How much a [`Note`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For whoever debugs the guest.
    Debug,
    /// What the guest did.
    Info,
    /// Something a person should look at.
    Warn,
}

/// A line of a run's journal. The text is the guest's: escape it wherever it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// What the guest wrote.
    pub text: String,
}

/// What a tool says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolDescription {
    /// What it calls itself; a grant may call it something else.
    pub name: String,
    /// What it does, for a model.
    pub description: String,
    /// The JSON Schema of its arguments, as text.
    pub parameters: String,
}

/// One fixture, as a scenario is given it.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// Its name: `ORG/REPO/QUANT/TEST`.
    pub name: String,
    /// What to say to the model, in one session: each user turn is asked when the one
    /// before it has been answered.
    pub turns: Vec<Turn>,
    /// How to generate.
    pub config: PartialConfig,
}

/// Something a scenario looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What, in a few words.
    pub name: String,
    /// Whether it held.
    pub passed: bool,
    /// What was seen, where it did not hold; else empty.
    pub detail: String,
}

/// What a scenario saw. It is the guest's word: the runner compares it with what the
/// host counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The last answer, thoughts and tool calls apart.
    pub answer: String,
    /// Its thoughts.
    pub thoughts: String,
    /// Its tool calls, in order.
    pub calls: Vec<ToolCall>,
    /// Why its generation ended.
    pub finish: FinishReason,
    /// What the streams said they consumed, together.
    pub usage: Usage,
    /// What the scenario looked at itself.
    pub checks: Vec<Check>,
    /// The answers before the last one.
    pub earlier: Vec<String>,
}
