//! A large file over loopback: facecrab, which verifies what it fetches, against `curl`,
//! `curl` and `sha256sum`, and Hugging Face's own client where it is installed.
//!
//! Each is a process of its own; the runs are interleaved, and the table has medians.
//! `FACECRAB_BENCH_MIB` sets the size (1024), `FACECRAB_BENCH_RUNS` the runs (3).

#[path = "../tests/support/mod.rs"]
mod support;

use facecrab::{Facecrab, Settings};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Content, Hub, Place, python, sha256_of, spec};

const REPO: &str = "o/m-GGUF";
const FILE: &str = "m-q4_k_m.gguf";
const SPEC: &str = "o/m-GGUF:Q4_K_M";
const PYTHON: &str =
    "from huggingface_hub import hf_hub_download as get; get('o/m-GGUF', 'm-q4_k_m.gguf')";

/// Its name, and how it is started.
type Rival<'a> = (&'static str, Box<dyn Fn() -> Command + 'a>);

/// What one run took.
#[derive(Clone, Copy)]
struct Taken {
    time: Duration,
    /// Most bytes in memory at once.
    memory: u64,
}

fn main() {
    if std::env::var_os("FACECRAB_BENCH_CHILD").is_some() {
        return child();
    }
    // `cargo test --all-targets` starts it too, without this.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let number = |name, default| {
        let value = std::env::var(name).ok().and_then(|v| v.parse().ok());
        value.unwrap_or(default)
    };
    let size = number("FACECRAB_BENCH_MIB", 1024) << 20;
    let runs = number("FACECRAB_BENCH_RUNS", 3);
    compare("as fast as it goes", size, 0, runs);
    compare("64 MiB/s a connection", size / 4, 64 << 20, runs);
}

fn compare(title: &str, size: u64, pace: u64, runs: u64) {
    let hub = Hub::start();
    let content = Content::gguf(size, 11);
    hub.add(REPO, FILE, &content);
    hub.pace(pace);
    let url = format!("{}/{REPO}/resolve/main/{FILE}", hub.endpoint());
    let place = Place::new("bench");
    let plain = place.dir().join("plain.gguf");
    let curl = format!("curl -sfL -o '{}' '{url}'", plain.display());
    let sum = format!("{curl} && sha256sum '{}' >'{0}.sum'", plain.display());
    let mut rivals: Vec<Rival> = vec![
        ("curl -o", Box::new(|| shell(&format!("exec {curl}")))),
        ("curl -o && sha256sum", Box::new(|| shell(&sum))),
        ("facecrab", Box::new(|| facecrab(&hub, &place, 4))),
        (
            "facecrab, 1 connection",
            Box::new(|| facecrab(&hub, &place, 1)),
        ),
    ];
    if let Some(python) = python::python() {
        let (hub, place) = (&hub, &place);
        let start = move || python::command(&python, hub, place, PYTHON);
        rivals.push(("huggingface_hub", Box::new(start)));
    }
    let mut taken: Vec<Vec<Taken>> = vec![Vec::new(); rivals.len()];
    for _ in 0..runs {
        for ((name, command), taken) in rivals.iter().zip(&mut taken) {
            let _ = Place::new("bench");
            // What an earlier run left to be written is not this one's time.
            let _ = Command::new("sync").status();
            let one = measure(command());
            let file = place
                .snapshot_files()
                .pop()
                .unwrap_or_else(|| plain.clone());
            let digest = sha256_of(&file).unwrap_or_default();
            assert_eq!(digest, content.sha256(), "{name}: {}", file.display());
            taken.push(one);
        }
    }
    let _ = Place::new("bench");
    println!("\n{} MiB, {title}, median of {runs}", size >> 20);
    println!(
        "{:<24} {:>8} {:>8} {:>8} {:>10}",
        "", "s", "MiB/s", "ratio", "peak MiB"
    );
    let base = median(&taken[0], |t| t.time).as_secs_f64();
    for ((name, _), taken) in rivals.iter().zip(&taken) {
        let time = median(taken, |t| t.time).as_secs_f64();
        // Of two programs one after the other only the shell would be seen.
        let memory = match name.contains("&&") {
            true => "-".to_owned(),
            false => format!("{:.1}", median(taken, |t| t.memory) as f64 / 1048576.0),
        };
        let rate = (size >> 20) as f64 / time;
        println!(
            "{name:<24} {time:>8.2} {rate:>8.0} {:>8.2} {memory:>10}",
            time / base
        );
    }
}

fn median<T: Ord + Copy>(taken: &[Taken], of: impl Fn(&Taken) -> T) -> T {
    let mut all: Vec<T> = taken.iter().map(of).collect();
    all.sort();
    all[all.len() / 2]
}

fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("no_proxy", "127.0.0.1");
    command
}

fn facecrab(hub: &Hub, place: &Place, connections: usize) -> Command {
    let this = std::env::current_exe().unwrap_or_default();
    let mut command = Command::new(this);
    command
        .env("FACECRAB_BENCH_CHILD", place.dir())
        .env("FACECRAB_BENCH_ENDPOINT", hub.endpoint())
        .env("FACECRAB_BENCH_CONNECTIONS", connections.to_string());
    command
}

fn child() {
    let var = |name| std::env::var(name).unwrap_or_default();
    let place = Place::at(var("FACECRAB_BENCH_CHILD"));
    let mut settings = Settings::new(place.cache(), place.config());
    settings.endpoint = var("FACECRAB_BENCH_ENDPOINT");
    settings.connections = var("FACECRAB_BENCH_CONNECTIONS").parse().unwrap_or(1);
    let ensure = Facecrab::new(settings).ensure_model(&spec(SPEC));
    if let Err(error) = async_std::task::block_on(ensure.finish()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

/// Runs it to its end, and looks at its memory meanwhile.
fn measure(mut command: Command) -> Taken {
    let began = Instant::now();
    let mut child = match command.stdout(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => panic!("{command:?}: {error}"),
    };
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    loop {
        memory = memory.max(high_water(Path::new(&status)));
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Ok(Some(status)) if status.success() => break,
            other => panic!("{command:?}: {other:?}"),
        }
    }
    Taken {
        time: began.elapsed(),
        memory,
    }
}

/// The most bytes a process had in memory so far; 0 where the system does not say.
fn high_water(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
