//! What a run did, on disk: one file a run, a JSON object a line, only ever appended to.
//!
//! Whatever a guest says in it is inside a JSON string, of ASCII alone: it can neither begin
//! a line nor play tricks on a terminal. A line is written as a whole or, where the disk is
//! full, not at all; a record that ends without `end` is of a run that is going on, or of a
//! host that was killed.

mod recording;

pub(crate) use recording::Recording;

use crate::meter::Consumption;
use crate::private::{create_dir, create_new};
use rusty_genius_core::brainstem::{BrainstemOutput, Command, Event, RequestId, Step};
use rusty_genius_core::{BudgetResource, Denial, GeniusError, Note, Usage};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The version of the format.
const VERSION: u32 = 1;
/// Most lines about one run's tools, and as many about what policies decided for it.
const LINES_LIMIT: u32 = 1000;
/// Longest record that is read: 64 MiB.
const BYTES_LIMIT: u64 = 64 << 20;
/// What a record's name ends in.
const SUFFIX: &str = "jsonl";

/// A directory of records. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Records(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    dir: PathBuf,
    open: Mutex<Open>,
}

/// The runs that are going on, and which of them asked for what.
#[derive(Debug, Default)]
struct Open {
    runs: HashMap<Arc<str>, RunLog>,
    requests: HashMap<RequestId, Arc<str>>,
}

impl Records {
    /// Records in this directory, which is made when the first run begins.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Shelf {
            dir: dir.into(),
            open: Mutex::default(),
        }))
    }

    /// Makes the directory, closed to others, if it is not there.
    ///
    /// Errors: it cannot be made.
    pub fn prepare(&self) -> io::Result<()> {
        create_dir(&self.0.dir)
    }

    /// Where they are.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Each change under this lock is one call of a map.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the brainstem decides about the requests of runs that are going
    /// on. It must be asked to tell
    /// [steps](rusty_genius_stem::StemConfig::observe_steps).
    pub fn hear(&self, output: &BrainstemOutput) {
        let BrainstemOutput::Decided(step) = output else {
            return;
        };
        let mut open = self.open();
        if let Event::RequestArrived(arrival) = &step.event
            && open.runs.contains_key(&arrival.guest)
        {
            open.requests
                .insert(arrival.request.id, arrival.guest.clone());
        }
        for command in &step.commands {
            let Some(request) = concerns(command) else {
                continue;
            };
            let run = open.requests.get(&request);
            if let Some(log) = run.and_then(|run| open.runs.get(run)) {
                log.decided(step, command);
            }
        }
        if let Event::GenerationEnded(request, _) | Event::RequestGone(request) = &step.event {
            open.requests.remove(request);
        }
    }

    /// Begins the record of a run; `opening` are the fields of its first line.
    ///
    /// Errors: the file cannot be made or written.
    pub(crate) fn begin(&self, run: &str, opening: Value) -> io::Result<RunLog> {
        self.prepare()?;
        let path = self.0.dir.join(format!("{run}.{SUFFIX}"));
        let log = RunLog(Arc::new(Log {
            file: Mutex::new(create_new(&path)?),
            began: Instant::now(),
            broken: AtomicBool::new(false),
            decisions: AtomicU32::new(0),
            tools: AtomicU32::new(0),
        }));
        let mut line = json!({
            "type": "start",
            "version": VERSION,
            "run": run,
            "time": humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
        });
        if let (Value::Object(line), Value::Object(opening)) = (&mut line, opening) {
            line.extend(opening);
        }
        log.write(&line);
        if log.0.broken.load(Relaxed) {
            let _ = fs::remove_file(&path);
            return Err(io::Error::other("its first line could not be written"));
        }
        self.open().runs.insert(run.into(), log.clone());
        Ok(log)
    }

    /// The run is over.
    pub(crate) fn close(&self, run: &str) {
        let mut open = self.open();
        open.runs.remove(run);
        open.requests.retain(|_, of| &**of != run);
    }

    /// The ids of all runs, the newest last. Empty where there is no directory.
    ///
    /// Errors: the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.0.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut runs = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(name) = name.filter(|_| path.extension().is_some_and(|e| e == SUFFIX)) {
                runs.push((began(name), name.to_owned()));
            }
        }
        runs.sort();
        Ok(runs.into_iter().map(|(_, name)| name).collect())
    }

    /// The lines of a run's record, in order. A last line that is not whole is left out.
    ///
    /// Errors: no such run, or no record: the reason says which line is wrong.
    pub fn read(&self, run: &str) -> io::Result<Vec<Value>> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if run.is_empty() || !run.chars().all(plain) {
            let kind = io::ErrorKind::NotFound;
            return Err(io::Error::new(
                kind,
                "a run's id has letters, digits and `-`",
            ));
        }
        let file = File::open(self.0.dir.join(format!("{run}.{SUFFIX}")))?;
        let mut reader = BufReader::new(file.take(BYTES_LIMIT));
        let (mut lines, mut line) = (Vec::new(), String::new());
        while reader.read_line(&mut line)? > 0 {
            match serde_json::from_str(&line) {
                Ok(value @ Value::Object(_)) => lines.push(value),
                _ if !line.ends_with('\n') => break,
                _ => {
                    let reason = format!("line {} is no line of a record", lines.len() + 1);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                }
            }
            line.clear();
        }
        Ok(lines)
    }
}

