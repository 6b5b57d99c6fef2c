//! Requests in a queue with limits: who goes first, who is turned away, and why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use futures::{FutureExt, StreamExt};
use rusty_genius_core::brainstem::{Budgets, Command, Event, Rejection, State, Tuning};
use rusty_genius_core::{
    BrainstemOutput, CortexStrategy, EngineError, FinishReason, GeniusError, InferenceEvent,
    PartialConfig, PartialSampling, Terms, Turn,
};
use rusty_genius_stem::{Demand, Lease, Policy, StemConfig, StrategyPolicy};
use std::sync::Arc;
use std::time::Duration;
use support::backend::{TestBackend, token};
use support::{House, Script, ask, demand, finish, is_m, model, native, run, soon};

fn limited(policy: impl Policy + 'static, budgets: Budgets) -> House {
    let config = StemConfig {
        budgets,
        ..StemConfig::default()
    };
    House::with_config(TestBackend::default(), policy, config)
}

fn reason(answer: Result<Lease, GeniusError>) -> String {
    match answer {
        Err(GeniusError::Engine(EngineError::Rejected { reason, .. })) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_request_too_many_is_turned_away_and_told_so() {
    run(async {
        let budgets = Budgets {
            queue: 2,
            ..Budgets::default()
        };
        let house = limited(Script(|_: &Event, _: &State| vec![]), budgets);
        let spec = model("m", CortexStrategy::KeepAlive);
        let mut waiting: Vec<_> = (0..2)
            .map(|_| Box::pin(house.stem.acquire(&spec, demand("test"))))
            .collect();
        for ask in &mut waiting {
            assert!(ask.now_or_never().is_none());
        }
        let third = soon(house.stem.acquire(&spec, demand("test"))).await;
        assert_eq!(reason(third), Rejection::QueueFull.describe());
        // One that gave up makes room.
        waiting.pop();
        let mut fourth = Box::pin(house.stem.acquire(&spec, demand("test")));
        assert!((&mut fourth).now_or_never().is_none());
        house.rounds().await;
        assert!((&mut fourth).now_or_never().is_none());
    });
}

#[test]
fn what_waits_starts_by_priority_and_then_by_age() {
    run(async {
        let budgets = Budgets {
            generations: 1,
            ..Budgets::default()
        };
        let mut house = limited(StrategyPolicy::default(), budgets);
        let spec = model("m", CortexStrategy::KeepAlive);
        let mut lease = Some(house.lease(&spec).await.unwrap());
        let asks = [100, 50, 200, 100].map(|priority| {
            let terms = Terms {
                priority,
                ..Terms::default()
            };
            let ask = Demand {
                terms,
                ..demand("test")
            };
            Box::pin(house.stem.acquire(&spec, ask))
        });
        let mut asks = Vec::from(asks.map(Some));
        for ask in asks.iter_mut().flatten() {
            assert!(ask.now_or_never().is_none());
        }
        house.rounds().await;
        let mut order = Vec::new();
        while asks.iter().any(Option::is_some) {
            drop(lease.take());
            house.journal.ended().await;
            house.rounds().await;
            for (n, slot) in asks.iter_mut().enumerate() {
                let answer = slot.as_mut().and_then(|ask| ask.now_or_never());
                if let Some(answer) = answer {
                    assert!(lease.is_none(), "one at a time");
                    *slot = None;
                    order.push(n);
                    lease = Some(answer.unwrap());
                }
            }
        }
        assert_eq!(order, [2, 0, 3, 1]);
    });
}

#[test]
fn a_deadline_in_the_queue_turns_the_request_away() {
    run(async {
        let house = House::new();
        let _gate = house.engine.gate_loads();
        let spec = model("m", CortexStrategy::KeepAlive);
        let ask = Demand {
            terms: Terms {
                deadline: Some(Duration::from_secs(5)),
                ..Terms::default()
            },
            ..demand("test")
        };
        let mut waiting = Box::pin(house.stem.acquire(&spec, ask));
        assert!((&mut waiting).now_or_never().is_none());
        house.sleeps_until(Duration::from_secs(5)).await;
        house.time.advance(Duration::from_secs(5));
        assert_eq!(
            reason(soon(waiting).await),
            Rejection::DeadlinePassed.describe()
        );
    });
}

#[test]
fn a_deadline_in_flight_ends_the_generation_as_failed() {
    run(async {
        let mut house = House::new();
        let tokens = house.engine.gate_tokens();
        let after = Duration::from_secs(5);
        let session = house.session(CortexStrategy::Immediate).on_terms(Terms {
            deadline: Some(after),
            ..Terms::default()
        });
        let mut inference = ask(&session, "Narf?").await.unwrap();
        tokens.send(token("Half an ans")).await.unwrap();
        let begun: Vec<_> = inference.by_ref().take(2).collect().await;
        assert_eq!(begun[1], InferenceEvent::content("Half an ans"));
        house.time.advance(after);
        let failed = FinishReason::Failed(EngineError::DeadlinePassed { after });
        assert_eq!(finish(inference).await, failed);
        assert_eq!((house.engine.streams(), session.turns()), (0, vec![]));
        house.journal.unloaded().await;
    });
}

#[test]
fn a_request_no_policy_decides_on_is_turned_away_in_the_end() {
    run(async {
        let house = House::with_policy(Script(|_: &Event, _: &State| vec![]));
        let spec = model("m", CortexStrategy::KeepAlive);
        let mut waiting = Box::pin(house.stem.acquire(&spec, demand("test")));
        assert!((&mut waiting).now_or_never().is_none());
        let limit = Duration::from_secs(600);
        house.sleeps_until(limit).await;
        house.time.advance(limit);
        assert_eq!(
            reason(soon(waiting).await),
            Rejection::DeadlinePassed.describe()
        );
    });
}

#[test]
fn a_request_says_what_becomes_of_the_model_in_place_of_the_manifest() {
    run(async {
        let mut house = House::new();
        let keep_alive = |strategy| Terms {
            keep_alive: Some(strategy),
            ..Terms::default()
        };
        let session = house.session(CortexStrategy::KeepAlive);
        let once = session
            .clone()
            .on_terms(keep_alive(CortexStrategy::Immediate));
        finish(ask(&once, "one").await.unwrap()).await;
        house.journal.unloaded().await;
        finish(ask(&session, "two").await.unwrap()).await;
        house.rounds().await;
        assert_eq!(house.journal.unloads(), 1);
        assert_eq!(session.turns().len(), 4, "one conversation");
    });
}

#[test]
fn memory_that_is_short_makes_idle_models_go_the_one_used_longest_ago_first() {
    run(async {
        let budgets = Budgets {
            memory: Some(10),
            ..Budgets::default()
        };
        let mut house = limited(StrategyPolicy::default(), budgets);
        for name in ["a", "b", "c"] {
            house.engine.set_size(&format!("test/{name}"), 4);
        }
        let spec = |name| model(name, CortexStrategy::HibernateAfter(Duration::MAX));
        for name in ["a", "b", "a"] {
            drop(house.lease(&spec(name)).await.unwrap());
            house.journal.ended().await;
            house.time.advance(Duration::from_secs(1));
        }
        drop(house.lease(&spec("c")).await.unwrap());
        let gone: Vec<_> = house
            .journal
            .seen()
            .iter()
            .filter_map(|o| match o {
                BrainstemOutput::Unloaded { model, .. } => Some(model.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(gone, ["test/b on test"]);
    });
}

#[test]
fn a_model_that_must_wait_for_memory_gets_it_when_a_generation_ends() {
    run(async {
        let budgets = Budgets {
            memory: Some(10),
            ..Budgets::default()
        };
        let house = limited(StrategyPolicy::default(), budgets);
        house.engine.set_size("test/a", 6);
        house.engine.set_size("test/b", 6);
        let lease = house.lease(&model("a", CortexStrategy::Immediate)).await;
        let second = model("b", CortexStrategy::Immediate);
        let mut waiting = Box::pin(house.stem.acquire(&second, demand("test")));
        assert!((&mut waiting).now_or_never().is_none());
        house.rounds().await;
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!(house.engine.loads(), 1);
        drop(lease);
        assert!(soon(waiting).await.is_ok());
    });
}

#[test]
fn what_can_never_fit_is_an_answer_at_once() {
    run(async {
        let budgets = Budgets {
            memory: Some(10),
            ..Budgets::default()
        };
        let house = limited(StrategyPolicy::default(), budgets);
        house.engine.set_size("test/a", 6);
        house.engine.set_size("test/huge", 11);
        match house.lease(&model("huge", CortexStrategy::Immediate)).await {
            Err(GeniusError::Engine(EngineError::MemoryExceeded { needed, limit, .. })) => {
                assert_eq!((needed, limit), (11, 10));
            }
            other => panic!("{other:?}"),
        }
        // Beside one that stays for ever neither.
        drop(house.lease(&model("a", CortexStrategy::KeepAlive)).await);
        house.engine.set_size("test/b", 6);
        let refused = house.lease(&model("b", CortexStrategy::Immediate)).await;
        assert_eq!(reason(refused), Rejection::NoMemory.describe());
        assert_eq!(house.engine.loads(), 1);
    });
}

#[test]
fn an_engine_that_died_is_loaded_anew_for_those_who_wait() {
    run(async {
        let budgets = Budgets {
            generations: 1,
            ..Budgets::default()
        };
        let mut house = limited(StrategyPolicy::default(), budgets);
        let spec = model("m", CortexStrategy::KeepAlive);
        let lease = house.lease(&spec).await.unwrap();
        let mut waiting = Box::pin(house.stem.acquire(&spec, demand("test")));
        assert!((&mut waiting).now_or_never().is_none());
        // Two wait: one starts as the first one ends, on the engine that is dead.
        let mut last = Box::pin(house.stem.acquire(&spec, demand("test")));
        assert!((&mut last).now_or_never().is_none());
        house.rounds().await;
        house.engine.kill();
        drop(lease);
        let died = |o: &BrainstemOutput| matches!(o, BrainstemOutput::EngineDied { .. });
        house.journal.until(died).await;
        drop(soon(waiting).await.unwrap());
        assert!(soon(last).await.is_ok());
        assert_eq!(house.engine.loads(), 2);
    });
}

#[test]
fn a_policy_changes_how_an_answer_is_generated_within_the_ranges() {
    run(async {
        let mut house = House::with_policy(Script(|event: &Event, state: &State| {
            let mut commands = native(event, state);
            if let Event::RequestArrived(arrival) = event {
                let retune = |temperature| {
                    let tuning = Tuning {
                        max_tokens: Some(3),
                        sampling: PartialSampling {
                            temperature: Some(temperature),
                            ..PartialSampling::default()
                        },
                    };
                    Command::Retune(arrival.request.id, Box::new(tuning))
                };
                commands.splice(0..0, [retune(0.25), retune(f32::NAN)]);
            }
            commands
        }));
        let session = house.session(CortexStrategy::KeepAlive);
        finish(ask(&session, "Narf?").await.unwrap()).await;
        let config = house.engine.configs().pop().unwrap();
        assert_eq!(config.behavior().max_tokens, 3);
        assert_eq!(config.sampling().temperature.to_bits(), 0.25_f32.to_bits());
        let refused = |o: &BrainstemOutput| matches!(o, BrainstemOutput::Refused { .. });
        assert_eq!(
            house.journal.seen().iter().filter(|o| refused(o)).count(),
            1
        );
    });
}

#[test]
fn a_policy_lets_another_model_answer_and_the_conversation_goes_on() {
    run(async {
        let config = StemConfig {
            resolve: Some(Arc::new(|name: &str| {
                Ok(model(name, CortexStrategy::KeepAlive))
            })),
            ..StemConfig::default()
        };
        // Short questions go to the small model.
        let route = |event: &Event, state: &State| match event {
            Event::RequestArrived(arrival) if arrival.request.prompt_bytes < 10 => vec![
                Command::Route(arrival.request.id, "small".into()),
                Command::Preload("small".into()),
                Command::Admit(arrival.request.id),
            ],
            _ => native(event, state),
        };
        let house = House::with_config(TestBackend::default(), Script(route), config);
        let session = house.session(CortexStrategy::KeepAlive);
        finish(ask(&session, "short").await.unwrap()).await;
        finish(ask(&session, "a longer question").await.unwrap()).await;
        assert_eq!(house.engine.answered(), ["test/small", "test/m"]);
        assert_eq!(house.engine.prompts()[1].len(), 3);
    });
}

#[test]
fn a_policy_sees_prompts_only_if_it_says_that_it_may() {
    struct Reader(bool, Arc<std::sync::Mutex<Vec<Option<String>>>>);
    impl Policy for Reader {
        fn name(&self) -> &str {
            "reader"
        }

        fn sees_prompts(&self) -> bool {
            self.0
        }

        fn decide(
            &mut self,
            event: &Event,
            state: &Arc<State>,
        ) -> Result<Vec<Command>, rusty_genius_core::brainstem::PolicyFault> {
            if let Event::RequestArrived(arrival) = event {
                let prompt = arrival.prompt.as_deref().map(str::to_owned);
                self.1.lock().unwrap().push(prompt);
            }
            Ok(native(event, state))
        }
    }
    run(async {
        for sees in [false, true] {
            let seen = Arc::default();
            let house = House::with_policy(Reader(sees, Arc::clone(&seen)));
            let session = house.session(CortexStrategy::KeepAlive);
            let long = "ä".repeat(20_000);
            let turns = vec![Turn::user("first"), Turn::user(long)];
            let answer = session.infer(turns, PartialConfig::default());
            finish(soon(answer).await.unwrap()).await;
            let seen = seen.lock().unwrap().pop().unwrap();
            assert_eq!(seen.is_some(), sees);
            if let Some(prompt) = seen {
                assert!(prompt.starts_with("first\nää") && prompt.len() <= 16 << 10);
            }
        }
    });
}

#[test]
fn a_policy_that_takes_over_decides_about_what_waits() {
    run(async {
        let mut house = House::with_policy(Script(|_: &Event, _: &State| vec![]));
        let spec = model("m", CortexStrategy::Immediate);
        let mut waiting: Vec<_> = (0..5)
            .map(|_| Box::pin(house.stem.acquire(&spec, demand("test"))))
            .collect();
        for ask in &mut waiting {
            assert!(ask.now_or_never().is_none());
        }
        house.stem.change_policy(StrategyPolicy::default());
        let leases = soon(futures::future::join_all(waiting)).await;
        assert!(leases.iter().all(Result::is_ok));
        let changed = |o: &BrainstemOutput| matches!(o, BrainstemOutput::PolicyChanged { .. });
        assert!(house.journal.seen().iter().any(changed));
        assert_eq!(house.engine.loads(), 1);
        // And about what is idle.
        drop(leases);
        house.journal.unloaded().await;
    });
}

#[test]
fn a_tick_comes_as_often_as_the_policy_asks() {
    struct Ticking(usize);
    impl Policy for Ticking {
        fn name(&self) -> &str {
            "ticking"
        }

        fn tick(&self) -> Option<Duration> {
            Some(Duration::from_secs(10))
        }

        fn decide(
            &mut self,
            event: &Event,
            state: &Arc<State>,
        ) -> Result<Vec<Command>, rusty_genius_core::brainstem::PolicyFault> {
            self.0 += usize::from(*event == Event::Tick);
            match self.0 {
                // Nobody is let in before the third.
                3 => Ok(state
                    .waiting
                    .values()
                    .map(|r| Command::Reject(r.id, Rejection::Busy))
                    .collect()),
                _ => Ok(vec![]),
            }
        }
    }
    run(async {
        let house = House::with_policy(Ticking(0));
        let spec = model("m", CortexStrategy::Immediate);
        let mut waiting = Box::pin(house.stem.acquire(&spec, demand("test")));
        assert!((&mut waiting).now_or_never().is_none());
        for tick in 1..=3 {
            house.sleeps_until(Duration::from_secs(10 * tick)).await;
            assert!((&mut waiting).now_or_never().is_none());
            house.time.advance(Duration::from_secs(10));
        }
        assert_eq!(reason(soon(waiting).await), Rejection::Busy.describe());
    });
}

#[test]
fn a_model_nobody_asked_for_can_be_brought_in_and_is_not_loaded_twice() {
    run(async {
        let config = StemConfig {
            resolve: Some(Arc::new(|name: &str| {
                Ok(model(name, CortexStrategy::KeepAlive))
            })),
            ..StemConfig::default()
        };
        let preload = |event: &Event, state: &State| {
            let mut commands = native(event, state);
            if matches!(event, Event::ModelLoaded(id, _) if !is_m(*id, state)) {
                commands.push(Command::Preload("m".into()));
            }
            commands
        };
        let mut house = House::with_config(TestBackend::default(), Script(preload), config);
        drop(
            house
                .lease(&model("other", CortexStrategy::KeepAlive))
                .await,
        );
        let loaded = |o: &BrainstemOutput| matches!(o, BrainstemOutput::Loaded { model, .. } if model == "test/m on test");
        house.journal.until(loaded).await;
        drop(house.lease(&model("m", CortexStrategy::KeepAlive)).await);
        assert_eq!(house.engine.loads(), 2);
    });
}
