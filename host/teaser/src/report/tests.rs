use super::terminal::Style;
use super::*;
use crate::runner::Outcome;
use crate::{Evidence, Fixture, Place, Standard, WordsFault};
use quick_xml::Reader;
use quick_xml::events::Event;
use rusty_genius_core::fixture::whole_file;
use rusty_genius_core::{FinishReason, Observation, Usage};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a hostile model or file says: it would forge lines, end elements and scripts.
const EVIL: &str =
    "</script><b>\x1b[31m\0 ]]> &amp; \"q\" %0A\n::error::forged\r\n\u{202e}\u{2028}";

fn row(name: &str, answer: &str, failures: Vec<Failure>, attempts: u32) -> Row {
    let name = format!("a/b/c/{name}");
    let text = "+++\n[expect]\nexact = 'Rome'\n+++\nWhere?\n";
    let usage = Usage {
        prompt_tokens: 5,
        completion_tokens: 10,
        prefill_us: 1000,
        decode_us: 4000,
        ..Usage::default()
    };
    let outcome = Outcome {
        name: name.clone(),
        file: "f.md".into(),
        engine: "bytelm".into(),
        replayed: false,
        standard: Standard::Answer,
        attempts,
        failures,
        evidence: Evidence {
            observation: Ok(Observation {
                answer: answer.into(),
                thoughts: String::new(),
                calls: vec![],
                finish: FinishReason::Stop,
                usage,
                checks: vec![],
                earlier: vec![],
            }),
            usage,
            refusals: vec![],
            notes: vec![],
            memory_peak: 1,
            wall_time: Duration::from_millis(7),
            files: vec![],
            answer_file: None,
            expected: BTreeMap::new(),
        },
    };
    Row {
        fixture: Fixture::parse(&name, Path::new("f.md"), text.as_bytes()).ok(),
        path: PathBuf::from("f.md"),
        name,
        result: RowResult::Ran(Box::new(outcome)),
    }
}

/// One row of each status, words of strangers in all of them.
fn report() -> Report {
    let wrong = Failure::Words {
        place: Place::Answer,
        fault: WordsFault::Exact {
            expected: "Rome".into(),
            seen: EVIL.into(),
        },
    };
    let broken = PathBuf::from(format!("x/{EVIL}.md"));
    Report {
        started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        wall_time: Duration::from_millis(1500),
        interrupted: false,
        rows: vec![
            row("good", EVIL, vec![], 1),
            row("flaky", "Rome", vec![], 3),
            row("bad", EVIL, vec![wrong], 1),
            Row {
                name: crate::show::name(broken.as_os_str()),
                path: broken.clone(),
                fixture: None,
                result: RowResult::Broken(whole_file(&broken, EVIL).into()),
            },
            Row {
                name: "a/b/c/later".into(),
                path: "later.md".into(),
                fixture: None,
                result: RowResult::Skipped,
            },
        ],
    }
}

const PLAIN: Style = Style {
    color: false,
    width: 100,
};

fn is_safe(text: &str) -> bool {
    let unsafe_ = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2028}".contains(c);
    !text.contains(unsafe_)
}

#[test]
fn the_terminal_shows_a_line_each_and_what_is_wrong_below() {
    let report = report();
    let shown: String = report
        .rows
        .iter()
        .map(|row| terminal::row(row, PLAIN))
        .collect();
    assert!(is_safe(&shown), "{shown:?}");
    let begin: Vec<&str> = shown
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(begin, ["ok", "flaky", "FAIL", "BROKEN", "skip"]);
    assert!(
        shown.contains("10 tokens    0.01 s  3 attempts\n"),
        "{shown}"
    );
    assert!(shown.contains("`expect.exact`: the answer is "), "{shown}");
    assert!(shown.contains("\n         - Rome"), "{shown}");
    let summary = terminal::summary(&report, PLAIN);
    assert!(
        summary.contains("5 fixtures: 1 passed, 1 flaky, 1 failed, 1 broken, 1 skipped\n"),
        "{summary}"
    );
    assert!(
        summary.contains("15 prompt + 30 generated tokens · 2500 tokens/s · 1.50 s"),
        "{summary}"
    );
}

#[test]
fn a_narrow_terminal_cuts_names_only() {
    let style = Style { width: 20, ..PLAIN };
    let shown = terminal::row(&row(&"x".repeat(80), "", vec![], 1), style);
    assert!(shown.starts_with("ok     …xxxxxxxxxxxxxxx "), "{shown}");
}

#[test]
fn colour_is_asked_for() {
    let style = Style {
        color: true,
        ..PLAIN
    };
    let good = row("good", "", vec![], 1);
    assert!(terminal::row(&good, style).starts_with("\x1b[32mok    \x1b[0m "));
    assert!(!terminal::row(&good, PLAIN).contains('\x1b'));
}

