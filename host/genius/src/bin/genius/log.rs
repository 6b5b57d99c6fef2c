//! What the rooms of the house log, llama.cpp above all: on stderr, for whoever looks for a
//! fault and sets [`VARIABLE`]. Without it nothing is logged.

use crate::safe;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

/// The environment variable with the filter: levels, and targets with levels.
const VARIABLE: &str = "RUSTY_GENIUS_LOG";

/// What to do about a filter that is none.
pub(crate) const HINT: &str =
    "give a level, or targets with levels: warn, or llama-cpp-2=debug,warn";

/// The client for HTTP. It logs headers, and a token with them, so that it does so only where
/// it is named: logs are shown to others.
const HTTP: &str = "isahc";

/// Logs from now on, if the environment says so. Fails with what is wrong with the filter.
pub(crate) fn install() -> Result<(), String> {
    let filter = std::env::var_os(VARIABLE).filter(|v| !v.is_empty());
    let Some(filter) = filter else { return Ok(()) };
    let color = safe::wants_color() && io::stderr().is_terminal();
    let subscriber = subscriber(parse(&filter)?, color, io::stderr);
    // Only a second one would fail, and this command has one place that sets it.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn parse(filter: &OsStr) -> Result<Targets, String> {
    let wrong = |why: &dyn fmt::Display| format!("{VARIABLE} is {}: {why}", filter.display());
    let text = filter.to_str().ok_or_else(|| wrong(&"it is not UTF-8"))?;
    let targets: Targets = text.parse().map_err(|e| wrong(&e))?;
    if targets.iter().any(|(target, _)| target.starts_with(HTTP)) {
        return Ok(targets);
    }
    let level = targets.default_level().unwrap_or(LevelFilter::OFF);
    Ok(targets.with_target(HTTP, level.min(LevelFilter::INFO)))
}

fn subscriber<W>(filter: Targets, color: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(color)
        .event_format(Line)
        .with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(filter))
}

/// `WARN llama-cpp-2: its words`, on one line. The words may be a file's: nothing in them
/// reaches the terminal raw.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut words = String::new();
        context.format_fields(Writer::new(&mut words), event)?;
        let metadata = event.metadata();
        let (color, plain) = match (out.has_ansi_escapes(), *metadata.level()) {
            (false, _) => ("", ""),
            (true, Level::ERROR) => ("\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[33m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "\x1b[0m"),
        };
        let level = metadata.level();
        let (target, words) = (safe::line(metadata.target()), safe::line(words.trim_end()));
        writeln!(out, "{color}{level}{plain} {target}: {words}")
    }
}

#[cfg(test)]
mod tests;
