//! `/ro` allows to read. Every way to change it anyway must be refused.

use crowbar::Tally;
use crowbar::files::{self, CHANGE, READ, WRITE, folder, grant, scratch, words};
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, NewTimestamp, OpenFlags, PathFlags};

const NONE: PathFlags = PathFlags::empty();
const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;

fn on_ro(attack: impl FnOnce(&Descriptor, &mut Tally) -> Result<(), String>) -> String {
    words(grant("/ro").and_then(|ro| {
        let mut tally = Tally::default();
        attack(&ro, &mut tally)?;
        Ok(tally.words())
    }))
}

/// The file there is, opened as is allowed.
fn file(ro: &Descriptor) -> Result<Descriptor, String> {
    let opened = ro.open_at(NONE, "file", OpenFlags::empty(), READ);
    opened.map_err(files::told)
}

pub fn open_to_write() -> String {
    on_ro(|ro, tally| {
        let mutate = DescriptorFlags::MUTATE_DIRECTORY;
        let sync = WRITE | DescriptorFlags::DATA_INTEGRITY_SYNC;
        for (path, open, flags) in [
            ("file", OpenFlags::empty(), WRITE),
            ("file", OpenFlags::empty(), DescriptorFlags::WRITE),
            ("file", OpenFlags::empty(), sync),
            ("file", OpenFlags::CREATE, WRITE),
        ] {
            let opened = ro.open_at(FOLLOW, path, open, flags);
            tally.refused(format_args!("open {path} {flags:?}"), opened);
        }
        // That a folder is opened so is no harm yet.
        for (path, flags) in [("folder", CHANGE), ("folder", mutate), (".", CHANGE)] {
            let opened = ro.open_at(FOLLOW, path, OpenFlags::DIRECTORY, flags);
            let made = opened.map_err(files::told);
            let made = made.and_then(|folder| files::create(&folder, "new"));
            tally.refused(format_args!("create in {path} {flags:?}"), made);
        }
        Ok(())
    })
}

/// Truncating is writing, even where only reading was asked for.
pub fn truncate() -> String {
    on_ro(|ro, tally| {
        for flags in [READ, WRITE, DescriptorFlags::empty()] {
            let opened = ro.open_at(NONE, "file", OpenFlags::TRUNCATE, flags);
            tally.refused(format_args!("open truncated {flags:?}"), opened);
        }
        tally.refused("set-size 0", file(ro)?.set_size(0));
        tally.refused("set-size 1 TB", file(ro)?.set_size(1 << 40));
        Ok(())
    })
}

pub fn write() -> String {
    on_ro(|ro, tally| {
        let file = file(ro)?;
        tally.refused("write", file.write(b"x", 0));
        let stream = file.write_via_stream(0);
        tally.refused("stream", stream.map_err(files::told).and_then(written));
        let stream = file.append_via_stream();
        tally.refused("append", stream.map_err(files::told).and_then(written));
        Ok(())
    })
}

/// That a stream is given is no harm yet.
fn written(stream: wasip2::io::streams::OutputStream) -> Result<(), String> {
    stream
        .blocking_write_and_flush(b"x")
        .map_err(files::stream_told)
}

pub fn create() -> String {
    on_ro(|ro, tally| {
        let new = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        for (open, flags) in [(new, WRITE), (OpenFlags::CREATE, READ)] {
            let opened = ro.open_at(NONE, "new", open, flags);
            tally.refused(format_args!("create {flags:?}"), opened);
        }
        tally.refused("make a folder", ro.create_directory_at("new"));
        tally.refused("make one below", ro.create_directory_at("folder/new"));
        tally.refused("make a link", ro.symlink_at("file", "new"));
        tally.refused("hard link", ro.link_at(NONE, "file", ro, "new"));
        Ok(())
    })
}

pub fn remove() -> String {
    on_ro(|ro, tally| {
        tally.refused("unlink", ro.unlink_file_at("file"));
        tally.refused("remove folder", ro.remove_directory_at("folder"));
        Ok(())
    })
}

/// Within it, out of it, and over what is in it.
pub fn rename() -> String {
    on_ro(|ro, tally| {
        let scratch = scratch()?;
        files::create(&scratch, "mine")?;
        tally.refused("rename within", ro.rename_at("file", ro, "new"));
        tally.refused("rename out", ro.rename_at("file", &scratch, "stolen"));
        tally.refused(
            "rename folder out",
            ro.rename_at("folder", &scratch, "stolen"),
        );
        tally.refused("rename in", scratch.rename_at("mine", ro, "new"));
        tally.refused("rename over", scratch.rename_at("mine", ro, "file"));
        Ok(())
    })
}

pub fn times() -> String {
    on_ro(|ro, tally| {
        let now = || NewTimestamp::Now;
        tally.refused("set times", ro.set_times_at(NONE, "file", now(), now()));
        tally.refused("set its own", ro.set_times(now(), now()));
        tally.refused("set by file", file(ro)?.set_times(now(), now()));
        Ok(())
    })
}

/// A second name in `/scratch` would be a way to write to the file.
pub fn link_out() -> String {
    on_ro(|ro, tally| {
        let scratch = scratch()?;
        for flags in [NONE, FOLLOW] {
            let linked = ro.link_at(flags, "file", &scratch, "stolen");
            tally.refused("hard link out", linked);
        }
        tally.refused(
            "write to it",
            scratch.open_at(NONE, "stolen", OpenFlags::empty(), WRITE),
        );
        Ok(())
    })
}

/// Links in `/scratch` that lead to `/ro` by its place on the host's disk, as far as a guest
/// can guess it.
pub fn through_link() -> String {
    on_ro(|_, tally| {
        let scratch = scratch()?;
        for (number, target) in ["/ro/file", "../ro/file", "/ro", "../ro"]
            .iter()
            .enumerate()
        {
            let link = format!("link{number}");
            // Making it may be allowed; going through must not be.
            let _ = scratch.symlink_at(target, &link);
            let opened = scratch.open_at(FOLLOW, &link, OpenFlags::empty(), WRITE);
            tally.refused(format_args!("write through {target}"), opened);
            let below = folder(&scratch, &link);
            tally.refused(format_args!("enter {target}"), below);
        }
        Ok(())
    })
}
