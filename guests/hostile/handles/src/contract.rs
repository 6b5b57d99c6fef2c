//! Handles that the contract gives, forgotten so that nothing drops them, and calls that
//! nobody waits for.

use crowbar::facecrab::ensure_model;
use crowbar::model::{session, start, user};
use crowbar::types::InferenceEvent;
use crowbar::{MANY, error, of};
use std::future::Future;
use std::mem::forget;
use std::pin::Pin;
use std::task::{Context, Waker};

pub async fn sessions() -> String {
    for taken in 0..MANY {
        match session().await {
            Ok(session) => forget(session),
            Err(refusal) => return format!("{taken}, then {}", error(&refusal)),
        }
    }
    "no limit".into()
}

pub async fn forks() -> String {
    let first = match session().await {
        Ok(session) => session,
        Err(refusal) => return error(&refusal),
    };
    for taken in 0..MANY {
        match first.fork() {
            Ok(fork) => forget(fork),
            Err(refusal) => return format!("{taken}, then {}", error(&refusal)),
        }
    }
    "no limit".into()
}

/// Its sessions are dropped, the generations are not.
pub async fn inferences() -> String {
    for taken in 0..MANY {
        match start(vec![]).await {
            Ok((_, inference)) => forget(inference),
            Err(refusal) => return format!("{taken}, then {}", error(&refusal)),
        }
    }
    "no limit".into()
}

/// Every call gives another stream.
pub async fn events() -> String {
    let (_session, inference) = match start(vec![]).await {
        Ok(both) => both,
        Err(refusal) => return error(&refusal),
    };
    for _ in 0..MANY {
        forget(inference.events());
    }
    format!("{MANY} held")
}

/// Streams of the guest's own, both ends in its hands.
pub fn streams() -> String {
    for _ in 0..MANY {
        forget(crowbar::wit_stream::new::<InferenceEvent>());
    }
    format!("{MANY} held")
}

pub async fn downloads() -> String {
    for taken in 0..MANY {
        match ensure_model(String::new()).await {
            Ok(progress) => forget(progress),
            Err(refusal) => return format!("{taken}, then {}", error(&refusal)),
        }
    }
    format!("{MANY} held")
}

/// Begins generations without ever waiting for the host to take them.
pub fn calls_in_flight() -> String {
    let mut calls: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    let mut waiting = 0;
    for _ in 0..MANY / 10 {
        let mut call: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async {
            let _ = start(vec![]).await;
        });
        let mut context = Context::from_waker(Waker::noop());
        if call.as_mut().poll(&mut context).is_pending() {
            waiting += 1;
        }
        calls.push(call);
    }
    format!("{waiting} of {} in flight", calls.len())
}

/// The same, each given up at once; then one that is meant.
pub async fn calls_abandoned() -> String {
    for _ in 0..1000 {
        let mut call = Box::pin(start(vec![]));
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    let meant = crowbar::model::infer(vec![user("Hello")], vec![]).await;
    format!("then {}", of(meant))
}
