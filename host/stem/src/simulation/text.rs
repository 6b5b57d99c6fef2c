//! Traces as files.
//!
//! Front matter in TOML between two lines `+++`, the first of them the file's first line,
//! and then one line a request, with a line before them that names the columns.

use super::size::{Size, format_size};
use super::trace::{self, REQUESTS_LIMIT, SimModel, SimRequest, Trace, Wrong};
use rusty_genius_core::brainstem::{Budgets, CortexStrategy, DEFAULT_PRIORITY};
use rusty_genius_core::{ManifestError, locate_toml, parse_toml};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a trace's file.
pub const FILE_LIMIT: u64 = 64 << 20;

/// Where the front matter begins.
const FRONT_LINE: usize = 2;
const FENCE: &str = "+++";
/// Who asks, where nobody is named.
const SOMEBODY: &str = "guest";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Front {
    origin: Option<String>,
    #[serde(default)]
    budgets: FrontBudgets,
    #[serde(default)]
    model: Vec<FrontModel>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct FrontBudgets {
    memory: Option<Size>,
    queue: Option<u32>,
    generations: Option<u32>,
    models: Option<u32>,
    undecided: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FrontModel {
    name: String,
    memory: Size,
    load_seconds: f64,
    save_seconds: Option<f64>,
    prefill: f64,
    decode: f64,
    #[serde(default = "one")]
    slots: u32,
    #[serde(default)]
    strategy: CortexStrategy,
    fails_every: Option<u32>,
    dies_every: Option<u32>,
}

fn one() -> u32 {
    1
}

impl FrontBudgets {
    fn budgets(&self) -> Budgets {
        let default = Budgets::default();
        Budgets {
            memory: self.memory.map(|size| size.0),
            queue: self.queue.unwrap_or(default.queue),
            generations: self.generations.unwrap_or(default.generations),
            models: self.models.unwrap_or(default.models),
            undecided: self.undecided.unwrap_or(default.undecided),
        }
    }
}

impl FrontModel {
    fn model(self) -> Result<SimModel, Wrong> {
        let duration = |key: &'static str, seconds: f64| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| (key, trace::must(seconds, "0 to 86400 seconds")))
        };
        let load = duration("load-seconds", self.load_seconds)?;
        let save = self.save_seconds.map(|s| duration("save-seconds", s));
        let model = SimModel {
            name: self.name.into(),
            memory: self.memory.0,
            load,
            save: save.unwrap_or(Ok(load / 10))?,
            prefill: self.prefill,
            decode: self.decode,
            slots: self.slots,
            strategy: self.strategy,
            fails_every: self.fails_every,
            dies_every: self.dies_every,
        };
        model.check().map(|()| model)
    }
}

impl Trace {
    /// Reads a trace; `file` is only named in errors.
    ///
    /// ```
    /// use rusty_genius_stem::simulation::Trace;
    ///
    /// let trace = Trace::parse("two.trace", r#"+++
    /// [budgets]
    /// memory = "8GiB"       # default no limit; queue, generations, models, undecided likewise
    ///
    /// [[model]]
    /// name = "small"
    /// memory = "2GiB"
    /// load-seconds = 3.0
    /// prefill = 900.0       # tokens a second
    /// decode = 40.0
    /// +++
    /// at-ms,model,prompt-tokens,completion-tokens
    /// 0,small,120,80
    /// 250,small,40,200
    /// "#)?;
    /// assert_eq!(trace.requests().len(), 2);
    /// # Ok::<(), rusty_genius_core::ManifestError>(())
    /// ```
    ///
    /// Of a model `save-seconds` (a tenth of `load-seconds`), `slots` (1), `strategy`,
    /// `fails-every` and `dies-every` may be left out.
    ///
    /// The columns `guest`, `max-tokens` (as many as completion-tokens), `priority`,
    /// `deadline-ms` and `cancel-ms` may be left out, and so may their values.
    ///
    /// Errors: what is wrong, with the file and the line. Nothing may be over its limit:
    /// [`FILE_LIMIT`], [`MODELS_LIMIT`](super::MODELS_LIMIT), [`REQUESTS_LIMIT`].
    pub fn parse(file: impl AsRef<Path>, text: &str) -> Result<Self, ManifestError> {
        let file = file.as_ref();
        let wrong = |line: usize, reason: String| ManifestError {
            file: file.to_owned(),
            line: Some(line),
            column: None,
            key: None,
            reason,
        };
        if text.len() as u64 > FILE_LIMIT {
            let reason = format!("it has {} bytes, and may have {FILE_LIMIT}", text.len());
            return Err(wrong(1, reason));
        }
        let (front, table, table_line) = split(text).map_err(|(line, why)| wrong(line, why))?;
        let located = |key: &[&str], reason| locate_toml(file, front, FRONT_LINE, key, reason);

        let parsed: Front = parse_toml(file, front, FRONT_LINE)?;
        trace::check_origin(parsed.origin.as_deref()).map_err(|(key, e)| located(&[key], e))?;
        let budgets = parsed.budgets.budgets();
        trace::check_budgets(&budgets).map_err(|(key, e)| located(&["budgets", key], e))?;
        trace::check_counts(parsed.model.len(), 0).map_err(|(key, e)| located(&[key], e))?;
        let mut names = HashSet::new();
        let mut models = Vec::with_capacity(parsed.model.len());
        for (n, model) in parsed.model.into_iter().enumerate() {
            let model = model.model().and_then(|model| {
                let new = names.insert(model.name.clone());
                if new { Ok(model) } else { Err(trace::taken()) }
            });
            models.push(model.map_err(|(key, reason)| ManifestError {
                key: Some(format!("model.{key}")),
                ..match line_of(front, n, key) {
                    Some(line) => wrong(line, reason),
                    None => located(&["model"], reason),
                }
            })?);
        }
        let requests = requests(table, table_line, &models).map_err(|(line, (key, reason))| {
            ManifestError {
                key: (!key.is_empty()).then(|| key.to_owned()),
                ..wrong(line, reason)
            }
        })?;
        Ok(Self::checked(parsed.origin, budgets, models, requests))
    }

    /// The text of its file: what [`Trace::parse`] reads as the same trace.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(512 + 200 * self.models().len());
        // Writing to a string does not fail.
        let _ = self.write_front(&mut text);
        let _ = self.write_requests(&mut text);
        text
    }

    fn write_front(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{FENCE}")?;
        if let Some(origin) = self.origin() {
            let origin = origin.replace('\\', "\\\\").replace('"', "\\\"");
            writeln!(out, "origin = \"{origin}\"\n")?;
        }
        let budgets = self.budgets();
        writeln!(out, "[budgets]")?;
        if let Some(memory) = budgets.memory {
            writeln!(out, "memory = \"{}\"", format_size(memory))?;
        }
        writeln!(out, "queue = {}", budgets.queue)?;
        writeln!(out, "generations = {}", budgets.generations)?;
        writeln!(out, "models = {}", budgets.models)?;
        writeln!(out, "undecided = {}", budgets.undecided)?;
        for model in self.models() {
            writeln!(out, "\n[[model]]\nname = \"{}\"", model.name)?;
            writeln!(out, "memory = \"{}\"", format_size(model.memory))?;
            writeln!(out, "load-seconds = {:?}", model.load.as_secs_f64())?;
            if model.save != model.load / 10 {
                writeln!(out, "save-seconds = {:?}", model.save.as_secs_f64())?;
            }
            writeln!(out, "prefill = {:?}", model.prefill)?;
            writeln!(out, "decode = {:?}", model.decode)?;
            writeln!(out, "slots = {}", model.slots)?;
            match model.strategy {
                strategy if strategy == CortexStrategy::default() => {}
                CortexStrategy::Immediate => writeln!(out, "strategy = \"immediate\"")?,
                CortexStrategy::KeepAlive => writeln!(out, "strategy = \"keep-alive\"")?,
                CortexStrategy::HibernateAfter(ttl) => {
                    let (secs, nanos) = (ttl.as_secs(), ttl.subsec_nanos());
                    writeln!(
                        out,
                        "strategy = {{ hibernate-after = \"{secs}s {nanos}ns\" }}"
                    )?;
                }
            }
            if let Some(every) = model.fails_every {
                writeln!(out, "fails-every = {every}")?;
            }
            if let Some(every) = model.dies_every {
                writeln!(out, "dies-every = {every}")?;
            }
        }
        writeln!(out, "{FENCE}")
    }

    fn write_requests(&self, out: &mut String) -> std::fmt::Result {
        let used = |used: fn(&SimRequest) -> bool| self.requests().iter().any(used);
        let priority = used(|r| r.priority != DEFAULT_PRIORITY);
        let deadline = used(|r| r.deadline.is_some());
        let cancel = used(|r| r.cancel.is_some());
        write!(
            out,
            "at-ms,guest,model,prompt-tokens,max-tokens,completion-tokens"
        )?;
        for (column, used) in [
            ("priority", priority),
            ("deadline-ms", deadline),
            ("cancel-ms", cancel),
        ] {
            if used {
                write!(out, ",{column}")?;
            }
        }
        out.push('\n');
        for r in self.requests() {
            let model = self.models().get(r.model as usize);
            let model = model.map_or("", |model| &*model.name);
            write!(out, "{},{},{model}", r.at, r.guest)?;
            write!(
                out,
                ",{},{},{}",
                r.prompt_tokens, r.max_tokens, r.completion_tokens
            )?;
            if priority {
                write!(out, ",{}", r.priority)?;
            }
            for (used, value) in [(deadline, r.deadline), (cancel, r.cancel)] {
                match value {
                    Some(ms) if used => write!(out, ",{ms}")?,
                    _ if used => out.push(','),
                    _ => {}
                }
            }
            out.push('\n');
        }
        Ok(())
    }
}

