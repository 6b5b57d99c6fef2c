//! What the loop knows: which models are in memory, who uses them, who waits.
//!
//! Pure bookkeeping, so that every rule stands in one place and is tested without a
//! runtime: a model is loaded once, is never unloaded under a generation, and every
//! request is answered once.

use rusty_genius_core::brainstem::{
    Command, ModelState, Refusal, Rejection, Request, RequestId, Residency, State,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Shortest timer: a policy that sets one for ever does not keep the loop from resting.
const SHORTEST_TIMER: Duration = Duration::from_millis(1);

/// Something the loop must do because a command was accepted or an event came.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    Load(String),
    Unload(String),
    Reject(RequestId, Rejection),
    /// Hand the request its model.
    Start(RequestId),
}

struct Waiting {
    request: Request,
    admitted: bool,
}

#[derive(Default)]
pub(crate) struct Ledger {
    models: BTreeMap<String, ModelState>,
    waiting: BTreeMap<RequestId, Waiting>,
    /// Requests that generate now, with their models.
    running: BTreeMap<RequestId, String>,
    timers: BTreeMap<String, Duration>,
}

impl Ledger {
    pub(crate) fn state(&self, now: Duration) -> State {
        State {
            now,
            models: self.models.values().cloned().collect(),
            waiting: self.waiting.values().map(|w| w.request.clone()).collect(),
        }
    }

    pub(crate) fn arrive(&mut self, request: Request) {
        if let Some(model) = self.models.get_mut(&request.model) {
            model.strategy = request.strategy;
        }
        let admitted = false;
        self.waiting
            .insert(request.id, Waiting { request, admitted });
    }

    /// Forgets a request that waits. Whether there was one.
    pub(crate) fn cancel(&mut self, id: RequestId) -> bool {
        self.waiting.remove(&id).is_some()
    }

    /// Executes a command, or says why not.
    pub(crate) fn apply(
        &mut self,
        command: &Command,
        now: Duration,
    ) -> Result<Vec<Effect>, Refusal> {
        match command {
            Command::Load(model) => self.load(model),
            Command::Unload(model) => match self.models.get(model) {
                Some(m) if m.users > 0 => Err(Refusal::InUse),
                Some(m) if m.residency == Residency::Resident => {
                    self.models.remove(model);
                    self.timers.remove(model);
                    Ok(vec![Effect::Unload(model.clone())])
                }
                _ => Err(Refusal::NotLoaded),
            },
            Command::Admit(id) => {
                let waiting = self.waiting.get_mut(id);
                let waiting = waiting
                    .filter(|w| !w.admitted)
                    .ok_or(Refusal::UnknownRequest)?;
                waiting.admitted = true;
                let model = waiting.request.model.clone();
                Ok(self.start_ready(&model))
            }
            Command::Reject(id, reason) => {
                self.waiting.remove(id).ok_or(Refusal::UnknownRequest)?;
                Ok(vec![Effect::Reject(*id, *reason)])
            }
            Command::SetTimer(model, after) => {
                if !self.models.contains_key(model) {
                    return Err(Refusal::NotLoaded);
                }
                let after = (*after).max(SHORTEST_TIMER);
                self.timers.insert(model.clone(), now.saturating_add(after));
                Ok(vec![])
            }
            Command::ClearTimer(model) => {
                self.timers.remove(model);
                Ok(vec![])
            }
        }
    }

    /// A model can be loaded only for a request that waits: that is what says how.
    fn load(&mut self, model: &str) -> Result<Vec<Effect>, Refusal> {
        if self.models.contains_key(model) {
            return Err(Refusal::AlreadyLoaded);
        }
        // The youngest: it says what was asked last.
        let request = self.waiting.values().rfind(|w| w.request.model == model);
        let strategy = request.ok_or(Refusal::UnknownRequest)?.request.strategy;
        let state = ModelState {
            model: model.to_owned(),
            residency: Residency::Loading,
            memory: 0,
            users: 0,
            strategy,
        };
        self.models.insert(model.to_owned(), state);
        Ok(vec![Effect::Load(model.to_owned())])
    }

    /// The model is in memory: what may start now.
    pub(crate) fn loaded(&mut self, model: &str, memory: u64) -> Vec<Effect> {
        if let Some(state) = self.models.get_mut(model) {
            state.residency = Residency::Resident;
            state.memory = memory;
        }
        self.start_ready(model)
    }

