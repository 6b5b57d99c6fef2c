//! Between the contract's types as guests have them and as native code has them.

use crate::bindings::{facecrab, journal, reply, scenarios, types};
use rusty_genius_core as core;
use rusty_genius_core::{
    AssetError, BudgetResource, EngineError, FinishReason, Fragment, GeniusError, InferenceEvent,
    ProtocolError, SandboxError, ThoughtEvent,
};
use rusty_genius_stem::Details;

mod config;

pub(crate) use config::config_in;
use config::config_out;

pub(crate) fn turns_in(turns: Vec<types::Turn>) -> Vec<core::Turn> {
    turns
        .into_iter()
        .map(|turn| core::Turn {
            role: match turn.role {
                types::Role::System => core::Role::System,
                types::Role::User => core::Role::User,
                types::Role::Assistant => core::Role::Assistant,
                types::Role::Tool => core::Role::Tool,
            },
            content: turn.content,
        })
        .collect()
}

fn turns_out(turns: Vec<core::Turn>) -> Vec<types::Turn> {
    turns
        .into_iter()
        .map(|turn| types::Turn {
            role: match turn.role {
                core::Role::System => types::Role::System,
                core::Role::User => types::Role::User,
                core::Role::Assistant => types::Role::Assistant,
                core::Role::Tool => types::Role::Tool,
            },
            content: turn.content,
        })
        .collect()
}

pub(crate) fn event_out(event: InferenceEvent) -> types::InferenceEvent {
    match event {
        InferenceEvent::ProcessStart => types::InferenceEvent::ProcessStart,
        InferenceEvent::Thought(thought) => types::InferenceEvent::Thought(match thought {
            ThoughtEvent::Start => types::ThoughtEvent::Start,
            ThoughtEvent::Delta { text } => types::ThoughtEvent::Delta(text),
            ThoughtEvent::Stop => types::ThoughtEvent::Stop,
        }),
        InferenceEvent::Content { text } => types::InferenceEvent::Content(text),
        InferenceEvent::ToolCall(call) => types::InferenceEvent::ToolCall(types::ToolCall {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        }),
        InferenceEvent::Logprobs(logprobs) => types::InferenceEvent::Logprobs(types::Logprobs {
            chosen: token_out(logprobs.chosen),
            top: logprobs.top.into_iter().map(token_out).collect(),
        }),
        InferenceEvent::Complete(completion) => {
            types::InferenceEvent::Complete(types::Completion {
                usage: usage_out(completion.usage),
                finish: finish_out(&completion.finish),
            })
        }
    }
}

fn token_out(token: core::TokenLogprob) -> types::TokenLogprob {
    types::TokenLogprob {
        token: token.token,
        bytes: token.bytes,
        logprob: token.logprob,
    }
}

pub(crate) fn usage_out(usage: core::Usage) -> types::Usage {
    types::Usage {
        prompt_tokens: usage.prompt_tokens,
        cached_tokens: usage.cached_tokens,
        completion_tokens: usage.completion_tokens,
        thought_tokens: usage.thought_tokens,
        prefill_us: usage.prefill_us,
        decode_us: usage.decode_us,
    }
}

fn finish_out(finish: &FinishReason) -> types::FinishReason {
    match finish {
        FinishReason::Stop => types::FinishReason::Stop,
        FinishReason::Length => types::FinishReason::Length,
        FinishReason::ToolCall => types::FinishReason::ToolCall,
        FinishReason::Cancelled => types::FinishReason::Cancelled,
        FinishReason::Failed(e) => types::FinishReason::Failed(engine_out(e)),
    }
}

fn engine_out(error: &EngineError) -> types::EngineError {
    match error {
        EngineError::Unknown { .. } | EngineError::LoadFailed { .. } => {
            types::EngineError::LoadFailed
        }
        EngineError::ContextOverflow { .. } => types::EngineError::ContextOverflow,
        EngineError::MemoryExceeded { .. } => types::EngineError::MemoryExceeded,
        EngineError::InvalidConstraint { .. } => types::EngineError::InvalidConstraint,
        EngineError::Unsupported { .. } => types::EngineError::Unsupported,
        EngineError::Rejected { .. } => types::EngineError::Rejected,
        EngineError::DeadlinePassed { .. } => types::EngineError::DeadlinePassed,
        _ => types::EngineError::BackendFailed,
    }
}