type Fault<T> = (usize, T);

/// The front matter, what follows it, and the line on which that begins.
fn split(text: &str) -> Result<(&str, &str, usize), Fault<String>> {
    let first = format!("the first line must be `{FENCE}`, where the front matter begins");
    let (fence, rest) = text.split_once('\n').ok_or((1, first.clone()))?;
    if fence.trim_end() != FENCE {
        return Err((1, first));
    }
    let mut at = 0;
    for (n, line) in rest.split_inclusive('\n').enumerate() {
        if line.trim_end() == FENCE {
            let table = &rest[at + line.len()..];
            return Ok((&rest[..at], table, n + FRONT_LINE + 1));
        }
        at += line.len();
    }
    Err((1, format!("the front matter has no end: a line `{FENCE}`")))
}

/// The line of a model's key, as far as it is written as people do.
fn line_of(front: &str, model: usize, key: &str) -> Option<usize> {
    let lines = || front.lines().map(str::trim).enumerate();
    let (header, _) = lines()
        .filter(|(_, line)| *line == "[[model]]")
        .nth(model)?;
    let has_key = |line: &str| {
        let rest = line.strip_prefix(key).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with('='))
    };
    let own = lines().skip(header + 1);
    let mut own = own.take_while(|(_, line)| !line.starts_with('['));
    let line = own
        .find(|(_, line)| has_key(line))
        .map_or(header, |(n, _)| n);
    Some(line + FRONT_LINE)
}

