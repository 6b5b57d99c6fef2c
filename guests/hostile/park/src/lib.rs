//! Starts a generation, never reads it, and waits for ever inside a host call, where
//! neither fuel nor epochs reach a guest. The host has to end the call at the run's wall
//! time, and a decode that nobody reads has to stand still.
//!
//! Arguments: `sleep` (the default) parks in a timer of a year; `never` awaits something
//! that never comes.

use rusty_genius::genius::cortex::Session;
use rusty_genius::genius::types::{Error, InferenceEvent, Role, Setting, Turn};
use std::time::Duration;

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

/// More than anybody waits for, in a context that most models have.
const ENDLESS: Setting = Setting::MaxTokens(4096);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

struct Park;
export!(Park);

impl Guest for Park {
    async fn run(args: Vec<String>) -> Result<(), Failure> {
        park(args.iter().any(|arg| arg == "never"))
            .await
            .map_err(Failure::Host)
    }
}

async fn park(never: bool) -> Result<(), Error> {
    let session = Session::open(String::new()).await?;
    let turn = Turn {
        role: Role::User,
        content: "Say something nobody will hear.".into(),
    };
    let inference = session.infer(vec![turn], vec![ENDLESS]).await?;
    let _unread = inference.events();
    if never {
        // A stream whose other end stays open, unwritten, in our own hands.
        let (_writer, mut reader) = wit_stream::new::<InferenceEvent>();
        let _ = reader.read(Vec::with_capacity(1)).await;
    } else {
        std::thread::sleep(YEAR);
    }
    Ok(())
}
