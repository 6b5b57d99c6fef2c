//! What a component looks like from outside: read from its bytes, without compiling them.
//!
//! [`ComponentInfo::read`] walks the sections of a component and of what is nested in it.
//! It reads imports, exports, memories and the `producers` sections, counts the rest, and
//! looks at no type and no instruction. So it is quick, and it proves nothing: a component
//! that it reads may still be invalid, which only the compiler finds out.
//!
//! # Limits
//!
//! | what | most | unit |
//! |---|---|---|
//! | imports, and exports | [`NAMES_LIMIT`] | of the outermost component, each |
//! | a name, as it is kept | [`NAME_LIMIT`] | characters; the rest is cut |
//! | components in components | [`DEPTH_LIMIT`] | levels |
//! | tools and languages kept | [`PRODUCERS_LIMIT`] | each; the rest is left out |
//! | versions kept | [`VERSIONS_LIMIT`] | each; the rest is left out |
//!
//! Time is linear in the bytes, and memory is under 16 MiB whatever they are. Nothing
//! recurses. Every name is shown as [`crate::text`] can be shown: control characters and
//! marks that turn text around are escaped.
//!
//! Not covered: whether it is valid; a component that was cut between two sections, of
//! which nothing tells that there were more; what its imports are at run time (an import
//! by name may have any type).
//!
//! ```
//! use rusty_genius_core::component::{ComponentError, ComponentInfo};
//!
//! let empty = ComponentInfo::read(b"\0asm\x0d\0\x01\0")?;
//! assert!(empty.imports.is_empty() && empty.world().is_none());
//!
//! let module = ComponentInfo::read(b"\0asm\x01\0\0\0").unwrap_err();
//! assert_eq!(module, ComponentError::CoreModule);
//! # Ok::<(), ComponentError>(())
//! ```

mod error;
mod explain;
mod read;
#[cfg(test)]
mod tests;

pub use error::ComponentError;
pub use explain::explain;

use std::fmt;

/// Most imports, and most exports, of a component.
pub const NAMES_LIMIT: usize = 4096;
/// Most characters of a name that are kept.
pub const NAME_LIMIT: usize = 256;
/// Deepest nesting of components; one without nested components is one level.
pub const DEPTH_LIMIT: usize = 64;
/// Most languages, and most tools, that are kept.
pub const PRODUCERS_LIMIT: usize = 64;
/// Most versions of the contract, and of WASI, that are kept.
pub const VERSIONS_LIMIT: usize = 16;

/// The package of the contract, without its version.
const CONTRACT: &str = "rusty-genius:genius";

/// A component's outside, and what is in it by numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentInfo {
    /// What it asks of its host, in its own order.
    pub imports: Vec<Extern>,
    /// What it offers, in its own order.
    pub exports: Vec<Extern>,
    /// Languages it was written in, as its toolchains say: anything may stand here.
    pub languages: Vec<Producer>,
    /// Tools it was made with, as they say themselves.
    pub tools: Vec<Producer>,
    /// Core modules, at any depth.
    pub modules: u64,
    /// Components nested in it, at any depth.
    pub components: u64,
    /// Instances that come into being when it is instantiated: of modules and of components,
    /// those inside of instances counted each time. A component of a kilobyte can make more
    /// than any machine holds; what cannot be counted in 64 bits is `u64::MAX`.
    pub instances: u64,
    /// Linear memories that its modules define, at any depth.
    pub memories: u64,
    /// Bytes these memories have at the start, all together, each module instantiated
    /// once. What cannot be counted in 64 bits is `u64::MAX`.
    pub memory_bytes: u64,
    /// Bytes of code, at any depth.
    pub code_bytes: u64,
    /// Bytes of data segments, at any depth.
    pub data_bytes: u64,
    /// Bytes of custom sections, names and debug information for the most part.
    pub custom_bytes: u64,
    /// Bytes of it all.
    pub bytes: u64,
    /// Whether a function of the outermost component is lifted as async.
    lifts_async: bool,
}

/// An import or an export.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extern {
    /// Its name, as it is shown: `wasi:cli/stdout@0.2.6`, `run`. At most [`NAME_LIMIT`]
    /// characters, then `…`.
    pub name: String,
    /// What it is.
    pub kind: ExternKind,
}

/// What an import or an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExternKind {
    /// An interface: functions and types together.
    Interface,
    /// A bare function.
    Function,
    /// A type, which gives nothing by itself.
    Type,
    /// A value.
    Value,
    /// A core module.
    Module,
    /// A component.
    Component,
}

impl ExternKind {
    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interface => "interface",
            Self::Function => "function",
            Self::Type => "type",
            Self::Value => "value",
            Self::Module => "core module",
            Self::Component => "component",
        }
    }
}

impl fmt::Display for ExternKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Extern {
    /// The package of an interface: `wasi:cli`.
    pub fn package(&self) -> Option<&str> {
        Some(Path::of(&self.name)?.package)
    }