/// When a run began, by its id: `NAME-SECONDS-PID-N`. The name may have any number of `-`.
fn began(run: &str) -> (u64, u64, u64) {
    let mut parts = run.rsplitn(4, '-');
    let mut number = |radix| {
        let part = parts.next().unwrap_or_default();
        u64::from_str_radix(part, radix).unwrap_or(0)
    };
    let (n, pid) = (number(10), number(16));
    (number(16), pid, n)
}

/// The request that a command is about.
fn concerns(command: &Command) -> Option<RequestId> {
    match command {
        Command::Admit(request)
        | Command::Reject(request, _)
        | Command::Queue(request, _)
        | Command::Route(request, _)
        | Command::Retune(request, _) => Some(*request),
        _ => None,
    }
}

/// The record of a run that is going on. A clone is the same one.
#[derive(Debug, Clone)]
pub(crate) struct RunLog(Arc<Log>);

#[derive(Debug)]
struct Log {
    file: Mutex<File>,
    began: Instant,
    /// Whether a line could not be written; then no later one is, or a gap would not show.
    broken: AtomicBool,
    decisions: AtomicU32,
    tools: AtomicU32,
}

impl RunLog {
    fn write(&self, line: &Value) {
        if self.0.broken.load(Relaxed) {
            return;
        }
        let text = ascii(&line.to_string());
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = file.metadata().map(|m| m.len());
        if file.write_all(text.as_bytes()).is_err() {
            self.0.broken.store(true, Relaxed);
            // Half a line is worse than none.
            let _ = whole.and_then(|len| file.set_len(len));
        }
    }

    fn event(&self, kind: &str, fields: impl Serialize) {
        let mut line = Map::new();
        line.insert("type".into(), kind.into());
        line.insert("at-ms".into(), millis(self.0.began.elapsed()).into());
        if let Ok(Value::Object(fields)) = serde_json::to_value(fields) {
            line.extend(fields);
        }
        self.write(&Value::Object(line));
    }

    /// Whether all of it was written so far.
    pub(crate) fn is_whole(&self) -> bool {
        !self.0.broken.load(Relaxed)
    }

    pub(crate) fn note(&self, note: &Note) {
        self.event("note", note);
    }

    pub(crate) fn denial(&self, denial: &Denial) {
        self.event("denial", denial);
    }

    /// A tool was called, and how that ended.
    pub(crate) fn tool(&self, name: &str, outcome: &str, took: Duration) {
        if self.0.tools.fetch_add(1, Relaxed) < LINES_LIMIT {
            let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.event(
                "tool",
                json!({ "tool": name, "outcome": outcome, "us": took }),
            );
        }
    }

    fn decided(&self, step: &Step, command: &Command) {
        if self.0.decisions.fetch_add(1, Relaxed) < LINES_LIMIT {
            self.event("decision", json!({ "by": step.by, "command": command }));
        }
    }

    /// Nobody waited for the end of the run.
    pub(crate) fn interrupted(&self) {
        self.event("end", json!({ "outcome": "interrupted" }));
    }

    /// The run is over. The record is on the disk when this returns.
    pub(crate) fn end(&self, end: &End<'_>) {
        let calls = end.consumption.all_calls();
        let calls: Map<String, Value> = calls.map(|(name, n)| (name.into(), n.into())).collect();
        let consumed: Map<String, Value> = BudgetResource::ALL
            .into_iter()
            .map(|resource| (resource.key().into(), end.consumption.most(resource).into()))
            .collect();
        self.event(
            "end",
            json!({
                "outcome": end.outcome,
                "error": end.error,
                "usage": end.usage,
                "calls": calls,
                "consumed": consumed,
                "denials": end.consumption.denials,
                "files": end.files,
            }),
        );
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = file.sync_all();
    }
}

/// How a run ended, and what it consumed.
pub(crate) struct End<'a> {
    /// See [`outcome`].
    pub(crate) outcome: &'static str,
    pub(crate) error: Option<String>,
    pub(crate) usage: &'a Usage,
    pub(crate) consumption: &'a Consumption,
    /// Names of what it left at the top of `/scratch`.
    pub(crate) files: &'a [String],
}

/// How a run ended, in one word: `done`; `budget` where a limit ended it; `denied` where the
/// guest could not go on without what it was denied; `engine`; `failed`.
pub fn outcome(error: Option<&GeniusError>) -> &'static str {
    use rusty_genius_core::{AssetError, SandboxError};
    match error {
        None => "done",
        Some(GeniusError::Budget(_)) => "budget",
        Some(
            GeniusError::Asset(AssetError::NotGranted { .. })
            | GeniusError::Sandbox(SandboxError::ToolNotGranted { .. }),
        ) => "denied",
        Some(GeniusError::Engine(_) | GeniusError::Asset(_)) => "engine",
        Some(_) => "failed",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// JSON with nothing but printable ASCII in it, and the end of its line. What is not ASCII
/// can only be inside a string, where an escape is as good.
fn ascii(json: &str) -> String {
    let mut line = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            line.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests;
