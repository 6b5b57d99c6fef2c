//! `genius guest call`.

use crate::grants::GrantArgs;
use crate::{interrupt, safe};
use clap::Args;
use rusty_genius::Genius;
use rusty_genius::core::{GeniusError, SandboxError};
use rusty_genius::sandbox::Report;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// A tool: a component file, or the name of a built-in one (see `genius guests`)
    tool: String,

    /// What to call it with, one JSON object; if not said, it is asked what it is
    #[arg(value_name = "JSON", value_parser = object)]
    arguments: Option<String>,

    #[command(flatten)]
    grants: GrantArgs,
}

pub(crate) async fn call(args: CallArgs) -> ExitCode {
    interrupt::or(Box::pin(work(args))).await
}

async fn work(args: CallArgs) -> Result<u8, GeniusError> {
    let manifest = args.grants.manifest(Some(&args.tool))?;
    let genius = Genius::builder().build()?;
    let (tool, job) = genius.plan_tool(&manifest).await?;
    match args.arguments {
        Some(arguments) => {
            let report = genius.call_tool(&tool, arguments, job).await?;
            told(report, |answer| answer)
        }
        None => {
            let report = genius.tool_description(&tool, job).await?;
            told(report, |told| {
                // A schema that is no JSON is shown as it is.
                let parameters = serde_json::from_str(&told.parameters)
                    .unwrap_or(Value::String(told.parameters));
                let described = json!({
                    "name": told.name,
                    "description": told.description,
                    "parameters": parameters,
                });
                format!("{described:#}")
            })
        }
    }
}

/// Says what it was denied on stderr, and what it answered on stdout.
fn told<T>(report: Report<T>, show: impl FnOnce(T) -> String) -> Result<u8, GeniusError> {
    for denial in &report.denials {
        eprintln!("denied: {}", safe::line(&denial.to_string()));
    }
    let text = show(report.result?);
    let mut out = std::io::stdout().lock();
    let written = out.write_all(safe::text(&text).as_bytes());
    match written.and_then(|()| writeln!(out)) {
        // Whoever closed the pipe has seen enough.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(SandboxError::Host {
            what: "writing the answer to stdout".into(),
            reason: e.to_string(),
        }
        .into()),
        _ => Ok(0),
    }
}

fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(e) => Err(format!("it is no JSON object: {e}")),
    }
}
