//! The guests of this repository as WebAssembly components.
//!
//! The build script compiles the workspace in `guests/` from source, and this crate
//! hands out the bytes: nothing has to be built, found or kept in step by hand. A new
//! guest is a new folder below `guests/workflows`, `guests/tools`, `guests/scenarios`,
//! `guests/policies` or `guests/hostile`; there is no list of them.
//!
//! An attack that no compiler would write is a file `guests/hostile/NAME.wat` instead:
//! WebAssembly text whose first line is `;; ` and its summary. Lines between `;; repeat N`
//! and `;; end` stand for N copies of them, with `{n}` for the number of the copy from 1 on,
//! and `{m}` for the one before it; `;; include FILE` stands for what is in the file. One
//! that is no component on purpose says so on its second line, `;; not a component`.
//!
//! [`foreach_hostile!`] names all hostile guests, for tests that must leave none out.
//!
//! # What compiles the guests
//!
//! The first of these that is there:
//!
//! 1. The toolchain that builds this crate, when it has the `wasm32-wasip2` target.
//!    `rust-toolchain.toml` asks for it, so with a rustup that can download there is
//!    nothing to do.
//! 2. Debian's `rustc-web`, `rust-web-src` and `wasi-libc`: the standard library is then
//!    compiled from source, and the linker comes from the toolchain.
//! 3. Nothing: the build stops and says what to type.
//!
//! The guests are always built optimised, whatever the profile of this crate, and once
//! for all profiles: their build products are in `guests/` below the target directory.

#![deny(missing_docs)]

/// What a guest is for, and so which world of the contract it exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A prompt workflow: world `workflow` or `workflow-blocking`.
    Workflow,
    /// A tool that workflows call: world `tool` or `tool-blocking`.
    Tool,
    /// A test scenario: world `scenario`.
    Scenario,
    /// An orchestration policy: world `policy`.
    Policy,
    /// A guest of any world, or of none, that attacks its host or lies to it; each one is
    /// a test.
    Hostile,
}

impl Kind {
    /// The folder below `guests/` that holds the guests of this kind.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Workflow => "workflows",
            Self::Tool => "tools",
            Self::Scenario => "scenarios",
            Self::Policy => "policies",
            Self::Hostile => "hostile",
        }
    }

    /// What stands before the names of the guests of this kind, so that nobody runs one
    /// for what it is not.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Workflow | Self::Scenario => "",
            Self::Tool => "tool/",
            Self::Policy => "policy/",
            Self::Hostile => "hostile/",
        }
    }
}

/// A guest, compiled.
#[derive(Clone, Copy)]
pub struct Guest {
    /// What it is called: the name of its folder or file, with [`Kind::prefix`] before it.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// What it does, in one line.
    pub summary: &'static str,
    /// The component. Of a hostile guest perhaps none.
    pub bytes: &'static [u8],
}

impl std::fmt::Debug for Guest {
    // Without the bytes: they are a hundred thousand numbers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

/// Every guest, by kind and then by name.
pub fn all() -> &'static [Guest] {
    GUESTS
}

/// The guest of this name, with or without its kind's prefix or folder: `ask` and
/// `workflows/ask`, `calc`, `tool/calc` and `tools/calc`, `spin` and `hostile/spin`.
pub fn find(name: &str) -> Option<&'static Guest> {
    GUESTS.iter().find(|guest| {
        let folder = guest.kind.folder();
        let bare = guest.name.rsplit('/').next().unwrap_or(guest.name);
        name == guest.name
            || name == bare
            || name
                .strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix('/'))
                == Some(bare)
    })
}
