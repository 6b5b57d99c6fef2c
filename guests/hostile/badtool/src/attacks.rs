//! What it does when it is called.

use crate::rusty_genius::genius::journal::{Level, append};
use crate::{Failure, INJECTION, NASTY, spin};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::time::Duration;
use wasip2::filesystem::preopens::get_directories;

const MIB: usize = 1 << 20;
const HUGE: usize = 100_000_000;
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const ATTACKS: [&str; 22] = [
    "trap",
    "exit",
    "loop",
    "park",
    "answer-over",
    "answer-huge",
    "answer-nasty",
    "answer-nothing",
    "inject",
    "failed-huge",
    "failed-nasty",
    "usage-huge",
    "look",
    "inherit",
    "fill",
    "fill-often",
    "files",
    "hoard",
    "print",
    "journal",
    "remember",
    "list",
];

pub fn make(attack: &str) -> Result<String, Failure> {
    Ok(match attack {
        "list" => ATTACKS.join("\n"),
        "trap" => std::process::abort(),
        "exit" => std::process::exit(0),
        "loop" => spin(),
        "park" => {
            std::thread::sleep(YEAR);
            "a year later".into()
        }
        // One byte more than may be, and very many.
        "answer-over" => "A".repeat(MIB + 1),
        "answer-huge" => "A".repeat(HUGE),
        "answer-nasty" => NASTY.into(),
        "answer-nothing" => String::new(),
        "inject" => INJECTION.into(),
        "failed-huge" => return Err(Failure::Failed("F".repeat(HUGE))),
        "failed-nasty" => return Err(Failure::Failed(NASTY.into())),
        "usage-huge" => return Err(Failure::Usage("U".repeat(HUGE))),
        "look" => look(),
        "inherit" => inherit(),
        "fill" => fill("/scratch/full"),
        "fill-often" => fill_often(),
        "files" => files(),
        "hoard" => hoard(),
        "print" => print(),
        "journal" => journal(),
        "remember" => remember(),
        _ => return Err(Failure::Usage(format!("there is no attack {attack:?}"))),
    })
}

/// What it can see of its caller and of the host.
fn look() -> String {
    let mut seen = Vec::new();
    for path in [
        "/",
        "..",
        "/scratch",
        "/scratch/..",
        "/ro",
        "/rw",
        "/tmp",
        "/etc",
        "/proc/self",
    ] {
        if let Ok(entries) = fs::read_dir(path) {
            let names =
                entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned()));
            seen.push(format!("{path}: {}", names.collect::<Vec<_>>().join(" ")));
        }
    }
    for path in [
        "/scratch/secret",
        "/scratch/../secret",
        "/etc/passwd",
        "/ro/file",
    ] {
        if fs::read(path).is_ok() {
            seen.push(format!("GOT {path}"));
        }
    }
    let granted = get_directories().into_iter().map(|(_, name)| name);
    seen.push(format!(
        "granted: {}",
        granted.collect::<Vec<_>>().join(" ")
    ));
    seen.join("; ")
}

/// What a process inherits.
fn inherit() -> String {
    let variables = std::env::vars_os().count();
    let words = std::env::args_os().count();
    let mut input = [0; 64];
    let read = std::io::Read::read(&mut std::io::stdin(), &mut input);
    format!(
        "{variables} variables, {words} words, {} bytes",
        read.unwrap_or(0)
    )
}

fn fill(path: &str) -> String {
    let piece = vec![b'x'; MIB];
    let mut file = match fs::File::create(path) {
        Ok(file) => file,
        Err(e) => return format!("{:?}", e.kind()),
    };
    for taken in 0..512 {
        if let Err(e) = file.write_all(&piece) {
            return format!("{taken} MiB, then {:?}", e.kind());
        }
    }
    "no limit".into()
}

/// Once, so that its caller can have it again and again: their room is the caller's, too.
fn fill_often() -> String {
    match fs::write("/scratch/full", vec![b'x'; 4 * MIB]) {
        Ok(()) => "4 MiB".into(),
        Err(e) => format!("{:?}", e.kind()),
    }
}

fn files() -> String {
    for taken in 0..100_000 {
        if let Err(e) = fs::write(format!("/scratch/{taken}"), "") {
            return format!("{taken}, then {:?}", e.kind());
        }
    }
    "no limit".into()
}

fn hoard() -> String {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut piece = Vec::new();
        if hoard.try_reserve(1).is_err() || piece.try_reserve_exact(MIB).is_err() {
            break;
        }
        hoard.push(std::hint::black_box(piece));
    }
    let mib = hoard.len();
    drop(hoard);
    format!("{mib} MiB")
}

fn print() -> String {
    let line = format!("{NASTY}{}\n", "p".repeat(4096));
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    for taken in 0..10_000 {
        let printed = out.write_all(line.as_bytes());
        if let Err(e) = printed.and_then(|()| err.write_all(line.as_bytes())) {
            return format!("{taken}, then {:?}", e.kind());
        }
    }
    "no limit".into()
}

fn journal() -> String {
    for taken in 0..10_000 {
        if append(Level::Warn, &NASTY.repeat(10)).is_err() {
            return format!("{taken}, then refused");
        }
    }
    "no limit".into()
}

/// How many calls this sandbox remembers, this one among them.
fn remember() -> String {
    thread_local! {
        static CALLS: Cell<u32> = const { Cell::new(0) };
    }
    CALLS.set(CALLS.get() + 1);
    let left = fs::metadata("/scratch/remembered").is_ok();
    let _ = fs::write("/scratch/remembered", "");
    format!("{} calls, a file {left}", CALLS.get())
}
