//! What a run shows: the answer on stdout, the rest on stderr.

use crate::{safe, stats};
use async_std::io::{Stdout, WriteExt};
use rusty_genius::core::{Fragment, Level, ModelSpec, ThoughtEvent};
use rusty_genius::sandbox::{Consumption, Guest, Report, outcome};
use serde_json::{Value, json};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
/// Most denials shown; a guest that tries everything does not fill a screen.
const DENIALS_SHOWN: usize = 8;

/// Where the run's output goes. Writing does not block the host: a reader that is behind
/// holds back the guest, and Ctrl-C still works.
pub(crate) struct Output {
    stdout: Stdout,
    json: bool,
    quiet: bool,
    stats: bool,
    /// Whether figures are on the last line of stderr, to be written over.
    open_stats: bool,
    /// Whether a person reads stdout: then unsafe characters are shown, not sent.
    terminal: bool,
    dim: bool,
    /// Whether stdout, or the thought on stderr, is in the middle of a line.
    open_line: bool,
    open_thought: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool, stats: bool) -> Self {
        let color = safe::wants_color();
        Self {
            stdout: async_std::io::stdout(),
            json,
            quiet,
            stats,
            open_stats: false,
            terminal: io::stdout().is_terminal(),
            dim: color && io::stderr().is_terminal(),
            open_line: false,
            open_thought: false,
        }
    }

    pub(crate) async fn start(&mut self, guest: &Guest, model: &ModelSpec) -> io::Result<()> {
        self.event(json!({
            "type": "start",
            "guest": guest.name(),
            "model": model.id(),
            "engine": model.engine,
        }))
        .await
    }

    pub(crate) async fn fragments(&mut self, fragments: Vec<Fragment>) -> io::Result<()> {
        let mut out = String::new();
        for fragment in fragments {
            if self.json {
                out.push_str(&serde_json::to_string(&fragment)?);
                out.push('\n');
                continue;
            }
            match fragment {
                Fragment::Content { text } => {
                    self.open_line = !text.ends_with('\n');
                    match self.terminal {
                        true => out.push_str(&safe::text(&text)),
                        false => out.push_str(&text),
                    }
                }
                Fragment::Thought(thought) => self.thought(&thought),
            }
        }
        self.write(&out).await
    }

    /// How often somebody looks at what is consumed.
    pub(crate) fn looks(&self) -> Duration {
        match self.stats {
            true => Duration::from_millis(500),
            // Never, as far as a run is concerned.
            false => Duration::from_secs(3600),
        }
    }

    /// What was consumed so far: a line of JSON; or, where the answer goes elsewhere, a line
    /// on the terminal that the next one replaces.
    pub(crate) async fn consumed(&mut self, now: &Consumption) -> io::Result<()> {
        if !self.stats {
            return Ok(());
        }
        if self.json {
            let mut event = stats::json(now);
            event["type"] = "stats".into();
            return self.event(event).await;
        }
        if !self.terminal && io::stderr().is_terminal() {
            eprint!("\r\x1b[K{}", safe::line(&stats::line(now)));
            self.open_stats = true;
        }
        Ok(())
    }

    fn thought(&mut self, thought: &ThoughtEvent) {
        if self.quiet {
            return;
        }
        match thought {
            ThoughtEvent::Start => {}
            ThoughtEvent::Delta { text } => {
                let text = safe::text(text);
                self.aside(&text);
                self.open_thought = !text.ends_with('\n');
            }
            ThoughtEvent::Stop => self.end_thought(),
        }
    }

    /// Something beside the answer, for people.
    fn aside(&self, text: &str) {
        match self.dim {
            true => eprint!("{DIM}{text}{PLAIN}"),
            false => eprint!("{text}"),
        }
    }

    fn end_thought(&mut self) {
        if std::mem::take(&mut self.open_thought) {
            eprintln!();
        }
    }

    /// The end of the reply: whatever follows on the terminal begins a line.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        self.end_thought();
        if std::mem::take(&mut self.open_stats) {
            eprint!("\r\x1b[K");
        }
        match std::mem::take(&mut self.open_line) && self.terminal {
            true => self.write("\n").await,
            false => Ok(()),
        }
    }

    /// What the run left behind, in words or as JSON.
    pub(crate) async fn report(
        &mut self,
        report: &Report<()>,
        model: &ModelSpec,
        kept: Option<&Path>,
        files: &[String],
        exit_code: u8,
    ) -> io::Result<()> {
        if !self.json {
            if !self.quiet {
                for note in report.notes.iter().filter(|n| n.level == Level::Warn) {
                    eprintln!("note: {}", safe::line(&note.text));
                }
                for denial in report.denials.iter().take(DENIALS_SHOWN) {
                    eprintln!("denied: {}", safe::line(&denial.to_string()));
                }
                if let Some(more @ 1..) = report.denials.len().checked_sub(DENIALS_SHOWN) {
                    eprintln!("denied: {more} other things; `genius runs show last` tells them");
                }
                if report.recorded == Some(false) {
                    eprintln!("warning: the record of this run is not whole: the disk is full?");
                }
                let line = usage_line(report, model, kept, files);
                self.aside(&safe::line(&line));
                eprintln!();
            }
            if self.stats {
                eprint!("{}", safe::text(&stats::table(&report.consumption)));
            }
            return Ok(());
        }
        for note in &report.notes {
            let (level, text) = (note.level, &note.text);
            self.event(json!({ "type": "note", "level": level, "text": text }))
                .await?;
        }
        for denial in &report.denials {
            let (what, key) = (&denial.what, &denial.key);
            self.event(json!({ "type": "denial", "what": what, "key": key }))
                .await?;
        }
        self.event(json!({
            "type": "end",
            "run": report.scratch.id(),
            "outcome": outcome(report.result.as_ref().err()),
            "exit-code": exit_code,
            "error": report.result.as_ref().err().map(ToString::to_string),
            "usage": report.usage,
            "wall-us": report.wall_time.as_micros() as u64,
            "memory-peak": report.memory_peak(),
            "consumption": stats::json(&report.consumption),
            "scratch": kept,
            "files": files,
        }))
        .await
    }

    async fn event(&mut self, event: Value) -> io::Result<()> {
        match self.json {
            true => self.write(&format!("{event}\n")).await,
            false => Ok(()),
        }
    }

    async fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.stdout.write_all(text.as_bytes()).await?;
        self.stdout.flush().await
    }
}

