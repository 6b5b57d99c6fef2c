//! Handles of every kind, taken and kept.

use crate::attack::{Attack, budget, done, trap};
use rusty_genius_core::BudgetResource::Handles;

pub(crate) fn hostile_handles() -> Vec<Attack> {
    Attack::family(
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
            ("errors", budget(Handles), "*"),
            ("preopens", budget(Handles), ""),
            ("stdio", budget(Handles), ""),
            ("networks", budget(Handles), "*"),
            ("sockets", done("tcp 0, then *; udp 0, then *"), "network*"),
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
            ("calls-in-flight", done("*"), ""),
            (
                "calls-abandoned",
                done("then ok").or(done("then budget(generations, 50)")),
                "",
            ),
            ("forged", trap(""), ""),
            ("dropped-twice", trap(""), ""),
            ("another-kind", trap(""), ""),
        ],
    )
}
