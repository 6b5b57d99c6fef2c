//! Takes memory until it is refused, and says how far it came. The host has to refuse at
//! the run's memory limit; a refusal is not a trap, so the guest ends in good order.

use rusty_genius::genius::journal::{Level, append};
use rusty_genius::genius::reply::{Fragment, emit};

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

const MIB: usize = 1024 * 1024;

struct Hoard;
export!(Hoard);

impl Guest for Hoard {
    async fn run(_args: Vec<String>) -> Result<(), Failure> {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        // Room for every piece there can be in 4 GiB, so that only the pieces grow.
        hoard
            .try_reserve_exact(4096)
            .map_err(|e| Failure::Failed(e.to_string()))?;
        while hoard.len() < 4096 {
            let mut piece = Vec::new();
            if piece.try_reserve_exact(MIB).is_err() {
                break;
            }
            // Written to, or the host's system need not find a page for it.
            piece.resize(MIB, 1);
            hoard.push(std::hint::black_box(piece));
        }
        let mib = hoard.len();
        // The report needs memory too, and there is none left.
        drop(hoard);

        let line = format!("stopped at {mib} MiB");
        append(Level::Info, &line).map_err(Failure::Host)?;
        emit(&[Fragment::Content(format!("{line}\n"))]).map_err(Failure::Host)
    }
}
