//! `genius test`: what a fixture costs besides the model. Pinky without delay, two at once.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that meets an error has failed"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const FIXTURES: u64 = 1000;

/// So many fixtures, in a folder of their own.
fn fixtures(folder: &Path) {
    let place = folder.join("fixtures/Org/Repo/Q4");
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(&place).unwrap();
    for n in 0..FIXTURES {
        let text = format!("+++\n[limits]\nmax-tokens = 16\n+++\nQuestion {n}?\n");
        fs::write(place.join(format!("t{n}.md")), text).unwrap();
    }
}

fn test(criterion: &mut Criterion) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-fixtures");
    fixtures(&folder);
    let mut group = criterion.benchmark_group("genius test");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(20));
    let mut command = |name: &str, count: u64, filter: &str| {
        group.throughput(Throughput::Elements(count));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let status = Command::new(env!("CARGO_BIN_EXE_genius"))
                    .args(["test", "--engine=pinky", "--jobs=2", filter])
                    .current_dir(&folder)
                    .env("RUSTY_GENIUS_HOME", folder.join("home"))
                    .env("RUSTY_GENIUS_TMP", folder.join("runs"))
                    .stdout(Stdio::null())
                    .status()
                    .unwrap();
                assert!(status.success());
            });
        });
    };
    command("1000 fixtures", FIXTURES, "--filter=t");
    // What the command itself takes, to be seen beside it.
    command("1 fixture", 1, "--filter=/t777");
    group.finish();
}

criterion_group!(benches, test);
criterion_main!(benches);
