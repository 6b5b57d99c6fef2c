//! From `/scratch` to another directory and back. That a file moves is no harm if both may
//! be written to; that it leaves the count of its room and its number would be.

use crowbar::files::{create, grant, scratch, told, words};
use crowbar::{MIB, until_refused};
use wasip2::filesystem::types::{Descriptor, PathFlags};

fn both(attack: impl FnOnce(&Descriptor, &Descriptor) -> Result<String, String>) -> String {
    words(scratch().and_then(|scratch| attack(&scratch, &grant("/rw")?)))
}

/// Files of a MiB, each moved away as soon as it is full.
pub fn rename() -> String {
    both(|scratch, rw| {
        let piece = vec![b'x'; MIB];
        let mut number = 0_u32;
        Ok(until_refused(|| {
            number += 1;
            // At most half a gigabyte, on a host that does not count.
            if number > 512 {
                return Err("no limit".into());
            }
            create(scratch, "full")?.write(&piece, 0).map_err(told)?;
            let moved = scratch.rename_at("full", rw, &number.to_string());
            moved.map_err(told)
        }))
    })
}

/// A folder, with somebody still in it, who then tries to climb out where it is now.
pub fn rename_folder() -> String {
    both(|scratch, rw| {
        scratch.create_directory_at("folder").map_err(told)?;
        let inside = crowbar::files::folder(scratch, "folder")?;
        let moved = scratch.rename_at("folder", rw, "folder");
        let climbed = crowbar::files::folder(&inside, "..");
        Ok(match (moved, climbed) {
            (_, Ok(_)) => "GOT out of the folder".into(),
            (Ok(()), Err(refusal)) => format!("moved, climbing {refusal}"),
            (Err(refusal), Err(_)) => told(refusal),
        })
    })
}

/// One file with a name in both.
pub fn link() -> String {
    both(|scratch, rw| {
        create(scratch, "mine")?;
        create(rw, "yours")?;
        let out = scratch.link_at(PathFlags::empty(), "mine", rw, "linked");
        let back = rw.link_at(PathFlags::empty(), "yours", scratch, "linked");
        let words = |linked: Result<(), _>| linked.map_or_else(told, |()| "ok".into());
        Ok(format!("out {}, back {}", words(out), words(back)))
    })
}

/// A link in the user's directory that leads the user, not the guest, somewhere else.
pub fn symlink() -> String {
    both(|_, rw| {
        let mut made = vec![];
        for target in ["/etc/passwd", "../../../../etc/passwd", "..", "/"] {
            if rw
                .symlink_at(target, &format!("link{}", made.len()))
                .is_ok()
            {
                made.push(target);
            }
        }
        Ok(match made.as_slice() {
            [] => "4 refused".into(),
            made => format!("links to {}", made.join(", ")),
        })
    })
}
