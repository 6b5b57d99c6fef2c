//! What the brainstem is asked, what it decides, and what it tells.
//!
//! A policy sees an [`Event`] and the [`State`] after it and answers [`Command`]s.
//! Tokens never pass here: an answer goes from the engine straight to whoever asked.

use crate::{AssetEvent, GeniusError, ModelSpec, Usage};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// Names a request within one host; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// What happens to a model once nobody uses it.
///
/// In TOML: `"immediate"`, `"keep-alive"`, or `{ hibernate-after = "5m" }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CortexStrategy {
    /// Unload at once.
    Immediate,
    /// Unload when it was idle for so long.
    HibernateAfter(Duration),
    /// Keep until the host ends.
    KeepAlive,
}

impl Default for CortexStrategy {
    /// Five minutes, as other local hosts do.
    fn default() -> Self {
        Self::HibernateAfter(Duration::from_secs(300))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StrategyText {
    Immediate,
    HibernateAfter(String),
    KeepAlive,
}

impl Serialize for CortexStrategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Immediate => StrategyText::Immediate,
            Self::HibernateAfter(ttl) => {
                StrategyText::HibernateAfter(humantime::format_duration(*ttl).to_string())
            }
            Self::KeepAlive => StrategyText::KeepAlive,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CortexStrategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match StrategyText::deserialize(deserializer)? {
            StrategyText::Immediate => Self::Immediate,
            StrategyText::KeepAlive => Self::KeepAlive,
            StrategyText::HibernateAfter(text) => Self::HibernateAfter(
                humantime::parse_duration(&text)
                    .map_err(|e| D::Error::custom(format!("{text:?} is no duration: {e}")))?,
            ),
        })
    }
}

/// What the world asks of the brainstem.
#[derive(Debug, Clone, PartialEq)]
pub enum BrainstemInput {
    /// Somebody wants a generation.
    Request {
        /// The request as policies see it.
        request: Request,
        /// The model, resolved.
        model: Box<ModelSpec>,
    },
    /// Whoever asked gave up before the generation began.
    Cancel(RequestId),
    /// A generation ended, however it ended.
    Ended {
        /// Its request.
        id: RequestId,
        /// What it consumed.
        usage: Usage,
    },
    /// Let what runs end, then stop.
    Shutdown,
}

/// What the brainstem did: its journal.
#[derive(Debug, Clone, PartialEq)]
pub enum BrainstemOutput {
    /// A model is being loaded.
    Loading {
        /// What names the load: [`ModelSpec::load_key`].
        model: String,
    },
    /// A model's files are on their way.
    Asset {
        /// What names the load: [`ModelSpec::load_key`].
        model: String,
        /// How far they are.
        event: AssetEvent,
    },
    /// A model's weights are on their way into memory.
    LoadProgress {
        /// What names the load: [`ModelSpec::load_key`].
        model: String,
        /// How much is there.
        percent: u8,
    },
    /// A model is in memory.
    Loaded {
        /// What names the load: [`ModelSpec::load_key`].
        model: String,
        /// Bytes it holds.
        memory: u64,
        /// How long the load took.
        took: Duration,
    },
    /// A model could not be loaded.
    LoadFailed {
        /// What names the load: [`ModelSpec::load_key`].
        model: String,
        /// Why.
        error: GeniusError,
    },
    /// A model was taken out of memory.
    Unloaded {
        /// What names the load: [`ModelSpec::load_key`].
        model: String,
    },
    /// A request may run.
    Admitted {
        /// Which.
        id: RequestId,
    },
    /// A request was turned away.
    Rejected {
        /// Which.
        id: RequestId,
        /// Why.
        reason: Rejection,
    },
    /// A generation ended.
    Ended {
        /// Its request.
        id: RequestId,
        /// What it consumed.
        usage: Usage,
    },
    /// The loop refused a command of the policy.
    Refused {
        /// The command.
        command: Command,
        /// Why.
        refusal: Refusal,
    },
}

