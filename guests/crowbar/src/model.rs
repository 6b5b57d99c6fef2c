//! Generations on the run's default model.

use crate::cortex::{Inference, Session};
use crate::of;
use crate::types::{Error, Role, Setting, Turn};

pub fn user(content: impl Into<String>) -> Turn {
    Turn {
        role: Role::User,
        content: content.into(),
    }
}

pub async fn session() -> Result<Session, Error> {
    Session::open(String::new()).await
}

/// A generation of a session of its own, begun.
pub async fn start(config: Vec<Setting>) -> Result<(Session, Inference), Error> {
    let session = session().await?;
    let inference = session.infer(vec![user("Hello")], config).await?;
    Ok((session, inference))
}

/// One generation in a session of its own, read to its end.
pub async fn infer(turns: Vec<Turn>, config: Vec<Setting>) -> Result<(), Error> {
    let session = session().await?;
    let inference = session.infer(turns, config).await?;
    read(&inference).await;
    Ok(())
}

/// The same, in words.
pub async fn told(turns: Vec<Turn>, config: Vec<Setting>) -> String {
    of(infer(turns, config).await)
}

pub async fn read(inference: &Inference) {
    let mut events = inference.events();
    let mut batch = Vec::with_capacity(256);
    loop {
        (_, batch) = events.read(batch).await;
        if batch.is_empty() {
            return;
        }
        batch.clear();
    }
}
