//! Guests that have tests of their own, in other files beside this suite. Those that take
//! time, memory or folders attack here as well: all at once with the others.

use crate::attack::{Attack, budget, done, each};
use rusty_genius_core::BudgetResource::WallTime;
use std::time::Duration;

/// Whether the source of a test runs this guest.
fn tested(source: &str, guest: &str) {
    assert!(
        source.contains(&format!("\"hostile/{guest}\"")),
        "{guest} has no test"
    );
}

pub(crate) fn hostile_spin() -> Vec<Attack> {
    tested(include_str!("../limits.rs"), "spin");
    vec![brief(Attack::new("spin", &[], budget(WallTime), ""))]
}

pub(crate) fn hostile_park() -> Vec<Attack> {
    tested(include_str!("../limits.rs"), "park");
    let how = ["sleep", "never"].map(|how| Attack::new("park", &[how], budget(WallTime), ""));
    how.map(brief).into()
}

fn brief(attack: Attack) -> Attack {
    let brief = each(
        vec![attack],
        |_, _, _, job| job.budget.wall_time = Duration::from_millis(500),
        |_| Ok(()),
    );
    brief.into_iter().next().unwrap()
}

pub(crate) fn hostile_hoard() -> Vec<Attack> {
    tested(include_str!("../limits.rs"), "hoard");
    vec![Attack::new("hoard", &[], done("stopped at 62 MiB"), "")]
}

pub(crate) fn hostile_burrow() -> Vec<Attack> {
    tested(include_str!("../limits.rs"), "burrow");
    let end = done("200 folders deep, then *insufficient-space*");
    vec![Attack::new("burrow", &[], end, "budget.scratch-files")]
}

pub(crate) fn hostile_escape() -> Vec<Attack> {
    tested(include_str!("../escape.rs"), "escape");
    vec![Attack::new(
        "escape",
        &[],
        done("*: refused (*"),
        "grants.files, grants.stdio*network*",
    )]
}

pub(crate) fn hostile_greedy() -> Vec<Attack> {
    tested(include_str!("../limits.rs"), "greedy");
    vec![]
}

pub(crate) fn hostile_liar() -> Vec<Attack> {
    tested(include_str!("../../../teaser/tests/liar.rs"), "liar");
    vec![]
}

pub(crate) fn hostile_tyrant() -> Vec<Attack> {
    tested(include_str!("../policies.rs"), "tyrant");
    vec![]
}
