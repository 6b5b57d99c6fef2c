//! What can be wrong with a run.

use crate::call;
use crate::cassette;
use crate::show;
use crate::words::{WordsFault, diff};
use rusty_genius_core::fixture::Call;
use rusty_genius_core::{AssetError, BudgetResource, EngineError, GeniusError, ToolCall};
use rusty_genius_sandbox::Mismatch;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
    /// A request of the run is not the one on the cassette.
    Replay(Box<Mismatch>),
    /// Requests on the cassette that the run did not make.
    Unplayed {
        /// How many.
        requests: usize,
    },
    /// The cassette cannot be read or written.
    Cassette {
        /// Its file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A text is not as it is expected to be.
    Words {
        /// Which text.
        place: Place,
        /// What is wrong with it.
        fault: WordsFault,
    },
    /// The answer is not what `expect.json-schema` admits.
    Schema {
        /// What is wrong, and where in the answer.
        reason: String,
    },
    /// A file that `expect.files` names cannot be read.
    File {
        /// Its path below `/scratch`.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// What `expect.denied` says is denied was not.
    NotDenied {
        /// The text of the fixture.
        text: String,
    },
    /// There are fewer answers than prompts before the last one.
    Answers {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        seen: usize,
    },
    /// The answers took longer than `expect.max-latency`.
    Late {
        /// How long they took.
        latency: Duration,
        /// How long they may take.
        limit: Duration,
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

/// A text that is held against what a fixture expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The last answer.
    Answer,
    /// An answer before it, by its number from 0.
    Earlier(usize),
    /// A file, by its path below `/scratch`.
    File(String),
}

impl Place {
    fn subject(&self) -> &'static str {
        match self {
            Self::Answer | Self::Earlier(_) => "the answer",
            Self::File(_) => "the file",
        }
    }
}

/// The table of the fixture.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("expect"),
            Self::Earlier(at) => write!(f, "expect.earlier[{at}]"),
            Self::File(path) => write!(f, "expect.files.\"{}\"", show::line(path)),
        }
    }
}

impl Failure {
    /// Whether it is the answer that is not as expected, and not the pipeline.
    pub fn is_of_answer(&self) -> bool {
        matches!(
            self,
            Self::Words { .. }
                | Self::Schema { .. }
                | Self::File { .. }
                | Self::Late { .. }
                | Self::Ended { .. }
                | Self::Calls { .. }
                | Self::Thought { .. }
                | Self::TooLong { .. }
        )
    }

    /// The key of the fixture it is about, its parts apart; empty where it is about none.
    pub fn key(&self) -> Vec<String> {
        let key = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        match self {
            Self::Words { place, fault } => match place {
                Place::Answer => key(&["expect", fault.key()]),
                Place::Earlier(_) => key(&["expect", "earlier"]),
                Place::File(path) => key(&["expect", "files", path, fault.key()]),
            },
            Self::Schema { .. } => key(&["expect", "json-schema"]),
            Self::File { path, .. } => key(&["expect", "files", path]),
            Self::NotDenied { .. } => key(&["expect", "denied"]),
            Self::Late { .. } => key(&["expect", "max-latency"]),
            Self::Ended { .. } => key(&["expect", "finish"]),
            Self::Calls { .. } => key(&["expect", "calls"]),
            Self::Thought { .. } => key(&["expect", "thought"]),
            Self::TooLong { .. } => key(&["expect", "max-tokens"]),
            Self::Tokens { .. } => key(&["limits", "max-tokens"]),
            Self::Memory { .. } => key(&["limits", "memory"]),
            Self::StopText { .. } => key(&["limits", "stop"]),
            _ => Vec::new(),
        }
    }

    /// What differs, a line each and each safe on a terminal, where two texts were compared.
    pub fn diff(&self) -> Option<String> {
        match self {
            Self::Words { fault, .. } => fault.diff(),
            Self::Replay(mismatch) => {
                let taped = mismatch.taped.as_ref().map(cassette::pretty);
                let asked = cassette::pretty(&mismatch.asked);
                Some(diff(&taped.unwrap_or_default(), &asked))
            }
            _ => None,
        }
    }

    /// What a person can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let Self::Run(error) = self else {
            return match self {
                Self::Replay(_) | Self::Unplayed { .. } => {
                    Some("record it anew with --record, if the fixture changed on purpose".into())
                }
                _ => None,
            };
        };
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
            Self::Replay(mismatch) => f.write_str(match mismatch.taped {
                Some(_) => "the request is not the one on the cassette",
                None => "there is a request more than on the cassette",
            }),
            Self::Unplayed { requests } => {
                write!(f, "{requests} requests on the cassette were not made")
            }
            Self::Cassette { file, reason } => {
                write!(
                    f,
                    "{}: {}",
                    show::name(file.as_os_str()),
                    show::line(reason)
                )
            }
            Self::Words { place, fault } => {
                write!(f, "`{place}.{}`: {} {fault}", fault.key(), place.subject())
            }
            Self::Schema { reason } => write!(f, "`expect.json-schema`: {reason}"),
            Self::File { path, reason } => {
                write!(
                    f,
                    "`expect.files`: /scratch/{}: {}",
                    show::line(path),
                    show::line(reason)
                )
            }
            Self::NotDenied { text } => {
                write!(
                    f,
                    "`expect.denied`: nothing with {} was denied",
                    quote(text)
                )
            }
            Self::Answers { expected, seen } => {
                write!(
                    f,
                    "there are {seen} answers before the last one, expected {expected}"
                )
            }
            Self::Late { latency, limit } => write!(
                f,
                "`expect.max-latency`: it took {}, at most {} expected",
                humantime::format_duration(*latency),
                humantime::format_duration(*limit)
            ),
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
