//! What must hold of every reader of the house, whatever it is given to read.
//!
//! A target is a function that takes any bytes, gives them to a reader, and panics where
//! the reader breaks a promise: not only by a panic of its own, but by an error without a
//! line, a limit that does not hold, or an answer that depends on how the bytes were cut.
//!
//! | target | what it reads | what must hold |
//! |---|---|---|
//! | [`component`] | a component | limits; a component cut short says less or is refused |
//! | [`fixture`] | a test of a model | errors name a line; what was read is in its ranges |
//! | [`gguf`] | the header of a model file | every bound; what was read can be written and read again |
//! | [`manifest`] | `models.toml` | errors name a line; what was read can be printed and read again |
//! | [`output`] | a model's bytes | the same events however the bytes are cut |
//! | [`registry`] | facecrab's list of models | errors name a line; a change leaves the rest alone |
//! | [`run_manifest`] | `genius.toml` | as `manifest`; only paths and names that can be are granted |
//!
//! Two things run them. `tests/corpus.rs`, which is part of `cargo test`, gives each the
//! seeds in `fixtures/fuzz/{TARGET}/` and what simple mutations make of them, the same ones
//! each time. `scripts/fuzz.sh` looks for new ones with libFuzzer: `fuzz/` is the package
//! for that, a workspace of its own.
//!
//! A finding goes among the seeds, under a name that tells what it did.
#![deny(missing_docs)]

mod component;
mod fixture;
mod gguf;
mod manifest;
mod output;
mod registry;
mod run_manifest;

pub use component::component;
pub use fixture::fixture;
pub use gguf::gguf;
pub use manifest::manifest;
pub use output::output;
pub use registry::registry;
pub use run_manifest::run_manifest;

/// Takes any bytes, and panics where a promise is broken.
pub type Target = fn(&[u8]);

/// Every target, by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("component", component),
    ("fixture", fixture),
    ("gguf", gguf),
    ("manifest", manifest),
    ("output", output),
    ("registry", registry),
    ("run_manifest", run_manifest),
];

/// What is shown to people has no line of its own making and nothing a terminal obeys.
fn assert_line(text: &str) {
    assert!(!text.chars().any(char::is_control), "not a line: {text:?}");
}
