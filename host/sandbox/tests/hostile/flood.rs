//! Output: more than anybody reads, and what harms whoever shows it as it is.

use crate::attack::{Attack, Seen, Verdict, budget, done, each, ensure, failed, usage};
use crate::house::House;
use crate::support::{content, thoughts};
use rusty_genius_core::BudgetResource::WallTime;
use rusty_genius_core::Stdio;
use rusty_genius_sandbox::Job;
use std::path::Path;
use std::time::Duration;

pub(crate) fn hostile_flood() -> Vec<Attack> {
    let attacks = Attack::family(
        "flood",
        [
            (
                "stdout",
                done("64 KiB, then Uncategorized"),
                "budget.stdout",
            ),
            (
                "stderr",
                done("64 KiB, then failed: no storage space"),
                "budget.journal, budget.stdout",
            ),
            (
                "stdout-bytes",
                done("8192, then failed: no storage space"),
                "budget.stdout",
            ),
            (
                "stdout-zeroes",
                done("64 KiB, then failed: no storage space"),
                "budget.stdout",
            ),
            ("stdout-unflushed", done("0, then no room"), ""),
            ("journal", done("64, then budget(journal, 65536)"), ""),
            (
                "journal-empty",
                done("4096, then budget(journal, 65536)"),
                "",
            ),
            ("reply", done("6, then budget(reply, 262144)"), ""),
            ("reply-empty", done("26, then budget(reply, 262144)"), ""),
            ("reply-nothing", budget(WallTime).or(done("no limit")), ""),
            ("thoughts", done("26, then budget(reply, 262144)"), ""),
            ("nasty-stdout", done("true"), ""),
            ("nasty-stderr", done("true"), ""),
            ("nasty-utf8", done("5 of 5"), ""),
            ("nasty-journal", done("ok"), ""),
            ("nasty-reply", done("ok"), ""),
            ("nasty-thoughts", done("ok"), ""),
            ("nasty-names", done("5 of 5"), ""),
            ("nasty-spec", done("4 of 4 refused"), ""),
            ("nasty-failed", failed("\u{1b}*"), ""),
            ("nasty-usage", usage("\u{1b}*"), ""),
            ("fake-record", done("ok"), ""),
            ("fake-lines", done("ok, printed true"), ""),
            ("thoughts-unbalanced", done("ok"), ""),
        ],
    );
    each(attacks, printing, kept)
}

fn printing(_: &House, attack: &Attack, _: &Path, job: &mut Job) {
    job.budget.reply = 256 << 10;
    match attack.words[0].as_str() {
        // It costs nothing but time.
        "reply-nothing" => job.budget.wall_time = Duration::from_millis(500),
        "stdout-bytes" => job.budget.stdout = 8 << 10,
        _ => {}
    }
    job.grant.stdio = vec![Stdio::Out, Stdio::Err];
}

/// Whatever it says is inside a line of its record, and reaches no further than its budget.
fn kept(seen: &Seen) -> Verdict {
    let said = content(&seen.reply).len() + thoughts(&seen.reply).len();
    ensure!(said <= 256 << 10, "{said} bytes of reply");
    let noted: usize = seen.report.notes.iter().map(|n| n.text.len()).sum();
    ensure!(noted <= 64 << 10, "{noted} bytes of notes");
    for line in &seen.record {
        let kind = line["type"].as_str().unwrap_or_default();
        let known = ["start", "note", "denial", "decision", "end"].contains(&kind);
        ensure!(
            known && line.get("kind").is_none(),
            "a line of its own: {line}"
        );
    }
    Ok(())
}
