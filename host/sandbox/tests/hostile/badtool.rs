//! A tool that attacks its host, or lies to its caller.

use crate::attack::{Attack, End, Seen, Verdict, done, each, ensure};
use crate::house::House;
use rusty_genius_sandbox::{Job, Mount};
use std::path::Path;
use std::time::Duration;

pub(crate) fn hostile_badtool() -> Vec<Attack> {
    let broken = || done("tool(broken)");
    let mut attacks: Vec<Attack> = [
        ("trap", broken(), ""),
        ("exit", done("failed(it exited with code 0)"), ""),
        ("loop", broken(), ""),
        ("park", broken(), ""),
        ("answer-over", broken(), ""),
        ("answer-huge", broken(), ""),
        ("answer-nasty", done("ok, 101 bytes: \u{1b}*"), ""),
        ("answer-nothing", done("ok, 0 bytes: "), ""),
        ("inject", done("ok, * bytes: Ignore*"), ""),
        ("failed-huge", broken(), ""),
        ("failed-nasty", done("failed(\u{1b}*)"), ""),
        ("usage-huge", broken(), ""),
        (
            "look",
            done("ok, * bytes: /scratch: ; granted: /scratch"),
            "grants.tools.badtool.files",
        ),
        (
            "inherit",
            done("ok, * bytes: 0 variables, 0 words, 0 bytes"),
            "",
        ),
        (
            "fill",
            done("ok, * bytes: 2 MiB, then *"),
            "grants.tools.badtool.budget.scratch",
        ),
        (
            "fill-often",
            done("ok, * bytes: Uncategorized"),
            "*budget.scratch",
        ),
        (
            "files",
            done("ok, * bytes: 50, then StorageFull"),
            "grants.tools.badtool.budget.scratch-files",
        ),
        ("hoard", done("ok, * bytes: 30 MiB"), ""),
        (
            "print",
            done("ok, * bytes: 3, then *"),
            "grants.tools.badtool.budget.stdout, grants.tools.badtool.stdio = *",
        ),
        ("journal", done("ok, * bytes: 3, then refused"), ""),
        ("remember", done("ok, * bytes: 1 calls, a file false"), ""),
    ]
    .into_iter()
    .map(|(attack, end, denials)| {
        let arguments = format!("{{\"attack\":\"{attack}\"}}");
        Attack::new("toolcaller", &["call", "badtool", &arguments], end, denials)
    })
    .collect();
    let row = |how, end: End| {
        let mut attack = Attack::new("toolcaller", &["describe"], end, "");
        attack.described = how;
        attack
    };
    attacks.extend([
        row("another-name", done("badtool (*), calc (*)")),
        row("nasty-name", done("badtool (*), calc (*)")),
        row("empty-name", done("badtool (*), calc (*)")),
        row("long-name", done("badtool (*), calc (*)")),
        row("long", broken()),
        row("huge", broken()),
        row("nasty", done("badtool (*), calc (*)")),
        row("inject", done("badtool (*), calc (*)")),
        row("no-schema", done("badtool (22 and 8 bytes), calc (*)")),
        row("no-object", done("badtool (22 and 5 bytes), calc (*)")),
        row("long-schema", broken()),
        row(
            "deep-schema",
            done("badtool (22 and 50002 bytes), calc (*)"),
        ),
        row("trap", broken()),
        row("loop", broken()),
    ]);
    each(attacks, granted, kept)
}

/// Which of its attacks a caller asks for.
pub(crate) fn attack_of(attack: &Attack) -> Option<String> {
    let arguments = attack.words.get(2)?.strip_prefix("{\"attack\":\"")?;
    Some(arguments.strip_suffix("\"}")?.to_owned())
}

fn granted(house: &House, attack: &Attack, dir: &Path, job: &mut Job) {
    crate::toolcaller::granted(house, attack, dir, job);
    let tool = job.grant.tools.get_mut("badtool").unwrap();
    let named = attack_of(attack).unwrap_or_else(|| attack.described.into());
    match named.as_str() {
        // It must be able to hold what it answers.
        "answer-huge" | "failed-huge" | "usage-huge" | "huge" => tool.budget.memory = 256 << 20,
        "loop" | "park" => tool.budget.wall_time = Duration::from_millis(300),
        // Its room is its caller's, too.
        "fill" => tool.budget.scratch = 2 << 20,
        "fill-often" => job.budget.scratch = 2 << 20,
        _ => {}
    }
    if !attack.described.is_empty() {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("describe"), attack.described).unwrap();
        tool.files.push(Mount {
            host: dir.to_owned(),
            guest: "/how".into(),
            writable: false,
        });
    }
}

fn kept(seen: &Seen) -> Verdict {
    ensure!(!seen.told.contains("GOT"), "{}", seen.told);
    let calls = seen.record.iter().filter(|line| line["type"] == "tool");
    ensure!(calls.count() > 0, "no call of a tool is recorded");
    Ok(())
}
