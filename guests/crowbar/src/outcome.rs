//! Results in words: the cases of the contract, spelled as WIT does.

use crate::MANY;
use crate::types::{
    AssetError, BudgetResource, EngineError, Error, Failure, ProtocolError, ToolError,
};

/// How an attack ends, if the guest survives it.
pub enum Outcome {
    /// What came of it.
    Words(String),
    /// The attack is how the guest gives up.
    Failure(Failure),
}

impl From<String> for Outcome {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Does it until it is refused: how often it was not, and the refusal.
pub fn until_refused<T>(mut take: impl FnMut() -> Result<T, String>) -> String {
    for taken in 0..MANY {
        if let Err(refusal) = take() {
            return format!("{taken}, then {refusal}");
        }
    }
    "no limit".into()
}

/// The failure of a tool.
pub fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Usage(words) => format!("usage({words:.200})"),
        Failure::Failed(words) => format!("failed({words:.200})"),
        Failure::Host(e) => error(e),
    }
}

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
