//! Compiled components on disk.
//!
//! An entry is native code: whoever can have one loaded can run anything. It is loaded only if
//!
//! * the directory, and the entry, belong to this user, and nobody else can write to them;
//! * its authentication code fits: HMAC-SHA256 over its name and its content, with a key that
//!   belongs to this user and stands elsewhere. So an entry that came from somewhere else is
//!   refused: a cache that was copied from another machine, restored by a CI system, or
//!   shared by mistake, and one under the name of another component;
//! * Wasmtime finds its own version and settings in it.
//!
//! What is refused is compiled anew and replaced. Why not simply refuse to have a cache: the
//! largest guests take seconds to compile. Why not a checksum alone: whoever can write an
//! entry can write its checksum. What this does not protect against: somebody who acts as
//! this very user, and can read the key.

use crate::private::{check_own, create_dir, create_new, open_itself};
use hmac::{Hmac, KeyInit, Mac};
use rusty_genius_core::{Digest, SandboxError};
use sha2::Sha256;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of the key, and of an authentication code.
const KEY_BYTES: usize = 32;
/// Largest entry that is read: 1 GiB.
const ENTRY_LIMIT: u64 = 1 << 30;

/// Where compiled components are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeCache {
    /// A directory of this user's own. Made if need be; one that others can write to is an
    /// error.
    pub dir: PathBuf,
    /// The file of the key that entries are authenticated with: not in `dir`, and not where
    /// caches are copied along. Made if need be; one that others can read is an error.
    pub key: PathBuf,
}

/// A directory of compiled components, keyed by content and engine.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
    /// Wasmtime's version, its configuration and the CPU's features.
    engine: u64,
}

impl Cache {
    /// Opens the directory, making it if need be. `None` where it or the key cannot be made,
    /// as in a read-only home: compiling anew is slow, not wrong.
    ///
    /// Errors: a directory that others can write to, or a key that others can read.
    pub(crate) fn open(at: &CodeCache, engine: &Engine) -> Result<Option<Self>, SandboxError> {
        let dir = &at.dir;
        let unsafe_ = |what: &str, path: &Path, reason: String| SandboxError::Host {
            what: format!("using {what} in {}", path.display()),
            reason,
        };
        if create_dir(dir).is_err() {
            return Ok(None);
        }
        fs::metadata(dir)
            .map_err(|e| e.to_string())
            .and_then(|m| check_own(&m, 0o022, "others can write to it"))
            .map_err(|reason| unsafe_("the cache of compiled guests", dir, reason))?;
        let Ok(key) = open_key(&at.key) else {
            return Ok(None);
        };
        let key = key.map_err(|reason| {
            unsafe_("the key of the cache of compiled guests", &at.key, reason)
        })?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Some(Self {
            dir: dir.clone(),
            key,
            engine: hasher.finish(),
        }))
    }

    fn name(&self, component: Digest) -> String {
        let digest = component.to_string();
        let digest = digest.trim_start_matches("sha256:");
        format!("{digest}-{:016x}.cwasm", self.engine)
    }

    /// The authentication of an entry: of its name too, or one entry could stand in for
    /// another.
    fn mac(&self, name: &str) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        #[expect(clippy::expect_used, reason = "a key of 32 bytes is never refused")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any key will do");
        mac.update(name.as_bytes());
        mac.update(&[0]);
        mac
    }

    /// The compiled form of a component, if an authentic one is here.
    pub(crate) fn get(&self, engine: &Engine, component: Digest) -> Option<Component> {
        let name = self.name(component);
        let entry = read_own(&self.dir.join(&name)).ok()?;
        let (code, native) = entry.split_at_checked(KEY_BYTES)?;
        let mut mac = self.mac(&name);
        mac.update(native);
        mac.verify_slice(code).ok()?;
        // SAFETY: The authentication code shows that `put` of this program wrote exactly these
        // bytes for this component, under this user's key, and nobody changed them since.
        // Wasmtime checks version and settings itself.
        unsafe { Component::deserialize(engine, native) }.ok()
    }

    /// Keeps the compiled form. Written aside, synced and renamed: a reader sees all of
    /// it or nothing.
    pub(crate) fn put(&self, component: Digest, compiled: &Component) -> io::Result<()> {
        let native = compiled.serialize().map_err(io::Error::other)?;
        let name = self.name(component);
        let mut mac = self.mac(&name);
        mac.update(&native);
        let code = mac.finalize().into_bytes();
        let aside = aside(&self.dir);
        let written = create_new(&aside).and_then(|mut file| {
            file.write_all(&code)?;
            file.write_all(&native)?;
            file.sync_all()?;
            fs::rename(&aside, self.dir.join(&name))
        });
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }
}

/// A name in this directory that nobody else uses.
fn aside(dir: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    dir.join(format!("{}-{n}.partial", std::process::id()))
}

/// The key in this file; a new one if there is none.
///
/// Errors: it cannot be made or read. Inside: it is there, and must not be used.
fn open_key(path: &Path) -> io::Result<Result<[u8; KEY_BYTES], String>> {
    if !path.exists() {
        make_key(path)?;
    }
    let mut file = File::open(path)?;
    if let Err(reason) = check_own(&file.metadata()?, 0o077, "others can read it") {
        return Ok(Err(reason));
    }
    let mut key = [0; KEY_BYTES];
    match file.read_exact(&mut key) {
        Ok(()) => Ok(Ok(key)),
        Err(_) => Ok(Err(
            "it is too short; remove it, and a new one is made".into()
        )),
    }
}