fn resource_out(resource: BudgetResource) -> types::BudgetResource {
    match resource {
        BudgetResource::WallTime => types::BudgetResource::WallTime,
        BudgetResource::Memory => types::BudgetResource::Memory,
        BudgetResource::Sessions => types::BudgetResource::Sessions,
        BudgetResource::Inferences => types::BudgetResource::Inferences,
        BudgetResource::History => types::BudgetResource::History,
        BudgetResource::Prompt => types::BudgetResource::Prompt,
        BudgetResource::Reply => types::BudgetResource::Reply,
        BudgetResource::Journal => types::BudgetResource::Journal,
        BudgetResource::CpuTime => types::BudgetResource::CpuTime,
        BudgetResource::PromptTokens => types::BudgetResource::PromptTokens,
        BudgetResource::CompletionTokens => types::BudgetResource::CompletionTokens,
        BudgetResource::Generations => types::BudgetResource::Generations,
        BudgetResource::Handles => types::BudgetResource::Handles,
        BudgetResource::Scratch => types::BudgetResource::Scratch,
        BudgetResource::ScratchFiles => types::BudgetResource::ScratchFiles,
        BudgetResource::Stdout => types::BudgetResource::Stdout,
        BudgetResource::ToolCalls => types::BudgetResource::ToolCalls,
    }
}

/// What a guest is told of an error: its kind, never a path or the system's words.
pub(crate) fn error_out(error: &GeniusError) -> types::Error {
    match error {
        GeniusError::Protocol(e) => match e {
            ProtocolError::Config(e) => {
                // To a guest all settings are in one list.
                let setting = e.field.rsplit('.').next().unwrap_or(e.field);
                types::Error::Protocol(types::ProtocolError::InvalidConfig(setting.to_owned()))
            }
            ProtocolError::Spec(_) => types::Error::Protocol(types::ProtocolError::InvalidSpec),
            ProtocolError::NoTurns => types::Error::Protocol(types::ProtocolError::InvalidTurns),
            ProtocolError::Busy => types::Error::Protocol(types::ProtocolError::Busy),
            _ => types::Error::Engine(types::EngineError::BackendFailed),
        },
        GeniusError::Asset(AssetError::NotGranted { .. }) => {
            types::Error::Asset(types::AssetError::NotGranted)
        }
        GeniusError::Asset(AssetError::Invalid { .. }) => {
            types::Error::Asset(types::AssetError::Invalid)
        }
        GeniusError::Asset(_) => types::Error::Asset(types::AssetError::NotFound),
        GeniusError::Engine(e) => types::Error::Engine(engine_out(e)),
        GeniusError::Budget(e) => types::Error::Budget(types::BudgetError {
            resource: resource_out(e.resource),
            limit: e.limit,
        }),
        GeniusError::Sandbox(SandboxError::ToolNotGranted { .. }) => {
            types::Error::Tool(types::ToolError::NotGranted)
        }
        GeniusError::Sandbox(SandboxError::ToolBroken { .. }) => {
            types::Error::Tool(types::ToolError::Broken)
        }
        _ => types::Error::Engine(types::EngineError::BackendFailed),
    }
}

/// How far a model is; `None` for what is not the guest's business.
pub(crate) fn progress_out(event: &core::AssetEvent) -> Option<facecrab::AssetProgress> {
    Some(match event {
        core::AssetEvent::Warning { .. } => return None,
        core::AssetEvent::Resolving { .. } => facecrab::AssetProgress::Resolving,
        core::AssetEvent::Queued { .. } => facecrab::AssetProgress::Queued,
        core::AssetEvent::Bytes { done, total, .. } => {
            facecrab::AssetProgress::Bytes((*done, *total))
        }
        core::AssetEvent::Verifying { .. } => facecrab::AssetProgress::Verifying,
        core::AssetEvent::Ready { .. } => facecrab::AssetProgress::Ready,
    })
}

/// What a guest is told of a model, under the name it has there.
pub(crate) fn model_out(details: Details, name: String) -> facecrab::ModelInfo {
    let context = details.context_length.unwrap_or(0);
    facecrab::ModelInfo {
        spec: name,
        size: details.size,
        quant: details.quant.unwrap_or_default(),
        context_length: u32::try_from(context).unwrap_or(u32::MAX),
    }
}

