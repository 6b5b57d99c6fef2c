//! A hundred megabytes in one call, and a gigabyte asked for.

use crate::attack::{Attack, Seen, Verdict, budget, done, each, ensure, failed, trap, usage};
use crate::house::House;
use rusty_genius_core::BudgetResource::{Handles, WallTime};
use rusty_genius_sandbox::Job;
use std::path::Path;

pub(crate) fn hostile_payload() -> Vec<Attack> {
    let attacks = Attack::family(
        "payload",
        [
            ("reply", trap(""), ""),
            ("thought", trap(""), ""),
            ("journal", trap(""), ""),
            ("prompt", trap(""), ""),
            ("constraint", trap(""), ""),
            ("count-tokens", trap(""), ""),
            ("embed", trap(""), ""),
            ("spec", trap(""), ""),
            ("download", trap(""), ""),
            ("tool-name", trap(""), ""),
            ("tool-arguments", trap("").or(budget(WallTime)), ""),
            ("failed", failed("A*").or(trap("")), ""),
            ("usage", usage("A*").or(trap("")), ""),
            ("path", trap(""), ""),
            ("link-target", trap(""), ""),
            ("file-write", trap(""), ""),
            ("tiny-turns", trap(""), ""),
            ("empty-fragments", trap(""), ""),
            ("stop-texts", trap(""), ""),
            ("settings", trap(""), ""),
            ("poll", done("100000 ready").or(budget(Handles)), ""),
            ("poll-nothing", trap(""), ""),
            ("random", trap(""), ""),
            ("random-insecure", trap(""), ""),
            ("file-read", done("* bytes"), ""),
            ("stream-read", done("* bytes, * skipped"), ""),
            ("stdin-read", done("closed"), ""),
            ("batch", done("within a batch"), ""),
        ],
    );
    each(attacks, with_room, kept)
}

/// The guest itself must be able to hold what it passes.
fn with_room(house: &House, _: &Attack, _: &Path, job: &mut Job) {
    job.budget.memory = 384 << 20;
    house.grant_tools(job);
}

/// Its last words are cut.
fn kept(seen: &Seen) -> Verdict {
    let bytes = seen.told.len();
    ensure!(bytes < 20_000, "{bytes} bytes of last words");
    Ok(())
}
