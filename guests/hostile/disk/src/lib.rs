//! Attacks the files. The grants it expects besides `/scratch`: `/ro`, to read only, with
//! a file `file` and a folder `folder` in it; and `/rw`, to read and write.
//!
//! Arguments: `ATTACK`, or `list`.

mod across;
mod number;
mod paths;
mod read_only;
mod size;

crowbar::family! {
    Disk(_words):
    "sparse-size" => size::sparse_size(),
    "sparse-write" => size::sparse_write(),
    "sparse-stream" => size::sparse_stream(),
    "fill" => size::fill(),
    "fill-stream" => size::fill_stream(),
    "fill-zeroes" => size::fill_zeroes(),
    "fill-splice" => size::fill_splice(),
    "fill-granted" => size::fill_granted(),
    "rewrite" => size::rewrite(),
    "shrink-and-grow" => size::shrink_and_grow(),
    "truncate-and-write" => size::truncate_and_write(),
    "append-streams" => size::append_streams(),
    "unlinked" => size::unlinked(),
    "files" => number::files(),
    "folders" => number::folders(),
    "hard-links" => number::hard_links(),
    "symlinks" => number::symlinks(),
    "made-and-removed" => number::made_and_removed(),
    "deep" => number::deep(),
    "list-many" => number::list_many(),
    "ro-open-to-write" => read_only::open_to_write(),
    "ro-truncate" => read_only::truncate(),
    "ro-write" => read_only::write(),
    "ro-create" => read_only::create(),
    "ro-remove" => read_only::remove(),
    "ro-rename" => read_only::rename(),
    "ro-times" => read_only::times(),
    "ro-link-out" => read_only::link_out(),
    "ro-through-link" => read_only::through_link(),
    "rename-across" => across::rename(),
    "rename-folder-across" => across::rename_folder(),
    "link-across" => across::link(),
    "symlink-across" => across::symlink(),
    "climb" => paths::climb(),
    "absolute" => paths::absolute(),
    "trailing-slashes" => paths::trailing_slashes(),
    "file-as-folder" => paths::file_as_folder(),
    "file-where-a-folder-was" => paths::file_where_a_folder_was(),
    "link-where-a-folder-was" => paths::link_where_a_folder_was(),
    "moved-under-the-feet" => paths::moved_under_the_feet(),
    "link-loop" => paths::link_loop(),
    "long-names" => paths::long_names(),
    "strange-names" => paths::strange_names(),
}
