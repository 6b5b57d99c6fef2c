//! Components that were looked at and may run.

use crate::host::Ctx;
use rusty_genius_core::component::{ComponentError, ComponentInfo, World};
use rusty_genius_core::text::reorders;
use rusty_genius_core::{Digest, SandboxError, WIT_PACKAGE};
use sha2::Digest as _;
use std::sync::Arc;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};

/// Largest component accepted: 64 MiB. Python's is 20 MB.
pub const COMPONENT_LIMIT: usize = 64 << 20;

/// Most instances of modules and components that one component makes. The compiler works
/// through each of them, however few bytes they are spelled in.
const INSTANCES_LIMIT: u64 = 1000;

/// The entry point of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// `run`, of the world `workflow`.
    Run,
    /// `run-case`, of the world `scenario`.
    RunCase,
    /// `configure`, of the world `policy`.
    Configure,
    /// `decide`, of the world `policy`.
    Decide,
    /// `describe`, of the world `tool`.
    Describe,
    /// `call`, of the world `tool`.
    Call,
}

impl Export {
    /// Its name in WIT.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::RunCase => "run-case",
            Self::Configure => "configure",
            Self::Decide => "decide",
            Self::Describe => "describe",
            Self::Call => "call",
        }
    }
}

fn exports(component: &Component, export: Export) -> bool {
    let ty = component.component_type();
    ty.get_export(component.engine(), export.name())
        .is_some_and(|item| matches!(item.ty, ComponentItem::ComponentFunc(_)))
}

/// Refuses a component without this entry point, and says what it is instead.
pub(crate) fn check_export(
    name: &str,
    component: &Component,
    export: Export,
) -> Result<(), SandboxError> {
    if exports(component, export) {
        return Ok(());
    }
    const WORLDS: [(Export, &str); 4] = [
        (
            Export::RunCase,
            "it is a test scenario, run by the fixture runner",
        ),
        (Export::Run, "it is a workflow, run by `genius run`"),
        (
            Export::Decide,
            "it is a policy, chosen with `genius run --policy`",
        ),
        (
            Export::Call,
            "it is a tool, granted with `genius run --tool`",
        ),
    ];
    let other = WORLDS.iter().find(|(other, _)| exports(component, *other));
    let ty = component.component_type();
    let there: Vec<String> = ty
        .exports(component.engine())
        .map(|(name, _)| format!("`{}`", plain(name)))
        .collect();
    let own = ty.get_export(component.engine(), export.name());
    let mut reason = match there.as_slice() {
        _ if own.is_some() => "what it exports by this name is no function".to_owned(),
        [] => "it exports nothing".to_owned(),
        names => format!("it exports {}", names.join(", ")),
    };
    if let Some((_, what)) = other {
        reason = format!("{reason}; {what}");
    }
    Err(SandboxError::MissingExport {
        component: name.to_owned(),
        export: export.name().to_owned(),
        reason,
    })
}

/// Its imports are known by name, and cannot be linked: they must be of another type.
pub(crate) fn unfit(name: &str, error: &wasmtime::Error) -> SandboxError {
    SandboxError::NotAComponent {
        component: name.to_owned(),
        reason: format!("its imports do not fit the host's: {}", chain(error)),
        hint: format!("build it against the WIT of {WIT_PACKAGE} in wit/"),
    }
}

/// What a guest is run as, and so what it may import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A workflow or a scenario.
    Workflow,
    /// A tool.
    Tool,
}