#[test]
fn annotations_are_a_line_each_whatever_is_in_them() {
    let report = report();
    let all: String = report.rows.iter().map(github::annotations).collect();
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 3, "{all}");
    assert!(lines[0].starts_with("::warning file=f.md,title=a/b/c/flaky::it passed at attempt 3"));
    assert!(lines[1].starts_with("::error file=f.md,line="), "{all}");
    assert!(lines[1].contains("%0A- Rome"), "{all}");
    // What could be mistaken for an escape of ours is none.
    assert!(lines[1].contains("%250A"), "{all}");
    assert!(is_safe(&all), "{all:?}");
}

/// The elements of a document that a real parser reads, with the attribute of this name.
fn elements(xml: &str, attribute: &str) -> Vec<(String, Option<String>)> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut seen = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(e) | Event::Empty(e) => {
                let mut value = None;
                for found in e.attributes() {
                    let found = found.unwrap();
                    let text = found
                        .normalized_value(quick_xml::XmlVersion::default())
                        .unwrap();
                    assert!(is_safe(&text), "{text:?}");
                    if found.key.as_ref() == attribute.as_bytes() {
                        value = Some(text.into_owned());
                    }
                }
                seen.push((
                    String::from_utf8(e.name().as_ref().to_vec()).unwrap(),
                    value,
                ));
            }
            Event::Eof => return seen,
            _ => {}
        }
    }
}

#[test]
fn junit_is_xml_that_a_parser_reads_and_counts_as_we_do() {
    let xml = junit::text(&report());
    assert!(is_safe(&xml), "{xml:?}");
    let count = |name: &str| {
        let of = |(element, _): &&(String, Option<String>)| element == name;
        elements(&xml, "").iter().filter(of).count()
    };
    assert_eq!(count("testcase"), 5);
    assert_eq!(count("failure"), 1);
    assert_eq!(count("error"), 1);
    assert_eq!(count("skipped"), 1);
    assert_eq!(count("flakyFailure"), 2);
    let of = |element: &str, attribute: &str| -> Vec<String> {
        elements(&xml, attribute)
            .into_iter()
            .filter(|(name, _)| name == element)
            .filter_map(|(_, value)| value)
            .collect()
    };
    assert_eq!(of("testsuites", "tests"), ["5"]);
    assert_eq!(of("testsuites", "failures"), ["1"]);
    assert_eq!(of("testsuites", "errors"), ["1"]);
    assert!(of("testsuites", "timestamp")[0].starts_with("2023-11-14T22:13:20"));
    assert_eq!(of("testcase", "name")[..3], ["good", "flaky", "bad"]);
    assert_eq!(of("testcase", "classname")[0], "a/b/c");
    assert_eq!(of("skipped", "message"), ["another one failed before"]);
}

#[test]
fn every_report_says_that_it_was_interrupted() {
    let report = Report {
        interrupted: true,
        rows: report().rows.split_off(4),
        ..report()
    };
    assert!(!report.passed(), "nobody knows what the others would do");
    let summary = terminal::summary(&report, PLAIN);
    assert!(
        summary.contains("1 fixture: 1 skipped (interrupted)\n"),
        "{summary}"
    );
    let value: serde_json::Value = serde_json::from_str(&json::text(&report)).unwrap();
    assert_eq!(
        (&value["interrupted"], &value["passed"]),
        (&true.into(), &false.into())
    );
    let why = elements(&junit::text(&report), "message");
    let why = why.into_iter().find(|(name, _)| name == "skipped").unwrap();
    assert!(why.1.unwrap().contains("interrupted"));
}

#[test]
fn json_says_everything_as_it_is() {
    let value: serde_json::Value = serde_json::from_str(&json::text(&report())).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["started"], "2023-11-14T22:13:20Z");
    assert_eq!(value["passed"], false);
    let fixtures = value["fixtures"].as_array().unwrap();
    let statuses: Vec<_> = fixtures
        .iter()
        .map(|f| f["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["passed", "flaky", "failed", "broken", "skipped"]);
    assert_eq!(fixtures[0]["answer"], EVIL);
    assert_eq!(fixtures[0]["usage"]["completion-tokens"], 10);
    assert_eq!(fixtures[0]["expected"][0], "exact \"Rome\"");
    assert_eq!(fixtures[2]["failures"].as_array().unwrap().len(), 1);
    assert!(fixtures[4].get("engine").is_none());
}

#[test]
fn the_page_is_one_file_that_no_answer_can_break_out_of() {
    let page = html::text(&report());
    let ends = page.matches("</script>").count();
    assert_eq!(ends, 2, "the data's and the script's own");
    let data = page.split("id=\"data\">").nth(1).unwrap();
    let data = data.split("</script>").next().unwrap();
    let value: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(value["fixtures"][0]["answer"], EVIL);
    for outside in ["src=\"http", "href=\"http", "url(", "@import", "innerHTML"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn an_empty_report_has_no_figures_to_divide_by() {
    let report = Report {
        started: SystemTime::UNIX_EPOCH,
        wall_time: Duration::ZERO,
        interrupted: false,
        rows: vec![],
    };
    assert!(report.passed());
    assert!(!terminal::summary(&report, PLAIN).contains("NaN"));
    assert!(!json::text(&report).contains("tokens_per_second"));
}