fn usage_line(
    report: &Report<()>,
    model: &ModelSpec,
    kept: Option<&Path>,
    files: &[String],
) -> String {
    let usage = &report.usage;
    let mut parts = vec![
        format!(
            "{} on {}",
            model.id(),
            model.engine.as_deref().unwrap_or("?")
        ),
        format!(
            "{} prompt{} + {} generated tokens ({} thought)",
            usage.prompt_tokens,
            cached(usage.cached_tokens),
            usage.completion_tokens,
            usage.thought_tokens
        ),
        format!("{:.2} s", report.wall_time.as_secs_f64()),
    ];
    // The first token belongs to the prefill.
    let decoded = usage.completion_tokens.saturating_sub(1);
    if usage.decode_us > 0 && decoded > 0 {
        let rate = f64::from(decoded) / (usage.decode_us as f64 / 1e6);
        parts.push(format!("{rate:.1} tokens/s"));
    }
    if let Some(kept) = kept {
        let what = match files {
            [file] => kept.join(file).display().to_string(),
            files => format!("{} ({} entries)", kept.display(), files.len()),
        };
        parts.push(what);
    }
    format!("[{}]", parts.join(" · "))
}

/// Tokens that cost nothing are worth a word only if there are any.
fn cached(tokens: u32) -> String {
    match tokens {
        0 => String::new(),
        tokens => format!(" ({tokens} cached)"),
    }
}
