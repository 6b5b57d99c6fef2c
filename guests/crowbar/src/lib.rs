//! What the hostile workflows share: the bindings of their world, and how an attack is
//! chosen and told. No guest of its own.
//!
//! A family of attacks is one guest; its first argument names the attack. What came of it is
//! one line of reply, `attack: outcome`, if the guest still lives then. With `list` it says
//! the names of its attacks instead, one a line.
//!
//! On a host that refuses nothing every attack ends by itself, after some hundred megabytes
//! or some hundred thousand calls.

pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "workflow",
        pub_export_macro: true,
        default_bindings_module: "crowbar::bindings",
    });
}
pub mod files;
pub mod model;
mod outcome;
mod tally;

pub use bindings::Guest;
pub use bindings::export;
pub use bindings::rusty_genius::genius::{cortex, facecrab, journal, reply, tools, types};
pub use bindings::wit_stream;
pub use outcome::{Outcome, error, failure, of, until_refused};
pub use tally::Tally;

/// Most of anything that is tried before an attack gives up.
pub const MANY: usize = 100_000;
/// A hundred megabytes, more than any call may carry.
pub const HUGE: usize = 100_000_000;
pub const MIB: usize = 1 << 20;

/// Text that harms whoever shows it as it is: clears the screen, turns the line around,
/// begins new ones, ends a string of C.
pub const NASTY: &str =
    "\u{1b}[2J\u{1b}[31mred\r\n\u{202e}txt.exe\u{2066}\u{0}\u{9b}31m\u{7f}\u{feff}";

/// Says what came of an attack.
pub fn say(line: &str) -> Result<(), types::Failure> {
    let content = reply::Fragment::Content(format!("{line}\n"));
    reply::emit(&[content]).map_err(types::Failure::Host)
}

/// The guest that is a family: its name, what its words are called, and its attacks.
#[macro_export]
macro_rules! family {
    ($family:ident($words:ident): $($name:literal => $attack:expr,)*) => {
        struct $family;
        $crate::export!($family);

        impl $crate::Guest for $family {
            async fn run(args: Vec<String>) -> Result<(), $crate::types::Failure> {
                let mut $words = args;
                let attack = match $words.is_empty() {
                    true => String::new(),
                    false => $words.remove(0),
                };
                let outcome: $crate::Outcome = match attack.as_str() {
                    "list" => return $crate::say(&[$($name),*].join("\n")),
                    $($name => $attack.into(),)*
                    _ => {
                        let usage = format!("there is no attack {attack:?}; see: list");
                        return Err($crate::types::Failure::Usage(usage));
                    }
                };
                match outcome {
                    $crate::Outcome::Words(words) => $crate::say(&format!("{attack}: {words}")),
                    $crate::Outcome::Failure(failure) => Err(failure),
                }
            }
        }
    };
}
