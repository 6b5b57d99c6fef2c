//! Policies that are guests: they decide, and what they do wrong costs nobody an answer.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use facecrab::{Facecrab, Settings};
use futures::StreamExt;
use futures::future::join_all;
use rusty_genius_core::brainstem::{Budgets, EventKind, PolicyFault, Rejection};
use rusty_genius_core::{
    BrainstemOutput, CortexStrategy, EngineError, FinishReason, GeniusError, InferenceEvent,
    ModelSource, ModelSpec, PartialConfig, SandboxError, Turn,
};
use rusty_genius_cortex::{Clock, Cortex, Pinky, PinkyConfig, VirtualClock};
use rusty_genius_guests::Kind;
use rusty_genius_sandbox::{CodeCache, PolicyGuest, PolicyHost, PolicyOptions};
use rusty_genius_stem::{Policy, Stem, StemConfig};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{guest, pinky, sandbox, test, tmp};

fn options(settings: &[(&str, &str)]) -> PolicyOptions {
    let own = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    PolicyOptions {
        settings: settings.iter().map(own).collect(),
        ..PolicyOptions::default()
    }
}

fn try_load(name: &str, options: PolicyOptions) -> Result<PolicyGuest, SandboxError> {
    let bytes = rusty_genius_guests::find(name).unwrap().bytes;
    PolicyHost::new(None).unwrap().load(name, bytes, options)
}

fn load(name: &str, settings: &[(&str, &str)]) -> PolicyGuest {
    try_load(name, options(settings)).unwrap()
}

fn tyrant(attack: &str) -> PolicyGuest {
    load("hostile/tyrant", &[("attack", attack)])
}

/// What a brainstem told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<BrainstemOutput>>>);

impl Told {
    fn count(&self, fits: impl Fn(&BrainstemOutput) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|o| fits(o)).count()
    }

    fn faults(&self) -> Vec<(PolicyFault, bool)> {
        let told = self.0.lock().unwrap();
        let faults = told.iter().filter_map(|output| match output {
            BrainstemOutput::PolicyFailed {
                fault, replaced, ..
            } => Some((fault.clone(), *replaced)),
            _ => None,
        });
        faults.collect()
    }
}

/// A brainstem on Pinky without delay, and virtual time.
fn stem(policy: impl Policy + 'static, budgets: Budgets) -> (Stem, Told, VirtualClock) {
    let time = VirtualClock::new();
    let clock: Arc<dyn Clock> = Arc::new(time.clone());
    let config = PinkyConfig {
        delay: Duration::ZERO,
        ..PinkyConfig::default()
    };
    let cortex = Cortex::new(clock.clone()).with(Arc::new(Pinky::new(config, clock)));
    let told = Told::default();
    let hears = told.clone();
    let config = StemConfig {
        budgets,
        observer: Arc::new(move |output| hears.0.lock().unwrap().push(output.clone())),
        resolve: Some(Arc::new(|name: &str| {
            Ok(model(name, CortexStrategy::KeepAlive))
        })),
        ..StemConfig::default()
    };
    let facecrab = Facecrab::new(Settings::offline(tmp("no-models")));
    let stem = Stem::start_with(Arc::new(cortex), facecrab, policy, config);
    (stem, told, time)
}

fn model(name: &str, strategy: CortexStrategy) -> ModelSpec {
    let source = ModelSource::parse(&format!("test/{name}")).unwrap();
    ModelSpec {
        engine: Some("pinky".into()),
        strategy,
        ..ModelSpec::new(source)
    }
}

async fn ask(stem: &Stem, model: &ModelSpec, guest: &str) -> Result<FinishReason, GeniusError> {
    let session = stem.session(model.clone(), guest);
    let turns = vec![Turn::user("What shall we do tonight?")];
    let inference = session.infer(turns, PartialConfig::default()).await?;
    let events: Vec<InferenceEvent> = inference.collect().await;
    match events.last() {
        Some(InferenceEvent::Complete(completion)) => Ok(completion.finish.clone()),
        other => panic!("{other:?}"),
    }
}

fn spec() -> ModelSpec {
    model("m", CortexStrategy::KeepAlive)
}

