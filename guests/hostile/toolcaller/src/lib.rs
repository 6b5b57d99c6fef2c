//! Calls tools that it was not granted, too often, too many at once, and with too much. The
//! grants it expects: the tool `calc`, and `badtool` (see there).
//!
//! Arguments: `ATTACK`, or `list`; `call NAME ARGUMENTS` calls any tool and tells its answer.

use crowbar::tools::{call, describe};
use crowbar::types::Failure;
use crowbar::{HUGE, MANY, MIB, NASTY, Tally, error, failure};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

const SUM: &str = r#"{"expression":"1+2"}"#;

crowbar::family! {
    ToolCaller(words):
    "call" => any(&words).await,
    "describe" => described().await,
    "describe-often" => describe_often().await,
    "ungranted" => ungranted().await,
    "strange-names" => strange_names().await,
    "strange-arguments" => strange_arguments().await,
    "deep-arguments" => deep_arguments().await,
    "long-arguments" => long_arguments().await,
    "huge-arguments" => huge_arguments().await,
    "flood" => flood().await,
    "flood-ungranted" => flood_ungranted().await,
    "flood-broken" => flood_broken().await,
    "parallel" => parallel().await,
    "abandoned" => abandoned().await,
    "unfinished" => unfinished(),
    "secrets" => secrets().await,
    "remember" => remember().await,
}

/// A call in words: how long the answer is, and how it begins.
async fn told(name: &str, arguments: &str) -> String {
    match call(name.to_owned(), arguments.to_owned()).await {
        Ok(answer) => format!("ok, {} bytes: {answer:.200}", answer.len()),
        Err(e) => failure(&e),
    }
}

async fn any(words: &[String]) -> String {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    told(word(0), word(1)).await
}

async fn described() -> String {
    match describe().await {
        Ok(tools) => {
            let tools = tools.iter().map(|tool| {
                let (text, schema) = (tool.description.len(), tool.parameters.len());
                format!("{:.80} ({text} and {schema} bytes)", tool.name)
            });
            tools.collect::<Vec<_>>().join(", ")
        }
        Err(e) => error(&e),
    }
}

async fn describe_often() -> String {
    for done in 0..MANY {
        if let Err(refusal) = describe().await {
            return format!("{done}, then {}", error(&refusal));
        }
    }
    "no limit".into()
}

async fn ungranted() -> String {
    told("fs-search", "{}").await
}

/// Names of nothing: paths, prefixes, a built-in guest, and what harms a terminal.
async fn strange_names() -> String {
    let mut tally = Tally::default();
    let long = "n".repeat(MIB);
    for name in [
        "",
        " ",
        "calc ",
        "CALC",
        "tool/calc",
        "../calc",
        "/etc/passwd",
        "hostile/badtool",
        "ask",
        "*",
        "calc\0",
        NASTY,
        &long,
    ] {
        tally.refused(
            format_args!("{name:.40?}"),
            call(name.to_owned(), SUM.into()).await,
        );
    }
    tally.words()
}

/// Arguments that are no JSON object.
async fn strange_arguments() -> String {
    let mut tally = Tally::default();
    for arguments in [
        "",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        "{}{}",
        "{\"expression\":1e999}",
        NASTY,
    ] {
        let called = call("calc".into(), arguments.to_owned()).await;
        tally.refused(format_args!("{arguments:.40?}"), called);
    }
    tally.words()
}

async fn deep_arguments() -> String {
    let (open, close) = ("[".repeat(400_000), "]".repeat(400_000));
    told("calc", &format!("{{\"expression\":{open}{close}}}")).await
}

/// A little more than may be.
async fn long_arguments() -> String {
    told(
        "calc",
        &format!("{{\"expression\":\"{}\"}}", "1".repeat(MIB)),
    )
    .await
}

async fn huge_arguments() -> String {
    told("calc", &"A".repeat(HUGE)).await
}

async fn until_refused(name: &str, arguments: &str, stop: fn(&Failure) -> bool) -> String {
    for done in 0..MANY {
        match call(name.to_owned(), arguments.to_owned()).await {
            Err(refusal) if stop(&refusal) => return format!("{done}, then {}", failure(&refusal)),
            _ => {}
        }
    }
    "no limit".into()
}

async fn flood() -> String {
    until_refused("calc", SUM, |_| true).await
}

/// Calls of nothing: they cost the host something, too.
async fn flood_ungranted() -> String {
    let budget =
        |failure: &Failure| matches!(failure, Failure::Host(crowbar::types::Error::Budget(_)));
    until_refused("nobody", SUM, budget).await
}

/// Each call a sandbox that traps.
async fn flood_broken() -> String {
    let budget =
        |failure: &Failure| matches!(failure, Failure::Host(crowbar::types::Error::Budget(_)));
    until_refused("badtool", r#"{"attack":"trap"}"#, budget).await
}

type Call = Pin<Box<dyn Future<Output = Result<String, Failure>>>>;

fn begin(name: &str, arguments: &str) -> Call {
    Box::pin(call(name.to_owned(), arguments.to_owned()))
}

/// A hundred at once: how many of them were answered.
async fn parallel() -> String {
    let mut calls: Vec<Option<Call>> = (0..100).map(|_| Some(begin("calc", SUM))).collect();
    let mut answered = 0;
    std::future::poll_fn(|context| {
        for call in &mut calls {
            let polled = call.as_mut().map(|call| call.as_mut().poll(context));
            if let Some(Poll::Ready(answer)) = polled {
                answered += usize::from(answer.is_ok());
                *call = None;
            }
        }
        match calls.iter().all(Option::is_none) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    format!("{answered} of 100 answered")
}

/// Begins calls that would never end and gives each up; then one that is meant.
async fn abandoned() -> String {
    for _ in 0..100 {
        let mut call = begin("badtool", r#"{"attack":"park"}"#);
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    told("calc", SUM).await
}

/// Leaves while tools still work for it: they must end with the run.
fn unfinished() -> String {
    for _ in 0..4 {
        let mut call = begin("badtool", r#"{"attack":"loop"}"#);
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        std::mem::forget(call);
    }
    "4 left behind".into()
}

/// Leaves a secret in its own directory, and has the tool look for it.
async fn secrets() -> String {
    if let Err(e) = std::fs::write("/scratch/secret", "secret") {
        return format!("no secret: {e}");
    }
    told("badtool", r#"{"attack":"look"}"#).await
}

/// Whether one call knows of the one before.
async fn remember() -> String {
    let first = told("badtool", r#"{"attack":"remember"}"#).await;
    format!(
        "{first}, then {}",
        told("badtool", r#"{"attack":"remember"}"#).await
    )
}
