//! What came of a simulation, for people and as JSON.

use super::simulate::Run;
use indicatif::{HumanBytes, HumanCount};
use rusty_genius::core::brainstem::Rejection;
use rusty_genius::stem::simulation::{Outcome, Spread};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// Characters of what a row is about, and of a policy's column.
const LABEL: usize = 22;
const COLUMN: usize = 17;

/// A row for each figure, a column for each policy. A star stands before rows that differ.
pub(super) fn table(runs: &[Run]) -> String {
    let mut table = Table {
        text: String::new(),
        runs,
    };
    let heads: Vec<String> = runs.iter().map(|run| head(&run.word)).collect();
    table.line("", &heads);
    table.counts();
    table.times();
    table.models();
    table.policy();
    if table.text.contains("\n* ") {
        table.text.push_str("\n* differs\n");
    }
    table.text
}

struct Table<'a> {
    text: String,
    runs: &'a [Run],
}

impl Table<'_> {
    fn line(&mut self, label: &str, values: &[String]) {
        let differs = values.windows(2).any(|pair| pair[0] != pair[1]);
        let mark = if differs && !label.is_empty() {
            "* "
        } else {
            "  "
        };
        let mut line = format!("{mark}{label:<LABEL$}");
        for value in values {
            let _ = write!(line, " {value:>COLUMN$}");
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn row(&mut self, label: &str, value: impl Fn(&Outcome) -> String) {
        let values: Vec<_> = self.runs.iter().map(|run| value(&run.outcome)).collect();
        self.line(label, &values);
    }

    fn count(&mut self, label: &str, value: impl Fn(&Outcome) -> u64) {
        self.row(label, |outcome| HumanCount(value(outcome)).to_string());
    }

    /// A row only where there is something in it.
    fn count_if_any(&mut self, label: &str, value: impl Fn(&Outcome) -> u64) {
        if self.runs.iter().any(|run| value(&run.outcome) > 0) {
            self.count(label, value);
        }
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    fn counts(&mut self) {
        self.count("requests", |o| o.requests);
        self.count("answered", |o| o.answered);
        self.count("rejected", |o| o.rejected.values().sum());
        let runs = self.runs.iter();
        let reasons: BTreeSet<Rejection> = runs
            .flat_map(|run| run.outcome.rejected.keys().copied())
            .collect();
        for reason in reasons {
            let label = format!("  {}", short(reason));
            self.count(&label, |o| o.rejected.get(&reason).copied().unwrap_or(0));
        }
        self.count_if_any("taken back", |o| o.taken_back);
        self.count_if_any("failed", |o| o.failed);
        self.count_if_any("never answered", never);
    }

    fn times(&mut self) {
        type Part = fn(&Spread) -> Duration;
        let parts: [(&str, Part); 4] = [
            ("p50", |s| s.p50),
            ("p90", |s| s.p90),
            ("p99", |s| s.p99),
            ("max", |s| s.max),
        ];
        self.gap();
        for (name, part) in parts {
            self.row(&format!("wait {name}"), |o| time(part(&o.wait)));
        }
        for (name, part) in parts {
            self.row(&format!("to the end {name}"), |o| time(part(&o.total)));
        }
    }

    fn models(&mut self) {
        self.gap();
        self.count("loads", |o| o.loads);
        self.count_if_any("  failed", |o| o.failed_loads);
        self.count("  back within a minute", |o| o.returns);
        self.count("unloads", |o| o.unloads);
        self.count("hibernations", |o| o.hibernations);
        self.count("evictions", |o| o.evictions);
        self.count_if_any("engines that died", |o| o.deaths);
        self.row("memory high-water", |o| {
            HumanBytes(o.memory_high).to_string()
        });
        self.row("memory limit", |o| match o.memory_limit {
            Some(limit) => HumanBytes(limit).to_string(),
            None => "none".to_owned(),
        });
        self.count("longest queue", |o| o.longest_queue.into());
        self.count("generations at once", |o| o.most_running.into());
        self.row("busy", |o| format!("{:.1} %", 100.0 * o.busy));
    }

    fn policy(&mut self) {
        self.gap();
        self.count("decisions", |o| o.decisions);
        self.count_if_any("refused commands", |o| o.refused);
        self.count_if_any("faults", |o| o.faults);
        self.row("simulated", |o| time(o.span));
    }
}

fn never(outcome: &Outcome) -> u64 {
    let rejected: u64 = outcome.rejected.values().sum();
    let ended = outcome.answered + outcome.failed + outcome.taken_back + rejected;
    outcome.requests.saturating_sub(ended)
}

/// A policy's name, as far as it fits: of a path the end.
fn head(word: &str) -> String {
    let chars: Vec<char> = word.replace(char::is_control, " ").chars().collect();
    if chars.len() <= COLUMN {
        return chars.into_iter().collect();
    }
    let (end, before) = match word.contains(':') {
        true => (false, &chars[..COLUMN - 1]),
        false => (true, &chars[chars.len() - (COLUMN - 1)..]),
    };
    let kept: String = before.iter().collect();
    if end {
        format!("…{kept}")
    } else {
        format!("{kept}…")
    }
}

fn short(reason: Rejection) -> &'static str {
    match reason {
        Rejection::Busy => "busy",
        Rejection::ModelRefused => "model refused",
        Rejection::TooLarge => "too large",
        Rejection::QueueFull => "queue full",
        Rejection::DeadlinePassed => "deadline passed",
        Rejection::NoMemory => "no memory",
    }
}

/// A time with two parts at most: 0 ms, 2.35 s, 3 m 20 s, 5 h 12 m.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.2} s", time.as_secs_f64()),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
    }
}

