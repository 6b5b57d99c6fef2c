//! `genius runs`: what past runs did.

use crate::{exit, safe};
use clap::Subcommand;
use rusty_genius::core::{BudgetResource, GeniusError, SandboxError};
use rusty_genius::records_dir;
use rusty_genius::sandbox::Records;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the runs, the newest last
    List {
        /// Print one run a line, as JSON
        #[arg(long)]
        json: bool,
        /// So many, at most
        #[arg(long, value_name = "N", default_value = "20")]
        last: usize,
    },
    /// Show what a run was granted, what it did and what it was denied
    Show {
        /// The run, as `list` names it, or `last`
        run: String,
        /// Print its record as it is: one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn runs(command: RunsCommand) -> ExitCode {
    let told = match command {
        RunsCommand::List { json, last } => list(json, last),
        RunsCommand::Show { run, json } => show(&run, json),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::fail(&error),
    }
}

fn records() -> Result<Records, GeniusError> {
    let Some(dir) = records_dir() else {
        return Err(SandboxError::Host {
            what: "finding the records of runs".into(),
            reason: "there is no home directory: set HOME or RUSTY_GENIUS_HOME".into(),
        }
        .into());
    };
    Ok(Records::new(dir))
}

fn failed(records: &Records, what: &str) -> impl FnOnce(io::Error) -> GeniusError {
    let what = format!("{what} in {}", records.dir().display());
    move |e| {
        SandboxError::Host {
            what,
            reason: e.to_string(),
        }
        .into()
    }
}

fn list(json: bool, last: usize) -> Result<(), GeniusError> {
    let records = records()?;
    let all = records
        .list()
        .map_err(failed(&records, "listing the records"))?;
    let shown = &all[all.len().saturating_sub(last)..];
    if !json && !shown.is_empty() {
        say(&format!(
            "{:<28} {:<24} {:<12} {:>9}  {}",
            "RUN", "BEGAN", "OUTCOME", "TIME", "COMPONENT"
        ));
    }
    for run in shown {
        // One that cannot be read does not hide the others.
        let lines = records.read(run).unwrap_or_default();
        let row = Row::of(run, &lines);
        match json {
            true => say(&row.json().to_string()),
            false => say(&row.text()),
        }
    }
    if !json && all.is_empty() {
        eprintln!(
            "no run has left a record in {} yet",
            records.dir().display()
        );
    } else if !json && shown.len() < all.len() {
        eprintln!(
            "({} older ones; --last N shows more)",
            all.len() - shown.len()
        );
    }
    Ok(())
}

struct Row<'a> {
    run: &'a str,
    start: Option<&'a Value>,
    end: Option<&'a Value>,
}

impl<'a> Row<'a> {
    fn of(run: &'a str, lines: &'a [Value]) -> Self {
        let find = |kind| lines.iter().find(|line| line["type"] == kind);
        Self {
            run,
            start: find("start"),
            end: find("end"),
        }
    }

    fn started(&self, field: &str) -> &str {
        let value = self.start.and_then(|start| start[field].as_str());
        value.unwrap_or("?")
    }

    fn outcome(&self) -> &str {
        let outcome = self.end.map(|end| end["outcome"].as_str().unwrap_or("?"));
        outcome.unwrap_or("unfinished")
    }

    fn millis(&self) -> Option<u64> {
        self.end?["at-ms"].as_u64()
    }

    fn text(&self) -> String {
        let time = self.millis().map(|ms| format!("{:.2} s", ms as f64 / 1e3));
        let line = format!(
            "{:<28} {:<24} {:<12} {:>9}  {}",
            self.run,
            self.started("time"),
            self.outcome(),
            time.unwrap_or_default(),
            self.started("component"),
        );
        safe::line(&line)
    }

    fn json(&self) -> Value {
        serde_json::json!({
            "run": self.run,
            "time": self.started("time"),
            "component": self.started("component"),
            "digest": self.started("digest"),
            "model": self.started("model"),
            "outcome": self.outcome(),
            "ms": self.millis(),
        })
    }
}