const COLUMNS: [&str; 9] = [
    "at-ms",
    "guest",
    "model",
    "prompt-tokens",
    "max-tokens",
    "completion-tokens",
    "priority",
    "deadline-ms",
    "cancel-ms",
];
const REQUIRED: [&str; 4] = ["at-ms", "model", "prompt-tokens", "completion-tokens"];

/// The requests of a table that begins on line `first`.
fn requests(
    table: &str,
    first: usize,
    models: &[SimModel],
) -> Result<Vec<SimRequest>, Fault<Wrong>> {
    let filled = |(_, line): &(usize, &str)| !line.trim().is_empty();
    let mut lines = table.lines().enumerate().filter(filled);
    let Some((n, header)) = lines.next() else {
        let reason = "a line must follow that names the columns";
        return Err((first, ("", reason.to_owned())));
    };
    let columns = columns(header).map_err(|reason| (first + n, ("", reason)))?;
    let mut reader = Reader {
        places: models.iter().map(|model| &*model.name).zip(0..).collect(),
        guests: HashMap::new(),
        columns,
    };
    let mut requests = Vec::new();
    for (n, line) in lines {
        if requests.len() >= REQUESTS_LIMIT {
            return Err((first + n, ("", trace::too_many_requests())));
        }
        requests.push(reader.request(line).map_err(|wrong| (first + n, wrong))?);
    }
    Ok(requests)
}

