//! What a policy is told, and what it can command.

use super::{ModelId, Request, RequestId, TimerId};
use crate::Usage;
use crate::config::{ConfigError, PartialBehavior, PartialConfig, PartialSampling};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A request that came, with the words that the numbers in it stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The request.
    pub request: Request,
    /// Who asks: the run's id.
    pub guest: Arc<str>,
    /// Names the load; see [`crate::ModelSpec::load_key`].
    pub model: Arc<str>,
    /// The words of its turns, where the policy may see them. Never recorded.
    #[serde(skip)]
    pub prompt: Option<Arc<str>>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A request waits for a decision. When a policy takes over, it hears of every request
    /// that waits undecided, as if it had just come.
    RequestArrived(Arrival),
    /// A request that waited was taken back, or its deadline passed.
    RequestGone(RequestId),
    /// A model is on its way into memory: the bytes it needs, 0 if nobody knows.
    ModelLoading(ModelId, u64),
    /// A model is in memory: the bytes it holds.
    ModelLoaded(ModelId, u64),
    /// A model could not be loaded; requests for it were answered with the error.
    ModelFailed(ModelId),
    /// A model has left memory, by a command.
    ModelUnloaded(ModelId),
    /// A generation began.
    GenerationStarted(RequestId),
    /// A generation ended, however it ended.
    GenerationEnded(RequestId, Usage),
    /// Nobody uses or wants the model any more.
    ModelIdle(ModelId),
    /// A model that is to be loaded does not fit, or is one too many, and others must leave.
    /// Told again whenever a model becomes idle, as long as it is so. If nothing runs that
    /// could make room and the policy makes none, the load fails.
    MemoryPressure {
        /// The model that waits; none if what is loaded turned out too large.
        model: Option<ModelId>,
        /// Bytes that must become free, besides those of models that are hibernating. At
        /// least 1.
        needed: u64,
    },
    /// The engine of a model died. The model is gone from memory; requests that wait for it
    /// still wait.
    EngineDied(ModelId),
    /// A timer that the policy set has come.
    Timer(TimerId),
    /// The time that the policy asked to be told of has passed.
    Tick,
    /// The loop refused a command.
    Refused(Command, Refusal),
}

/// The kind of an [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "they are the variants of `Event`")]
pub enum EventKind {
    RequestArrived,
    RequestGone,
    ModelLoading,
    ModelLoaded,
    ModelFailed,
    ModelUnloaded,
    GenerationStarted,
    GenerationEnded,
    ModelIdle,
    MemoryPressure,
    EngineDied,
    Timer,
    Tick,
    Refused,
}

/// A set of kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKinds(u16);

impl EventKinds {
    /// Every kind.
    pub const ALL: Self = Self((1 << (EventKind::Refused as u16 + 1)) - 1);

    /// Of the lowest bits each is a kind, in the order of [`EventKind`].
    pub fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether the kind is among them.
    pub fn contains(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }
}

impl Event {
    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::RequestArrived(_) => EventKind::RequestArrived,
            Self::RequestGone(_) => EventKind::RequestGone,
            Self::ModelLoading(..) => EventKind::ModelLoading,
            Self::ModelLoaded(..) => EventKind::ModelLoaded,
            Self::ModelFailed(_) => EventKind::ModelFailed,
            Self::ModelUnloaded(_) => EventKind::ModelUnloaded,
            Self::GenerationStarted(_) => EventKind::GenerationStarted,
            Self::GenerationEnded(..) => EventKind::GenerationEnded,
            Self::ModelIdle(_) => EventKind::ModelIdle,
            Self::MemoryPressure { .. } => EventKind::MemoryPressure,
            Self::EngineDied(_) => EventKind::EngineDied,
            Self::Timer(_) => EventKind::Timer,
            Self::Tick => EventKind::Tick,
            Self::Refused(..) => EventKind::Refused,
        }
    }
}

/// What a policy changes about a generation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tuning {
    /// Most tokens; where the request allows less, that counts.
    pub max_tokens: Option<u32>,
    /// How tokens are drawn, in place of what the request says.
    #[serde(default)]
    pub sampling: PartialSampling,
}