fn show(run: &str, json: bool) -> Result<(), GeniusError> {
    let records = records()?;
    let run = match run {
        "last" => {
            let all = records.list();
            let all = all.map_err(failed(&records, "listing the records"))?;
            all.last().cloned().unwrap_or_else(|| "last".into())
        }
        run => run.to_owned(),
    };
    let lines = records.read(&run).map_err(failed(
        &records,
        &format!("reading the record of run {}", safe::line(&run)),
    ))?;
    for line in &lines {
        if json {
            say(&line.to_string());
            continue;
        }
        tell(line);
    }
    if !json && Row::of(&run, &lines).end.is_none() {
        say("unfinished: the run goes on, or its host was killed");
    }
    Ok(())
}

/// A line of a record, for people.
fn tell(line: &Value) {
    let word = |field: &str| line[field].as_str().unwrap_or("?").to_owned();
    let at = line["at-ms"].as_u64().unwrap_or(0) as f64 / 1e3;
    let text = match line["type"].as_str() {
        Some("start") => {
            say(&safe::line(&format!("run        {}", word("run"))));
            say(&safe::line(&format!("began      {}", word("time"))));
            say(&safe::line(&format!(
                "component  {} ({})",
                word("component"),
                word("digest")
            )));
            say(&safe::line(&format!(
                "model      {} on {}",
                word("model"),
                word("engine")
            )));
            table("grants", &line["grants"]);
            return table("budget", &line["budget"]);
        }
        Some("note") => format!("{at:>8.3}  note      {}: {}", word("level"), word("text")),
        Some("denial") => {
            let key = line["key"].as_str();
            let key = key.map_or_else(String::new, |key| format!("  ({key})"));
            format!("{at:>8.3}  denied    {}{key}", word("what"))
        }
        Some("tool") => format!("{at:>8.3}  tool      {}: {}", word("tool"), word("outcome")),
        Some("decision") => format!("{at:>8.3}  decision  {}: {}", word("by"), line["command"]),
        Some("end") => {
            say(&safe::line(&format!(
                "{at:>8.3}  end       {}",
                word("outcome")
            )));
            if let Some(error) = line["error"].as_str() {
                say(&safe::line(&format!("error      {error}")));
            }
            table("calls", &line["calls"]);
            return table("consumed", &line["consumed"]);
        }
        _ => line.to_string(),
    };
    say(&safe::line(&text));
}

/// An object, an entry a line; what is empty or nothing is left out.
fn table(name: &str, value: &Value) {
    let Some(entries) = value.as_object() else {
        return;
    };
    let nothing = |v: &Value| match v {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Number(n) => n.as_u64() == Some(0),
        _ => false,
    };
    let mut entries = entries.iter().filter(|(_, v)| !nothing(v)).peekable();
    if entries.peek().is_none() {
        return;
    }
    say(name);
    for (key, value) in entries {
        let limit = BudgetResource::from_key(key);
        let value = match (value, limit) {
            (Value::String(text), _) => text.clone(),
            (Value::Number(n), Some(limit)) => limit.show(n.as_u64().unwrap_or(0)),
            (Value::Object(items), _) => brief(items),
            (other, _) => other.to_string(),
        };
        say(&safe::line(&format!("  {key:<18} {value}")));
    }
}

/// Directories and tools: what each is, without the limits of its own.
fn brief(items: &Map<String, Value>) -> String {
    let what = |value: &Value| {
        let field = |name: &str| value[name].as_str().map(str::to_owned);
        let what = field("component").or_else(|| field("host"));
        let mode = field("mode").map_or_else(String::new, |mode| format!(", {mode}"));
        what.unwrap_or_else(|| value.to_string()) + &mode
    };
    let words = items
        .iter()
        .map(|(name, value)| format!("{name} ({})", what(value)));
    words.collect::<Vec<_>>().join(", ")
}

fn say(line: &str) {
    // Whoever closed the pipe has seen enough.
    if writeln!(io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}
