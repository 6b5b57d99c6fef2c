//! `genius models` on a machine without a network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rusty_genius::core::gguf::{GgufWriter, TensorType};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A user with a home, a cache and no network.
struct User(PathBuf);

impl User {
    fn new(test: &str) -> Self {
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("models")
            .join(test);
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(&home).unwrap();
        Self(home)
    }

    fn models(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_genius"))
            .env("RUSTY_GENIUS_HOME", self.0.join("home"))
            .env("HF_HUB_CACHE", self.0.join("hub"))
            .env("HF_HUB_OFFLINE", "1")
            .arg("models")
            .args(args)
            .output()
            .unwrap()
    }

    /// What a command that works prints.
    fn says(&self, args: &[&str]) -> String {
        let output = self.models(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that fails says, with its exit code.
    fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = self.models(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        (output.status.code().unwrap(), stderr)
    }

    /// A model as another tool leaves it in the cache.
    fn cached(&self, quant: &str) -> PathBuf {
        let repo = self.0.join("hub/models--test--tiny-GGUF");
        let commit = "a".repeat(40);
        let snapshot = repo.join("snapshots").join(&commit);
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir_all(repo.join("refs")).unwrap();
        std::fs::write(repo.join("refs/main"), commit).unwrap();
        let path = snapshot.join(format!("tiny-{quant}.gguf"));
        gguf(&path);
        path
    }
}

fn gguf(path: &Path) {
    let mut writer = GgufWriter::new();
    writer.set("general.architecture", "llama");
    writer.set("general.name", "Tiny\u{1b}[31m");
    writer.set("general.license", "mit");
    writer.set("llama.context_length", 2048_u32);
    writer.tensor("token_embd.weight", &[8], TensorType::F32, vec![1; 32]);
    writer.write(std::fs::File::create(path).unwrap()).unwrap();
}

#[test]
fn a_model_another_tool_fetched_is_listed_found_and_shown() {
    let user = User::new("cached");
    let path = user.cached("q8_0");
    assert!(user.says(&["list"]).contains("test/tiny-GGUF:"));
    let file = user.says(&["pull", "test/tiny:Q8_0"]);
    assert_eq!(Path::new(file.trim()), path);
    let shown = user.says(&["show", "test/tiny:Q8_0"]);
    for line in ["context     2048 tokens", "licence     mit"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown:?}");
    let json: Value =
        serde_json::from_str(&user.says(&["show", "test/tiny:Q8_0", "--json"])).unwrap();
    assert_eq!(json["context-length"], 2048);
    // Now it is registered, under the name it was asked for.
    assert!(user.says(&["list"]).contains("test/tiny:Q8_0"));
}

#[test]
fn a_pulled_model_tells_its_progress_as_json() {
    let user = User::new("json");
    user.cached("q8_0");
    let events: Vec<Value> = user
        .says(&["pull", "--json", "test/tiny:Q8_0"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.first().unwrap()["type"], "resolving");
    assert_eq!(events.last().unwrap()["type"], "ready");
}

#[test]
fn the_model_that_comes_along_is_listed_checked_and_laid_anew_after_removal() {
    let user = User::new("bundled");
    let listed = user.says(&["list"]);
    let is_line =
        |l: &str| l.starts_with("rusty-genius/narf-1m:Q8_0") && l.ends_with("comes with genius");
    assert!(listed.lines().any(is_line), "{listed}");
    for _ in 0..2 {
        let path = user.says(&["pull", "narf-1m"]);
        assert!(Path::new(path.trim_end()).exists(), "{path}");
        let said = user.says(&["verify", "narf-1m"]);
        assert!(said.contains("ok"), "{said}");
        let shown = user.says(&["show", "narf-1m"]);
        assert!(
            shown.contains("llama") && shown.contains("MIT OR Apache-2.0"),
            "{shown}"
        );
        user.says(&["rm", "narf-1m"]);
    }
}

#[test]
fn a_damaged_model_does_not_verify() {
    let user = User::new("damaged");
    let path = user.cached("q8_0");
    let said = user.says(&["verify", path.to_str().unwrap()]);
    assert!(said.contains("readable"), "{said}");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let (code, said) = user.fails(&["verify", path.to_str().unwrap()]);
    assert_eq!(code, 5, "{said}");
}

#[test]
fn a_removed_model_is_gone() {
    let user = User::new("removed");
    let path = user.cached("q8_0");
    user.says(&["pull", "test/tiny:Q8_0"]);
    user.says(&["rm", "test/tiny:Q8_0"]);
    assert!(!path.exists());
    let listed = user.says(&["list"]);
    assert!(!listed.contains("test/tiny"), "{listed}");
    let (code, said) = user.fails(&["rm", "test/tiny:Q8_0"]);
    assert_eq!(code, 5);
    assert!(said.contains("not found"), "{said}");
}

#[test]
fn a_model_that_is_not_here_is_not_fetched_offline_and_the_error_says_what_would_be() {
    let user = User::new("offline");
    let (code, said) = user.fails(&["pull", "qwen2.5-1.5b"]);
    assert_eq!(code, 5);
    assert!(said.contains("Qwen/Qwen2.5-1.5B-Instruct:Q4_K_M"), "{said}");
    assert!(said.contains("hint: unset HF_HUB_OFFLINE"), "{said}");
}

#[test]
fn a_name_can_be_given_once_and_is_kept_with_the_users_comments() {
    let user = User::new("named");
    let config = user.0.join("home/config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("models.toml"), "# mine\n").unwrap();
    user.says(&["add", "tiny", "test/tiny:Q8_0"]);
    let text = std::fs::read_to_string(config.join("models.toml")).unwrap();
    assert!(text.starts_with("# mine\n"), "{text}");
    let (code, said) = user.fails(&["add", "tiny", "test/other"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("tiny"), "{said}");
    user.says(&["add", "--replace", "tiny", "test/other"]);
    user.cached("q8_0");
    let (_, said) = user.fails(&["show", "tiny"]);
    assert!(said.contains("test/other"), "{said}");
}

#[test]
fn a_damaged_registry_is_told_and_the_cache_still_answers() {
    let user = User::new("registry");
    let path = user.cached("q8_0");
    let config = user.0.join("home/config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("registry.toml"), "[[models\nspec =").unwrap();
    let output = user.models(&["pull", "test/tiny:Q8_0"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("warning: "), "{stderr}");
    assert!(stderr.contains("registry.toml"), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(Path::new(stdout.trim()), path);
    let kept = std::fs::read_dir(config).unwrap().flatten();
    let kept: Vec<_> = kept.map(|e| e.file_name()).collect();
    assert!(
        kept.iter().any(|n| n.to_string_lossy().contains("broken")),
        "{kept:?}"
    );
}

#[test]
fn a_spec_that_is_none_says_what_is_expected() {
    let user = User::new("spec");
    let (code, said) = user.fails(&["pull", "nonsense"]);
    assert_eq!(code, 2);
    assert!(said.contains("org/repo[:QUANT]"), "{said}");
}
