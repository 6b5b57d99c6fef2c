//! Whatever is asked, dropped and waited for, in whatever order: a model is loaded once
//! at a time and never taken from under a generation, every request is answered once,
//! and at the end nothing is alive.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use futures::{FutureExt, StreamExt};
use proptest::prelude::*;
use rusty_genius_core::brainstem::RequestId;
use rusty_genius_core::{BrainstemOutput, CortexStrategy, GeniusError, PartialConfig, Turn};
use rusty_genius_cortex::{BoxFuture, RawEnd};
use rusty_genius_stem::{Inference, Session};
use std::collections::BTreeSet;
use std::time::Duration;
use support::backend::{end, fault, token};
use support::{House, finish, model, run, soon};

#[derive(Debug, Clone)]
enum Step {
    Ask { model: usize, strategy: usize },
    AskAgain(usize),
    Fork(usize),
    Drop(usize),
    Read(usize),
    Load { fails: bool },
    Say,
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3_usize, 0..4_usize).prop_map(|(model, strategy)| Step::Ask { model, strategy }),
        2 => (0..64_usize).prop_map(Step::AskAgain),
        1 => (0..64_usize).prop_map(Step::Fork),
        3 => (0..64_usize).prop_map(Step::Drop),
        3 => (0..64_usize).prop_map(Step::Read),
        3 => prop::bool::weighted(0.2).prop_map(|fails| Step::Load { fails }),
        2 => Just(Step::Say),
        3 => (0..20_u64).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 0..60)
}

enum Work {
    Waiting(BoxFuture<'static, Result<Inference, GeniusError>>),
    Running(Box<Inference>),
}

/// One that asks, and the conversation it has.
struct Asker {
    session: Session,
    work: Option<Work>,
}

impl Asker {
    fn ask(&mut self) {
        let session = self.session.clone();
        let ask = async move {
            let turns = vec![Turn::user("Narf?")];
            session.infer(turns, PartialConfig::default()).await
        };
        self.work = Some(Work::Waiting(ask.boxed()));
        self.look();
    }

    /// Takes the answer, if it came; one event, if there is one.
    fn look(&mut self) {
        self.work = match self.work.take() {
            Some(Work::Waiting(mut asking)) => match (&mut asking).now_or_never() {
                None => Some(Work::Waiting(asking)),
                Some(Ok(inference)) => Some(Work::Running(Box::new(inference))),
                Some(Err(_)) => None,
            },
            Some(Work::Running(mut inference)) => match inference.next().now_or_never() {
                Some(None) => None,
                _ => Some(Work::Running(inference)),
            },
            None => None,
        };
    }

    async fn finish(self) {
        match self.work {
            Some(Work::Waiting(asking)) => {
                if let Ok(inference) = soon(asking).await {
                    finish(inference).await;
                }
            }
            Some(Work::Running(inference)) => drop(soon(inference.collect::<Vec<_>>()).await),
            None => {}
        }
    }
}

const STRATEGIES: [CortexStrategy; 4] = [
    CortexStrategy::Immediate,
    CortexStrategy::HibernateAfter(Duration::ZERO),
    CortexStrategy::HibernateAfter(Duration::from_secs(15)),
    CortexStrategy::KeepAlive,
];

async fn play(steps: Vec<Step>) {
    let house = House::new();
    let engine = house.engine.clone();
    let (gate, tokens) = (engine.gate_loads(), engine.gate_tokens());
    let mut askers: Vec<Asker> = Vec::new();
    for step in steps {
        let count = askers.len().max(1);
        match step {
            Step::Ask { model: m, strategy } => {
                let spec = model(["a", "b", "c"][m], STRATEGIES[strategy]);
                let session = house.stem.session(spec, "test");
                let mut asker = Asker {
                    session,
                    work: None,
                };
                asker.ask();
                askers.push(asker);
            }
            Step::AskAgain(i) => {
                if let Some(asker) = askers.get_mut(i % count).filter(|a| a.work.is_none()) {
                    asker.ask();
                }
            }
            Step::Fork(i) => {
                let session = askers.get(i % count).and_then(|a| a.session.fork().ok());
                askers.extend(session.map(|session| Asker {
                    session,
                    work: None,
                }));
            }
            Step::Drop(i) => {
                if !askers.is_empty() {
                    drop(askers.swap_remove(i % count));
                }
            }
            Step::Read(i) => {
                if let Some(asker) = askers.get_mut(i % count) {
                    asker.look();
                }
            }
            Step::Load { fails } => {
                let result = if fails { Err(fault()) } else { Ok(()) };
                gate.send(result).await.unwrap();
            }
            Step::Say => {
                tokens.send(token("Poit.")).await.unwrap();
                tokens.send(end(RawEnd::Stop)).await.unwrap();
            }
            Step::Advance(secs) => house.time.advance(Duration::from_secs(secs)),
        }
        // Others get their turn in between.
        async_std::task::yield_now().await;
    }
    drop((gate, tokens));
    for asker in askers {
        asker.finish().await;
    }
    let told = house.close().await;

    soon(engine.gone()).await;
    assert_eq!(engine.broken(), Vec::<String>::new());
    let alive = (engine.models(), engine.sessions(), engine.streams());
    assert_eq!(alive, (0, 0, 0));
    let (mut admitted, mut ended) = (BTreeSet::<RequestId>::new(), BTreeSet::new());
    let mut models = BTreeSet::new();
    for output in &told {
        match output {
            BrainstemOutput::Admitted { id } => assert!(admitted.insert(*id)),
            BrainstemOutput::Ended { id, .. } => {
                assert!(admitted.contains(id) && ended.insert(*id));
            }
            BrainstemOutput::Loaded { model, .. } => assert!(models.insert(model)),
            BrainstemOutput::Unloaded { model, .. } => assert!(models.remove(model)),
            BrainstemOutput::Loading { .. } | BrainstemOutput::LoadFailed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(admitted, ended);
    assert!(models.is_empty(), "{models:?}");
}

proptest! {
    // Threads decide too, so a seed would not bring a failure back.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_requests_breaks_the_rules(steps in steps()) {
        run(play(steps));
    }
}
