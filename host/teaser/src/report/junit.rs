//! The XML that CI systems read: a suite for each model, a case for each fixture.
//!
//! Control characters, which XML 1.0 cannot hold, are shown as Rust would write them.

use super::{Fault, faults};
use crate::show;
use crate::suite::{Report, Row, Status};
use chrono::{DateTime, Utc};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestRerun, TestSuite};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The report as JUnit XML.
pub fn text(report: &Report) -> String {
    let began = DateTime::<Utc>::from(report.started);
    let mut junit = quick_junit::Report::new("genius test");
    junit.set_timestamp(began);
    junit.set_time(report.wall_time);
    let skipped = match report.interrupted {
        true => "the suite was interrupted before this one was done",
        false => "another one failed before",
    };
    let mut suites: BTreeMap<String, TestSuite> = BTreeMap::new();
    for row in &report.rows {
        let (model, test) = names(row);
        let suite = suites.entry(model.clone()).or_insert_with(|| {
            let mut suite = TestSuite::new(model.clone());
            suite.set_timestamp(began);
            suite
        });
        suite.add_test_case(case(row, &model, test, skipped));
    }
    junit.add_test_suites(suites.into_values());
    // It is all text, and a string takes any of it.
    junit.to_string().unwrap_or_default()
}

/// The model, and the test: of a row that is no fixture all is the test.
fn names(row: &Row) -> (String, String) {
    let name = show::line(&row.name);
    match (&row.fixture, name.rsplit_once('/')) {
        (Some(_), Some((model, test))) => (model.to_owned(), test.to_owned()),
        _ => ("fixtures".to_owned(), name),
    }
}

fn case(row: &Row, model: &str, test: String, skipped: &str) -> TestCase {
    let faults = faults(row);
    let message = faults.first().map(|fault| fault.text.clone());
    let status = match row.status() {
        Status::Passed => TestCaseStatus::success(),
        Status::Flaky => {
            let mut status = TestCaseStatus::success();
            let attempts = row.outcome().map_or(1, |outcome| outcome.attempts);
            for _ in 1..attempts {
                let mut rerun = TestRerun::new(NonSuccessKind::Failure);
                rerun.set_message("it failed, and was tried again");
                status.add_rerun(rerun);
            }
            status
        }
        Status::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(skipped);
            status
        }
        Status::Failed | Status::Broken => {
            let (kind, of) = match row.status() {
                Status::Broken => (NonSuccessKind::Error, "broken"),
                _ => (NonSuccessKind::Failure, "failed"),
            };
            let mut status = TestCaseStatus::non_success(kind);
            status
                .set_type(of)
                .set_message(message.unwrap_or_default())
                .set_description(description(&faults));
            status
        }
    };
    let mut case = TestCase::new(test, status);
    case.set_classname(model);
    case.add_property(("file", &*show::name(row.path.as_os_str())));
    if let Some(outcome) = row.outcome() {
        case.set_time(outcome.evidence.wall_time);
        case.add_property(("engine", &*show::line(&outcome.engine_note())));
        if let Ok(seen) = &outcome.evidence.observation {
            case.set_system_out(lines(&seen.answer));
        }
    }
    case
}

fn description(faults: &[Fault]) -> String {
    let mut text = String::new();
    for fault in faults {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", fault.text);
        text += fault.diff.as_deref().unwrap_or_default();
        if let Some(hint) = &fault.hint {
            let _ = writeln!(text, "hint: {}", show::line(hint));
        }
    }
    text
}

/// A text with its lines, each of them safe.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(show::line).collect();
    lines.join("\n")
}
