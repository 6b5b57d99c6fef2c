//! `genius models`: what is here, and what is to come.

use crate::bars::{self, Bars};
use crate::cli::ModelsCommand;
use crate::{interrupt, safe};
use futures::StreamExt;
use rusty_genius::core::{AssetError, ModelSpec, SandboxError, UserManifest};
use rusty_genius::facecrab::{Details, Facecrab, Task, catalog};
use rusty_genius::{GeniusError, bundled};
use serde::Serialize;
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) async fn models(command: ModelsCommand) -> ExitCode {
    interrupt::or(run(command)).await
}

async fn run(command: ModelsCommand) -> Result<u8, GeniusError> {
    let crab = Facecrab::new(bundled::settings());
    let manifest = catalog::load(&crab.settings().config)?;
    let models = Models { crab, manifest };
    let done = models.run(command).await;
    for warning in models.crab.take_warnings() {
        eprintln!("warning: {}", safe::line(&warning.to_string()));
    }
    done
}

struct Models {
    crab: Facecrab,
    manifest: UserManifest,
}

impl Models {
    async fn run(&self, command: ModelsCommand) -> Result<u8, GeniusError> {
        match command {
            ModelsCommand::Pull { specs, json } => self.pull(&specs, json).await?,
            ModelsCommand::List { json } => self.list(json)?,
            ModelsCommand::Show { spec, json } => self.show(&spec, json)?,
            ModelsCommand::Verify { specs, json } => return self.verify(&specs, json).await,
            ModelsCommand::Rm { specs } => self.remove(&specs)?,
            ModelsCommand::Add {
                name,
                spec,
                replace,
            } => self.add(&name, &spec, replace)?,
        }
        Ok(0)
    }

    fn resolve(&self, specs: &[String]) -> Result<Vec<ModelSpec>, GeniusError> {
        specs.iter().map(|s| self.manifest.resolve(s)).collect()
    }

    async fn pull(&self, specs: &[String], json: bool) -> Result<(), GeniusError> {
        // All are resolved before the first is fetched: a slip of the pen shows at once.
        for spec in self.resolve(specs)? {
            let asset = watch(self.crab.ensure_model(&spec), json).await?;
            if !json {
                for file in asset.files {
                    say(&file.display().to_string())?;
                }
            }
        }
        Ok(())
    }

    fn list(&self, json: bool) -> Result<(), GeniusError> {
        let installed = self.crab.installed()?;
        if json {
            return installed.iter().try_for_each(say_json);
        }
        if installed.is_empty() {
            eprintln!("no models here yet; fetch one with: genius models pull NAME");
        }
        let width = installed.iter().map(|m| m.spec.chars().count()).max();
        let width = width.unwrap_or(0);
        for model in &installed {
            let size = bars::bytes(model.size);
            let time = match model.time.as_deref() {
                Some(time) => time,
                None if model.source == "bundled" => "comes with genius",
                None => "found in the cache",
            };
            say(&format!("{:<width$}  {size:>10}  {time}", model.spec))?;
        }
        for (name, entry) in &self.manifest.models {
            let spec = self.manifest.resolve(name)?.id();
            if !installed.iter().any(|model| model.spec == spec) {
                eprintln!("to fetch: {name} ({})", safe::line(&entry.source));
            }
        }
        Ok(())
    }

    fn show(&self, spec: &str, json: bool) -> Result<(), GeniusError> {
        let details = self.crab.details(&self.manifest.resolve(spec)?)?;
        match json {
            true => say_json(&details),
            false => describe(&details).iter().try_for_each(|line| say(line)),
        }
    }

