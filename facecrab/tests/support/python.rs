//! The Python client of the same hub and cache, where it is installed:
//! `scripts/facecrab-python.sh` does that.

use super::Hub;
use super::place::Place;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter that has `huggingface_hub`. Without it the caller is to skip, unless
/// `FACECRAB_PYTHON=required`.
pub(crate) fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/venv/bin/python");
    let works = Command::new(&venv)
        .args(["-c", "import huggingface_hub"])
        .output();
    if works.is_ok_and(|out| out.status.success()) {
        return Some(venv);
    }
    assert!(
        std::env::var("FACECRAB_PYTHON").as_deref() != Ok("required"),
        "no huggingface_hub in {}: scripts/facecrab-python.sh installs it",
        venv.display()
    );
    eprintln!("SKIPPED: no huggingface_hub; scripts/facecrab-python.sh installs it");
    None
}

/// A program that uses the hub and the place's cache.
pub(crate) fn command(python: &Path, hub: &Hub, place: &Place, code: &str) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-c", code])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", place.dir())
        .env("TMPDIR", place.dir())
        .env("HF_HOME", place.dir().join("hf-home"))
        .env("HF_HUB_CACHE", place.cache())
        .env("HF_ENDPOINT", hub.endpoint())
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env("HF_HUB_DISABLE_XET", "1")
        .env("NO_PROXY", "127.0.0.1");
    command
}

/// What it prints.
pub(crate) fn run(python: &Path, hub: &Hub, place: &Place, code: &str) -> String {
    let out = command(python, hub, place, code)
        .output()
        .expect("python starts");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{code}: {stderr}");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}