#[test]
fn every_policy_of_the_bundle_lets_requests_run() {
    test(async {
        let policies = rusty_genius_guests::all().iter();
        let policies: Vec<_> = policies.filter(|g| g.kind == Kind::Policy).collect();
        assert_eq!(policies.len(), 6);
        for guest in policies {
            let settings: &[_] = match guest.name {
                "policy/router" => &[("small", "small")],
                _ => &[],
            };
            let (stem, told, _) = stem(load(guest.name, settings), Budgets::default());
            for n in 0..3 {
                let model = model(&format!("m{n}"), CortexStrategy::Immediate);
                let finish = ask(&stem, &model, "me").await;
                assert_eq!(finish, Ok(FinishReason::Stop), "{}", guest.name);
            }
            assert_eq!(told.faults(), [], "{}", guest.name);
        }
    });
}

#[test]
fn two_hundred_requests_survive_a_change_of_policy() {
    test(async {
        let budgets = Budgets {
            generations: 16,
            ..Budgets::default()
        };
        let (stem, told, _) = stem(load("policy/lru", &[]), budgets);
        let model = spec();
        let asking = (0..200).map(|n| {
            let (stem, model) = (stem.clone(), model.clone());
            let guest = format!("guest {}", n % 7);
            async_std::task::spawn(async move {
                let session = stem.session(model, guest);
                let turns = vec![Turn::user("Narf?")];
                let inference = session.infer(turns, PartialConfig::default()).await?;
                Ok::<_, GeniusError>((session, inference))
            })
        });
        let asking: Vec<_> = asking.collect();
        let admitted = || told.count(|o| matches!(o, BrainstemOutput::Admitted { .. }));
        // All generations that may run do, and nobody reads them yet.
        while admitted() < 16 {
            async_std::task::yield_now().await;
        }
        stem.change_policy(load("policy/fair-share", &[]));
        let answers = join_all(asking.into_iter().map(|ask| async {
            let (session, inference) = ask.await?;
            let events: Vec<InferenceEvent> = inference.collect().await;
            assert_eq!(session.turns().len(), 2);
            Ok::<_, GeniusError>(events)
        }));
        for answer in answers.await {
            let events = answer.unwrap();
            assert!(matches!(
                events.last(),
                Some(InferenceEvent::Complete(c)) if c.finish == FinishReason::Stop
            ));
        }
        assert_eq!(admitted(), 200);
        assert_eq!(told.faults(), []);
        let changed = |o: &BrainstemOutput| matches!(o, BrainstemOutput::PolicyChanged { policy, .. } if &**policy == "fair-share");
        assert_eq!(told.count(changed), 1);
    });
}

#[test]
fn a_policy_that_traps_is_passed_over_and_replaced_after_three_times() {
    test(async {
        let (stem, told, _) = stem(tyrant("trap"), Budgets::default());
        for _ in 0..5 {
            assert_eq!(ask(&stem, &spec(), "me").await, Ok(FinishReason::Stop));
        }
        let faults = told.faults();
        assert!(matches!(&faults[0].0, PolicyFault::Trapped(why) if why.contains("unreachable")));
        let replaced: Vec<bool> = faults.iter().map(|(_, replaced)| *replaced).collect();
        assert_eq!(replaced, [false, false, true]);
    });
}

#[test]
fn a_policy_that_trapped_once_begins_anew() {
    test(async {
        let (stem, told, _) = stem(tyrant("trap-once"), Budgets::default());
        for _ in 0..5 {
            assert_eq!(ask(&stem, &spec(), "me").await, Ok(FinishReason::Stop));
        }
        assert_eq!(told.faults().len(), 1);
    });
}

#[test]
fn a_policy_that_loops_is_stopped_by_its_deadline() {
    test(async {
        let (stem, told, _) = stem(tyrant("loop"), Budgets::default());
        assert_eq!(ask(&stem, &spec(), "me").await, Ok(FinishReason::Stop));
        assert_eq!(ask(&stem, &spec(), "me").await, Ok(FinishReason::Stop));
        let too_slow = PolicyFault::TooSlow(Duration::from_millis(10));
        assert_eq!(told.faults().first(), Some(&(too_slow, false)));
        assert_eq!(told.faults().len(), 3);
    });
}

#[test]
fn floods_and_nonsense_are_faults() {
    test(async {
        for attack in ["flood", "nonsense"] {
            let (stem, told, _) = stem(tyrant(attack), Budgets::default());
            assert_eq!(ask(&stem, &spec(), "me").await, Ok(FinishReason::Stop));
            let fits = |fault: &PolicyFault| match attack {
                "nonsense" => matches!(fault, PolicyFault::Nonsense(_)),
                // The host reads only so much of an answer, and only for so long.
                _ => matches!(
                    fault,
                    PolicyFault::Flood(1024) | PolicyFault::Trapped(_) | PolicyFault::TooSlow(_)
                ),
            };
            let faults = told.faults();
            assert!(!faults.is_empty(), "{attack}");
            assert!(faults.iter().all(|(fault, _)| fits(fault)), "{faults:?}");
        }
    });
}

