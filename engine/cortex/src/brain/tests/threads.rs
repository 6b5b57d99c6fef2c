//! The engine on its thread, as the house uses it.

use super::pretend::{Pretend, ROOMY, Shape, answer};
use super::question;
use crate::brain::client::EngineModel;
use crate::brain::engine::{Serve, Watch};
use crate::brain::message::{FromEngine, Stats, ToEngine};
use crate::brain::scheduler::Settings;
use crate::rng::Rng;
use crate::{Model, Progress, RawEvent, RawStream};
use futures::executor::{LocalPool, block_on};
use futures::future::{join_all, poll_immediate};
use futures::task::LocalSpawnExt;
use futures::{FutureExt, StreamExt};
use rusty_genius_core::{
    Behavior, EngineError, InferenceConfig, PartialBehavior, PartialConfig, PartialSampling,
    Sampling,
};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

const SETTINGS: Settings = Settings {
    slots: 8,
    chunk: 16,
    shared: true,
    remembered: 100,
};

fn config(max_tokens: u32) -> InferenceConfig {
    let config = PartialConfig {
        behavior: PartialBehavior {
            max_tokens: Some(max_tokens),
            ..PartialBehavior::default()
        },
        sampling: PartialSampling {
            temperature: Some(0.0),
            ..PartialSampling::default()
        },
    };
    config.build().unwrap()
}

fn model(shape: Shape) -> EngineModel {
    let load = move |_: Watch, serve: Serve<'_>| {
        serve(&mut Pretend::new(shape), Pretend::info());
        Ok(())
    };
    let start = EngineModel::start(SETTINGS, Progress::default(), Box::new(()), load);
    block_on(start).unwrap()
}

async fn read(mut stream: RawStream) -> Result<String, EngineError> {
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        if let RawEvent::Token(bytes) = event? {
            text.push_str(&String::from_utf8(bytes).unwrap());
        }
    }
    Ok(text)
}

/// The engine's state once it has read all that was sent.
fn stats(model: &EngineModel) -> Stats {
    block_on(model.stats()).unwrap()
}

#[test]
fn many_at_once_each_get_their_own_answer() {
    let model = model(ROOMY);
    let answers = (0..40).map(|n| {
        let text = format!("question {n}");
        let mut session = model.open(&format!("guest {n}")).unwrap();
        let stream = session.generate(&question(&text), &config(50)).unwrap();
        async move {
            let said = read(stream).await.unwrap();
            assert_eq!(said, answer(&question(&text), 50).0);
            drop(session);
        }
    });
    block_on(join_all(answers));
    let stats = stats(&model);
    assert_eq!((stats.sessions, stats.running, stats.waiting), (0, 0, 0));
}

#[test]
fn a_thousand_generations_dropped_at_any_moment_leave_every_slot_free() {
    let shape = Shape {
        sequences: 12,
        cells: 1000,
        ..ROOMY
    };
    let model = model(shape);
    let mut rng = Rng::new(5);
    for n in 0..1000 {
        let mut session = model.open(&format!("guest {}", n % 7)).unwrap();
        let text = "x".repeat(rng.below_u64(200) as usize);
        let mut stream = session.generate(&question(&text), &config(200)).unwrap();
        for _ in 0..rng.below_u64(6) {
            // Some wait for the event, some leave before it is there.
            match rng.below_u64(2) {
                0 => drop(block_on(stream.next())),
                _ => drop(block_on(poll_immediate(stream.next()))),
            }
        }
        if rng.below_u64(2) == 0 {
            drop(session);
            drop(stream);
        }
    }
    let left = stats(&model);
    assert_eq!(
        (left.sessions, left.running, left.waiting, left.held),
        (0, 0, 0, 0)
    );
    let mut session = model.open("after").unwrap();
    let stream = session.generate(&question("b"), &config(50)).unwrap();
    assert_eq!(
        block_on(read(stream)).unwrap(),
        answer(&question("b"), 50).0
    );
}

#[test]
fn a_hundred_guests_who_read_slowly_all_finish() {
    let shape = Shape {
        sequences: 16,
        cells: 1500,
        ..ROOMY
    };
    let model = Arc::new(model(shape));
    let mut pool = LocalPool::new();
    let done = Arc::new(Mutex::new(0));
    for n in 0..100_u64 {
        let (model, done) = (model.clone(), done.clone());
        let reading = async move {
            let text = format!("question {n}");
            let mut session = model.open(&format!("guest {n}")).unwrap();
            let mut stream = session.generate(&question(&text), &config(30)).unwrap();
            let mut rng = Rng::new(n);
            let mut said = String::new();
            while let Some(event) = stream.next().await {
                if let RawEvent::Token(bytes) = event.unwrap() {
                    said.push_str(&String::from_utf8(bytes).unwrap());
                }
                // Slow is: after many others.
                for _ in 0..rng.below_u64(20) {
                    let mut yielded = false;
                    std::future::poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        match std::mem::replace(&mut yielded, true) {
                            true => std::task::Poll::Ready(()),
                            false => std::task::Poll::Pending,
                        }
                    })
                    .await;
                }
            }
            assert_eq!(said, answer(&question(&text), 30).0);
            *done.lock().unwrap() += 1;
        };
        pool.spawner().spawn_local(reading).unwrap();
    }
    pool.run();
    assert_eq!(*done.lock().unwrap(), 100);
    assert_eq!(stats(&model).sessions, 0);
}

