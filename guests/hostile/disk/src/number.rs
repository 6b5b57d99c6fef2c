//! Files, folders and links: more than anybody can list or remove.

use crowbar::files::{CHANGE, create, folder, scratch, told, words};
use crowbar::until_refused;
use wasip2::filesystem::types::{Descriptor, OpenFlags, PathFlags};

pub fn files() -> String {
    numbered(|scratch, name| create(scratch, name).map(drop))
}

pub fn folders() -> String {
    numbered(|scratch, name| scratch.create_directory_at(name).map_err(told))
}

pub fn hard_links() -> String {
    words(scratch().and_then(|scratch| {
        create(&scratch, "one")?;
        Ok(numbered(|scratch, name| {
            scratch
                .link_at(PathFlags::empty(), "one", scratch, name)
                .map_err(told)
        }))
    }))
}

pub fn symlinks() -> String {
    numbered(|scratch, name| scratch.symlink_at("nowhere", name).map_err(told))
}

/// Never more than one at a time.
pub fn made_and_removed() -> String {
    numbered(|scratch, _| {
        create(scratch, "one")?;
        scratch.unlink_file_at("one").map_err(told)
    })
}

/// Each folder in the last one, so that no path gets too long.
pub fn deep() -> String {
    words(scratch().map(|scratch| {
        let mut here = scratch;
        until_refused(|| {
            here.create_directory_at("d").map_err(told)?;
            let deeper = here.open_at(PathFlags::empty(), "d", OpenFlags::DIRECTORY, CHANGE);
            here = deeper.map_err(told)?;
            Ok(())
        })
    }))
}

/// Begins to list a full folder a thousand times: each listing may be kept by the host.
pub fn list_many() -> String {
    words(scratch().and_then(|scratch| {
        scratch.create_directory_at("full").map_err(told)?;
        let full = folder(&scratch, "full")?;
        for number in 0..900 {
            create(
                &full,
                &"n".repeat(200 + number % 50)
                    .replacen('n', &number.to_string(), 1),
            )?;
        }
        let mut listings = Vec::new();
        for _ in 0..1000 {
            let listing = full.read_directory().map_err(told)?;
            listing.read_directory_entry().map_err(told)?;
            listings.push(listing);
        }
        Ok(format!("{} listings", listings.len()))
    }))
}

fn numbered(mut make: impl FnMut(&Descriptor, &str) -> Result<(), String>) -> String {
    words(scratch().map(|scratch| {
        let mut number = 0_u32;
        until_refused(|| {
            number += 1;
            make(&scratch, &number.to_string())
        })
    }))
}
