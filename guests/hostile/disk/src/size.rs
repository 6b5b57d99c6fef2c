//! Bytes: more than there is room for, at once or by and by.

use crowbar::MIB;
use crowbar::files::{WRITE, create, grant, scratch, stream_told, told, words};
use wasip2::filesystem::types::{Descriptor, OpenFlags, PathFlags};
use wasip2::io::streams::OutputStream;

const TB: u64 = 1 << 40;
/// Most MiB that are written before an attack gives up.
const PIECES: usize = 512;
/// Most bytes a stream takes at once.
const PAGE: u64 = 4096;

/// A file of 1 TB, without a byte written.
pub fn sparse_size() -> String {
    words(new("sparse").and_then(|file| {
        file.set_size(TB).map_err(told)?;
        Ok("GOT a file of 1 TB".into())
    }))
}

/// A file of 1 TB by its last byte.
pub fn sparse_write() -> String {
    words(new("sparse").and_then(|file| {
        file.write(b"x", TB).map_err(told)?;
        Ok("GOT a file of 1 TB".into())
    }))
}

pub fn sparse_stream() -> String {
    words(new("sparse").and_then(|file| {
        let stream = file.write_via_stream(TB).map_err(told)?;
        stream.blocking_write_and_flush(b"x").map_err(stream_told)?;
        Ok("GOT a file of 1 TB".into())
    }))
}

pub fn fill() -> String {
    words(new("full").map(|file| fill_file(&file)))
}

/// The same in a directory of the user's.
pub fn fill_granted() -> String {
    let file = grant("/rw").and_then(|directory| create(&directory, "full"));
    words(file.map(|file| fill_file(&file)))
}

pub fn fill_stream() -> String {
    let page = [b'x'; PAGE as usize];
    streamed(|stream| stream.blocking_write_and_flush(&page).map_err(stream_told))
}

pub fn fill_zeroes() -> String {
    streamed(|stream| {
        let zeroes = stream.blocking_write_zeroes_and_flush(PAGE);
        zeroes.map_err(stream_told)
    })
}

/// One file into another, without the bytes ever being here.
pub fn fill_splice() -> String {
    words(new("source").and_then(|source| {
        source.write(&vec![b'x'; MIB], 0).map_err(told)?;
        Ok(streamed(|stream| {
            let input = source.read_via_stream(0).map_err(told)?;
            let mut left = PAGE;
            while left > 0 {
                let moved = stream.blocking_splice(&input, left).map_err(stream_told)?;
                stream.blocking_flush().map_err(stream_told)?;
                left = left.saturating_sub(moved.max(1));
            }
            Ok(())
        }))
    }))
}

/// The same place of one file again and again: little room, but the disk works for it.
pub fn rewrite() -> String {
    let piece = vec![b'x'; MIB];
    words(new("again").map(|file| pieces(|_| file.write(&piece, 0).map(drop).map_err(told))))
}

pub fn shrink_and_grow() -> String {
    words(new("elastic").map(|file| {
        pieces(|_| {
            file.set_size(MIB as u64).map_err(told)?;
            file.set_size(0).map_err(told)
        })
    }))
}

pub fn truncate_and_write() -> String {
    let piece = vec![b'x'; MIB];
    words(scratch().map(|scratch| {
        pieces(|_| {
            let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE;
            let file = scratch.open_at(PathFlags::empty(), "anew", flags, WRITE);
            file.map_err(told)?.write(&piece, 0).map_err(told)?;
            Ok(())
        })
    }))
}

/// Many streams that append to one file, each in turn: none may think the room its own.
pub fn append_streams() -> String {
    words(new("log").and_then(|file| {
        let streams: Result<Vec<_>, _> = (0..16).map(|_| file.append_via_stream()).collect();
        let streams = streams.map_err(told)?;
        let page = [b'x'; PAGE as usize];
        Ok(pieces(|piece| {
            for _ in 0..MIB / page.len() {
                let stream = streams.get(piece % streams.len()).ok_or("no stream")?;
                stream
                    .blocking_write_and_flush(&page)
                    .map_err(stream_told)?;
            }
            Ok(())
        }))
    }))
}

/// A file without a name, which nobody would find.
pub fn unlinked() -> String {
    words(new("ghost").and_then(|file| {
        scratch()?.unlink_file_at("ghost").map_err(told)?;
        Ok(fill_file(&file))
    }))
}

fn new(name: &str) -> Result<Descriptor, String> {
    create(&scratch()?, name)
}

fn fill_file(file: &Descriptor) -> String {
    let piece = vec![b'x'; MIB];
    pieces(|number| {
        let written = file.write(&piece, (number * MIB) as u64).map_err(told)?;
        match written {
            0 => Err("nothing written".into()),
            _ => Ok(()),
        }
    })
}

/// Writes pages through one stream.
fn streamed(write: impl Fn(&OutputStream) -> Result<(), String>) -> String {
    words(new("streamed").and_then(|file| {
        let stream = file.write_via_stream(0).map_err(told)?;
        Ok(pieces(|_| {
            (0..MIB as u64 / PAGE).try_for_each(|_| write(&stream))
        }))
    }))
}

/// Takes a MiB at a time until it is refused.
fn pieces(mut take: impl FnMut(usize) -> Result<(), String>) -> String {
    for taken in 0..PIECES {
        if let Err(refusal) = take(taken) {
            return format!("{taken} MiB, then {refusal}");
        }
    }
    "no limit".into()
}