    /// The model could not be loaded: the requests that waited for it.
    pub(crate) fn failed(&mut self, model: &str) -> Vec<RequestId> {
        self.models.remove(model);
        self.timers.remove(model);
        let gone: Vec<RequestId> = self
            .waiting
            .values()
            .filter(|w| w.request.model == model)
            .map(|w| w.request.id)
            .collect();
        for id in &gone {
            self.waiting.remove(id);
        }
        gone
    }

    fn start_ready(&mut self, model: &str) -> Vec<Effect> {
        let Some(state) = self.models.get_mut(model) else {
            return vec![];
        };
        if state.residency != Residency::Resident {
            return vec![];
        }
        let ready: Vec<RequestId> = self
            .waiting
            .values()
            .filter(|w| w.admitted && w.request.model == model)
            .map(|w| w.request.id)
            .collect();
        for id in &ready {
            self.waiting.remove(id);
            self.running.insert(*id, model.to_owned());
            state.users += 1;
        }
        ready.into_iter().map(Effect::Start).collect()
    }

    /// A generation ended. The model, if nobody uses or wants it any more; `None` for
    /// a request that does not run.
    pub(crate) fn ended(&mut self, id: RequestId) -> Option<Option<String>> {
        let model = self.running.remove(&id)?;
        let state = self.models.get_mut(&model)?;
        state.users -= 1;
        Some(self.idle(&model).then_some(model))
    }

    /// Whether the model is in memory and nobody uses or wants it.
    pub(crate) fn idle(&self, model: &str) -> bool {
        self.models
            .get(model)
            .is_some_and(|m| m.users == 0 && m.residency == Residency::Resident)
            && !self.waiting.values().any(|w| w.request.model == model)
    }

    /// Whether no generation runs.
    pub(crate) fn at_rest(&self) -> bool {
        self.running.is_empty()
    }

    pub(crate) fn next_timer(&self) -> Option<Duration> {
        self.timers.values().min().copied()
    }