    async fn verify(&self, specs: &[String], json: bool) -> Result<u8, GeniusError> {
        let specs = match specs {
            [] => {
                let installed = self.crab.installed()?;
                let specs = installed.iter().map(|m| self.manifest.resolve(&m.spec));
                specs.collect::<Result<_, _>>()?
            }
            specs => self.resolve(specs)?,
        };
        let mut damaged = None;
        for spec in specs {
            for file in watch(self.crab.verify(&spec), json).await? {
                let verdict = match file.matches {
                    Some(true) => "ok",
                    Some(false) => "DAMAGED",
                    None => "readable; no sha256 is known to compare with",
                };
                match json {
                    true => say_json(&file)?,
                    false => say(&format!("{}: {verdict}", file.path.display()))?,
                }
                if file.matches == Some(false) {
                    damaged = Some(file.path);
                }
            }
        }
        match damaged {
            Some(path) => Err(AssetError::Corrupt {
                file: path.display().to_string(),
                reason: "its sha256 is not the registered one; remove the model and pull it again"
                    .to_owned(),
            }
            .into()),
            None => Ok(0),
        }
    }

    fn remove(&self, specs: &[String]) -> Result<(), GeniusError> {
        for spec in self.resolve(specs)? {
            let removed = self.crab.remove(&spec)?;
            eprintln!(
                "removed {}: {} freed",
                safe::line(&spec.id()),
                bars::bytes(removed.bytes)
            );
        }
        Ok(())
    }

    fn add(&self, name: &str, spec: &str, replace: bool) -> Result<(), GeniusError> {
        let config: &PathBuf = &self.crab.settings().config;
        catalog::add(config, name, spec, replace)?;
        eprintln!("added {name} to {}", config.join("models.toml").display());
        Ok(())
    }
}

/// Shows a task's progress, as bars or as JSON, and gives what came of it.
async fn watch<T: Unpin>(mut task: Task<T>, json: bool) -> Result<T, GeniusError> {
    let mut bars = Bars::new();
    while let Some(event) = task.next().await {
        match json {
            true => say_json(&event)?,
            false => bars.show(&event),
        }
    }
    bars.clear();
    let outcome = task.finish().await;
    if let (true, Err(error)) = (json, &outcome) {
        say_json(&json!({ "type": "failed", "error": error.to_string(), "hint": error.hint() }))?;
    }
    outcome
}

fn describe(details: &Details) -> Vec<String> {
    let unknown = || "not said".to_owned();
    let mut lines = vec![
        format!("spec        {}", details.spec),
        format!(
            "name        {}",
            details.name.clone().unwrap_or_else(unknown)
        ),
        format!(
            "type        {}",
            details.architecture.clone().unwrap_or_else(unknown)
        ),
        format!(
            "quant       {}",
            details.quant.clone().unwrap_or_else(unknown)
        ),
        format!("parameters  {}", count(details.parameters)),
        format!("size        {}", bars::bytes(details.size)),
        format!(
            "context     {}",
            details
                .context_length
                .map_or_else(unknown, |tokens| format!("{tokens} tokens"))
        ),
        format!(
            "licence     {}",
            details.license.clone().unwrap_or_else(unknown)
        ),
        format!(
            "template    {}",
            if details.chat_template {
                "its own"
            } else {
                "none"
            }
        ),
    ];
    lines.extend(
        details
            .files
            .iter()
            .map(|f| format!("file        {}", f.display())),
    );
    lines
}

/// A number of parameters as people say it: 1.5 B.
fn count(parameters: u64) -> String {
    let n = parameters as f64;
    match parameters {
        0..1_000_000 => parameters.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1} M", n / 1e6),
        _ => format!("{:.1} B", n / 1e9),
    }
}

fn say_json(value: &impl Serialize) -> Result<(), GeniusError> {
    write_line(&serde_json::to_string(value).map_err(|e| stdout_failed(&e.into()))?)
}

/// A line on stdout. Its words may be a file's own.
fn say(line: &str) -> Result<(), GeniusError> {
    write_line(&safe::line(line))
}

fn write_line(line: &str) -> Result<(), GeniusError> {
    match writeln!(io::stdout(), "{line}") {
        // Whoever closed the pipe has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|e| stdout_failed(&e)),
    }
}

fn stdout_failed(error: &io::Error) -> GeniusError {
    SandboxError::Host {
        what: "writing to stdout".to_owned(),
        reason: error.to_string(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_as_people_do() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_070_000), "1.1 M");
        assert_eq!(count(1_543_714_304), "1.5 B");
    }
}
