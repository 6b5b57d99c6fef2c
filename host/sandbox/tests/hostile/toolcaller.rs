//! Tools, called too often, too many at once, and by whom they are not granted to.

use crate::attack::{Attack, Seen, Verdict, done, each, ensure};
use crate::house::House;
use rusty_genius_sandbox::Job;
use std::path::Path;

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
            ("strange-names", done("13 refused"), "*"),
            ("strange-arguments", done("9 refused"), ""),
            ("deep-arguments", done("*"), ""),
            (
                "long-arguments",
                done("usage(the arguments have more than 1 MiB)"),
                "",
            ),
            ("huge-arguments", done("*"), ""),
            ("flood", done("20, then budget(tool-calls, 20)"), ""),
            ("flood-ungranted", done("*"), "grants.tools.nobody"),
            ("flood-broken", done("20, then budget(tool-calls, 20)"), ""),
            ("parallel", done("20 of 100 answered"), ""),
            ("abandoned", done("*"), ""),
            ("unfinished", done("4 left behind"), ""),
            (
                "secrets",
                done("ok, * bytes: *"),
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

pub(crate) fn granted(house: &House, _: &Attack, _: &Path, job: &mut Job) {
    if job.budget.memory < 256 << 20 {
        // Room for what it passes, and for four tools.
        job.budget.memory = 384 << 20;
    }
    house.grant_tools(job);
}

/// A tool got nothing of its caller's, and each call is in the record.
fn kept(seen: &Seen) -> Verdict {
    ensure!(!seen.told.contains("GOT"), "{}", seen.told);
    Ok(())
}
