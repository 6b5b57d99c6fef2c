//! `genius policy check`.

use super::choice::Choice;
use super::{Failure, print, warn};
use rusty_genius::Policies;
use rusty_genius::core::SandboxError;
use rusty_genius::core::brainstem::{EventKind, EventKinds};
use rusty_genius::stem::Policy;
use rusty_genius::stem::simulation::{Synthetic, simulate};
use std::time::Duration;

/// Short, with every kind of trouble: more models than fit, bursts, deadlines, people who
/// give up.
const TRIAL: &str = "pattern=bursty,seed=1,requests=300,rate=2,models=6,memory=12GiB,\
                     generations=4,queue=64,deadline=120,impatient=0.05";

const KINDS: [(EventKind, &str); 14] = [
    (EventKind::RequestArrived, "request-arrived"),
    (EventKind::RequestGone, "request-gone"),
    (EventKind::ModelLoading, "model-loading"),
    (EventKind::ModelLoaded, "model-loaded"),
    (EventKind::ModelFailed, "model-failed"),
    (EventKind::ModelUnloaded, "model-unloaded"),
    (EventKind::GenerationStarted, "generation-started"),
    (EventKind::GenerationEnded, "generation-ended"),
    (EventKind::ModelIdle, "model-idle"),
    (EventKind::MemoryPressure, "memory-pressure"),
    (EventKind::EngineDied, "engine-died"),
    (EventKind::Timer, "timer"),
    (EventKind::Tick, "tick"),
    (EventKind::Refused, "refused"),
];

pub(super) fn check(word: &str) -> Result<u8, Failure> {
    let policy = Choice::parse(word)?.load(&Policies::from_home())?;
    let mut text = describe(&*policy);
    let trial: Synthetic = TRIAL
        .parse()
        .map_err(|e| super::host("the trial".into(), &e))?;
    let outcome = simulate(policy, &trial.trace());
    if let Some(fault) = outcome.first_fault {
        print(&text)?;
        return Err(SandboxError::GuestFailed {
            component: word.to_owned(),
            message: match outcome.faults {
                1 => format!("in a trial {fault}"),
                n => format!("it was passed over {n} times in a trial; the first time, {fault}"),
            },
        }
        .into());
    }
    let rejected: u64 = outcome.rejected.values().sum();
    text += &format!(
        "trial    {} requests: {} answered, {} turned away, {} taken back, {} failed\n",
        outcome.requests, outcome.answered, rejected, outcome.taken_back, outcome.failed
    );
    print(&text)?;
    for rule in &outcome.broken {
        warn(rule);
    }
    Ok(u8::from(!outcome.broken.is_empty()))
}

fn describe(policy: &dyn Policy) -> String {
    let prompts = match policy.sees_prompts() {
        true => "wants to see them",
        false => "does not ask for them",
    };
    let tick = policy.tick();
    let tick = tick.map_or_else(|| "none".to_owned(), every);
    format!(
        "policy   {}\nevents   {}\ntick     {tick}\nprompts  {prompts}\n",
        policy.name().replace('\n', " "),
        events(policy.events())
    )
}

fn every(tick: Duration) -> String {
    format!("every {}", humantime::format_duration(tick))
}

/// The kinds it asks for, in lines that are not too long.
fn events(kinds: EventKinds) -> String {
    if kinds == EventKinds::ALL {
        return "all".to_owned();
    }
    let asked = KINDS.iter().filter(|(kind, _)| kinds.contains(*kind));
    let names: Vec<&str> = asked.map(|(_, name)| *name).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names
            .chunks(3)
            .map(|names| names.join(", "))
            .collect::<Vec<_>>()
            .join(",\n         "),
    }
}
