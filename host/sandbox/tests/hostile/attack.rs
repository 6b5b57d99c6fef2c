//! One attack, and what has to become of it.

use crate::house::House;
use rusty_genius_core::{BudgetResource, Fragment, GeniusError, Pattern, SandboxError};
use rusty_genius_sandbox::{Job, Report};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What an assertion found wrong.
pub(crate) type Verdict = Result<(), String>;

/// An assertion whose failure is one row's, and stops no other.
macro_rules! ensure {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(format!($($words)*));
        }
    };
}
pub(crate) use ensure;

/// What a guest is loaded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Workflow,
    Tool,
}

/// One run of one hostile guest, and what has to become of it.
pub(crate) struct Attack {
    pub(crate) guest: String,
    pub(crate) role: Role,
    pub(crate) words: Vec<String>,
    pub(crate) end: End,
    /// Keys that would have allowed what was denied, sorted, in one line; what was denied
    /// where there is none. `*` is anything.
    pub(crate) denials: &'static str,
    pub(crate) prepare: fn(&House, &Attack, &Path, &mut Job),
    pub(crate) look: fn(&Seen) -> Verdict,
    /// What `badtool` says of itself.
    pub(crate) described: &'static str,
}

impl Attack {
    pub(crate) fn new(guest: &str, words: &[&str], end: End, denials: &'static str) -> Self {
        Self {
            guest: format!("hostile/{guest}"),
            role: Role::Workflow,
            words: crate::support::args(words),
            end,
            denials,
            prepare: |_, _, _, _| {},
            look: |_| Ok(()),
            described: "",
        }
    }

    /// Attacks of one guest, each named by its first word.
    pub(crate) fn family<const N: usize>(
        guest: &str,
        rows: [(&'static str, End, &'static str); N],
    ) -> Vec<Self> {
        rows.into_iter()
            .map(|(attack, end, denials)| Self::new(guest, &[attack], end, denials))
            .collect()
    }

    pub(crate) fn name(&self) -> String {
        let words = self.words.join(" ");
        format!("{} {words} {}", self.guest, self.described)
    }
}

/// For all attacks of a family: how a job is prepared, and what is looked at afterwards.
pub(crate) fn each(
    mut attacks: Vec<Attack>,
    prepare: fn(&House, &Attack, &Path, &mut Job),
    look: fn(&Seen) -> Verdict,
) -> Vec<Attack> {
    for attack in &mut attacks {
        (attack.prepare, attack.look) = (prepare, look);
    }
    attacks
}

/// How a run may end: patterns for [`told`], of which one has to fit.
#[derive(Clone)]
pub(crate) struct End(Vec<String>);

impl End {
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(crate) fn fits(&self, told: &str) -> bool {
        self.0
            .iter()
            .any(|pattern| Pattern::new(pattern).matches(told))
    }

    pub(crate) fn words(&self) -> String {
        self.0.join(" | ")
    }
}

/// It ends well, having said this of its attack.
pub(crate) fn done(words: &str) -> End {
    End(vec![words.into()])
}

/// A limit ends it.
pub(crate) fn budget(resource: BudgetResource) -> End {
    End(vec![format!("ended: budget({})", resource.key())])
}

/// It traps, for a reason with these words in it.
pub(crate) fn trap(words: &str) -> End {
    End(vec![format!("ended: trap, *{words}*")])
}

/// It gives up, with these words.
pub(crate) fn failed(words: &str) -> End {
    End(vec![format!("ended: failed, {words}")])
}

/// It gives up for its arguments, with these words.
pub(crate) fn usage(words: &str) -> End {
    End(vec![format!("ended: usage, {words}")])
}

/// It ends in an error of the host with these words in it.
pub(crate) fn ended(words: &str) -> End {
    End(vec![format!("ended: *{words}*")])
}

/// It never begins, for a reason with these words in it.
pub(crate) fn refused(words: &str) -> End {
    End(vec![format!("refused: *{words}*")])
}

/// How a run ended, in words.
pub(crate) fn told(result: &Result<(), GeniusError>, attack: &Attack, content: &str) -> String {
    match result {
        Ok(()) => {
            // What floods the reply is no outcome.
            let content = content.replace('~', "");
            let label = attack.words.first().map(|name| format!("{name}: "));
            let said = label.and_then(|label| Some(content.rsplit_once(&label)?.1));
            said.unwrap_or(&content).trim_end_matches('\n').to_owned()
        }
        Err(GeniusError::Budget(e)) => format!("ended: budget({})", e.resource.key()),
        Err(GeniusError::Sandbox(e)) => match e {
            SandboxError::GuestTrapped { reason, .. } => format!("ended: trap, {reason}"),
            SandboxError::GuestFailed { message, .. } => format!("ended: failed, {message}"),
            SandboxError::GuestUsage { message, .. } => format!("ended: usage, {message}"),
            e => format!("ended: {e}"),
        },
        Err(e) => format!("ended: {e}"),
    }
}

/// What can be seen of a run that is over.
pub(crate) struct Seen {
    pub(crate) told: String,
    pub(crate) report: Report<()>,
    pub(crate) reply: Vec<Fragment>,
    pub(crate) record: Vec<Value>,
    /// Where its granted directories are.
    pub(crate) dir: PathBuf,
}