#[test]
fn texts_are_counted_and_embedded_by_the_engine() {
    let model = model(ROOMY);
    assert_eq!(block_on(model.count_tokens("narf")), Ok(4));
    assert_eq!(block_on(model.embed("narf")), Ok(vec![4.0]));
    let long = "x".repeat(513);
    assert_eq!(
        block_on(model.embed(&long)),
        Err(EngineError::ContextOverflow {
            needed: 513,
            limit: 512
        })
    );
    assert_eq!((model.memory(), model.context_length()), (1000, 512));
    // A fault in making tokens is that question's alone.
    let error = block_on(model.count_tokens("panic")).unwrap_err();
    assert!(matches!(error, EngineError::BackendFailed { .. }));
    assert_eq!(block_on(model.count_tokens("narf")), Ok(4));
}

#[test]
fn dropping_the_model_stops_the_thread() {
    let (ended, end) = channel();
    let load = move |_: Watch, serve: Serve<'_>| {
        serve(&mut Pretend::new(ROOMY), Pretend::info());
        ended.send(()).unwrap();
        Ok(())
    };
    let start = EngineModel::start(SETTINGS, Progress::default(), Box::new(()), load);
    let model = block_on(start).unwrap();
    let session = model.open("guest").unwrap();
    drop(model);
    drop(session);
    end.recv().unwrap();
}

#[test]
fn a_load_that_fails_says_why() {
    let load = |_: Watch, _: Serve<'_>| {
        Err(EngineError::LoadFailed {
            model: "org/model".into(),
            reason: "no such luck".into(),
        })
    };
    let start = EngineModel::start(SETTINGS, Progress::default(), Box::new(()), load);
    let error = block_on(start).err().unwrap();
    assert_eq!(error.to_string(), "loading org/model failed: no such luck");
}

#[test]
fn a_load_is_watched_and_can_be_abandoned() {
    let percents = Arc::new(Mutex::new(Vec::new()));
    let seen = percents.clone();
    let (wait, go) = channel::<()>();
    let (told, wanted) = channel();
    let load = move |watch: Watch, serve: Serve<'_>| {
        told.send(watch.report(30)).unwrap();
        go.recv().unwrap();
        told.send(watch.report(60)).unwrap();
        serve(&mut Pretend::new(ROOMY), Pretend::info());
        Ok(())
    };
    let progress = Progress::new(move |percent| seen.lock().unwrap().push(percent));
    let mut start = Box::pin(EngineModel::start(SETTINGS, progress, Box::new(()), load));
    assert!((&mut start).now_or_never().is_none());
    assert!(wanted.recv().unwrap());
    drop(start);
    wait.send(()).unwrap();
    assert!(!wanted.recv().unwrap(), "nobody wants it any more");
    assert_eq!(*percents.lock().unwrap(), [30, 60]);
}

#[test]
fn an_engine_that_dies_tells_everybody() {
    let load = |_: Watch, serve: Serve<'_>| {
        let mut device = Pretend::new(ROOMY);
        device.panics = true;
        serve(&mut device, Pretend::info());
        Ok(())
    };
    let start = EngineModel::start(SETTINGS, Progress::default(), Box::new(()), load);
    let model = block_on(start).unwrap();
    let mut session = model.open("guest").unwrap();
    let stream = session.generate(&question("b"), &config(50)).unwrap();
    let error = block_on(read(stream)).unwrap_err();
    assert!(error.to_string().contains("index out of range"), "{error}");
    // And whoever comes later.
    assert_eq!(
        session.generate(&question("b"), &config(50)).err(),
        Some(error.clone())
    );
    assert_eq!(block_on(model.count_tokens("x")), Err(error));
}

#[test]
fn what_is_said_to_the_engine_and_by_it_is_plain_data() {
    let to = ToEngine::Generate {
        session: 1,
        generation: 2,
        conversation: question("Narf?"),
        behavior: Behavior::default(),
        sampling: Sampling::default(),
    };
    let json = serde_json::to_string(&to).unwrap();
    assert_eq!(serde_json::from_str::<ToEngine>(&json).unwrap(), to);
    for event in [
        Ok(RawEvent::Token(vec![0xff, 0])),
        Err(EngineError::ContextOverflow {
            needed: 9,
            limit: 8,
        }),
    ] {
        let from = FromEngine::Event {
            generation: 2,
            event,
        };
        let json = serde_json::to_string(&from).unwrap();
        assert_eq!(serde_json::from_str::<FromEngine>(&json).unwrap(), from);
    }
}