impl Tuning {
    /// Whether every value is in its range.
    ///
    /// Errors: the first value that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.over(PartialConfig::default()).build().map(|_| ())
    }

    /// The config with this laid over it.
    pub fn over(&self, config: PartialConfig) -> PartialConfig {
        let asked = config.behavior.max_tokens;
        let least = [self.max_tokens, asked].into_iter().flatten().min();
        let own = PartialConfig {
            behavior: PartialBehavior {
                max_tokens: least,
                ..PartialBehavior::default()
            },
            sampling: self.sampling.clone(),
        };
        own.or(&config)
    }
}

/// What the loop shall do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Bring a model into memory. One that is hibernating just now follows when it has gone.
    Load(ModelId),
    /// Bring a model into memory that nobody asked for: a spec, or a name of the manifest.
    Preload(String),
    /// Take it out again. Refused while a generation uses it.
    Unload(ModelId),
    /// Take it out, and save its sessions: they go on where they stopped when it comes back.
    /// Refused while a generation uses it.
    Hibernate(ModelId),
    /// Let the request run as soon as its model is in memory and there is room.
    Admit(RequestId),
    /// Turn the request away.
    Reject(RequestId, Rejection),
    /// Give the request this priority.
    Queue(RequestId, u8),
    /// Let another model answer: a spec, or a name of the manifest.
    Route(RequestId, String),
    /// Change how the request is generated.
    Retune(RequestId, Box<Tuning>),
    /// Send [`Event::Timer`] after this long; replaces the timer of that name.
    SetTimer(TimerId, Duration),
    /// Take the timer back.
    ClearTimer(TimerId),
}

/// Why the loop refused a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// No such request waits, or it was decided already.
    UnknownRequest,
    /// No such model, or the spec names none that this host may load.
    UnknownModel,
    /// The model is not in memory.
    NotLoaded,
    /// The model is in memory, or on its way in or out.
    AlreadyLoaded,
    /// A generation uses the model.
    InUse,
    /// A value is out of its range.
    OutOfRange,
    /// Too many timers, models on their way, or loads that nobody used.
    TooMany,
}

/// Why a request was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// Too much is asked of the host now.
    Busy,
    /// The policy does not serve this model.
    ModelRefused,
    /// The prompt or its limits are too large.
    TooLarge,
    /// The queue is full.
    QueueFull,
    /// Its deadline passed while it waited.
    DeadlinePassed,
    /// Its model does not fit beside those that stay.
    NoMemory,
}

impl Rejection {
    /// The reason, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Busy => "the host is busy",
            Self::ModelRefused => "this model is not served",
            Self::TooLarge => "the prompt or its limits are too large",
            Self::QueueFull => "too many requests wait already",
            Self::DeadlinePassed => "its deadline passed while it waited",
            Self::NoMemory => "the model does not fit into memory beside those that stay",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_kinds_has_what_its_bits_say() {
        assert!(EventKinds::ALL.contains(EventKind::RequestArrived));
        assert!(EventKinds::ALL.contains(EventKind::Refused));
        let two = EventKinds::from_bits(1 << 8 | 1 << 11);
        assert!(two.contains(EventKind::ModelIdle) && two.contains(EventKind::Timer));
        assert!(!two.contains(EventKind::Tick));
        assert_eq!(EventKinds::from_bits(u16::MAX), EventKinds::ALL);
    }

    #[test]
    fn a_policy_lowers_the_limit_of_tokens_and_never_raises_it() {
        let asks = |max_tokens| PartialConfig {
            behavior: PartialBehavior {
                max_tokens,
                ..PartialBehavior::default()
            },
            ..PartialConfig::default()
        };
        let tuned = |own, asked| {
            let tuning = Tuning {
                max_tokens: own,
                ..Tuning::default()
            };
            tuning.over(asks(asked)).behavior.max_tokens
        };
        assert_eq!(tuned(Some(10), Some(100)), Some(10));
        assert_eq!(tuned(Some(100), Some(10)), Some(10));
        assert_eq!(tuned(None, Some(10)), Some(10));
        assert_eq!(tuned(Some(10), None), Some(10));
    }

    #[test]
    fn a_tuning_out_of_range_is_found() {
        let mut tuning = Tuning::default();
        assert!(tuning.check().is_ok());
        tuning.sampling.temperature = Some(f32::NAN);
        assert_eq!(tuning.check().unwrap_err().field, "sampling.temperature");
    }
}
