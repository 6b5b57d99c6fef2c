//! What the loop knows, for policies to look at.

use super::{CortexStrategy, ModelId, Request, RequestId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the host may consume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Budgets {
    /// Bytes of models in memory together. Default: no limit.
    pub memory: Option<u64>,
    /// Requests that may wait; one more is turned away. Default 1024.
    pub queue: u32,
    /// Generations at once; others wait. Default 64.
    pub generations: u32,
    /// Models in memory, or on their way in or out. Default 64.
    pub models: u32,
    /// Seconds a request may wait before a policy lets it run; then it is turned away.
    /// Default 600.
    pub undecided: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            memory: None,
            queue: 1024,
            generations: 64,
            models: 64,
            undecided: 600,
        }
    }
}

/// How far a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residency {
    /// Not in memory.
    Absent,
    /// Being loaded, or waiting for room to be.
    Loading,
    /// In memory.
    Resident,
    /// Being saved, and then gone.
    Hibernating,
}

/// A model the loop knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelState {
    /// Its number.
    pub id: ModelId,
    /// Names the load; see [`crate::ModelSpec::load_key`].
    pub name: Arc<str>,
    /// How far it is.
    pub residency: Residency,
    /// Bytes it holds, or held when it was here; 0 if that is not known yet.
    pub memory: u64,
    /// Generations that use it now.
    pub users: u32,
    /// Requests that wait for it.
    pub waiting: u32,
    /// When it was last loaded or used, in the loop's time.
    pub last_used: Duration,
    /// What was asked for it last.
    pub strategy: CortexStrategy,
}

impl ModelState {
    /// Whether it is in memory and nobody uses or wants it.
    pub fn is_idle(&self) -> bool {
        self.residency == Residency::Resident && self.users == 0 && self.waiting == 0
    }
}

/// What the loop knows, after the event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Time since the loop began.
    pub now: Duration,
    /// The limits.
    pub budgets: Budgets,
    /// Bytes of models in memory, or on their way in or out.
    pub memory_used: u64,
    /// Generations that run.
    pub running: u32,
    /// The models in memory, or on their way in or out.
    pub present: BTreeMap<ModelId, ModelState>,
    /// The models that were here, or are asked for, and are not in memory.
    pub absent: BTreeMap<ModelId, ModelState>,
    /// Requests not yet running, oldest first.
    pub waiting: BTreeMap<RequestId, Request>,
}

impl State {
    /// One model, if the loop knows it.
    pub fn model(&self, id: ModelId) -> Option<&ModelState> {
        self.present.get(&id).or_else(|| self.absent.get(&id))
    }

    /// How far a model is.
    pub fn residency(&self, id: ModelId) -> Residency {
        self.present
            .get(&id)
            .map_or(Residency::Absent, |model| model.residency)
    }
}
