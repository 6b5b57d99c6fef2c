//! What a run is granted: a manifest, and the flags that win over it. The comments on the
//! flags are help texts.

use clap::Args;
use rusty_genius::core::{
    BudgetResource, Clocks, FileGrant, FileMode, GeniusError, ManifestError, Pattern, RUN_MANIFEST,
    Random, RunManifest, Stdio, ToolGrant, check_guest_path, check_tool_name,
};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest manifest: 1 MiB.
const MANIFEST_LIMIT: u64 = 1 << 20;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Grants and budget")]
pub(crate) struct GrantArgs {
    /// Take component, grants and budget from this file; flags win over it
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,

    /// Let it open other models, too: names or specs, with * and ?
    #[arg(long, value_name = "PATTERN")]
    models: Vec<String>,

    /// Let it read a directory, as in /src=./src, or change it, as in /out=./out:rw
    #[arg(long, value_name = "GUEST=HOST[:rw]", value_parser = file_grant)]
    files: Vec<(String, FileGrant)>,

    /// Let it call a tool: a built-in one, or NAME=COMPONENT
    #[arg(long = "tool", value_name = "NAME[=COMPONENT]", value_parser = tool_grant)]
    tools: Vec<(String, Option<String>)>,

    /// Let it see an environment variable
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,

    /// Connect its streams: in, out (part of the answer), err (the journal)
    #[arg(long, value_name = "STREAMS", value_delimiter = ',', value_parser = stdio)]
    stdio: Vec<Stdio>,

    /// What time it sees: coarse (whole milliseconds, if not said), fine, or none
    #[arg(long, value_name = "HOW", value_parser = clocks)]
    clocks: Option<Clocks>,

    /// Give it the same random numbers each time, from this seed
    #[arg(long, value_name = "N")]
    random_seed: Option<u64>,

    /// Set a limit: wall-time, cpu-time, memory, completion-tokens, scratch, …; a wrong key
    /// lists them all
    #[arg(long = "budget", value_name = "KEY=VALUE", value_parser = limit)]
    limits: Vec<(BudgetResource, u64)>,
}

impl GrantArgs {
    /// What is to run, and what it gets. `guest` is a component, a `genius.toml`, or a
    /// directory with one.
    ///
    /// Errors: [`GeniusError::Manifest`].
    pub(crate) fn manifest(&self, guest: Option<&str>) -> Result<RunManifest, GeniusError> {
        let named = guest.map(Path::new).and_then(manifest_of);
        let mut manifest = match named.as_ref().or(self.manifest.as_ref()) {
            Some(file) => read(file)?,
            None => RunManifest::default(),
        };
        if let (Some(guest), None) = (guest, named) {
            // Another component than the one that was pinned is what the person asks for.
            if manifest.component.as_deref() != Some(guest) {
                manifest.digest = None;
            }
            manifest.component = Some(guest.to_owned());
        }
        self.lay_over(&mut manifest);
        Ok(manifest)
    }

    fn lay_over(&self, manifest: &mut RunManifest) {
        let grants = &mut manifest.grants;
        grants
            .models
            .extend(self.models.iter().map(|p| Pattern::new(p)));
        grants.files.extend(self.files.iter().cloned());
        for (name, component) in &self.tools {
            let grant = ToolGrant {
                component: component.clone(),
                ..ToolGrant::default()
            };
            grants.tools.insert(name.clone(), grant);
        }
        grants.env.extend(self.env.iter().cloned());
        grants.stdio.extend(&self.stdio);
        grants.stdio.sort_unstable();
        grants.stdio.dedup();
        if let Some(clocks) = self.clocks {
            grants.clocks = clocks;
        }
        if let Some(seed) = self.random_seed {
            grants.random = Random::Seed(seed);
        }
        for (resource, limit) in &self.limits {
            manifest.budget.set(*resource, *limit);
        }
    }
}

/// The manifest that this path stands for, if it stands for one.
fn manifest_of(path: &Path) -> Option<PathBuf> {
    if path.extension().is_some_and(|e| e == "toml") {
        return Some(path.to_owned());
    }
    let inside = path.join(RUN_MANIFEST);
    inside.is_file().then_some(inside)
}

