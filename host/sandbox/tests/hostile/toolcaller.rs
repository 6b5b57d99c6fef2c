//! Tools, called too often, too many at once, and by whom they are not granted to.

use crate::attack::{Attack, Seen, Verdict, budget, done, each, ensure, trap};
use crate::house::House;
use rusty_genius_core::BudgetResource::WallTime;
use rusty_genius_sandbox::Job;
use std::path::Path;
use std::time::Duration;

pub(crate) fn hostile_toolcaller() -> Vec<Attack> {
    let mut attacks = Attack::family(
        "toolcaller",
        [
            ("describe", done("badtool (*), calc (*)"), ""),
            (
                "describe-often",
                done("10, then budget(tool-calls, 20)"),
                "",
            ),
            (
                "ungranted",
                done("tool(not-granted)"),
                "grants.tools.fs-search",
            ),
            (
                "strange-names",
                done("13 refused"),
                "grants.tools, grants.tools.CALC, grants.tools.ask",
            ),
            ("strange-arguments", done("9 refused"), ""),
            (
                "deep-arguments",
                done("usage(the arguments are no JSON object)"),
                "",
            ),
            (
                "long-arguments",
                done("usage(the arguments have more than 1 MiB)"),
                "",
            ),
            ("huge-arguments", trap("fuel allocated for hostcalls"), ""),
            ("flood", done("20, then budget(tool-calls, 20)"), ""),
            (
                "flood-ungranted",
                budget(WallTime).or(done("no limit")),
                "grants.tools.nobody",
            ),
            ("flood-broken", done("20, then budget(tool-calls, 20)"), ""),
            ("parallel", done("20 of 100 answered"), ""),
            ("abandoned", done("budget(tool-calls, 20)"), ""),
            ("unfinished", done("4 left behind"), ""),
            (
                "secrets",
                done("ok, 29 bytes: /scratch: ; granted: /scratch"),
                "grants.tools.badtool.files",
            ),
            (
                "remember",
                done("ok, * bytes: 1 calls, a file false, then ok, * bytes: 1 calls, a file false"),
                "",
            ),
        ],
    );
    let call = ["call", "calc", "{\"expression\":\"1+2\"}"];
    attacks.push(Attack::new(
        "toolcaller",
        &call,
        done("ok, 12 bytes: {\"result\":3}"),
        "",
    ));
    each(attacks, granted, kept)
}

pub(crate) fn granted(house: &House, attack: &Attack, _: &Path, job: &mut Job) {
    // For what it passes, and for four tools.
    job.budget.memory = 384 << 20;
    if attack.words == ["flood-ungranted"] {
        // What is refused costs nothing but time.
        job.budget.wall_time = Duration::from_millis(500);
    }
    house.grant_tools(job);
}

/// A tool got nothing of its caller's, and each call is in the record.
fn kept(seen: &Seen) -> Verdict {
    ensure!(!seen.told.contains("GOT"), "{}", seen.told);
    Ok(())
}
