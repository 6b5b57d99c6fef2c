//! The policy that was chosen, and the native one that stands in for it.

use crate::policy::{Policy, StrategyPolicy};
use rusty_genius_core::brainstem::{
    BrainstemOutput, Command, Decider, Event, EventKinds, PolicyFault, State,
};
use std::sync::Arc;
use std::time::Duration;

/// Faults after which a policy is not asked any more.
const FAULTS_LIMIT: u32 = 3;
/// Most commands of one answer.
pub(crate) const COMMANDS_LIMIT: usize = 1024;

pub(crate) struct Mind {
    policy: Box<dyn Policy>,
    name: Arc<str>,
    events: EventKinds,
    native: StrategyPolicy,
    faults: u32,
}

impl Mind {
    pub(crate) fn new(policy: Box<dyn Policy>) -> Self {
        Self {
            name: policy.name().into(),
            events: policy.events(),
            policy,
            native: StrategyPolicy::default(),
            faults: 0,
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn tick(&self) -> Option<Duration> {
        self.policy.tick()
    }

    pub(crate) fn sees_prompts(&self) -> bool {
        self.policy.sees_prompts()
    }

    /// What is commanded, who commanded it, and what the policy did wrong. `nonsense` says
    /// in words what of a command was never heard of.
    pub(crate) fn decide(
        &mut self,
        event: &Event,
        state: &Arc<State>,
        nonsense: impl Fn(&Command) -> Option<String>,
    ) -> (Vec<Command>, Decider, Option<PolicyFault>) {
        if !self.events.contains(event.kind()) {
            return (Vec::new(), Decider::Nobody, None);
        }
        let answer = self.policy.decide(event, state).and_then(|commands| {
            if commands.len() > COMMANDS_LIMIT {
                return Err(PolicyFault::Flood(COMMANDS_LIMIT));
            }
            match commands.iter().find_map(nonsense) {
                Some(what) => Err(PolicyFault::Nonsense(what)),
                None => Ok(commands),
            }
        });
        match answer {
            Ok(commands) => (commands, Decider::Policy, None),
            Err(fault) => (
                self.native.step(event, state),
                Decider::Fallback,
                Some(fault),
            ),
        }
    }

    /// What the policy has to say about its last step.
    pub(crate) fn take_notes(&mut self) -> impl Iterator<Item = BrainstemOutput> {
        let policy = self.name.clone();
        self.policy.take_notes().into_iter().map(move |note| {
            let policy = policy.clone();
            BrainstemOutput::PolicyNoted { policy, note }
        })
    }

    /// What the native policy would do.
    pub(crate) fn native(&self, event: &Event, state: &State) -> Vec<Command> {
        self.native.step(event, state)
    }

    /// Takes note of a fault: what is to be told, and whether the native policy has taken
    /// over for good.
    pub(crate) fn blame(&mut self, fault: PolicyFault) -> (BrainstemOutput, bool) {
        self.faults += 1;
        let replaced = self.faults >= FAULTS_LIMIT;
        let told = BrainstemOutput::PolicyFailed {
            policy: self.name.clone(),
            fault,
            replaced,
        };
        if replaced {
            *self = Self::new(Box::new(self.native));
        }
        (told, replaced)
    }
}