fn wrong(file: &Path, reason: String) -> ManifestError {
    ManifestError {
        file: file.to_owned(),
        line: None,
        column: None,
        key: None,
        reason,
    }
}

fn read(file: &Path) -> Result<RunManifest, GeniusError> {
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(MANIFEST_LIMIT + 1).read_to_string(&mut text))
        .map_err(|e| wrong(file, e.to_string()))?;
    if text.len() as u64 > MANIFEST_LIMIT {
        return Err(wrong(file, "it has more than 1 MiB".into()).into());
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    Ok(RunManifest::parse(file, &text)?.relative_to(folder))
}

fn file_grant(text: &str) -> Result<(String, FileGrant), String> {
    let (guest, host) = text
        .split_once('=')
        .ok_or("write GUEST=HOST, as in /src=./src, or /out=./out:rw")?;
    check_guest_path(guest)?;
    let (host, mode) = match host.strip_suffix(":rw") {
        Some(host) => (host, FileMode::ReadWrite),
        None => (host, FileMode::ReadOnly),
    };
    let host = PathBuf::from(host);
    Ok((guest.to_owned(), FileGrant { host, mode }))
}

fn tool_grant(text: &str) -> Result<(String, Option<String>), String> {
    let (name, component) = match text.split_once('=') {
        Some((name, component)) => (name, Some(component.to_owned())),
        None => (text, None),
    };
    check_tool_name(name)?;
    Ok((name.to_owned(), component))
}

fn stdio(text: &str) -> Result<Stdio, String> {
    match text {
        "in" => Ok(Stdio::In),
        "out" => Ok(Stdio::Out),
        "err" => Ok(Stdio::Err),
        _ => Err("there are: in, out, err".into()),
    }
}

fn clocks(text: &str) -> Result<Clocks, String> {
    match text {
        "coarse" => Ok(Clocks::Coarse),
        "fine" => Ok(Clocks::Fine),
        "none" => Ok(Clocks::None),
        _ => Err("there are: coarse, fine, none".into()),
    }
}

fn limit(text: &str) -> Result<(BudgetResource, u64), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    let resource = BudgetResource::from_key(key).ok_or_else(|| {
        let keys: Vec<&str> = BudgetResource::ALL.iter().map(|r| r.key()).collect();
        format!("there is no limit {key:?}; there are: {}", keys.join(", "))
    })?;
    Ok((resource, resource.parse(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        grants: GrantArgs,
    }

    fn flags(line: &[&str]) -> Result<RunManifest, String> {
        let line = ["x"].iter().chain(line);
        let parsed = Line::try_parse_from(line).map_err(|e| e.to_string())?;
        parsed
            .grants
            .manifest(Some("ask"))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn flags_say_what_a_manifest_can_say() {
        let manifest = flags(&[
            "--models=qwen*",
            "--files=/src=./src",
            "--files=/out=./out:rw",
            "--tool=calc",
            "--tool=find=./find.wasm",
            "--env=LANG",
            "--stdio=err,out",
            "--clocks=none",
            "--random-seed=7",
            "--budget=scratch=1MiB",
            "--budget=wall-time=2s",
        ]);
        let text = r#"
            component = "ask"
            [grants]
            models = ["qwen*"]
            env = ["LANG"]
            stdio = ["out", "err"]
            clocks = "none"
            random = 7
            files = { "/src" = "./src", "/out" = { host = "./out", mode = "read-write" } }
            tools = { calc = {}, find = { component = "./find.wasm" } }
            [budget]
            scratch = "1MiB"
            wall-time = "2s"
        "#;
        assert_eq!(manifest.unwrap(), RunManifest::parse("x", text).unwrap());
    }

    #[test]
    fn what_a_flag_cannot_be_is_told_with_what_it_can() {
        for (flag, why) in [
            ("--files=/src", "GUEST=HOST"),
            ("--files=src=x", "absolute"),
            ("--files=/scratch=x", "own"),
            ("--tool=a b", "letters"),
            ("--stdio=log", "in, out, err"),
            ("--clocks=slow", "coarse"),
            ("--budget=memroy=1", "memory"),
            ("--budget=wall-time=1", "unit"),
        ] {
            let error = flags(&[flag]).unwrap_err();
            assert!(error.contains(why), "{flag}: {error}");
        }
    }
}