    /// The interface within its package: `stdout`.
    pub fn interface(&self) -> Option<&str> {
        Some(Path::of(&self.name)?.interface)
    }

    /// The version of the package: `0.2.6`.
    pub fn version(&self) -> Option<&str> {
        Path::of(&self.name)?.version
    }

    /// What it means for whoever runs the component, in plain words. See [`explain`].
    pub fn explain(&self) -> &'static str {
        match self.kind {
            ExternKind::Interface | ExternKind::Function => explain(&self.name),
            ExternKind::Type => "names a type: gives nothing by itself",
            ExternKind::Value | ExternKind::Module | ExternKind::Component => {
                "is of a kind that no host gives"
            }
        }
    }
}

/// The parts of `package/interface@version`.
struct Path<'a> {
    package: &'a str,
    interface: &'a str,
    version: Option<&'a str>,
}

impl<'a> Path<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (path, version) = match name.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (name, None),
        };
        let (package, interface) = path.split_once('/')?;
        Some(Self {
            package,
            interface,
            version,
        })
    }
}

/// A language or a tool, with its version where one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Producer {
    /// `Rust`, `clang` …; at most [`NAME_LIMIT`] characters.
    pub name: String,
    /// `1.95.0`; empty where none is given.
    pub version: String,
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version.is_empty() {
            true => f.write_str(&self.name),
            false => write!(f, "{} {}", self.name, self.version),
        }
    }
}

/// A world of the contract: what kind of guest a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum World {
    /// `workflow`.
    Workflow,
    /// `workflow-blocking`.
    WorkflowBlocking,
    /// `scenario`.
    Scenario,
    /// `scenario-blocking`.
    ScenarioBlocking,
    /// `policy`.
    Policy,
    /// `tool`.
    Tool,
    /// `tool-blocking`.
    ToolBlocking,
}

impl World {
    /// Its name in WIT.
    pub fn name(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::WorkflowBlocking => "workflow-blocking",
            Self::Scenario => "scenario",
            Self::ScenarioBlocking => "scenario-blocking",
            Self::Policy => "policy",
            Self::Tool => "tool",
            Self::ToolBlocking => "tool-blocking",
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ComponentInfo {
    /// Reads a component.
    ///
    /// Errors: see [`ComponentError`]. An error in a `producers` section is none: it is a
    /// note, and the rest of it is left out.
    pub fn read(bytes: &[u8]) -> Result<Self, ComponentError> {
        read::component(bytes)
    }

    /// Refuses bytes whose first ones tell that they are no component. [`Self::read`] does
    /// that first.
    pub fn check_preamble(bytes: &[u8]) -> Result<(), ComponentError> {
        read::preamble(bytes)
    }

    /// Whether it exports a function of that name.
    pub fn exports_function(&self, name: &str) -> bool {
        let named = |export: &&Extern| export.name == name;
        self.exports
            .iter()
            .find(named)
            .is_some_and(|export| export.kind == ExternKind::Function)
    }

    /// The world it fits, by the names of its exports. Whether it is the blocking one its
    /// imports tell, and where they do not, whether it has an async function.
    ///
    /// A component that exports the functions of several worlds fits the first of
    /// scenario, workflow, policy, tool.
    pub fn world(&self) -> Option<World> {
        let exports = |name| self.exports_function(name);
        let (world, blocking) = if exports("run-case") {
            (World::Scenario, World::ScenarioBlocking)
        } else if exports("run") {
            (World::Workflow, World::WorkflowBlocking)
        } else if exports("configure") && exports("decide") {
            (World::Policy, World::Policy)
        } else if exports("describe") && exports("call") {
            (World::Tool, World::ToolBlocking)
        } else {
            return None;
        };
        let imports = |names: [&str; 2]| {
            self.imports.iter().any(|import| {
                import.package() == Some(CONTRACT)
                    && import.interface().is_some_and(|name| names.contains(&name))
            })
        };
        let parks = !imports(["cortex", "tools"])
            && (imports(["cortex-blocking", "tools-blocking"]) || !self.lifts_async);
        Some(if parks { blocking } else { world })
    }

    /// The versions of the contract that it was built against: one, where it was built
    /// properly; none, where it uses nothing of it.
    pub fn contract_versions(&self) -> Vec<&str> {
        self.versions(|package| package == CONTRACT)
    }

    /// The versions of WASI that it was built against.
    pub fn wasi_versions(&self) -> Vec<&str> {
        self.versions(|package| package.starts_with("wasi:"))
    }

    fn versions(&self, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
        let mut versions = Vec::new();
        for named in self.imports.iter().chain(&self.exports) {
            if let (Some(package), Some(version)) = (named.package(), named.version())
                && wanted(package)
                && !versions.contains(&version)
                && versions.len() < VERSIONS_LIMIT
            {
                versions.push(version);
            }
        }
        versions
    }
}