/// Which of [`COLUMNS`] stands where.
fn columns(header: &str) -> Result<Vec<usize>, String> {
    let mut columns = Vec::new();
    for name in header.split(',').map(str::trim) {
        let known = COLUMNS.iter().position(|column| *column == name);
        let column = known.ok_or_else(|| {
            let name: String = name.chars().take(40).collect();
            format!(
                "there is no column {name:?}; there are {}",
                COLUMNS.join(", ")
            )
        })?;
        if columns.contains(&column) {
            return Err(format!("the column `{name}` stands there twice"));
        }
        columns.push(column);
    }
    for name in REQUIRED {
        if !columns.iter().any(|column| COLUMNS[*column] == name) {
            return Err(format!("the column `{name}` is missing"));
        }
    }
    Ok(columns)
}

struct Reader<'a> {
    places: HashMap<&'a str, u32>,
    guests: HashMap<&'a str, Arc<str>>,
    columns: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn request(&mut self, line: &'a str) -> Result<SimRequest, Wrong> {
        let mut values = [""; COLUMNS.len()];
        let mut count = 0;
        for (n, value) in line.split(',').enumerate() {
            count = n + 1;
            if let Some(column) = self.columns.get(n) {
                values[*column] = value.trim();
            }
        }
        if count != self.columns.len() {
            let columns = self.columns.len();
            return Err(("", format!("it has {count} values, for {columns} columns")));
        }
        let [
            at,
            guest,
            model,
            prompt,
            max,
            completion,
            priority,
            deadline,
            cancel,
        ] = values;
        let completion_tokens = number("completion-tokens", completion, u32::MAX.into())?;
        let request = SimRequest {
            at: number("at-ms", at, trace::TIME_LIMIT)?,
            guest: self.guest(guest),
            model: self.place(model)?,
            prompt_tokens: number("prompt-tokens", prompt, u32::MAX.into())?,
            max_tokens: optional("max-tokens", max)?.unwrap_or(completion_tokens),
            completion_tokens,
            priority: match priority {
                "" => DEFAULT_PRIORITY,
                text => number("priority", text, u8::MAX.into())?,
            },
            deadline: optional("deadline-ms", deadline)?,
            cancel: optional("cancel-ms", cancel)?,
        };
        request.check(self.places.len()).map(|()| request)
    }

    fn guest(&mut self, name: &'a str) -> Arc<str> {
        let name = if name.is_empty() { SOMEBODY } else { name };
        self.guests
            .entry(name)
            .or_insert_with(|| name.into())
            .clone()
    }

    fn place(&self, name: &str) -> Result<u32, Wrong> {
        self.places.get(name).copied().ok_or_else(|| {
            let name: String = name.chars().take(40).collect();
            (
                "model",
                format!("no [[model]] of the front matter is called {name:?}"),
            )
        })
    }
}

fn number<T: TryFrom<u64>>(key: &'static str, text: &str, most: u64) -> Result<T, Wrong> {
    let number = text.parse().ok().filter(|number: &u64| *number <= most);
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            let rule = format!("a whole number, at most {most}");
            (key, trace::must(format_args!("{text:?}"), &rule))
        })
}

fn optional(key: &'static str, text: &str) -> Result<Option<u32>, Wrong> {
    match text {
        "" => Ok(None),
        text => number(key, text, u32::MAX.into()).map(Some),
    }
}
