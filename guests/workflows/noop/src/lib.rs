//! Does nothing: what is left is the cost of a run. For benchmarks.

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

struct Noop;
export!(Noop);

impl Guest for Noop {
    async fn run(_args: Vec<String>) -> Result<(), Failure> {
        Ok(())
    }
}
