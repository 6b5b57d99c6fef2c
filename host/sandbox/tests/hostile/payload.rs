//! A hundred megabytes in one call, and a gigabyte asked for.

use crate::attack::{Attack, budget, done, each, trap};
use crate::house::House;
use rusty_genius_core::BudgetResource::Handles;
use rusty_genius_sandbox::Job;
use std::path::Path;
use std::time::Duration;

/// What one call may bring, and not a byte of it is kept.
const FUEL: &str = "fuel allocated for hostcalls has been exhausted";

pub(crate) fn hostile_payload() -> Vec<Attack> {
    let attacks = Attack::family(
        "payload",
        [
            ("reply", trap(FUEL), ""),
            ("thought", trap(FUEL), ""),
            ("journal", trap(FUEL), ""),
            ("prompt", trap(FUEL), ""),
            ("constraint", trap(FUEL), ""),
            ("count-tokens", trap(FUEL), ""),
            ("embed", trap(FUEL), ""),
            ("spec", trap(FUEL), ""),
            ("download", trap(FUEL), ""),
            ("tool-name", trap(FUEL), ""),
            ("tool-arguments", trap(FUEL), ""),
            ("failed", trap(FUEL), ""),
            ("usage", trap(FUEL), ""),
            ("path", trap(FUEL), ""),
            ("link-target", trap(FUEL), ""),
            ("file-write", trap(FUEL), ""),
            ("tiny-turns", trap(FUEL), ""),
            ("empty-fragments", trap(FUEL), ""),
            ("stop-texts", trap(FUEL), ""),
            ("settings", trap(FUEL), ""),
            ("poll", budget(Handles), ""),
            ("poll-nothing", trap("empty poll list"), ""),
            ("random", trap("exceeds limit"), ""),
            ("random-insecure", trap("exceeds limit"), ""),
            ("file-read", done("65536 bytes"), ""),
            ("stream-read", done("65536 bytes, 65536 skipped"), ""),
            ("stdin-read", done("closed"), ""),
            ("batch", done("within a batch"), ""),
        ],
    );
    each(attacks, with_room, |_| Ok(()))
}

/// The guest itself must be able to hold what it passes.
fn with_room(house: &House, _: &Attack, _: &Path, job: &mut Job) {
    job.budget.memory = 384 << 20;
    job.budget.wall_time = Duration::from_secs(10);
    house.grant_tools(job);
}
