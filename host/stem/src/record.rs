//! What the brainstem decided, on disk: a JSON object a line.
//!
//! Events and commands are all there is: the state is what they make of it, so that
//! [`replay`](crate::replay) computes it again. No prompt is recorded.

use rusty_genius_core::brainstem::{BrainstemOutput, Budgets, PolicyFault, Step};
use rusty_genius_core::{CortexStrategy, Note};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The version of the format.
const VERSION: u32 = 1;
/// Longest record that is read: 256 MiB.
const BYTES_LIMIT: u64 = 256 << 20;

/// One line of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// The first one.
    Begin {
        version: u32,
        budgets: Budgets,
        policy: String,
        tick: Option<Duration>,
    },
    /// An event, and what was decided about it.
    Step(Box<Step>),
    /// What a spec meant that a policy named.
    Resolved {
        spec: String,
        found: Option<(Arc<str>, CortexStrategy)>,
    },
    /// The policy did something wrong in the last step.
    Fault { fault: PolicyFault, replaced: bool },
    /// The policy wrote this into its journal, before what it says in the next step.
    Note(Note),
    /// Another policy decides from now on.
    Policy {
        policy: String,
        tick: Option<Duration>,
    },
}

/// Writes a record, each line as a whole. It ends at the first that cannot be written.
pub struct Recorder {
    out: Mutex<Option<File>>,
}

impl Recorder {
    /// Begins a record in a new file: of a brainstem with these limits, and a policy of this
    /// name and [tick](crate::Policy::tick).
    ///
    /// Errors: the file cannot be made, or is there already.
    pub fn create(
        file: &Path,
        budgets: Budgets,
        policy: &str,
        tick: Option<Duration>,
    ) -> io::Result<Self> {
        let recorder = Self {
            out: Mutex::new(Some(File::create_new(file)?)),
        };
        recorder.write(&Line::Begin {
            version: VERSION,
            budgets,
            policy: policy.to_owned(),
            tick,
        });
        Ok(recorder)
    }

    /// Takes note of what the brainstem tells. It must be asked to tell
    /// [steps](crate::StemConfig::observe_steps).
    pub fn hear(&self, output: &BrainstemOutput) {
        let line = match output {
            BrainstemOutput::Decided(step) => Line::Step(Box::new(step.clone())),
            BrainstemOutput::Resolved { spec, found } => Line::Resolved {
                spec: spec.clone(),
                found: found.clone(),
            },
            BrainstemOutput::PolicyNoted { note, .. } => Line::Note(note.clone()),
            BrainstemOutput::PolicyFailed {
                fault, replaced, ..
            } => Line::Fault {
                fault: fault.clone(),
                replaced: *replaced,
            },
            BrainstemOutput::PolicyChanged { policy, tick } => Line::Policy {
                policy: policy.to_string(),
                tick: *tick,
            },
            _ => return,
        };
        self.write(&line);
    }

    fn write(&self, line: &Line) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &mut *out else { return };
        let written = serde_json::to_vec(line)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                file.write_all(&line)
            });
        if written.is_err() {
            // A gap would make the rest worthless.
            *out = None;
        }
    }
}

/// A record that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// A line is none of a record.
    #[error("line {line}: {reason}")]
    Malformed {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// What it tells cannot have happened in this order: it was cut or changed, or another
    /// version of the loop wrote it.
    #[error("step {step} does not follow from the steps before it: {reason}")]
    Impossible {
        /// Which step, from 1.
        step: usize,
        /// What was to be expected instead.
        reason: String,
    },
}

/// The lines of a record. A last line that was cut off is left out: whoever wrote it was
/// stopped in the middle.
pub(crate) fn read(file: &Path) -> Result<Vec<Line>, RecordError> {
    let unreadable = |e: &dyn std::fmt::Display| RecordError::Unreadable(e.to_string());
    let metadata = std::fs::metadata(file).map_err(|e| unreadable(&e))?;
    if !metadata.is_file() {
        return Err(unreadable(&"it is not a regular file"));
    }
    if metadata.len() > BYTES_LIMIT {
        return Err(unreadable(&"it has more than 256 MiB"));
    }
    let text = std::fs::read_to_string(file).map_err(|e| unreadable(&e))?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let lines = text[..whole].lines().enumerate();
    let lines: Vec<Line> = lines
        .map(|(n, line)| {
            serde_json::from_str(line).map_err(|e| RecordError::Malformed {
                line: n + 1,
                reason: e.to_string(),
            })
        })
        .collect::<Result<_, _>>()?;
    match lines.first() {
        Some(Line::Begin { version, .. }) if *version == VERSION => Ok(lines),
        Some(Line::Begin { version, .. }) => Err(RecordError::Malformed {
            line: 1,
            reason: format!("it is of version {version}, and this is version {VERSION}"),
        }),
        _ => Err(RecordError::Malformed {
            line: 1,
            reason: "it does not begin as a record does".into(),
        }),
    }
}
