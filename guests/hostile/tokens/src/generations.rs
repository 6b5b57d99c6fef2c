//! Many generations, long ones, and ones that nobody reads.

use crowbar::cortex::{Inference, Session};
use crowbar::model::{infer, read, session, start, told, user};
use crowbar::types::{Error, InferenceEvent, Setting};
use crowbar::{MANY, error, of};

/// The longest answer that may be asked for.
const LONGEST: Setting = Setting::MaxTokens(1 << 20);

pub async fn endless() -> String {
    told(vec![user("Never stop.")], vec![LONGEST]).await
}

/// Answer after answer, until there are no tokens left.
pub async fn total() -> String {
    repeat(|| vec![Setting::MaxTokens(512)]).await
}

/// A token each, as fast as it can.
pub async fn generations() -> String {
    repeat(|| vec![Setting::MaxTokens(1)]).await
}

async fn repeat(config: impl Fn() -> Vec<Setting>) -> String {
    for done in 0..MANY {
        if let Err(refusal) = infer(vec![user("Hello")], config()).await {
            return format!("{done}, then {}", error(&refusal));
        }
    }
    "no limit".into()
}

/// A hundred at once; those that were begun are read to their ends.
pub async fn parallel() -> String {
    let (running, refusal) = begin().await;
    for (_, inference) in &running {
        read(inference).await;
    }
    format!("{}, then {refusal}", running.len())
}

/// A hundred at once that nobody reads, and then one that is meant.
pub async fn parallel_unread() -> String {
    let (running, refusal) = begin().await;
    let streams: Vec<_> = running
        .iter()
        .map(|(_, inference)| inference.events())
        .collect();
    let count = streams.len();
    drop(streams);
    drop(running);
    format!(
        "{count}, then {refusal}, then {}",
        told(vec![user("Hello")], vec![]).await
    )
}

async fn begin() -> (Vec<(Session, Inference)>, String) {
    let mut running = Vec::new();
    for _ in 0..100 {
        match start(vec![]).await {
            Ok(both) => running.push(both),
            Err(refusal) => return (running, error(&refusal)),
        }
    }
    (running, "no limit".into())
}

/// Reads one batch and leaves, more often than there is room for generations.
pub async fn dropped_halfway() -> String {
    let dropped = async {
        let session = session().await?;
        for _ in 0..100 {
            let inference = session
                .infer(vec![user("Go on.")], vec![LONGEST_OF_MANY])
                .await?;
            let mut events = inference.events();
            let (_, batch) = events.read(Vec::with_capacity(4)).await;
            drop(batch);
        }
        infer(vec![user("Hello")], vec![]).await
    };
    of(dropped.await)
}

/// Long enough that nobody reaches the end, in a context that most models have.
const LONGEST_OF_MANY: Setting = Setting::MaxTokens(1024);

/// Cancels and reads on: the last event says so.
pub async fn cancelled() -> String {
    let last = async {
        let (_session, inference) = start(vec![LONGEST_OF_MANY]).await?;
        inference.cancel();
        inference.cancel();
        let mut events = inference.events();
        let mut last = None;
        loop {
            let (_, batch) = events.read(Vec::with_capacity(256)).await;
            let Some(event) = batch.into_iter().last() else {
                return Ok::<_, Error>(last);
            };
            last = Some(event);
        }
    };
    match last.await {
        Ok(Some(InferenceEvent::Complete(end))) => format!("{:?}", end.finish),
        Ok(_) => "GOT no end".into(),
        Err(refusal) => error(&refusal),
    }
}

pub async fn cancelled_often() -> String {
    for _ in 0..1000 {
        match start(vec![]).await {
            Ok((_, inference)) => inference.cancel(),
            Err(refusal) => return error(&refusal),
        }
    }
    told(vec![user("Hello")], vec![]).await
}
