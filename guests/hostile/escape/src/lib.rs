//! Tries to reach everything outside its grant, and reports each attempt: one line of
//! reply and one note in the journal, `attempt: refused (error)` or `attempt: GOT what`.
//! Fails when anything was got, so a run of it that succeeds is a proof.
//!
//! Nothing here destroys anything on a host that does let it out: it reads, makes files
//! called `escaped`, and removes nothing but empty folders.

mod descriptors;
mod files;
mod links;
mod network;
mod process;
mod report;

use report::Report;
use std::fs;

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

struct Escape;
export!(Escape);

impl Guest for Escape {
    async fn run(_args: Vec<String>) -> Result<(), Failure> {
        let mut report = Report::default();
        files::fresh(&mut report);
        prepare().map_err(|e| Failure::Failed(format!("/scratch cannot be used: {e}")))?;
        files::try_all(&mut report);
        links::try_all(&mut report);
        descriptors::try_all(&mut report);
        process::try_all(&mut report);
        network::try_all(&mut report);

        report.say().map_err(Failure::Host)?;
        match report.count() {
            (0, _) => Ok(()),
            (got, all) => Err(Failure::Failed(format!(
                "{got} of {all} attempts got something"
            ))),
        }
    }
}

/// What the attempts start from. Without it they would be refused for the wrong reason.
fn prepare() -> std::io::Result<()> {
    // A real folder, so that `a/..` walks and is not merely missing.
    fs::create_dir("/scratch/a")?;
    fs::write("/scratch/mine", "mine")
}