/// A component that was compiled and whose imports are all granted. A clone is the same.
#[derive(Clone)]
pub struct Guest {
    name: Arc<str>,
    digest: Digest,
    pub(crate) pre: InstancePre<Ctx>,
    cached: bool,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Guest {
    /// Its file or built-in name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sha256 of the component.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it came compiled from the cache.
    pub fn cached(&self) -> bool {
        self.cached
    }

    /// Refuses another component than the one that was pinned.
    ///
    /// Errors: [`SandboxError::WrongDigest`].
    pub fn check_digest(&self, pinned: Option<Digest>) -> Result<(), SandboxError> {
        match pinned {
            Some(pinned) if pinned != self.digest => Err(SandboxError::WrongDigest {
                component: self.name.to_string(),
                found: self.digest,
                pinned,
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn link(
        name: &str,
        digest: Digest,
        component: &Component,
        linker: &Linker<Ctx>,
        role: Role,
        cached: bool,
    ) -> Result<Self, SandboxError> {
        check_imports(
            name,
            component,
            match role {
                Role::Workflow => granted_import,
                Role::Tool => tool_import,
            },
        )?;
        let pre = linker.instantiate_pre(component);
        let pre = pre.map_err(|e| unfit(name, &e))?;
        Ok(Self {
            name: name.into(),
            digest,
            pre,
            cached,
        })
    }

    /// Whether the guest has this entry point.
    pub fn exports(&self, export: Export) -> bool {
        exports(self.pre.component(), export)
    }

    pub(crate) fn check_export(&self, export: Export) -> Result<(), SandboxError> {
        check_export(&self.name, self.pre.component(), export)
    }
}

/// What names a component, whatever it is called.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::new(sha2::Sha256::digest(bytes).into())
}

/// Refuses bytes that are no component, before the compiler sees them.
pub(crate) fn check_bytes(name: &str, bytes: &[u8]) -> Result<(), SandboxError> {
    let refuse = |reason: String, hint: &str| {
        Err(SandboxError::NotAComponent {
            component: name.to_owned(),
            reason,
            hint: hint.to_owned(),
        })
    };
    if bytes.len() > COMPONENT_LIMIT {
        let (mib, limit) = (bytes.len() >> 20, COMPONENT_LIMIT >> 20);
        return refuse(
            format!("it has {mib} MiB, and the limit is {limit}"),
            "strip debug information, or optimise for size",
        );
    }
    match ComponentInfo::read(bytes) {
        Ok(info) if info.instances > INSTANCES_LIMIT => refuse(
            format!(
                "it makes {} instances, and the limit is {INSTANCES_LIMIT}",
                info.instances
            ),
            "build it as fewer modules, with one memory and one table each",
        ),
        // Not even its first eight bytes are there, which say what it is.
        Err(ComponentError::Truncated { size: ..8, .. }) => {
            let e = ComponentError::UnknownVersion;
            refuse(e.to_string(), e.hint())
        }
        // What else is wrong with it, the compiler says better.
        Ok(_) | Err(ComponentError::Truncated { .. } | ComponentError::Malformed { .. }) => Ok(()),
        Err(e) => refuse(e.to_string(), e.hint()),
    }
}

/// The compiler's refusal of bytes that looked like a component.
pub(crate) fn invalid(name: &str, error: &wasmtime::Error) -> SandboxError {
    let cause = chain(error);
    // Wasmtime has no type for it.
    let (what, hint) = if cause.contains("pooling allocator") {
        (
            "it needs more than a guest gets",
            "build it as fewer modules, with one memory and one table each",
        )
    } else {
        (
            "it is damaged or truncated",
            "get the file again, or build it anew",
        )
    };
    SandboxError::NotAComponent {
        component: name.to_owned(),
        reason: format!("{what}: {cause}"),
        hint: hint.to_owned(),
    }
}

/// Most characters of an error's causes.
const CHAIN_LIMIT: usize = 1000;

/// An error's causes on one line, outermost first. They may quote names from the
/// component, which may be anything of any length.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    plain(&causes.join(": "))
}

fn plain(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().take(CHAIN_LIMIT) {
        match c {
            '\n' => line.push(' '),
            c if c.is_control() || reorders(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

/// Refuses imports that are not granted, each with its reason.
pub(crate) fn check_imports(
    name: &str,
    component: &Component,
    refused: fn(&str) -> Option<String>,
) -> Result<(), SandboxError> {
    let ty = component.component_type();
    for (import, item) in ty.imports(component.engine()) {
        // A type that the world uses is the interface's, and gives nothing by itself.
        if matches!(item.ty, ComponentItem::Type(_) | ComponentItem::Resource(_)) {
            continue;
        }
        if let Some(reason) = refused(import) {
            return Err(SandboxError::UngrantedImport {
                component: name.to_owned(),
                import: plain(import),
                reason,
            });
        }
    }
    Ok(())
}

/// Why a guest of this world is refused for an import, whatever the manifest says; `None`
/// where it is not.
pub fn refused_import(world: World, import: &str) -> Option<String> {
    match world {
        World::Policy => policy_import(import),
        World::Tool | World::ToolBlocking => tool_import(import),
        _ => granted_import(import),
    }
}

/// Why a workflow or a scenario does not get an import; `None` where it does.
fn granted_import(import: &str) -> Option<String> {
    ungranted(import, |interface| match interface {
        "types" | "cortex" | "cortex-blocking" | "facecrab" | "reply" | "journal" | "scenarios"
        | "tools" | "tools-blocking" => None,
        "brainstem" => Some("only policies get it"),
        _ => Some("the contract has no interface of that name"),
    })
}

/// Why a policy does not get an import; `None` where it does.
pub(crate) fn policy_import(import: &str) -> Option<String> {
    ungranted(import, |interface| match interface {
        "types" | "brainstem" | "journal" => None,
        "cortex" | "cortex-blocking" | "facecrab" | "reply" | "scenarios" | "tools"
        | "tools-blocking" => Some("a policy decides by commands, and has no hands of its own"),
        _ => Some("the contract has no interface of that name"),
    })
}

/// Why a tool does not get an import; `None` where it does.
fn tool_import(import: &str) -> Option<String> {
    ungranted(import, |interface| match interface {
        "types" | "journal" => None,
        "cortex" | "cortex-blocking" | "facecrab" | "reply" | "scenarios" | "tools"
        | "tools-blocking" | "brainstem" => Some("a tool has its files and its journal alone"),
        _ => Some("the contract has no interface of that name"),
    })
}

/// Why an import is not granted; `own` says it of the contract's interfaces.
fn ungranted(import: &str, own: impl Fn(&str) -> Option<&'static str>) -> Option<String> {
    let (path, version) = match import.split_once('@') {
        Some((path, version)) => (path, version),
        None => (import, ""),
    };
    let Some((package, interface)) = path.split_once('/') else {
        return Some("the host grants interfaces, not bare functions".into());
    };
    match package {
        "rusty-genius:genius" if version.is_empty() => Some(format!(
            "it does not say for which version of the contract it was built; this host serves \
             {WIT_PACKAGE}"
        )),
        "rusty-genius:genius" if format!("{package}@{version}") != WIT_PACKAGE => Some(format!(
            "it was built against version {version} of the contract, this host serves {WIT_PACKAGE}"
        )),
        "rusty-genius:genius" => own(interface).map(str::to_owned),
        "wasi:cli" | "wasi:clocks" | "wasi:filesystem" | "wasi:io" | "wasi:random"
        | "wasi:sockets" => match version.starts_with("0.2.") {
            true => None,
            false => Some(format!("this host serves WASI 0.2, not {version}")),
        },
        "wasi:http" => Some("there is no network in the sandbox".into()),
        _ => Some("this host does not know it".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        check_bytes("x.wasm", bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        for (bytes, why) in [
            (&b""[..], "empty"),
            (b"hello world, this is text", "not WebAssembly"),
            (b"\0asm\x01\0\0\0", "core WebAssembly module"),
            (b"\0asm\x07\0\x01\0", "version"),
            (b"\n (component)", "text form"),
            (b"\x1b[31m\xff", "not WebAssembly"),
        ] {
            let refusal = refusal(bytes);
            assert!(refusal.contains(why), "{refusal}");
            assert!(!refusal.contains('\x1b'), "{refusal:?}");
        }
        assert!(check_bytes("x.wasm", b"\0asm\x0d\0\x01\0").is_ok());
    }

    #[test]
    fn an_errors_causes_are_one_line_without_control_characters() {
        let error = wasmtime::Error::msg("the\n\u{1b}[31mcause\u{202e}").context("what");
        assert_eq!(chain(&error), "what: the \\u{1b}[31mcause\\u{202e}");
        let long = wasmtime::Error::msg("x".repeat(10_000));
        assert_eq!(chain(&long).len(), CHAIN_LIMIT);
    }

    #[test]
    fn a_component_over_the_limit_is_refused_before_it_is_read() {
        assert!(refusal(&vec![0; COMPONENT_LIMIT + 1]).contains("limit is 64"));
    }

    #[test]
    fn each_ungranted_import_has_its_reason() {
        for (import, why) in [
            ("rusty-genius:genius/cortex@0.1.0", "version 0.1.0"),
            ("rusty-genius:genius/brainstem@0.2.0", "only policies"),
            ("wasi:http/outgoing-handler@0.2.6", "no network"),
            ("wasi:io/streams@0.3.0", "WASI 0.2"),
            ("acme:door/key", "does not know"),
            ("open-sesame", "bare functions"),
        ] {
            let reason = granted_import(import).unwrap();
            assert!(reason.contains(why), "{import}: {reason}");
        }
        assert_eq!(granted_import("rusty-genius:genius/cortex@0.2.0"), None);
        assert_eq!(granted_import("wasi:filesystem/types@0.2.6"), None);
    }

    #[test]
    fn a_tool_gets_its_files_and_its_journal_alone() {
        assert_eq!(tool_import("rusty-genius:genius/journal@0.2.0"), None);
        assert_eq!(tool_import("wasi:filesystem/preopens@0.2.6"), None);
        for import in ["cortex", "facecrab", "reply", "tools", "brainstem"] {
            let reason = tool_import(&format!("rusty-genius:genius/{import}@0.2.0"));
            assert!(reason.unwrap().contains("alone"), "{import}");
        }
    }

    #[test]
    fn a_policy_gets_less() {
        assert_eq!(policy_import("rusty-genius:genius/brainstem@0.2.0"), None);
        assert_eq!(policy_import("rusty-genius:genius/journal@0.2.0"), None);
        for import in ["cortex", "facecrab", "reply", "tools"] {
            let reason = policy_import(&format!("rusty-genius:genius/{import}@0.2.0"));
            assert!(reason.unwrap().contains("no hands"), "{import}");
        }
        let brainstem = granted_import("rusty-genius:genius/brainstem@0.2.0");
        assert!(brainstem.unwrap().contains("only policies"));
    }
}
