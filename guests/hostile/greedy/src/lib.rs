//! Asks for more than the contract and the budget allow, and reports what it was told:
//! one line of reply an attempt, `attempt: outcome`. Every refusal is an error that the
//! guest can read, so it goes on to the next.
//!
//! Arguments: the attempts, in order.

mod attempts;

use crowbar::reply::{Fragment, emit};
use crowbar::types::Failure;
use crowbar::{Guest, export};

/// Bytes of the last words of `shout`.
const SHOUT: usize = 8 << 20;

struct Greedy;
export!(Greedy);

impl Guest for Greedy {
    async fn run(args: Vec<String>) -> Result<(), Failure> {
        for attempt in args {
            let outcome = match attempt.as_str() {
                "shout" => return Err(Failure::Failed("A".repeat(SHOUT))),
                "abort" => std::process::abort(),
                "exit" => std::process::exit(0),
                name => attempts::make(name).await,
            };
            let Some(outcome) = outcome else {
                return Err(Failure::Usage(format!("there is no attempt {attempt:?}")));
            };
            let line = format!("{attempt}: {outcome}\n");
            emit(&[Fragment::Content(line)]).map_err(Failure::Host)?;
        }
        Ok(())
    }
}