#[test]
fn what_a_policy_may_do_though_it_is_no_use_harms_nobody_else() {
    test(async {
        for attack in ["unload-in-use", "memory", "timers"] {
            let (stem, told, _) = stem(tyrant(attack), Budgets::default());
            for n in 0..4 {
                let model = model(&format!("m{n}"), CortexStrategy::Immediate);
                assert_eq!(
                    ask(&stem, &model, "me").await,
                    Ok(FinishReason::Stop),
                    "{attack}"
                );
            }
            assert_eq!(told.faults(), [], "{attack}");
        }
    });
}

#[test]
fn a_policy_that_loads_for_ever_is_stopped() {
    test(async {
        let (stem, told, _) = stem(tyrant("load-forever"), Budgets::default());
        for _ in 0..3 {
            assert_eq!(ask(&stem, &spec(), "me").await, Ok(FinishReason::Stop));
        }
        let faults = told.faults();
        assert!(
            faults
                .iter()
                .all(|(fault, _)| *fault == PolicyFault::Stubborn),
            "{faults:?}"
        );
        assert!(!faults.is_empty());
        assert_eq!(
            told.count(|o| matches!(o, BrainstemOutput::Loading { .. })),
            1
        );
    });
}

#[test]
fn a_policy_that_lets_nobody_in_is_waited_for_only_so_long() {
    test(async {
        let (stem, told, time) = stem(tyrant("silent"), Budgets::default());
        let asking = async_std::task::spawn({
            let stem = stem.clone();
            async move { ask(&stem, &spec(), "me").await }
        });
        let limit = Duration::from_secs(600);
        while time.next_deadline() != Some(limit) {
            async_std::task::yield_now().await;
        }
        time.advance(limit);
        match asking.await {
            Err(GeniusError::Engine(EngineError::Rejected { reason, .. })) => {
                assert_eq!(reason, Rejection::DeadlinePassed.describe());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(told.faults(), []);
    });
}

#[test]
fn a_policy_may_turn_everybody_away() {
    test(async {
        let (stem, _, _) = stem(tyrant("reject-all"), Budgets::default());
        let error = ask(&stem, &spec(), "me").await.unwrap_err();
        assert!(
            error.to_string().contains(Rejection::Busy.describe()),
            "{error}"
        );
    });
}

#[test]
fn a_long_name_is_cut_and_a_loop_at_the_start_is_an_error() {
    let policy = tyrant("long-name");
    assert_eq!(policy.name().chars().count(), 64);
    match try_load("hostile/tyrant", options(&[("attack", "loop-configure")])).err() {
        Some(SandboxError::GuestTrapped { reason, .. }) => {
            assert!(reason.contains("longer than 1s"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_that_are_wrong_are_told_in_the_policys_own_words() {
    for (name, settings, words) in [
        ("policy/lru", [("kep", "x")], "kep"),
        ("policy/hibernate-after", [("ttl", "soon")], "soon"),
        ("policy/fair-share", [("share", "0")], "share"),
        ("policy/immediate", [("x", "y")], "none"),
        ("hostile/tyrant", [("attack", "gently")], "trap-once"),
    ] {
        match try_load(name, options(&settings)).err() {
            Some(SandboxError::GuestUsage { component, message }) => {
                assert_eq!(component, name);
                assert!(message.contains(words), "{message}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let missing = try_load("policy/router", options(&[])).err();
    assert!(
        matches!(missing, Some(SandboxError::GuestUsage { .. })),
        "{missing:?}"
    );
}

#[test]
fn a_policy_hears_only_what_it_asks_for() {
    let events = load("policy/immediate", &[]).events();
    assert!(events.contains(EventKind::RequestArrived) && events.contains(EventKind::ModelIdle));
    assert!(!events.contains(EventKind::Tick) && !events.contains(EventKind::GenerationStarted));
}

#[test]
fn prompts_need_both_the_policys_wish_and_the_operators_grant() {
    let wish = [("small", "small"), ("code", "large"), ("max-tokens", "512")];
    let refused = try_load("policy/router", options(&wish)).err().unwrap();
    assert!(matches!(refused, SandboxError::UngrantedPrompts { .. }));
    let hint = GeniusError::from(refused).hint().unwrap();
    assert!(hint.contains("--policy-prompts"), "{hint}");
    let granted = PolicyOptions {
        prompts: true,
        ..options(&wish)
    };
    assert!(
        try_load("policy/router", granted.clone())
            .unwrap()
            .sees_prompts()
    );
    let no_wish = PolicyOptions {
        prompts: true,
        ..options(&[])
    };
    assert!(!try_load("policy/lru", no_wish).unwrap().sees_prompts());

    test(async {
        let policy = try_load("policy/router", granted).unwrap();
        let (stem, told, _) = stem(policy, Budgets::default());
        let loaded = |name: &str| {
            let name = format!("test/{name} on pinky");
            told.count(|o| matches!(o, BrainstemOutput::Loaded { model, .. } if *model == name))
        };
        let ask = |words: &'static str| {
            let session = stem.session(model("large", CortexStrategy::KeepAlive), "me");
            async move {
                let turns = vec![Turn::user(words)];
                let inference = session.infer(turns, PartialConfig::default()).await;
                inference.unwrap().count().await
            }
        };
        let config_allows = 256;
        assert!(
            config_allows < 512,
            "what is asked for by default is not small"
        );
        ask("Mend this:\n```rust\nfn main() {}\n```").await;
        assert_eq!((loaded("small"), loaded("large")), (0, 1));
    });
}

#[test]
fn a_small_request_goes_to_the_small_model() {
    test(async {
        let policy = load(
            "policy/router",
            &[("small", "small"), ("max-tokens", "512")],
        );
        let (stem, told, _) = stem(policy, Budgets::default());
        let large = model("large", CortexStrategy::KeepAlive);
        assert_eq!(ask(&stem, &large, "me").await, Ok(FinishReason::Stop));
        let loaded = |name: &str| {
            let name = format!("test/{name} on pinky");
            told.count(|o| matches!(o, BrainstemOutput::Loaded { model, .. } if *model == name))
        };
        assert_eq!((loaded("small"), loaded("large")), (1, 0));
    });
}

#[test]
fn what_is_no_policy_says_what_it_is_instead() {
    let host = PolicyHost::new(None).unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let refused = host.load(name, bytes, PolicyOptions::default());
        let error = GeniusError::from(refused.err().unwrap());
        (error.to_string(), error.hint().unwrap_or_default())
    };
    let bytes = |name| rusty_genius_guests::find(name).unwrap().bytes;
    for (name, why) in [
        ("ask", "decides by commands, and has no hands"),
        ("fixture", "decides by commands, and has no hands"),
        ("noop", "it is a workflow"),
    ] {
        let (error, _) = refused(name, bytes(name));
        assert!(error.contains(why), "{error}");
    }
    let (error, hint) = refused("x.wasm", b"\0asm\x0d\0\x01\0");
    assert!(
        error.contains("exports nothing") && hint.contains("world `policy`"),
        "{error} {hint}"
    );
    let (error, _) = refused("x.wasm", b"hello");
    assert!(error.contains("not WebAssembly"), "{error}");
    let lru = bytes("policy/lru");
    for cut in (8..lru.len()).step_by(lru.len() / 40) {
        refused("cut.wasm", &lru[..cut]);
    }
    let wrong = wat::parse_str(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func (export "configure") (canon lift (core func $i "f")))
            (func (export "decide") (canon lift (core func $i "f"))))"#,
    );
    let (error, _) = refused("wrong.wasm", &wrong.unwrap());
    assert!(error.contains("of another type"), "{error}");
}

#[test]
fn a_policy_is_no_workflow() {
    test(async {
        let sandbox = sandbox(pinky(|_| {}));
        let bytes = rusty_genius_guests::find("policy/lru").unwrap().bytes;
        let error = sandbox.load("policy/lru", bytes).await.err().unwrap();
        assert!(
            error.to_string().contains("only policies get it"),
            "{error}"
        );
        drop(guest(&sandbox, "noop").await);
    });
}

#[test]
fn a_compiled_policy_comes_from_the_cache_and_answers_alike() {
    let dir = tmp("policy-cache");
    let _ = std::fs::remove_dir_all(&dir);
    let host = PolicyHost::new(Some(&CodeCache {
        dir: dir.clone(),
        key: dir.with_extension("key"),
    }))
    .unwrap();
    let bytes = rusty_genius_guests::find("policy/lru").unwrap().bytes;
    let first = host
        .load("policy/lru", bytes, PolicyOptions::default())
        .unwrap();
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    let second = host
        .load("policy/lru", bytes, PolicyOptions::default())
        .unwrap();
    assert_eq!(
        (first.name(), first.events()),
        (second.name(), second.events())
    );
}
