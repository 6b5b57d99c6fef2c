//! Compiled components on disk.
//!
//! An entry is native code: whoever can write one can run anything. So the directory
//! must be the user's own and closed to others, no guest ever sees it, and an entry's
//! name and checksum tie it to the component's content and this very engine.

use rusty_genius_core::SandboxError;
use rusty_genius_core::text::hex;
use sha2::{Digest, Sha256};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::Engine;
use wasmtime::component::Component;

const CHECKSUM_BYTES: usize = 32;

/// A directory of compiled components, keyed by content and engine.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// Wasmtime's version, its configuration and the CPU's features.
    engine: u64,
}

impl Cache {
    /// Opens the directory, making it if need be. `None` where it cannot be made, as in
    /// a read-only home: compiling anew is slow, not wrong.
    ///
    /// Errors: a directory that others can write to is refused.
    pub(crate) fn open(dir: &Path, engine: &Engine) -> Result<Option<Self>, SandboxError> {
        if create_private(dir).is_err() {
            return Ok(None);
        }
        check_private(dir).map_err(|reason| SandboxError::Host {
            what: format!("using the cache of compiled guests in {}", dir.display()),
            reason,
        })?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Some(Self {
            dir: dir.to_owned(),
            engine: hasher.finish(),
        }))
    }

    fn path(&self, wasm: &[u8]) -> PathBuf {
        let digest = hex(&Sha256::digest(wasm));
        self.dir
            .join(format!("{digest}-{:016x}.cwasm", self.engine))
    }

    /// The compiled form of `wasm`, if an intact one is here.
    pub(crate) fn get(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let entry = fs::read(self.path(wasm)).ok()?;
        let (checksum, code) = entry.split_at_checked(CHECKSUM_BYTES)?;
        if Sha256::digest(code)[..] != *checksum {
            return None;
        }
        // SAFETY: The code was written by `put` of this very program, under this user,
        // into a directory that nobody else can write to (checked by `open`), and its
        // checksum shows that it is whole. Wasmtime checks version and settings itself.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Keeps the compiled form. Written aside, synced and renamed: a reader sees all of
    /// it or nothing.
    pub(crate) fn put(&self, wasm: &[u8], component: &Component) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let code = component.serialize().map_err(io::Error::other)?;
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let aside = self.dir.join(format!("{}-{n}.partial", std::process::id()));
        let written = fs::File::create(&aside).and_then(|mut file| {
            file.write_all(&Sha256::digest(&code))?;
            file.write_all(&code)?;
            file.sync_all()?;
            fs::rename(&aside, self.path(wasm))
        });
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }
}

#[cfg(unix)]
fn create_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn check_private(dir: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(dir).map_err(|e| e.to_string())?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user; remove it or choose another".into());
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!(
            "others can write to it (mode {:o}); it holds native code: chmod go-w it, or remove it",
            metadata.mode() & 0o777
        ));
    }
    Ok(())
}

/// Elsewhere a user's profile directory is closed to others by its inherited rights.
#[cfg(not(unix))]
fn create_private(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest component: a preamble and nothing else.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn dir(test: &str) -> PathBuf {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../target/tmp/cache-tests")
            .join(test);
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    fn filled(test: &str) -> (Engine, Cache, PathBuf) {
        let engine = Engine::default();
        let cache = Cache::open(&dir(test), &engine).unwrap().unwrap();
        let component = Component::new(&engine, EMPTY).unwrap();
        cache.put(EMPTY, &component).unwrap();
        let path = cache.path(EMPTY);
        (engine, cache, path)
    }

    #[test]
    fn what_is_put_is_got() {
        let (engine, cache, _) = filled("round-trip");
        assert!(cache.get(&engine, EMPTY).is_some());
        assert!(cache.get(&engine, b"other").is_none());
    }

    #[test]
    fn a_damaged_entry_is_none() {
        let (engine, cache, path) = filled("damaged");
        let whole = fs::read(&path).unwrap();
        for cut in [0, 1, 31, 32, 33, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(cache.get(&engine, EMPTY).is_none(), "cut at {cut}");
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, flipped).unwrap();
        assert!(cache.get(&engine, EMPTY).is_none());
    }

    #[test]
    fn nothing_partial_is_left() {
        let (_, cache, path) = filled("partial");
        let names: Vec<_> = fs::read_dir(&cache.dir).unwrap().flatten().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].path(), path);
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = dir("shared");
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        let error = Cache::open(&dir, &Engine::default()).unwrap_err();
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }

    #[test]
    fn where_none_can_be_made_there_is_none() {
        let file = dir("file");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let open = Cache::open(&file.join("cache"), &Engine::default());
        assert!(open.unwrap().is_none());
        fs::remove_file(file).unwrap();
    }
}
