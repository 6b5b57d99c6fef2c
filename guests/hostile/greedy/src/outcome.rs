//! Results in words: the cases of the contract, spelled as WIT does.

use crate::rusty_genius::genius::types::{
    AssetError, BudgetResource, EngineError, Error, ProtocolError, ToolError,
};

/// `ok`, or the error.
pub fn of<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(e) => error(&e),
    }
}

/// The error.
pub fn error(error: &Error) -> String {
    match error {
        Error::Protocol(ProtocolError::InvalidConfig(field)) => {
            format!("protocol(invalid-config({field}))")
        }
        Error::Protocol(ProtocolError::InvalidTurns) => "protocol(invalid-turns)".into(),
        Error::Protocol(ProtocolError::InvalidSpec) => "protocol(invalid-spec)".into(),
        Error::Protocol(ProtocolError::Busy) => "protocol(busy)".into(),
        Error::Asset(e) => format!("asset({})", asset(*e)),
        Error::Engine(e) => format!("engine({})", engine(*e)),
        Error::Budget(e) => format!("budget({}, {})", resource(e.resource), e.limit),
        Error::Tool(ToolError::NotGranted) => "tool(not-granted)".into(),
        Error::Tool(ToolError::Broken) => "tool(broken)".into(),
    }
}

fn asset(error: AssetError) -> &'static str {
    match error {
        AssetError::NotGranted => "not-granted",
        AssetError::NotFound => "not-found",
        AssetError::Invalid => "invalid",
    }
}

fn engine(error: EngineError) -> &'static str {
    match error {
        EngineError::LoadFailed => "load-failed",
        EngineError::ContextOverflow => "context-overflow",
        EngineError::MemoryExceeded => "memory-exceeded",
        EngineError::InvalidConstraint => "invalid-constraint",
        EngineError::Unsupported => "unsupported",
        EngineError::Rejected => "rejected",
        EngineError::DeadlinePassed => "deadline-passed",
        EngineError::BackendFailed => "backend-failed",
    }
}

fn resource(resource: BudgetResource) -> &'static str {
    match resource {
        BudgetResource::WallTime => "wall-time",
        BudgetResource::Memory => "memory",
        BudgetResource::Sessions => "sessions",
        BudgetResource::Inferences => "inferences",
        BudgetResource::History => "history",
        BudgetResource::Prompt => "prompt",
        BudgetResource::Reply => "reply",
        BudgetResource::Journal => "journal",
        BudgetResource::CpuTime => "cpu-time",
        BudgetResource::PromptTokens => "prompt-tokens",
        BudgetResource::CompletionTokens => "completion-tokens",
        BudgetResource::Generations => "generations",
        BudgetResource::Handles => "handles",
        BudgetResource::Scratch => "scratch",
        BudgetResource::ScratchFiles => "scratch-files",
        BudgetResource::Stdout => "stdout",
        BudgetResource::ToolCalls => "tool-calls",
    }
}