/// Makes a key. Of two processes that do so at once, one wins, and both use that one's.
fn make_key(path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    create_dir(parent)?;
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let aside = aside(parent);
    let made = create_new(&aside).and_then(|mut file| {
        file.write_all(&key)?;
        file.sync_all()?;
        // Unlike a renaming, a link does not replace what is there.
        fs::hard_link(&aside, path)
    });
    let _ = fs::remove_file(&aside);
    match made {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The content of a file that is this user's own, and no link.
fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_itself(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > ENTRY_LIMIT {
        return Err(io::Error::other("it is no file, or too large"));
    }
    check_own(&metadata, 0o022, "others can write to it").map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    file.take(ENTRY_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest component: a preamble and nothing else.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn at(test: &str) -> CodeCache {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../target/tmp/cache-tests")
            .join(test);
        let _ = fs::remove_dir_all(&root);
        CodeCache {
            dir: root.join("guests"),
            key: root.join("state/key"),
        }
    }

    fn digest() -> Digest {
        crate::guest::digest(EMPTY)
    }

    fn filled(test: &str) -> (Engine, Cache, PathBuf) {
        let engine = Engine::default();
        let cache = Cache::open(&at(test), &engine).unwrap().unwrap();
        let component = Component::new(&engine, EMPTY).unwrap();
        cache.put(digest(), &component).unwrap();
        let path = cache.dir.join(cache.name(digest()));
        (engine, cache, path)
    }

    #[test]
    fn what_is_put_is_got() {
        let (engine, cache, _) = filled("round-trip");
        assert!(cache.get(&engine, digest()).is_some());
        assert!(cache.get(&engine, crate::guest::digest(b"other")).is_none());
    }

    #[test]
    fn a_damaged_entry_is_none() {
        let (engine, cache, path) = filled("damaged");
        let whole = fs::read(&path).unwrap();
        for cut in [0, 1, 31, 32, 33, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(cache.get(&engine, digest()).is_none(), "cut at {cut}");
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, flipped).unwrap();
        assert!(cache.get(&engine, digest()).is_none());
    }

    #[test]
    fn an_entry_that_another_key_made_is_none() {
        let (engine, cache, path) = filled("foreign");
        let foreign = fs::read(&path).unwrap();
        let (_, own, own_path) = filled("foreign-own");
        assert_ne!(cache.key, own.key);
        fs::write(&own_path, &foreign).unwrap();
        assert!(own.get(&engine, digest()).is_none());
        // Nor is a checksum of its own what makes an entry authentic.
        let native = &foreign[KEY_BYTES..];
        let mut checksummed = sha2::Digest::finalize(sha2::Digest::chain_update(
            <Sha256 as sha2::Digest>::new(),
            native,
        ))
        .to_vec();
        checksummed.extend_from_slice(native);
        fs::write(&own_path, &checksummed).unwrap();
        assert!(own.get(&engine, digest()).is_none());
    }

    #[test]
    fn an_entry_under_the_name_of_another_component_is_none() {
        let (engine, cache, path) = filled("renamed");
        let other = crate::guest::digest(b"other");
        fs::copy(&path, cache.dir.join(cache.name(other))).unwrap();
        assert!(cache.get(&engine, other).is_none());
        assert!(cache.get(&engine, digest()).is_some());
    }

    #[test]
    fn nothing_partial_is_left() {
        let (_, cache, path) = filled("partial");
        let names: Vec<_> = fs::read_dir(&cache.dir).unwrap().flatten().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(names[0].path(), path);
    }

    #[test]
    fn the_key_is_made_once_and_kept() {
        let at = at("key");
        let open = || Cache::open(&at, &Engine::default()).unwrap().unwrap().key;
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(
            keys.iter()
                .all(|key| *key == keys[0] && *key != [0; KEY_BYTES])
        );
        assert_eq!(fs::read_dir(at.key.parent().unwrap()).unwrap().count(), 1);
        fs::write(&at.key, "short").unwrap();
        let error = Cache::open(&at, &Engine::default()).unwrap_err();
        assert!(error.to_string().contains("too short"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_write_to_or_read_is_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let (engine, cache, path) = filled("shared");
        open(&path, 0o666);
        assert!(cache.get(&engine, digest()).is_none());
        open(&path, 0o600);
        assert!(cache.get(&engine, digest()).is_some());
        let elsewhere = path.with_extension("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(cache.get(&engine, digest()).is_none());

        let at = at("shared-dir");
        Cache::open(&at, &engine).unwrap().unwrap();
        open(&at.key, 0o644);
        let error = Cache::open(&at, &engine).unwrap_err().to_string();
        assert!(error.contains("others can read it"), "{error}");
        open(&at.dir, 0o777);
        let error = Cache::open(&at, &engine).unwrap_err().to_string();
        assert!(error.contains("others can write to it"), "{error}");
    }

    #[test]
    fn where_none_can_be_made_there_is_none() {
        let at = at("file");
        let file = at.dir.parent().unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
        assert!(Cache::open(&at, &Engine::default()).unwrap().is_none());
        fs::remove_file(file).unwrap();
    }
}
