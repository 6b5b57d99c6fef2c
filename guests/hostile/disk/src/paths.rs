//! Paths that lead elsewhere, or change what they lead to. `escape` tries many more of the
//! first kind; these are asked at every grant there is.

use crowbar::files::{CHANGE, READ, WRITE, create, folder, scratch, told, words};
use crowbar::{MIB, NASTY, Tally};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, OpenFlags, PathFlags};

const NONE: PathFlags = PathFlags::empty();
const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;

fn tallied(attack: impl FnOnce(&Descriptor, &mut Tally) -> Result<(), String>) -> String {
    words(scratch().and_then(|scratch| {
        let mut tally = Tally::default();
        attack(&scratch, &mut tally)?;
        Ok(tally.words())
    }))
}

fn everywhere(tally: &mut Tally, paths: &[&str]) {
    for (directory, name) in get_directories() {
        for path in paths {
            let opened = directory.open_at(FOLLOW, path, OpenFlags::empty(), READ);
            tally.refused(format_args!("open {path} at {name}"), opened);
            let looked = directory.stat_at(NONE, path);
            tally.refused(format_args!("stat {path} at {name}"), looked);
            let made = directory.create_directory_at(path);
            tally.refused(format_args!("make {path} at {name}"), made);
        }
    }
}

pub fn climb() -> String {
    tallied(|scratch, tally| {
        scratch.create_directory_at("a").map_err(told)?;
        everywhere(
            tally,
            &["..", "../", "../..", "./..", "../scratch", "../ro/file"],
        );
        for path in ["a/../..", "a/./../..", "a//../../", "a/../../ro"] {
            let opened = scratch.open_at(FOLLOW, path, OpenFlags::empty(), READ);
            tally.refused(format_args!("open {path}"), opened);
        }
        Ok(())
    })
}

pub fn absolute() -> String {
    tallied(|_, tally| {
        everywhere(
            tally,
            &[
                "/",
                "//",
                "/etc/passwd",
                "/scratch",
                "/ro/file",
                "/proc/self/fd",
            ],
        );
        Ok(())
    })
}

/// A file is no folder, however its name is spelled, and a folder no file.
pub fn trailing_slashes() -> String {
    tallied(|scratch, tally| {
        create(scratch, "file")?;
        scratch.create_directory_at("folder").map_err(told)?;
        for path in ["file/", "file//", "file/.", "file/..", "new/"] {
            let opened = scratch.open_at(FOLLOW, path, OpenFlags::CREATE, WRITE);
            tally.refused(format_args!("open {path}"), opened);
        }
        tally.refused("unlink file/", scratch.unlink_file_at("file/"));
        tally.refused("unlink folder/", scratch.unlink_file_at("folder/"));
        tally.refused("write folder/", create(scratch, "folder/"));
        tally.refused("remove folder/.", scratch.remove_directory_at("folder/."));
        tally.refused("remove .", scratch.remove_directory_at("."));
        Ok(())
    })
}

pub fn file_as_folder() -> String {
    tallied(|scratch, tally| {
        let file = create(scratch, "file")?;
        tally.refused("below a path", create(scratch, "file/new"));
        tally.refused("below a descriptor", create(&file, "new"));
        tally.refused("climb from it", create(&file, "../new"));
        tally.refused("list it", file.read_directory());
        tally.refused("a folder in it", file.create_directory_at("new"));
        tally.refused("write a folder", scratch.write(b"x", 0));
        tally.refused("size of a folder", scratch.set_size(0));
        Ok(())
    })
}

/// A folder that is open, removed, and replaced by a file.
pub fn file_where_a_folder_was() -> String {
    tallied(|scratch, tally| {
        scratch.create_directory_at("place").map_err(told)?;
        let inside = folder(scratch, "place")?;
        scratch.remove_directory_at("place").map_err(told)?;
        create(scratch, "place")?;
        tally.refused("create in it", create(&inside, "new"));
        tally.refused("make a folder in it", inside.create_directory_at("new"));
        tally.refused("climb from it", folder(&inside, ".."));
        tally.refused("through the path", create(scratch, "place/new"));
        Ok(())
    })
}

/// A folder that was looked at, replaced by a link out before it is used.
pub fn link_where_a_folder_was() -> String {
    tallied(|scratch, tally| {
        for target in ["/etc", "..", "/", "../.."] {
            scratch.create_directory_at("place").map_err(told)?;
            scratch.stat_at(NONE, "place").map_err(told)?;
            scratch.remove_directory_at("place").map_err(told)?;
            if scratch.symlink_at(target, "place").is_err() {
                continue;
            }
            let entered = scratch.open_at(FOLLOW, "place", OpenFlags::DIRECTORY, READ);
            tally.refused(format_args!("enter a link to {target}"), entered);
            tally.refused(format_args!("read below {target}"), {
                scratch.open_at(FOLLOW, "place/passwd", OpenFlags::empty(), READ)
            });
            tally.refused(
                format_args!("write below {target}"),
                create(scratch, "place/new"),
            );
            scratch.unlink_file_at("place").map_err(told)?;
        }
        Ok(())
    })
}

/// A folder that moves up while somebody stands in it, who counts `..` as before.
pub fn moved_under_the_feet() -> String {
    tallied(|scratch, tally| {
        for path in ["a", "a/b", "a/b/c"] {
            scratch.create_directory_at(path).map_err(told)?;
        }
        let inside = folder(scratch, "a/b/c")?;
        scratch.rename_at("a/b/c", scratch, "c").map_err(told)?;
        for path in ["..", "../..", "../../..", "../a"] {
            tally.refused(format_args!("{path} from it"), folder(&inside, path));
        }
        Ok(())
    })
}

pub fn link_loop() -> String {
    tallied(|scratch, tally| {
        scratch.symlink_at("b", "a").map_err(told)?;
        scratch.symlink_at("a", "b").map_err(told)?;
        scratch.symlink_at("self/self", "self").map_err(told)?;
        for path in ["a", "b/x", "self"] {
            let opened = scratch.open_at(FOLLOW, path, OpenFlags::empty(), READ);
            tally.refused(format_args!("open {path}"), opened);
            let opened = scratch.open_at(FOLLOW, path, OpenFlags::DIRECTORY, CHANGE);
            tally.refused(format_args!("enter {path}"), opened);
        }
        Ok(())
    })
}

pub fn long_names() -> String {
    tallied(|scratch, tally| {
        for length in [256, 4096, MIB, 16 * MIB] {
            let name = "n".repeat(length);
            tally.refused(format_args!("a name of {length}"), create(scratch, &name));
            tally.refused(format_args!("a path of {length}"), {
                create(scratch, &"./".repeat(length / 2))
            });
        }
        Ok(())
    })
}

/// Names that are allowed, and that nobody may print as they are. The outcome is how many.
pub fn strange_names() -> String {
    words(scratch().map(|scratch| {
        let names = [
            NASTY.replace('\0', ""),
            "line\nbreak".into(),
            "\u{1b}]0;title\u{7}".into(),
            "\u{202e}gnp.exe".into(),
            "-rf".into(),
            " ".into(),
            "<b>&amp;\"'".into(),
            "{\"kind\":\"end\"}".into(),
        ];
        let made = names.iter().filter(|name| create(&scratch, name).is_ok());
        let made = made.count();
        let nul = create(&scratch, "a\0b").is_ok();
        let empty = create(&scratch, "").is_ok();
        format!("{made} of {}, NUL {nul}, empty {empty}", names.len())
    }))
}
