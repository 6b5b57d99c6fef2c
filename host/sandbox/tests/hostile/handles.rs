//! Handles of every kind, taken and kept.

use crate::attack::{Attack, budget, done, each, trap};
use rusty_genius_core::BudgetResource::Handles;

pub(crate) fn hostile_handles() -> Vec<Attack> {
    let attacks = Attack::family(
        "handles",
        [
            ("descriptors", budget(Handles), ""),
            (
                "listings",
                done("16, then insufficient-memory"),
                "more than 16 listings of folders at once",
            ),
            ("input-streams", budget(Handles), ""),
            ("output-streams", budget(Handles), ""),
            ("pollables", budget(Handles), ""),
            ("timers", budget(Handles), ""),
            ("errors", budget(Handles), "budget.scratch"),
            ("preopens", budget(Handles), ""),
            ("stdio", budget(Handles), ""),
            ("networks", budget(Handles), ""),
            (
                "sockets",
                done("tcp 0, then access-denied; udp 0, then access-denied"),
                "network: a TCP socket, network: a UDP socket",
            ),
            (
                "sessions-forgotten",
                done("64, then budget(sessions, 64)"),
                "",
            ),
            ("forks-forgotten", done("63, then budget(sessions, 64)"), ""),
            (
                "inferences-forgotten",
                done("16, then budget(inferences, 16)"),
                "",
            ),
            ("events-taken-often", budget(Handles), ""),
            ("streams", budget(Handles), ""),
            ("downloads", budget(Handles), ""),
            ("calls-in-flight", done("16 of 10000 in flight"), ""),
            ("calls-abandoned", done("then ok"), ""),
            ("forged", trap("unknown handle index"), ""),
            ("dropped-twice", trap("unknown handle index"), ""),
            ("another-kind", trap("used with the wrong type"), ""),
        ],
    );
    // One that is given up may have begun, and counts.
    each(
        attacks,
        |_, _, _, job| job.budget.generations = 20_000,
        |_| Ok(()),
    )
}
