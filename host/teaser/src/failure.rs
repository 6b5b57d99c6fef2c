//! What can be wrong with a run.

use crate::call;
use crate::show;
use rusty_genius_core::fixture::Call;
use rusty_genius_core::{AssetError, BudgetResource, EngineError, GeniusError, ToolCall};
use std::fmt;

/// Characters of a guest's or a model's text that are shown.
const SHOWN: usize = 200;

/// One thing that a run did not do as it should. Its `Display` is one line, and safe on
/// a terminal whatever the guest and the model wrote.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// The scenario gave no report.
    Run(GeniusError),
    /// A check of the scenario did not hold.
    Check {
        /// What it looked at.
        name: String,
        /// What it saw.
        detail: String,
    },
    /// The scenario left out a check it always makes.
    CheckMissing {
        /// What it should have looked at.
        name: String,
    },
    /// The scenario's usage is not what the host counted.
    Usage {
        /// The field that differs.
        field: &'static str,
        /// What the scenario reports.
        reported: u64,
        /// What the host counted.
        counted: u64,
    },
    /// The generation did not end as generations do.
    Finish {
        /// The reason's name.
        finish: &'static str,
    },
    /// A tool call has no proper name, or arguments that are no JSON object.
    Call {
        /// The call.
        call: ToolCall,
    },
    /// More tokens were generated than `limits.max-tokens`.
    Tokens {
        /// What the host counted.
        counted: u32,
        /// The limit.
        limit: u32,
    },
    /// The guest held more memory than `limits.memory`.
    Memory {
        /// Most bytes at once.
        peak: u64,
        /// The limit.
        limit: u64,
    },
    /// A stop text was delivered.
    StopText {
        /// The text.
        text: String,
    },
    /// The answer's file in the scratch directory is not the answer.
    AnswerFile {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is a file in the scratch directory that the scenario does not declare.
    StrayFile {
        /// Its name.
        name: String,
    },
    /// The host refused the scenario something.
    Refused {
        /// What, and what would allow it.
        refusal: String,
    },
    /// A text of `expect.contains` is not in the answer.
    Lacks {
        /// The text.
        text: String,
    },
    /// A text of `expect.not-contains` is in the answer.
    Holds {
        /// The text.
        text: String,
    },
    /// The generation did not end as `expect.finish` says.
    Ended {
        /// How it should have.
        expected: &'static str,
        /// How it did.
        finish: &'static str,
    },
    /// The model did not make the calls of `expect.calls`, in that order.
    Calls {
        /// What it should have called.
        expected: Vec<Call>,
        /// What it called.
        seen: Vec<ToolCall>,
    },
    /// There are thoughts, or none, against `expect.thought`.
    Thought {
        /// Whether there should be.
        expected: bool,
    },
    /// More tokens were generated than `expect.max-tokens`.
    TooLong {
        /// What the host counted.
        counted: u32,
        /// What was expected at most.
        limit: u32,
    },
}

impl Failure {
    /// Whether it is the answer that is not as expected, and not the pipeline.
    pub fn is_of_answer(&self) -> bool {
        matches!(
            self,
            Self::Lacks { .. }
                | Self::Holds { .. }
                | Self::Ended { .. }
                | Self::Calls { .. }
                | Self::Thought { .. }
                | Self::TooLong { .. }
        )
    }

    /// What a person can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let Self::Run(error) = self else { return None };
        // Some hints of the errors are about options of the `genius` command.
        let hint = match error {
            GeniusError::Asset(AssetError::NotFound { .. }) => {
                "check the names of the folders; RUSTY_GENIUS_ENGINE=pinky needs no weights".into()
            }
            GeniusError::Engine(EngineError::Unknown { .. }) => {
                "choose one with RUSTY_GENIUS_ENGINE, or build with its feature".into()
            }
            GeniusError::Budget(e) => match e.resource {
                BudgetResource::WallTime => "raise `limits.timeout`, if the test deserves it",
                BudgetResource::Memory => "raise `limits.memory`, if the test deserves it",
                _ => return None,
            }
            .into(),
            other => return other.hint().map(|hint| show::line(&hint)),
        };
        Some(hint)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = |text: &str| show::excerpt(text, SHOWN);
        match self {
            Self::Run(error) => write!(f, "the run failed: {}", show::line(&error.to_string())),
            Self::Check { name, detail } => {
                write!(f, "check {} did not hold: {}", quote(name), quote(detail))
            }
            Self::CheckMissing { name } => write!(f, "check {} was not made", quote(name)),
            Self::Usage {
                field,
                reported,
                counted,
            } => write!(
                f,
                "the scenario reports {reported} {field}, and the host counted {counted}"
            ),
            Self::Finish {
                finish: "tool-call",
            } => write!(
                f,
                "the generation ended with tool-call, and there is no call"
            ),
            Self::Finish { finish } => write!(f, "the generation ended with {finish}"),
            Self::Call { call } => write!(
                f,
                "the model called {}, which is no name with a JSON object",
                quote(&call::reported(call))
            ),
            Self::Tokens { counted, limit } => write!(
                f,
                "`limits.max-tokens`: {counted} tokens were generated, {limit} are allowed"
            ),
            Self::Memory { peak, limit } => write!(
                f,
                "`limits.memory`: the guest held {peak} bytes, {limit} are allowed"
            ),
            Self::StopText { text } => {
                write!(f, "`limits.stop`: the answer holds {}", quote(text))
            }
            Self::AnswerFile { name, reason } => {
                write!(f, "/scratch/{name}: {}", show::line(reason))
            }
            Self::StrayFile { name } => {
                write!(f, "there is a stray file in /scratch: {}", quote(name))
            }
            Self::Refused { refusal } => write!(f, "the host refused: {}", show::line(refusal)),
            Self::Lacks { text } => {
                write!(f, "`expect.contains`: the answer lacks {}", quote(text))
            }
            Self::Holds { text } => {
                write!(f, "`expect.not-contains`: the answer holds {}", quote(text))
            }
            Self::Ended { expected, finish } => write!(
                f,
                "`expect.finish`: the generation ended with {finish}, expected {expected}"
            ),
            Self::Calls { expected, seen } => write!(
                f,
                "`expect.calls`: the model called {}, expected {}",
                show::short(&call::list(seen.iter().map(call::reported)), SHOWN),
                show::short(&call::list(expected), SHOWN)
            ),
            Self::Thought { expected: true } => {
                write!(f, "`expect.thought`: there are no thoughts")
            }
            Self::Thought { expected: false } => write!(f, "`expect.thought`: there are thoughts"),
            Self::TooLong { counted, limit } => write!(
                f,
                "`expect.max-tokens`: {counted} tokens were generated, at most {limit} expected"
            ),
        }
    }
}