/// An object a line, for each policy.
pub(super) fn json(runs: &[Run]) -> String {
    let lines = runs.iter().map(|run| format!("{}\n", object(run)));
    lines.collect()
}

fn object(run: &Run) -> Value {
    let o = &run.outcome;
    let spread = |s: &Spread| json!({ "p50": ms(s.p50), "p90": ms(s.p90), "p99": ms(s.p99), "max": ms(s.max) });
    let models = o.models.iter().map(|model| {
        let (name, loads, generations) = (&*model.name, model.loads, model.generations);
        json!({ "name": name, "loads": loads, "generations": generations })
    });
    json!({
        "policy": run.word,
        "name": o.policy,
        "requests": o.requests,
        "answered": o.answered,
        "rejected": o.rejected,
        "taken-back": o.taken_back,
        "failed": o.failed,
        "never-answered": never(o),
        "wait-ms": spread(&o.wait),
        "total-ms": spread(&o.total),
        "loads": o.loads,
        "failed-loads": o.failed_loads,
        "returns": o.returns,
        "unloads": o.unloads,
        "hibernations": o.hibernations,
        "evictions": o.evictions,
        "deaths": o.deaths,
        "memory-high": o.memory_high,
        "memory-limit": o.memory_limit,
        "longest-queue": o.longest_queue,
        "most-running": o.most_running,
        "busy": o.busy,
        "decisions": o.decisions,
        "refused": o.refused,
        "faults": o.faults,
        "first-fault": o.first_fault,
        "replaced": o.replaced,
        "span-ms": ms(o.span),
        "models": models.collect::<Vec<_>>(),
        "broken": o.broken,
    })
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        let told = [0, 999, 2350, 59_990, 200_000, 18_720_000].map(Duration::from_millis);
        let told = told.map(time);
        let expected = [
            "0 ms", "999 ms", "2.35 s", "59.99 s", "3 m 20 s", "5 h 12 m",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_long_name_keeps_what_tells_it_apart() {
        assert_eq!(head("native:keep-alive"), "native:keep-alive");
        assert_eq!(head("router:small=model-01"), "router:small=mod…");
        assert_eq!(head("/home/me/policies/mine.wasm"), "…licies/mine.wasm");
    }
}
