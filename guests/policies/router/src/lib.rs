//! The cheap model first: small requests go to a small model, the others to the one they
//! ask for. An idle model is treated as its strategy says; where memory is short, those
//! that were used least recently hibernate.
//!
//! Settings:
//! * `small`: the small model, a spec or a name of the manifest. Required.
//! * `max-prompt-bytes`, `max-tokens`: what is small, 2048 and 256 by default.
//! * `code`: `large`, and prompts with a fenced block are not small, as far as the operator
//!   lets a policy see them; or `any`, the default.

use kit::{
    Arrival, Command, Event, EventKinds, Guest, Profile, Refusal, RequestId, Settings, State, bad,
    by_strategy, come, profile, revive,
};
use std::cell::RefCell;

struct Rules {
    small: String,
    max_prompt_bytes: u64,
    max_tokens: u32,
    code_is_large: bool,
}

#[derive(Default)]
struct Memory {
    rules: Option<Rules>,
    /// Whether the small model was asked for and nothing has left memory since. It has no
    /// number that a policy could learn in time, so whatever leaves may have been it.
    small_is_here: bool,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

struct Router;
kit::export!(Router);

impl Guest for Router {
    fn configure(settings: Vec<(String, String)>) -> Result<Profile, String> {
        let known = ["small", "max-prompt-bytes", "max-tokens", "code"];
        let settings = Settings::read(settings, &known)?;
        let code = settings.get("code").unwrap_or("any");
        let rules = Rules {
            small: match settings.get("small").unwrap_or_default() {
                "" => return Err("the setting `small` must name a model".to_owned()),
                small => small.to_owned(),
            },
            max_prompt_bytes: settings.number("max-prompt-bytes", 2048, 0)?,
            max_tokens: settings.number("max-tokens", 256, 0)?,
            code_is_large: match code {
                "large" => true,
                "any" => false,
                _ => return Err(bad("code", code, "`large` or `any`")),
            },
        };
        let profile = Profile {
            prompts: rules.code_is_large,
            ..profile(
                "router",
                EventKinds::REQUEST_ARRIVED
                    | EventKinds::MODEL_FAILED
                    | EventKinds::MODEL_UNLOADED
                    | EventKinds::MODEL_IDLE
                    | EventKinds::MEMORY_PRESSURE
                    | EventKinds::ENGINE_DIED
                    | EventKinds::TIMER
                    | EventKinds::REFUSED,
            )
        };
        MEMORY.with_borrow_mut(|memory| memory.rules = Some(rules));
        Ok(profile)
    }

    fn decide(event: Event, state: &State) -> Vec<Command> {
        MEMORY.with_borrow_mut(|memory| memory.decide(event, state))
    }
}

impl Memory {
    fn decide(&mut self, event: Event, state: &State) -> Vec<Command> {
        match event {
            Event::RequestArrived(arrival) => self.arrive(&arrival, state),
            Event::ModelFailed(_) => {
                self.small_is_here = false;
                vec![]
            }
            // Requests may have been routed to it while it was on its way out.
            Event::ModelUnloaded(model) | Event::EngineDied(model) => {
                self.small_is_here = false;
                revive(model, state).into_iter().collect()
            }
            Event::Refused((Command::Preload(_), refusal)) => {
                self.small_is_here = refusal == Refusal::AlreadyLoaded;
                vec![]
            }
            Event::Refused((Command::Route((request, _)), _)) => {
                stay(request, state).into_iter().collect()
            }
            event => by_strategy(&event, state),
        }
    }

    fn arrive(&mut self, arrival: &Arrival, state: &State) -> Vec<Command> {
        let request = &arrival.request;
        let admit = Command::Admit(request.id);
        let Some(rules) = self.rules.as_ref().filter(|rules| rules.are_met(arrival)) else {
            let come = come(request.model, request.strategy, state);
            return [admit].into_iter().chain(come).collect();
        };
        let mut commands = vec![Command::Route((request.id, rules.small.clone())), admit];
        if !self.small_is_here {
            self.small_is_here = true;
            commands.push(Command::Preload(rules.small.clone()));
        }
        commands
    }
}

/// The request could not be routed. It is admitted already, but nobody asked for its model.
fn stay(request: RequestId, state: &State) -> Option<Command> {
    let request = state.request(request)?;
    come(request.model, request.strategy, state)
}

impl Rules {
    fn are_met(&self, arrival: &Arrival) -> bool {
        let prompt = arrival.prompt.as_deref().unwrap_or_default();
        arrival.request.prompt_bytes <= self.max_prompt_bytes
            && arrival.request.max_tokens <= self.max_tokens
            && !(self.code_is_large && has_fenced_block(prompt))
    }
}

fn has_fenced_block(prompt: &str) -> bool {
    let mut lines = prompt.lines().map(str::trim_start);
    lines.any(|line| line.starts_with("```") || line.starts_with("~~~"))
}
