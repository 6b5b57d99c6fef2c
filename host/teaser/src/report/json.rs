//! Everything, for programs: one object, whose `version` is 1.
//!
//! Times are in milliseconds, `started` is RFC 3339, texts are as they are. A key that a
//! fixture has nothing to say to is left out.

use super::{Totals, counts, faults, rfc3339};
use crate::call;
use crate::suite::{Report, Row};
use rusty_genius_core::fixture::{Expect, Words};
use rusty_genius_core::{Role, Usage};
use serde::Serialize;
use std::time::Duration;

/// The report as JSON, on several lines.
pub fn text(report: &Report) -> String {
    // It is all strings and numbers.
    serde_json::to_string_pretty(&document(report)).unwrap_or_default() + "\n"
}

/// The same as the page has it: on one line, and nothing in it ends a `script`.
pub(super) fn embedded(report: &Report) -> String {
    let text = serde_json::to_string(&document(report)).unwrap_or_default();
    text.replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[derive(Serialize)]
struct Document {
    version: u32,
    started: String,
    wall_ms: f64,
    counts: String,
    passed: bool,
    interrupted: bool,
    prompt_tokens: u64,
    completion_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_second: Option<f64>,
    fixtures: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    file: String,
    status: &'static str,
    tags: Vec<String>,
    failures: Vec<Wrong>,
    /// What is asked: the turns.
    asked: Vec<Said>,
    /// What is expected, a line each, as the fixture has it.
    expected: Vec<String>,
    #[serde(flatten)]
    run: Option<Ran>,
}

#[derive(Serialize)]
struct Said {
    role: Role,
    content: String,
}

#[derive(Serialize)]
struct Wrong {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Serialize)]
struct Ran {
    engine: String,
    replayed: bool,
    /// Whether the answer was judged, or the pipeline alone.
    judged: bool,
    attempts: u32,
    wall_ms: f64,
    prefill_ms: f64,
    decode_ms: f64,
    usage: Usage,
    memory: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<String>,
}

fn document(report: &Report) -> Document {
    let totals = Totals::of(report);
    Document {
        version: 1,
        started: rfc3339(report.started),
        wall_ms: millis(report.wall_time),
        counts: counts(report),
        passed: report.passed(),
        interrupted: report.interrupted,
        prompt_tokens: totals.prompt_tokens,
        completion_tokens: totals.tokens,
        tokens_per_second: totals.speed(),
        fixtures: report.rows.iter().map(entry).collect(),
    }
}

fn millis(time: Duration) -> f64 {
    // To the microsecond: more is noise.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn entry(row: &Row) -> Entry {
    let fixture = row.fixture.as_ref();
    let turns = fixture.map(|fixture| &*fixture.turns).unwrap_or_default();
    Entry {
        name: row.name.clone(),
        file: row.path.display().to_string(),
        status: row.status().name(),
        tags: fixture.map(|f| f.tags.clone()).unwrap_or_default(),
        failures: faults(row)
            .into_iter()
            .map(|fault| Wrong {
                line: fault.line(row),
                text: fault.text,
                diff: fault.diff,
                hint: fault.hint,
            })
            .collect(),
        asked: turns
            .iter()
            .map(|turn| Said {
                role: turn.role,
                content: turn.content.clone(),
            })
            .collect(),
        expected: fixture.map(|f| expected(&f.expect)).unwrap_or_default(),
        run: row.outcome().map(|outcome| {
            let evidence = &outcome.evidence;
            let seen = evidence.observation.as_ref().ok();
            Ran {
                engine: outcome.engine.clone(),
                replayed: outcome.replayed,
                judged: outcome.standard == crate::Standard::Answer,
                attempts: outcome.attempts,
                wall_ms: millis(evidence.wall_time),
                prefill_ms: millis(Duration::from_micros(evidence.usage.prefill_us)),
                decode_ms: millis(Duration::from_micros(evidence.usage.decode_us)),
                usage: evidence.usage,
                memory: evidence.memory_peak,
                finish: seen.map(|seen| seen.finish.name()),
                answer: seen.map(|seen| seen.answer.clone()),
                thoughts: seen
                    .map(|seen| seen.thoughts.clone())
                    .filter(|thoughts| !thoughts.is_empty()),
                earlier: seen.map(|seen| seen.earlier.clone()).unwrap_or_default(),
                calls: seen
                    .map(|seen| seen.calls.iter().map(call::reported).collect())
                    .unwrap_or_default(),
            }
        }),
    }
}

/// What a fixture expects, a line each.
fn expected(expect: &Expect) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, words) in expect.earlier.iter().enumerate() {
        told(words, &format!("earlier[{at}]."), &mut lines);
    }
    told(&expect.answer, "", &mut lines);
    let mut line = |key: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("{key} {value}")));
    };
    line("json-schema", expect.json_schema.clone());
    line(
        "calls",
        expect.calls.as_ref().map(|calls| call::list(calls.iter())),
    );
    line(
        "finish",
        expect.finish.map(|finish| finish.name().to_owned()),
    );
    line("thought", expect.thought.map(|thought| thought.to_string()));
    line("max-tokens", expect.max_tokens.map(|most| most.to_string()));
    let latency = expect.max_latency;
    line(
        "max-latency",
        latency.map(|most| humantime::format_duration(most).to_string()),
    );
    for text in &expect.denied {
        line("denied", Some(quoted(text)));
    }
    for (path, words) in &expect.files {
        told(words, &format!("files.\"{path}\"."), &mut lines);
    }
    lines
}

fn told(words: &Words, place: &str, lines: &mut Vec<String>) {
    let mut line = |key: &str, text: &String| lines.push(format!("{place}{key} {}", quoted(text)));
    words
        .contains
        .iter()
        .for_each(|text| line("contains", text));
    words
        .not_contains
        .iter()
        .for_each(|text| line("not-contains", text));
    words
        .starts_with
        .iter()
        .for_each(|text| line("starts-with", text));
    words
        .ends_with
        .iter()
        .for_each(|text| line("ends-with", text));
    words.regex.iter().for_each(|text| line("regex", text));
    words.exact.iter().for_each(|text| line("exact", text));
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