pub(crate) fn fragments_in(fragments: Vec<reply::Fragment>) -> Vec<Fragment> {
    fragments
        .into_iter()
        .map(|fragment| match fragment {
            reply::Fragment::Content(text) => Fragment::Content { text },
            reply::Fragment::Thought(thought) => Fragment::Thought(match thought {
                types::ThoughtEvent::Start => ThoughtEvent::Start,
                types::ThoughtEvent::Delta(text) => ThoughtEvent::Delta { text },
                types::ThoughtEvent::Stop => ThoughtEvent::Stop,
            }),
        })
        .collect()
}

pub(crate) fn note_in(level: journal::Level, text: String) -> core::Note {
    let level = match level {
        journal::Level::Debug => core::Level::Debug,
        journal::Level::Info => core::Level::Info,
        journal::Level::Warn => core::Level::Warn,
    };
    core::Note { level, text }
}

pub(crate) fn case_out(case: core::TestCase, model: String) -> scenarios::TestCase {
    scenarios::TestCase {
        name: case.name,
        model,
        turns: turns_out(case.turns),
        config: config_out(case.config),
    }
}

pub(crate) fn observation_in(seen: scenarios::Observation, engine: &str) -> core::Observation {
    core::Observation {
        answer: seen.answer,
        thoughts: seen.thoughts,
        calls: seen
            .calls
            .into_iter()
            .map(|call| core::ToolCall {
                id: call.id,
                name: call.name,
                arguments: call.arguments,
            })
            .collect(),
        finish: finish_in(seen.finish, engine),
        usage: core::Usage {
            prompt_tokens: seen.usage.prompt_tokens,
            cached_tokens: seen.usage.cached_tokens,
            completion_tokens: seen.usage.completion_tokens,
            thought_tokens: seen.usage.thought_tokens,
            prefill_us: seen.usage.prefill_us,
            decode_us: seen.usage.decode_us,
        },
        checks: seen
            .checks
            .into_iter()
            .map(|check| core::Check {
                name: check.name,
                passed: check.passed,
                detail: check.detail,
            })
            .collect(),
        earlier: seen.earlier,
    }
}

fn finish_in(finish: types::FinishReason, engine: &str) -> FinishReason {
    match finish {
        types::FinishReason::Stop => FinishReason::Stop,
        types::FinishReason::Length => FinishReason::Length,
        types::FinishReason::ToolCall => FinishReason::ToolCall,
        types::FinishReason::Cancelled => FinishReason::Cancelled,
        types::FinishReason::Failed(e) => FinishReason::Failed(EngineError::BackendFailed {
            engine: engine.to_owned(),
            reason: format!("the guest reports `{}`", engine_name(e)),
        }),
    }
}

fn engine_name(error: types::EngineError) -> &'static str {
    match error {
        types::EngineError::LoadFailed => "load-failed",
        types::EngineError::ContextOverflow => "context-overflow",
        types::EngineError::MemoryExceeded => "memory-exceeded",
        types::EngineError::InvalidConstraint => "invalid-constraint",
        types::EngineError::Unsupported => "unsupported",
        types::EngineError::Rejected => "rejected",
        types::EngineError::DeadlinePassed => "deadline-passed",
        types::EngineError::BackendFailed => "backend-failed",
    }
}

/// A guest's error, for a person: the kinds of the contract, spelled as WIT does.
pub(crate) fn describe(error: &types::Error) -> String {
    match error {
        types::Error::Protocol(e) => match e {
            types::ProtocolError::InvalidConfig(field) => {
                format!("the host refused its `{field}`")
            }
            types::ProtocolError::InvalidTurns => "it asked for inference without turns".into(),
            types::ProtocolError::InvalidSpec => "it named no valid model".into(),
            types::ProtocolError::Busy => "its session was busy".into(),
        },
        types::Error::Asset(e) => match e {
            types::AssetError::NotGranted => "its grant does not name the model".into(),
            types::AssetError::NotFound => "the model is not on this machine".into(),
            types::AssetError::Invalid => "the model's file is damaged".into(),
        },
        types::Error::Engine(e) => format!("the engine reported `{}`", engine_name(*e)),
        types::Error::Budget(e) => {
            format!("its budget of {} was spent ({:?})", e.limit, e.resource)
        }
        types::Error::Tool(e) => match e {
            types::ToolError::NotGranted => "its grant does not name the tool".into(),
            types::ToolError::Broken => "a tool could not answer".into(),
        },
    }
}

#[cfg(test)]
mod tests;
