use super::*;
use crate::meter::Meter;
use proptest::prelude::*;
use rusty_genius_core::{Budget, Level};

fn records(test: &str) -> Records {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/tmp/record-tests")
        .join(test);
    let _ = fs::remove_dir_all(&dir);
    Records::new(dir)
}

fn note(text: &str) -> Note {
    Note {
        level: Level::Info,
        text: text.into(),
    }
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let records = records("whole");
    let log = records
        .begin("ask-1-1-0", json!({ "component": "ask" }))
        .unwrap();
    let meter = Meter::new(Budget::default(), Some(log.clone()));
    meter.note(note("hello")).unwrap();
    meter.deny("environment", Some("grants.env".into()));
    log.tool("calc", "done", Duration::from_micros(5));
    log.end(&End {
        outcome: outcome(None),
        error: None,
        usage: &Usage::default(),
        consumption: &meter.read(),
        files: &["answer.md".into()],
    });
    let lines = records.read("ask-1-1-0").unwrap();
    let kinds: Vec<&str> = lines.iter().filter_map(|l| l["type"].as_str()).collect();
    assert_eq!(kinds, ["start", "note", "denial", "tool", "end"]);
    assert_eq!(lines[0]["component"], "ask");
    assert_eq!(lines[2]["key"], "grants.env");
    assert_eq!(lines[4]["outcome"], "done");
    assert_eq!(lines[4]["files"][0], "answer.md");
    assert!(log.is_whole());
}

#[test]
fn a_record_cut_anywhere_is_read_up_to_there() {
    let records = records("cut");
    let log = records.begin("cut-1-1-0", json!({})).unwrap();
    for n in 0..5 {
        log.note(&note(&n.to_string()));
    }
    let path = records.dir().join("cut-1-1-0.jsonl");
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let ends = whole[..cut].iter().filter(|b| **b == b'\n').count();
        let lines = records.read("cut-1-1-0").unwrap();
        // The last one may be whole but for the end of its line.
        assert!(lines.len() == ends || lines.len() == ends + 1);
    }
    fs::write(&path, "{}\nnonsense\n{}\n").unwrap();
    let error = records.read("cut-1-1-0").unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn two_runs_never_share_a_record_and_an_id_is_no_path() {
    let records = records("ids");
    records.begin("a-1-1-0", json!({})).unwrap();
    assert!(records.begin("a-1-1-0", json!({})).is_err());
    for id in ["", "../a-1-1-0", "a/b", "a.jsonl", "a\0b"] {
        let kind = records.read(id).unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::NotFound, "{id:?}");
    }
}

#[test]
fn runs_are_listed_in_the_order_they_began() {
    let records = records("list");
    assert!(records.list().unwrap().is_empty());
    let order = ["z-z-1-1-0", "b-2-1-9", "b-2-1-10", "a-a0-1-0"];
    for run in ["a-a0-1-0", "b-2-1-10", "z-z-1-1-0", "b-2-1-9"] {
        records.begin(run, json!({})).unwrap();
    }
    fs::write(records.dir().join("notes.txt"), "x").unwrap();
    assert_eq!(records.list().unwrap(), order);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_them() {
    use std::os::unix::fs::PermissionsExt;
    let records = records("mode");
    records.begin("a-1-1-0", json!({})).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(records.dir()), 0o700);
    assert_eq!(mode(&records.dir().join("a-1-1-0.jsonl")), 0o600);
}

proptest! {
    #[test]
    fn whatever_a_guest_says_stays_inside_its_line(text in any::<String>()) {
        let line = ascii(&json!({ "type": "note", "text": text }).to_string());
        prop_assert!(line.bytes().filter(|b| *b == b'\n').count() == 1 && line.ends_with('\n'));
        prop_assert!(line.trim_end().bytes().all(|b| (b' '..=b'~').contains(&b)));
        let back: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(back["text"].as_str(), Some(text.as_str()));
    }
}
