//! Tells what it sees of the world, a line each: the other side of a grant. With words after
//! its name it does something there: `write PATH TEXT`, `read PATH`, `print TEXT` (to stdout),
//! `mutter TEXT` (to stderr), `echo` (stdin), `work MS` (computes so long).

use rusty_genius::genius::reply::{Fragment, emit};
use rusty_genius::genius::tools;
use std::fmt::Display;
use std::io::{Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasip2::filesystem::preopens::get_directories;
use wasip2::random::random::get_random_u64;

wit_bindgen::generate!({ path: "../../../wit", world: "workflow" });

struct Look;
export!(Look);

impl Guest for Look {
    async fn run(args: Vec<String>) -> Result<(), Failure> {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => look().await,
            ["write", path, text @ ..] => {
                std::fs::write(path, text.join(" ")).map_err(|e| failed(path, e))
            }
            ["read", path] => say(std::fs::read_to_string(path).map_err(|e| failed(path, e))?),
            ["print", text @ ..] => {
                let text = text.join(" ");
                let mut out = std::io::stdout();
                out.write_all(text.as_bytes())
                    .and_then(|()| out.flush())
                    .map_err(|e| failed("stdout", e))
            }
            ["mutter", text @ ..] => {
                let text = text.join(" ");
                writeln!(std::io::stderr(), "{text}").map_err(|e| failed("stderr", e))
            }
            ["echo"] => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|e| failed("stdin", e))?;
                say(text)
            }
            ["work", ms] => work(ms),
            _ => Err(Failure::Usage(
                "look takes nothing, or write, read, print, mutter, echo or work".into(),
            )),
        }
    }
}

async fn look() -> Result<(), Failure> {
    for (_, name) in get_directories() {
        say(format!("directory {name}\n"))?;
    }
    for (name, value) in std::env::vars() {
        say(format!("variable {name}={value}\n"))?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    say(format!("time {}\n", nanos(now.unwrap_or_default())))?;
    let began = Instant::now();
    say(format!("tick {}\n", nanos(began.elapsed())))?;
    say(format!("random {:016x}\n", get_random_u64()))?;
    for tool in tools::describe().await.map_err(Failure::Host)? {
        say(format!("tool {}: {}\n", tool.name, tool.description))?;
    }
    Ok(())
}

/// Computes for so many milliseconds.
fn work(ms: &str) -> Result<(), Failure> {
    let ms = ms
        .parse()
        .map_err(|_| Failure::Usage("work takes milliseconds".into()))?;
    let (began, time) = (Instant::now(), Duration::from_millis(ms));
    let mut turns = 0_u64;
    while began.elapsed() < time {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
    Ok(())
}

fn nanos(time: Duration) -> u128 {
    time.as_nanos()
}

fn failed(what: &str, error: impl Display) -> Failure {
    Failure::Failed(format!("{what}: {error}"))
}

fn say(text: String) -> Result<(), Failure> {
    emit(&[Fragment::Content(text)]).map_err(Failure::Host)
}
