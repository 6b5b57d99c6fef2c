//! Loops for ever. The host has to end the run at its wall time, and nothing else may
//! notice.

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

struct Spin;
export!(Spin);

impl Guest for Spin {
    async fn run(_args: Vec<String>) -> Result<(), Failure> {
        let mut turns = 0_u64;
        loop {
            // `black_box`, or the optimiser may take an empty loop for a trap.
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}
