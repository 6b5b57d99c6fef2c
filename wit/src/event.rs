//! What a conversation is made of, and what a generation says.

use crate::EngineError;
use serde::{Deserialize, Serialize};

/// Who speaks in a [`Turn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Standing instructions, before the conversation.
    System,
    /// The person or program asking.
    User,
    /// The model.
    Assistant,
    /// The result of a tool the model called.
    Tool,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// The words.
    pub content: String,
}

impl Turn {
    /// A turn of the given role.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
        }
    }

    /// A user's turn.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }
}

/// A model's thinking aloud, apart from its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum ThoughtEvent {
    /// A thought begins.
    Start,
    /// More of the thought; never empty.
    Delta {
        /// The words.
        text: String,
    },
    /// The thought ends.
    Stop,
}

/// A tool the model wants called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Names this call within its generation.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, one JSON object.
    pub arguments: String,
}

/// A token and how likely it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token's id in the model's vocabulary.
    pub token: u32,
    /// Its bytes: perhaps a part of a character.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability by the model, before sampling changed it.
    pub logprob: f32,
}

/// How likely a generated token was, and which would have been likeliest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logprobs {
    /// The token chosen.
    pub chosen: TokenLogprob,
    /// The likeliest, likeliest first; as many as `logprobs` asked for.
    pub top: Vec<TokenLogprob>,
}

/// What a generation consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that were in the cache already and cost nothing.
    pub cached_tokens: u32,
    /// Tokens generated, thoughts included.
    pub completion_tokens: u32,
    /// Tokens generated inside thoughts.
    pub thought_tokens: u32,
    /// Microseconds from the request to the first token.
    pub prefill_us: u64,
    /// Microseconds from the first token to the last.
    pub decode_us: u64,
}

impl Usage {
    /// Adds another generation's consumption; counts saturate.
    pub fn add(&mut self, other: &Usage) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.completion_tokens = self
            .completion_tokens
            .saturating_add(other.completion_tokens);
        self.thought_tokens = self.thought_tokens.saturating_add(other.thought_tokens);
        self.prefill_us = self.prefill_us.saturating_add(other.prefill_us);
        self.decode_us = self.decode_us.saturating_add(other.decode_us);
    }
}

/// Why a generation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The model was done, or wrote a stop text.
    Stop,
    /// `max-tokens` or the context was full.
    Length,
    /// The model waits for the result of a tool.
    ToolCall,
    /// The reader cancelled.
    Cancelled,
    /// The engine failed halfway; what arrived before stands.
    Failed(EngineError),
}

impl FinishReason {
    /// The reason's name as it stands in WIT, JSON and fixtures.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCall => "tool-call",
            Self::Cancelled => "cancelled",
            Self::Failed(_) => "failed",
        }
    }
}

/// The last event of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// What the generation consumed.
    pub usage: Usage,
    /// Why it ended.
    pub finish: FinishReason,
}

/// One step of a generation: `ProcessStart` once, then thoughts, content and
/// tool calls, then `Complete` once, always last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum InferenceEvent {
    /// The engine has taken the request.
    ProcessStart,
    /// The model thinks.
    Thought(ThoughtEvent),
    /// More of the answer; never empty.
    Content {
        /// The words.
        text: String,
    },
    /// The model asks for a tool.
    ToolCall(ToolCall),
    /// How likely the next token is: before the events of its text, where
    /// [`Behavior::logprobs`](crate::Behavior::logprobs) asks for it. Tokens of thoughts
    /// that are not delivered have none.
    Logprobs(Logprobs),
    /// The generation is over.
    Complete(Completion),
}

impl InferenceEvent {
    /// A piece of the answer.
    pub fn content(text: impl Into<String>) -> Self {
        Self::Content { text: text.into() }
    }

    /// A piece of a thought.
    pub fn thought(text: impl Into<String>) -> Self {
        Self::Thought(ThoughtEvent::Delta { text: text.into() })
    }
}

/// How far a model is on its way to this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum AssetEvent {
    /// Finding out what the spec means.
    Resolving {
        /// The spec, canonical.
        spec: String,
    },
    /// Another process fetches the same file; its progress follows as [`AssetEvent::Bytes`].
    Queued {
        /// The file's name.
        file: String,
    },
    /// Bytes of a file that are here.
    Bytes {
        /// The file's name.
        file: String,
        /// Bytes here, what an earlier attempt left included.
        done: u64,
        /// Bytes in all, where that is known.
        total: Option<u64>,
    },
    /// Checking a file's sha256.
    Verifying {
        /// The file's name.
        file: String,
    },
    /// Something a person should know that did not stop the work.
    Warning {
        /// What, in one sentence.
        text: String,
    },
    /// The model can be opened. Always last.
    Ready {
        /// The spec, canonical.
        spec: String,
        /// Bytes of all its files.
        size: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(event: &InferenceEvent) -> String {
        serde_json::to_string(event).unwrap()
    }

    #[test]
    fn an_event_is_one_flat_json_object() {
        assert_eq!(
            json(&InferenceEvent::ProcessStart),
            r#"{"type":"process-start"}"#
        );
        assert_eq!(
            json(&InferenceEvent::thought("hm")),
            r#"{"type":"thought","step":"delta","text":"hm"}"#
        );
        assert_eq!(
            json(&InferenceEvent::content("Narf!")),
            r#"{"type":"content","text":"Narf!"}"#
        );
        let token = TokenLogprob {
            token: 7,
            bytes: vec![0xc3],
            logprob: -0.5,
        };
        let logprobs = InferenceEvent::Logprobs(Logprobs {
            chosen: token,
            top: vec![],
        });
        assert_eq!(
            json(&logprobs),
            r#"{"type":"logprobs","chosen":{"token":7,"bytes":[195],"logprob":-0.5},"top":[]}"#
        );
        let back: InferenceEvent = serde_json::from_str(&json(&logprobs)).unwrap();
        assert_eq!(back, logprobs);
    }

    #[test]
    fn json_round_trips() {
        let event = InferenceEvent::Complete(Completion {
            usage: Usage {
                prompt_tokens: 3,
                ..Usage::default()
            },
            finish: FinishReason::Failed(EngineError::ContextOverflow {
                needed: 9,
                limit: 8,
            }),
        });
        let back: InferenceEvent = serde_json::from_str(&json(&event)).unwrap();
        assert_eq!(back, event);
    }

    #[test]
    fn usage_adds_up_and_saturates() {
        let mut usage = Usage {
            completion_tokens: u32::MAX,
            cached_tokens: 2,
            ..Usage::default()
        };
        usage.add(&Usage {
            completion_tokens: 1,
            cached_tokens: 3,
            ..Usage::default()
        });
        assert_eq!(usage.completion_tokens, u32::MAX);
        assert_eq!(usage.cached_tokens, 5);
    }
}
