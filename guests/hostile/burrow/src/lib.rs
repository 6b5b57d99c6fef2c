//! Digs folders in folders. Each step goes from the folder it stands in, so no path ever
//! gets too long, and the host alone decides how deep it goes. Removing them must cost
//! the host neither its stack nor its descriptors.
//!
//! Arguments: `[DEPTH]`, 1000 by default.

use rusty_genius::genius::reply::{Fragment, emit};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

struct Burrow;
export!(Burrow);

impl Guest for Burrow {
    async fn run(args: Vec<String>) -> Result<(), Failure> {
        let depth = args.first().and_then(|arg| arg.parse().ok());
        let (dug, end) = dig(depth.unwrap_or(1000));
        let line = match end {
            Ok(()) => format!("{dug} folders deep\n"),
            Err(e) => format!("{dug} folders deep, then {e:?}\n"),
        };
        emit(&[Fragment::Content(line)]).map_err(Failure::Host)
    }
}

/// How far it came, and what stopped it.
fn dig(depth: u32) -> (u32, Result<(), ErrorCode>) {
    let Some((mut here, _)) = get_directories().pop() else {
        return (0, Err(ErrorCode::NoEntry));
    };
    let change = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    for dug in 0..depth {
        let deeper = here
            .create_directory_at("d")
            .and_then(|()| here.open_at(PathFlags::empty(), "d", OpenFlags::DIRECTORY, change));
        match deeper {
            Ok(folder) => here = folder,
            Err(e) => return (dug, Err(e)),
        }
    }
    (depth, Ok(()))
}
