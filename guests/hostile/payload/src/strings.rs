//! One string of a hundred megabytes.

use crowbar::cortex::{self, Session};
use crowbar::files::{create, scratch, told, words};
use crowbar::journal::{Level, append};
use crowbar::reply::{Fragment, emit};
use crowbar::types::{Constraint, Failure, Setting, ThoughtEvent};
use crowbar::{HUGE, facecrab, failure, model, of, tools};

fn huge() -> String {
    "A".repeat(HUGE)
}

pub fn reply() -> String {
    of(emit(&[Fragment::Content(huge())]))
}

pub fn thought() -> String {
    of(emit(&[Fragment::Thought(ThoughtEvent::Delta(huge()))]))
}

pub fn journal() -> String {
    of(append(Level::Info, &huge()))
}

pub async fn prompt() -> String {
    model::told(vec![model::user(huge())], vec![]).await
}

pub async fn constraint() -> String {
    let constraint = Setting::Constraint(Constraint::JsonSchema(huge()));
    model::told(vec![model::user("Hello")], vec![constraint]).await
}

pub async fn count_tokens() -> String {
    of(cortex::count_tokens(String::new(), huge()).await)
}

pub async fn embed() -> String {
    of(cortex::embed(String::new(), huge()).await)
}

pub async fn spec() -> String {
    of(Session::open(huge()).await)
}

pub async fn download() -> String {
    of(facecrab::ensure_model(huge()).await)
}

pub async fn tool_name() -> String {
    let called = tools::call(huge(), "{}".into()).await;
    called.map_or_else(|e| failure(&e), |_| "ok".into())
}

pub async fn tool_arguments() -> String {
    let arguments = format!("{{\"expression\":\"{}\"}}", huge());
    let called = tools::call("calc".into(), arguments).await;
    called.map_or_else(|e| failure(&e), |_| "ok".into())
}

pub fn failed() -> Failure {
    Failure::Failed(huge())
}

pub fn usage() -> Failure {
    Failure::Usage(huge())
}

pub fn path() -> String {
    words(scratch().and_then(|scratch| create(&scratch, &huge()).map(|_| "ok".into())))
}

pub fn link_target() -> String {
    words(scratch().and_then(|scratch| {
        scratch.symlink_at(&huge(), "link").map_err(told)?;
        Ok("ok".into())
    }))
}

pub fn file_write() -> String {
    words(scratch().and_then(|scratch| {
        let file = create(&scratch, "file")?;
        let written = file.write(huge().as_bytes(), 0).map_err(told)?;
        Ok(format!("{written} bytes written"))
    }))
}
