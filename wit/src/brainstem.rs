//! What the brainstem is asked, what it decides, and what it tells.
//!
//! A policy is told an [`Event`], may look at the [`State`] after it and answers
//! [`Command`]s. Tokens never pass here: an answer goes from the engine straight to whoever
//! asked. The same words stand in `brainstem.wit`, for policies that are guests.

mod event;
mod state;
mod strategy;

pub use event::{Arrival, Command, Event, EventKind, EventKinds, Refusal, Rejection, Tuning};
pub use state::{Budgets, ModelState, Residency, State};
pub use strategy::CortexStrategy;

use crate::{AssetEvent, GeniusError, ModelSpec, Note, Usage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Names a request within one host; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// Names a model, as one engine loads it, within one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelId(pub u32);

/// Names a guest within one host. One that was away for long may get a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GuestId(pub u32);

/// Names a timer: the policy's own choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimerId(pub u64);

/// The priority of a request that asks for none.
pub const DEFAULT_PRIORITY: u8 = 100;

/// How a request is to be treated, besides what it asks of the model. Whoever runs a guest
/// decides this, never the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Its place in the queue: higher first, then older first. Default
    /// [`DEFAULT_PRIORITY`].
    pub priority: u8,
    /// How long, from now on, its answer is of use. In the queue it is then turned away, and
    /// a generation that runs ends as failed. Default: for ever.
    pub deadline: Option<Duration>,
    /// What happens to the model after it, in place of what the manifest says.
    pub keep_alive: Option<CortexStrategy>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            priority: DEFAULT_PRIORITY,
            deadline: None,
            keep_alive: None,
        }
    }
}

/// A request as a policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Who asks.
    pub guest: GuestId,
    /// The model it is to run on.
    pub model: ModelId,
    /// Its place in the queue: higher first, then older first.
    pub priority: u8,
    /// Whether a policy let it run already; it then waits for its model, or for room.
    pub admitted: bool,
    /// Bytes of all turns.
    pub prompt_bytes: u64,
    /// Most tokens it may generate.
    pub max_tokens: u32,
    /// When it came, in the loop's time.
    pub arrived: Duration,
    /// When its answer is of no use any more, in the loop's time.
    pub deadline: Option<Duration>,
    /// What it asks for its model.
    pub strategy: CortexStrategy,
}

/// A request that is new to the loop, before it has numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Its name.
    pub id: RequestId,
    /// Who asks: the run's id.
    pub guest: Arc<str>,
    /// Names the load; see [`ModelSpec::load_key`].
    pub model: Arc<str>,
    /// Bytes of all turns.
    pub prompt_bytes: u64,
    /// The words of its turns, where a policy may see them.
    pub prompt: Option<Arc<str>>,
    /// Most tokens it may generate.
    pub max_tokens: u32,
    /// Priority and deadline.
    pub terms: Terms,
    /// What it asks for its model.
    pub strategy: CortexStrategy,
}

/// What the world asks of the brainstem.
#[derive(Debug, Clone, PartialEq)]
pub enum BrainstemInput {
    /// Somebody wants a generation.
    Request {
        /// The request.
        request: NewRequest,
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

/// Who decided something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decider {
    /// The policy that was chosen.
    Policy,
    /// The native one, in its place.
    Fallback,
    /// Nobody: the policy does not ask for events of this kind.
    Nobody,
}

/// One event, and what was decided about it.
///
/// The state is not told with it, for it is what events and commands make of it: whoever has
/// all steps from the beginning can compute it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When, in the loop's time.
    pub at: Duration,
    /// What happened.
    pub event: Event,
    /// What was commanded, in order.
    pub commands: Vec<Command>,
    /// Who commanded it.
    pub by: Decider,
}

/// What a policy did wrong. It is passed over for that step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyFault {
    /// It trapped, or could not be called.
    #[error("it trapped: {0}")]
    Trapped(String),
    /// It took too long.
    #[error("it took longer than {}", humantime::format_duration(*.0))]
    TooSlow(Duration),
    /// It answered too many commands.
    #[error("it answered more than {0} commands")]
    Flood(usize),
    /// It named something that it was never told of.
    #[error("it answered nonsense: {0}")]
    Nonsense(String),
    /// It answered refusals with commands that were refused, time after time.
    #[error("it repeated commands that were refused")]
    Stubborn,
}

/// What the brainstem did: its journal.
#[derive(Debug, Clone, PartialEq)]
pub enum BrainstemOutput {
    /// An event, and what was decided about it. Before what is done about it.
    Decided(Step),
    /// A spec that a policy named was looked up.
    Resolved {
        /// The spec.
        spec: String,
        /// What names the load, [`ModelSpec::load_key`], and what the manifest asks for the
        /// model; none if there is no such model.
        found: Option<(Arc<str>, CortexStrategy)>,
    },
    /// A policy did something wrong and was passed over.
    PolicyFailed {
        /// The policy.
        policy: Arc<str>,
        /// What it did.
        fault: PolicyFault,
        /// Whether that was once too often, so that the native policy decides from now on.
        replaced: bool,
    },
    /// A policy wrote into its journal.
    PolicyNoted {
        /// The policy.
        policy: Arc<str>,
        /// What it wrote.
        note: Note,
    },
    /// Another policy decides from now on.
    PolicyChanged {
        /// The policy.
        policy: Arc<str>,
        /// How often it wants to be told of the time.
        tick: Option<Duration>,
    },
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
        /// How long the load took, waiting for memory included.
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
        /// How many of its sessions were saved and will go on where they stopped.
        saved: usize,
    },
    /// A model's engine died, and the model with it.
    EngineDied {
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
