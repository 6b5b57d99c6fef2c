//! What `genius run` takes with a warm cache, as a whole process. Pinky's own delay is
//! zero here, so all of it is the host's: start, engine, cache, sandbox, answer.

use criterion::{Criterion, criterion_group, criterion_main};
use std::process::{Command, Stdio};

fn genius(args: &[&str]) {
    let home = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-home");
    let status = Command::new(env!("CARGO_BIN_EXE_genius"))
        .env("RUSTY_GENIUS_HOME", home)
        .env(
            "RUSTY_GENIUS_TMP",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-runs"),
        )
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok_and(|s| s.success()), "genius {args:?}");
}

fn command(c: &mut Criterion) {
    let mut group = c.benchmark_group("command");
    group.sample_size(20);
    // What the system takes to start the process at all.
    group.bench_function("genius --version", |b| b.iter(|| genius(&["--version"])));
    let ask = ["run", "ask", "--pinky-delay=0", "Hello"];
    // Fills the cache; measured apart, it would be the compiler's time.
    genius(&ask);
    group.bench_function("genius run ask, warm cache", |b| b.iter(|| genius(&ask)));
    group.finish();
    let _ = std::fs::remove_dir_all(concat!(env!("CARGO_TARGET_TMPDIR"), "/bench-runs"));
}

criterion_group!(benches, command);
criterion_main!(benches);
