//! What a policy costs that is a guest: a step through the sandbox beside the same step
//! natively, and a million requests decided by one.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run should stop"
)]

use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::{
    Arrival, Event, GuestId, ModelId, ModelState, Request, RequestId, Residency, State,
};
use rusty_genius_sandbox::{PolicyGuest, PolicyHost, PolicyOptions};
use rusty_genius_stem::simulation::{Synthetic, simulate};
use rusty_genius_stem::{Policy, StrategyPolicy};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps in one measurement, and pairs of measurements.
const STEPS: u32 = 20_000;
const ROUNDS: usize = 15;

fn load(name: &str) -> PolicyGuest {
    let host = PolicyHost::new(None).unwrap();
    let bytes = rusty_genius_guests::find(name).unwrap().bytes;
    host.load(name, bytes, PolicyOptions::default()).unwrap()
}

fn request(id: u64, model: ModelId) -> Request {
    Request {
        id: RequestId(id),
        guest: GuestId(1),
        model,
        priority: 100,
        admitted: false,
        prompt_bytes: 2000,
        max_tokens: 512,
        arrived: Duration::ZERO,
        deadline: None,
        strategy: CortexStrategy::default(),
    }
}

/// A host with so many models in memory and so many requests in the queue.
fn state(models: u32, waiting: u64) -> Arc<State> {
    let model = |id| ModelState {
        id: ModelId(id),
        name: format!("org/model-{id}:Q4_K_M on brain").into(),
        residency: Residency::Resident,
        memory: 1 << 30,
        users: 0,
        waiting: 0,
        last_used: Duration::from_secs(id.into()),
        strategy: CortexStrategy::default(),
    };
    Arc::new(State {
        now: Duration::from_secs(100),
        present: (1..=models).map(|id| (ModelId(id), model(id))).collect(),
        waiting: (1..=waiting)
            .map(|id| (RequestId(id), request(id, ModelId(1))))
            .collect(),
        ..State::default()
    })
}

/// Seconds a step takes.
fn time(policy: &mut dyn Policy, event: &Event, state: &Arc<State>) -> f64 {
    let began = Instant::now();
    for _ in 0..STEPS {
        black_box(policy.decide(black_box(event), state).unwrap());
    }
    began.elapsed().as_secs_f64() / f64::from(STEPS)
}

/// Guest and native in turns, so that what else the machine does hits both; the medians.
fn compare(guest: &mut PolicyGuest, event: &Event, state: &Arc<State>) -> (f64, f64) {
    let mut native = StrategyPolicy::default();
    let (mut theirs, mut ours): (Vec<f64>, Vec<f64>) = (0..ROUNDS)
        .map(|_| (time(guest, event, state), time(&mut native, event, state)))
        .unzip();
    theirs.sort_by(f64::total_cmp);
    ours.sort_by(f64::total_cmp);
    (theirs[ROUNDS / 2], ours[ROUNDS / 2])
}

fn main() {
    let arrived = Event::RequestArrived(Arrival {
        request: request(1, ModelId(1)),
        guest: "run-4711".into(),
        model: "org/model-1:Q4_K_M on brain".into(),
        prompt: None,
    });
    let pressure = Event::MemoryPressure {
        model: None,
        needed: 2 << 30,
    };
    println!("decide(), median of {ROUNDS} rounds of {STEPS} steps:");
    for (what, name, event, models, waiting) in [
        (
            "request-arrived, 8 models",
            "policy/hibernate-after",
            &arrived,
            8,
            1,
        ),
        ("request-arrived, 8 models", "policy/lru", &arrived, 8, 1),
        ("request-arrived, 40 models", "policy/lru", &arrived, 40, 1),
        ("memory-pressure, 8 models", "policy/lru", &pressure, 8, 0),
        ("memory-pressure, 40 models", "policy/lru", &pressure, 40, 0),
        (
            "request-arrived, 64 wait",
            "policy/fair-share",
            &arrived,
            8,
            64,
        ),
    ] {
        let (guest, native) = compare(&mut load(name), event, &state(models, waiting));
        println!(
            "  {name:<23} {what:<27} {:>6.2} µs, natively {:>5.2} µs",
            guest * 1e6,
            native * 1e6
        );
    }

    println!("a million requests, 8 models that do not all fit:");
    let spec: Synthetic = "pattern=steady,requests=1000000,rate=1,models=8,seed=1"
        .parse()
        .unwrap();
    let trace = spec.trace();
    let policies: [Box<dyn Policy>; 2] = [
        Box::new(StrategyPolicy::default()),
        Box::new(load("policy/lru")),
    ];
    for policy in policies {
        let name = policy.name().to_owned();
        let began = Instant::now();
        let outcome = simulate(policy, &trace);
        println!(
            "  {name:<11} {:>6.1} s, {} decisions, {} answered, waits p50 {:.1} s, p99 {:.1} s",
            began.elapsed().as_secs_f64(),
            outcome.decisions,
            outcome.answered,
            outcome.wait.p50.as_secs_f64(),
            outcome.wait.p99.as_secs_f64(),
        );
        assert!(outcome.broken.is_empty(), "{:?}", outcome.broken);
    }
}