/// A request as a policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Who asks: the run's id.
    pub guest: String,
    /// Names the load; see [`crate::ModelSpec::load_key`].
    pub model: String,
    /// Bytes of all turns.
    pub prompt_bytes: u64,
    /// Most tokens it may generate.
    pub max_tokens: u32,
    /// What the manifest asks for its model.
    pub strategy: CortexStrategy,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A request waits for a decision.
    RequestArrived(Request),
    /// A model finished loading.
    ModelLoaded(String),
    /// A model could not be loaded; requests for it were answered with the error.
    ModelFailed(String),
    /// A generation began.
    GenerationStarted(RequestId),
    /// A generation ended, however it ended.
    GenerationEnded(RequestId, Usage),
    /// Nobody uses the model any more.
    ModelIdle(String),
    /// A timer the policy set for this model has come.
    Timer(String),
    /// The loop refused a command.
    Refused(Command, Refusal),
}

/// What the loop shall do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Bring a model into memory.
    Load(String),
    /// Take it out again. Refused while a generation uses it.
    Unload(String),
    /// Let the request run as soon as its model is loaded.
    Admit(RequestId),
    /// Turn the request away.
    Reject(RequestId, Rejection),
    /// Send [`Event::Timer`] after this long; replaces the timer the model has.
    SetTimer(String, Duration),
    /// Take the model's timer back.
    ClearTimer(String),
}

/// Why the loop refused a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such request waits, or it was decided already.
    UnknownRequest,
    /// The model is not resident.
    NotLoaded,
    /// The model is loaded, or on its way.
    AlreadyLoaded,
    /// A generation uses the model.
    InUse,
}

/// Why a policy turned a request away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// Too much is asked of the host now.
    Busy,
    /// The policy does not serve this model.
    ModelRefused,
    /// The prompt or its limits are too large.
    TooLarge,
}

impl Rejection {
    /// The reason, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Busy => "the host is busy",
            Self::ModelRefused => "this model is not served",
            Self::TooLarge => "the prompt or its limits are too large",
        }
    }
}

/// How far a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Residency {
    /// Being loaded.
    Loading,
    /// In memory.
    Resident,
}

/// A model the loop knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelState {
    /// Its id.
    pub model: String,
    /// How far it is.
    pub residency: Residency,
    /// Bytes it holds.
    pub memory: u64,
    /// Generations that use it now.
    pub users: u32,
    /// What the manifest asked when it was last requested.
    pub strategy: CortexStrategy,
}

/// What the loop knows, after the event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Time since the loop began.
    pub now: Duration,
    /// Models loading or resident, by id.
    pub models: Vec<ModelState>,
    /// Requests not yet running, oldest first.
    pub waiting: Vec<Request>,
}

impl State {
    /// The state of one model, if it is loading or resident.
    pub fn model(&self, id: &str) -> Option<&ModelState> {
        self.models.iter().find(|m| m.model == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        strategy: CortexStrategy,
    }

    #[test]
    fn strategies_as_people_write_them() {
        for (text, strategy) in [
            ("strategy = 'immediate'", CortexStrategy::Immediate),
            ("strategy = 'keep-alive'", CortexStrategy::KeepAlive),
            (
                "strategy = { hibernate-after = '1m 30s' }",
                CortexStrategy::HibernateAfter(Duration::from_secs(90)),
            ),
        ] {
            let holder: Holder = toml::from_str(text).unwrap();
            assert_eq!(holder.strategy, strategy);
            let again: Holder = toml::from_str(&toml::to_string(&holder).unwrap()).unwrap();
            assert_eq!(again, holder);
        }
    }

    #[test]
    fn a_bad_duration_is_named() {
        let error =
            toml::from_str::<Holder>("strategy = { hibernate-after = 'soon' }").unwrap_err();
        assert!(error.message().contains("soon"), "{error}");
    }
}