    /// Takes the timers that have come.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<String> {
        let due: Vec<String> = self
            .timers
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(model, _)| model.clone())
            .collect();
        for model in &due {
            self.timers.remove(model);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusty_genius_core::CortexStrategy;

    const NOW: Duration = Duration::ZERO;

    fn request(id: u64, model: &str) -> Request {
        Request {
            id: RequestId(id),
            guest: "test".into(),
            model: model.into(),
            prompt_bytes: 1,
            max_tokens: 1,
            strategy: CortexStrategy::KeepAlive,
        }
    }

    fn load(ledger: &mut Ledger, model: &str) -> Result<Vec<Effect>, Refusal> {
        ledger.apply(&Command::Load(model.into()), NOW)
    }

    /// A ledger with model `m` resident and request 1 running on it.
    fn running() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.arrive(request(1, "m"));
        ledger.apply(&Command::Admit(RequestId(1)), NOW).unwrap();
        load(&mut ledger, "m").unwrap();
        assert_eq!(ledger.loaded("m", 7), [Effect::Start(RequestId(1))]);
        ledger
    }

    #[test]
    fn a_model_is_loaded_once() {
        let mut ledger = Ledger::default();
        ledger.arrive(request(1, "m"));
        assert_eq!(load(&mut ledger, "m"), Ok(vec![Effect::Load("m".into())]));
        assert_eq!(load(&mut ledger, "m"), Err(Refusal::AlreadyLoaded));
        ledger.loaded("m", 0);
        assert_eq!(load(&mut ledger, "m"), Err(Refusal::AlreadyLoaded));
    }

    #[test]
    fn a_model_nobody_asked_for_is_not_loaded() {
        assert_eq!(
            load(&mut Ledger::default(), "m"),
            Err(Refusal::UnknownRequest)
        );
    }

    #[test]
    fn a_model_in_use_is_not_unloaded() {
        let mut ledger = running();
        let unload = Command::Unload("m".into());
        assert_eq!(ledger.apply(&unload, NOW), Err(Refusal::InUse));
        assert_eq!(ledger.ended(RequestId(1)), Some(Some("m".into())));
        assert_eq!(
            ledger.apply(&unload, NOW),
            Ok(vec![Effect::Unload("m".into())])
        );
        assert_eq!(ledger.apply(&unload, NOW), Err(Refusal::NotLoaded));
    }

    #[test]
    fn a_request_is_admitted_once_and_starts_at_once_on_a_resident_model() {
        let mut ledger = running();
        ledger.arrive(request(2, "m"));
        let admit = Command::Admit(RequestId(2));
        assert_eq!(
            ledger.apply(&admit, NOW),
            Ok(vec![Effect::Start(RequestId(2))])
        );
        assert_eq!(ledger.apply(&admit, NOW), Err(Refusal::UnknownRequest));
    }

    #[test]
    fn a_model_is_idle_when_its_last_generation_ends_and_nobody_waits() {
        let mut ledger = running();
        ledger.arrive(request(2, "m"));
        assert_eq!(ledger.ended(RequestId(1)), Some(None));
        assert!(ledger.cancel(RequestId(2)));
        assert!(ledger.idle("m"));
        assert_eq!(ledger.ended(RequestId(1)), None);
    }

    #[test]
    fn a_failed_load_gives_back_everyone_who_waited() {
        let mut ledger = Ledger::default();
        ledger.arrive(request(1, "m"));
        ledger.arrive(request(2, "m"));
        ledger.arrive(request(3, "other"));
        load(&mut ledger, "m").unwrap();
        assert_eq!(ledger.failed("m"), [RequestId(1), RequestId(2)]);
        assert_eq!(ledger.state(NOW).waiting.len(), 1);
        assert!(ledger.state(NOW).models.is_empty());
    }

    #[test]
    fn a_timer_comes_once() {
        let mut ledger = running();
        let timer = Command::SetTimer("m".into(), Duration::from_secs(1));
        ledger.apply(&timer, NOW).unwrap();
        assert_eq!(ledger.next_timer(), Some(Duration::from_secs(1)));
        assert!(ledger.due(Duration::from_millis(999)).is_empty());
        assert_eq!(ledger.due(Duration::from_secs(1)), ["m"]);
        assert_eq!(ledger.next_timer(), None);
    }

    #[test]
    fn a_model_is_treated_as_the_youngest_request_asks() {
        let strategy = |ledger: &Ledger| ledger.state(NOW).models[0].strategy;
        let asks = |id, strategy| Request {
            strategy,
            ..request(id, "m")
        };
        let mut ledger = Ledger::default();
        ledger.arrive(asks(1, CortexStrategy::KeepAlive));
        ledger.arrive(asks(2, CortexStrategy::Immediate));
        load(&mut ledger, "m").unwrap();
        assert_eq!(strategy(&ledger), CortexStrategy::Immediate);
        ledger.arrive(asks(3, CortexStrategy::KeepAlive));
        assert_eq!(strategy(&ledger), CortexStrategy::KeepAlive);
    }

    proptest! {
        /// Whatever a policy commands and whatever happens, no load is doubled, no
        /// model is taken from under a generation, and no request starts twice.
        #[test]
        fn no_sequence_of_commands_breaks_the_rules(
            steps in prop::collection::vec((0..9_u8, 1..6_u64, 0..3_usize), 0..200),
        ) {
            let mut ledger = Ledger::default();
            let mut answered = std::collections::BTreeSet::new();
            let mut arrived = 0;
            for (kind, id, model) in steps {
                let model = ["a", "b", "c"][model].to_owned();
                let id = RequestId(id);
                let effects = match kind {
                    0 => { arrived += 1; ledger.arrive(request(arrived, &model)); vec![] }
                    1 => ledger.apply(&Command::Load(model), NOW).unwrap_or_default(),
                    2 => ledger.apply(&Command::Unload(model), NOW).unwrap_or_default(),
                    3 => ledger.apply(&Command::Admit(id), NOW).unwrap_or_default(),
                    4 => ledger.apply(&Command::Reject(id, Rejection::Busy), NOW).unwrap_or_default(),
                    5 if ledger.models.get(&model).is_some_and(|m| m.residency == Residency::Loading) =>
                        ledger.loaded(&model, 1),
                    6 if ledger.models.get(&model).is_some_and(|m| m.residency == Residency::Loading) => {
                        for id in ledger.failed(&model) { prop_assert!(answered.insert(id)); }
                        vec![]
                    }
                    7 => { ledger.ended(id); vec![] }
                    8 => { if ledger.cancel(id) { prop_assert!(answered.insert(id)); } vec![] }
                    _ => vec![],
                };
                for effect in effects {
                    match effect {
                        Effect::Start(id) | Effect::Reject(id, _) => prop_assert!(answered.insert(id)),
                        Effect::Unload(model) =>
                            prop_assert!(!ledger.running.values().any(|m| *m == model)),
                        Effect::Load(_) => {}
                    }
                }
                for (model, state) in &ledger.models {
                    let users = ledger.running.values().filter(|m| *m == model).count();
                    prop_assert_eq!(users, state.users as usize);
                }
            }
        }
    }
}
