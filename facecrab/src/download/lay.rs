//! A file whose bytes are here already: put where a download would have left it.

use super::lock::Lock;
use super::partial::free_space;
use super::writer::full;
use crate::progress::io;
use crate::{check, durable};
use rusty_genius_core::AssetError;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How often another process that lays the same file is looked at: it takes milliseconds.
const LOOK: Duration = Duration::from_millis(10);

/// Held as long as it lives: nobody removes the file before it is linked.
#[derive(Debug)]
pub(crate) struct Laid(#[expect(dead_code, reason = "dropping it releases the lock")] Lock);

/// Puts a model's bytes at `dest`, whose folder is there: written aside, synced and
/// renamed. A model that is there already and has the right size is left as it is. Waits,
/// on the caller's thread, for whoever else lays or removes it.
///
/// Errors: [`AssetError::DiskFull`], [`AssetError::Io`].
pub(crate) fn lay(dest: &Path, bytes: &[u8]) -> anyhow::Result<Laid> {
    let lock = loop {
        match Lock::try_take(dest)? {
            Some(lock) => break lock,
            None => thread::sleep(LOOK),
        }
    };
    let size = bytes.len() as u64;
    if check::gguf(dest).is_ok_and(|there| there == size) {
        return Ok(Laid(lock));
    }
    durable::sweep(dest);
    if let Some(free) = dest.parent().and_then(free_space)
        && free < size
    {
        return Err(AssetError::DiskFull {
            path: dest.to_owned(),
            needed: size,
            free,
        }
        .into());
    }
    durable::write(dest, bytes).map_err(|e| full(&e, dest, size).unwrap_or_else(|| io(dest)(e)))?;
    Ok(Laid(lock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::tests::folder;
    use std::fs;

    #[test]
    fn the_bytes_are_laid_once_and_again_where_they_are_damaged() {
        let dest = folder("lay").join("m.gguf");
        let bytes = b"GGUF and more";
        let read = || fs::read(&dest).unwrap();
        lay(&dest, bytes).unwrap();
        assert_eq!(read(), bytes);
        // What has the right size was checked by whoever put it there.
        fs::write(&dest, b"GGUF and less").unwrap();
        lay(&dest, bytes).unwrap();
        assert_eq!(read(), b"GGUF and less");
        for damaged in [b"GGUF and".as_slice(), b"XXXX and more"] {
            fs::write(&dest, damaged).unwrap();
            lay(&dest, bytes).unwrap();
            assert_eq!(read(), bytes);
        }
    }

    #[test]
    fn what_a_killed_process_left_aside_is_swept() {
        let dest = folder("lay-swept").join("m.gguf");
        fs::write(durable::aside(&dest).unwrap(), "part").unwrap();
        lay(&dest, b"GGUF").unwrap();
        let left = fs::read_dir(dest.parent().unwrap()).unwrap().count();
        assert_eq!(left, 2, "the file and its lock");
    }

    #[test]
    fn the_lock_is_held_as_long_as_it_is_wanted() {
        let dest = folder("lay-lock").join("m.gguf");
        let laid = lay(&dest, b"GGUF").unwrap();
        assert!(Lock::try_take(&dest).unwrap().is_none());
        drop(laid);
        assert!(Lock::try_take(&dest).unwrap().is_some());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let dest = folder("lay-folder").join("m.gguf");
        fs::create_dir(&dest).unwrap();
        let error = lay(&dest, b"GGUF").unwrap_err().to_string();
        assert!(error.contains("m.gguf: "), "{error}");
    }
}
