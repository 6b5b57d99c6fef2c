//! Components by name: of the bundle, or files.

use rusty_genius_core::SandboxError;
use rusty_genius_guests::Kind;
use rusty_genius_sandbox::COMPONENT_LIMIT;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A component by its name: of the bundle, or of a file.
pub(crate) enum Component {
    BuiltIn(&'static rusty_genius_guests::Guest),
    File(Vec<u8>),
}

impl Component {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::BuiltIn(guest) => guest.bytes,
            Self::File(bytes) => bytes,
        }
    }
}

/// Finds a component; `kind` is what may have been meant where there is none.
pub(crate) async fn component(name: &str, kind: Kind) -> Result<Component, SandboxError> {
    if let Some(guest) = rusty_genius_guests::find(name) {
        return Ok(Component::BuiltIn(guest));
    }
    let path = PathBuf::from(name);
    let bytes = blocking::unblock(move || read_component(&path)).await;
    bytes
        .map(Component::File)
        .map_err(|reason| no_such(name, reason, kind))
}

/// Reads a component file, but nothing that is none: a pipe would wait for ever.
pub(crate) fn read_component(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = std::fs::metadata(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => "no such file, and no built-in guest of that name".into(),
        _ => e.to_string(),
    })?;
    if metadata.is_dir() {
        return Err("it is a directory, and has no genius.toml".into());
    }
    if !metadata.is_file() {
        return Err("it is not a regular file".into());
    }
    if metadata.len() > COMPONENT_LIMIT as u64 {
        return Err(format!(
            "it has {} MiB, and the limit is {}",
            metadata.len() >> 20,
            COMPONENT_LIMIT >> 20
        ));
    }
    std::fs::read(path).map_err(|e| e.to_string())
}

/// That there is none, and what there is.
pub(crate) fn no_such(name: &str, reason: String, kind: Kind) -> SandboxError {
    let known = rusty_genius_guests::all().iter();
    SandboxError::NoSuchGuest {
        name: name.to_owned(),
        reason,
        known: known
            .filter(|guest| guest.kind == kind)
            .map(|guest| guest.name.to_owned())
            .collect(),
    }
}
