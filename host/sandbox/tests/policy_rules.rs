//! Policies that are guests, in simulations: the first three decide as the native ones do, and
//! whatever is asked, none of them breaks a rule of the loop.

use proptest::prelude::*;
use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::{Command, Event, EventKinds, PolicyFault, State};
use rusty_genius_sandbox::{PolicyGuest, PolicyHost, PolicyOptions};
use rusty_genius_stem::simulation::{Outcome, Synthetic, Trace, simulate};
use rusty_genius_stem::{Policy, StrategyPolicy};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

fn load(name: &str, settings: &[(&str, &str)]) -> PolicyGuest {
    static HOST: OnceLock<PolicyHost> = OnceLock::new();
    let host = HOST.get_or_init(|| PolicyHost::new(None).expect("a machine that runs Wasmtime"));
    let own = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    let options = PolicyOptions {
        // What a machine that is busy with other things cannot use up.
        deadline: Duration::from_secs(10),
        settings: settings.iter().map(own).collect(),
        prompts: false,
    };
    let guest = rusty_genius_guests::find(name).expect("a guest of the bundle");
    host.load(name, guest.bytes, options).expect("a policy")
}

fn trace(spec: &str) -> Trace {
    let spec: Synthetic = spec.parse().expect("a spec");
    spec.trace()
}

/// Asks a guest and a native policy the same, and wants the same answer.
struct Twins {
    native: StrategyPolicy,
    guest: PolicyGuest,
}

impl Policy for Twins {
    fn name(&self) -> &str {
        self.guest.name()
    }

    fn events(&self) -> EventKinds {
        EventKinds::ALL
    }

    fn decide(&mut self, event: &Event, state: &Arc<State>) -> Result<Vec<Command>, PolicyFault> {
        let native = self.native.step(event, state);
        let guest = match self.guest.events().contains(event.kind()) {
            true => self.guest.decide(event, state)?,
            false => vec![],
        };
        match native == guest {
            true => Ok(native),
            false => Err(PolicyFault::Nonsense(format!(
                "on {event:?} the guest says {guest:?}, the native one {native:?}"
            ))),
        }
    }
}

fn check(outcome: &Outcome) {
    assert_eq!(outcome.broken, [""; 0], "{}", outcome.policy);
    assert_eq!(outcome.first_fault, None, "{}", outcome.policy);
    let rejected: u64 = outcome.rejected.values().sum();
    let ends = outcome.answered + outcome.failed + outcome.taken_back + rejected;
    assert_eq!(ends, outcome.requests, "{}", outcome.policy);
}

#[test]
fn the_first_three_decide_as_the_native_policy_does() {
    let ttl = Duration::from_millis(1500);
    let twins = [
        ("policy/immediate", CortexStrategy::Immediate, &[][..]),
        (
            "policy/hibernate-after",
            CortexStrategy::HibernateAfter(ttl),
            &[("ttl", "1.5")][..],
        ),
        ("policy/keep-alive", CortexStrategy::KeepAlive, &[]),
    ];
    for (name, strategy, settings) in twins {
        for spec in [
            "pattern=steady,requests=600,rate=2,models=6,memory=12GiB,seed=1",
            "pattern=bursty,requests=600,rate=2,models=9,memory=8GiB,impatient=0.2,seed=2",
            "pattern=day,requests=600,models=40,memory=24GiB,deadline=30,seed=3",
        ] {
            let policy = Twins {
                native: StrategyPolicy::always(strategy),
                guest: load(name, settings),
            };
            let outcome = simulate(Box::new(policy), &trace(spec));
            check(&outcome);
            assert!(outcome.loads > 0 && outcome.answered > 0, "{name}");
        }
    }
}

/// Every policy of the bundle.
const POLICIES: [(&str, &[(&str, &str)]); 6] = [
    ("policy/immediate", &[]),
    ("policy/hibernate-after", &[("ttl", "5")]),
    ("policy/keep-alive", &[]),
    ("policy/lru", &[]),
    ("policy/router", &[("small", "model-01")]),
    ("policy/fair-share", &[]),
];

/// Attacks, but for timers of a millisecond: hours of them take hours to simulate.
const ATTACKS: [&str; 9] = [
    "flood",
    "load-forever",
    "memory",
    "nonsense",
    "reject-all",
    "silent",
    "trap",
    "trap-once",
    "unload-in-use",
];

fn specs() -> impl Strategy<Value = String> {
    let pattern = prop::sample::select(vec!["steady", "bursty", "day"]);
    let memory = prop::sample::select(vec!["1GiB", "6GiB", "24GiB", "none"]);
    (
        pattern,
        memory,
        any::<u32>(),
        1..60_u32,
        1..12_u32,
        1..9_u32,
        0..3_u32,
    )
        .prop_map(
            |(pattern, memory, seed, requests, models, generations, impatient)| {
                format!(
                    "pattern={pattern},memory={memory},seed={seed},requests={requests},rate=3,\
                 models={models},generations={generations},queue=24,deadline=60,\
                 impatient=0.{impatient}"
                )
            },
        )
}

/// Loads fail and engines die in some of them.
fn unreliable(trace: &Trace, every: Option<(u32, u32)>) -> Trace {
    let mut models = trace.models().to_vec();
    for model in &mut models {
        model.fails_every = every.map(|(fails, _)| fails);
        model.dies_every = every.map(|(_, dies)| dies);
    }
    let requests = trace.requests().to_vec();
    Trace::new(None, *trace.budgets(), models, requests).expect("a trace")
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_events_makes_a_policy_break_the_rules(
        spec in specs(),
        every in proptest::option::of((1..9_u32, 1..9_u32)),
    ) {
        let trace = unreliable(&trace(&spec), every);
        for (name, settings) in POLICIES {
            check(&simulate(Box::new(load(name, settings)), &trace));
        }
    }

    #[test]
    fn no_attack_breaks_the_rules(
        spec in specs(),
        attack in prop::sample::select(&ATTACKS[..]),
    ) {
        let policy = load("hostile/tyrant", &[("attack", attack)]);
        let outcome = simulate(Box::new(policy), &trace(&spec));
        prop_assert_eq!(&outcome.broken, &[""; 0]);
        let rejected: u64 = outcome.rejected.values().sum();
        let ends = outcome.answered + outcome.failed + outcome.taken_back + rejected;
        prop_assert_eq!(ends, outcome.requests);
    }
}
