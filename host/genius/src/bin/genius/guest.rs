//! `genius guest inspect`, and what a run would get: `genius run --dry-run`.

mod call;
mod new;

use crate::grants::GrantArgs;
use crate::{exit, safe};
use clap::Subcommand;
use indicatif::HumanBytes;
use rusty_genius::core::component::{Extern, ExternKind, World};
use rusty_genius::core::{Budget, BudgetResource, Clocks, GeniusError, Random, RunManifest, Stdio};
use rusty_genius::sandbox::refused_import;
use rusty_genius::{Inspection, inspect};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum GuestCommand {
    /// Tell what a component wants, without running any of it
    Inspect {
        /// A component file, the name of a built-in guest, or a genius.toml
        guest: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        grants: GrantArgs,
    },
    /// Call a tool once, or ask it what it is
    Call(call::CallArgs),
    /// Begin a guest of your own: a folder that builds and passes its own test
    New(new::NewArgs),
}

pub(crate) async fn guest(command: GuestCommand) -> ExitCode {
    match command {
        GuestCommand::Inspect {
            guest,
            json,
            grants,
        } => inspect_guest(&guest, json, &grants).await,
        GuestCommand::Call(args) => call::call(args).await,
        GuestCommand::New(args) => new::new(&args),
    }
}

async fn inspect_guest(guest: &str, json: bool, grants: &GrantArgs) -> ExitCode {
    match look(guest, grants).await {
        Ok(outlook) => {
            let text = match json {
                true => format!("{}\n", outlook.json()),
                false => outlook.inspection_text() + &outlook.outcome_text(),
            };
            // Whoever closed the pipe has seen enough.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => exit::fail(&error),
    }
}

async fn look(guest: &str, grants: &GrantArgs) -> Result<Outlook, GeniusError> {
    let manifest = grants.manifest(Some(guest))?;
    Outlook::of(manifest).await
}

/// A component beside the manifest it would run under.
pub(crate) struct Outlook {
    found: Inspection,
    manifest: RunManifest,
}

/// One thing a guest may want.
struct Row {
    what: &'static str,
    asks: bool,
    /// What it would get; empty for nothing.
    gets: Vec<String>,
}

impl Outlook {
    /// Looks at the manifest's component.
    pub(crate) async fn of(manifest: RunManifest) -> Result<Self, GeniusError> {
        let name = manifest.component.clone().unwrap_or_default();
        let found = inspect(&name).await?;
        Ok(Self { found, manifest })
    }

    /// Why the component would be refused, whatever the manifest grants.
    fn refusals(&self) -> Vec<(String, String)> {
        let world = self.found.info.world().unwrap_or(World::Workflow);
        let gives_something = |import: &&Extern| import.kind != ExternKind::Type;
        let imports = self.found.info.imports.iter().filter(gives_something);
        let mut refusals: Vec<_> = imports
            .filter_map(|import| {
                let reason = refused_import(world, &import.name)?;
                Some((import.name.clone(), reason))
            })
            .collect();
        if self.found.info.world().is_none() {
            let reason = "it exports the entry point of no world of the contract".to_owned();
            refusals.push(("exports".into(), reason));
        }
        if let Some(pinned) = self.manifest.digest.filter(|d| *d != self.found.digest) {
            refusals.push(("digest".into(), format!("the manifest pins {pinned}")));
        }
        refusals
    }

    /// Whether it would run.
    pub(crate) fn would_run(&self) -> bool {
        self.refusals().is_empty()
    }

    fn asks(&self, wanted: &[&str]) -> bool {
        let imports = self.found.info.imports.iter();
        imports
            .filter_map(|import| Some((import.package()?, import.interface()?)))
            .any(|(package, interface)| {
                wanted.iter().any(|w| match w.split_once('/') {
                    Some(pair) => pair == (package, interface),
                    None => *w == package,
                })
            })
    }

    fn rows(&self) -> Vec<Row> {
        const GENIUS: &str = "rusty-genius:genius";
        let own = |interface: &str| self.asks(&[&format!("{GENIUS}/{interface}")]);
        let grants = &self.manifest.grants;
        let file = |(guest, grant): (&String, &rusty_genius::core::FileGrant)| {
            let mode = if grant.writable() {
                "read-write"
            } else {
                "read-only"
            };
            format!("{guest} {mode} ({})", grant.host.display())
        };
        let stream = |stream: Stdio, to: &str| match grants.stdio.contains(&stream) {
            true => vec![to.to_owned()],
            false => Vec::new(),
        };
        let model = self
            .manifest
            .model
            .as_deref()
            .unwrap_or("the default model");
        let row = |what, asks, gets| Row { what, asks, gets };
        let mut rows = vec![
            row(
                "models",
                own("cortex") || own("cortex-blocking"),
                [model.to_owned()]
                    .into_iter()
                    .chain(grants.models.iter().map(ToString::to_string))
                    .collect(),
            ),
            row(
                "model files",
                own("facecrab"),
                vec!["of these models".into()],
            ),
            row(
                "tools",
                own("tools") || own("tools-blocking"),
                grants.tools.keys().cloned().collect(),
            ),
            row(
                "files",
                self.asks(&["wasi:filesystem"]),
                ["/scratch read-write".to_owned()]
                    .into_iter()
                    .chain(grants.files.iter().map(file))
                    .collect(),
            ),
            row(
                "environment",
                self.asks(&["wasi:cli/environment"]),
                grants.env.clone(),
            ),
            row(
                "stdin",
                self.asks(&["wasi:cli/stdin"]),
                stream(Stdio::In, "the host's"),
            ),
            row(
                "stdout",
                self.asks(&["wasi:cli/stdout"]),
                stream(Stdio::Out, "part of the answer"),
            ),
            row(
                "stderr",
                self.asks(&["wasi:cli/stderr"]),
                stream(Stdio::Err, "the journal"),
            ),
            row(
                "clocks",
                self.asks(&["wasi:clocks"]),
                vec![match grants.clocks {
                    Clocks::Coarse => "whole milliseconds".to_owned(),
                    Clocks::Fine => "the host's".to_owned(),
                    Clocks::None => "time since the run began".to_owned(),
                }],
            ),
            row(
                "random",
                self.asks(&["wasi:random"]),
                vec![match grants.random {
                    Random::Host => "the host's".to_owned(),
                    Random::Seed(seed) => format!("from the seed {seed}"),
                }],
            ),
            row(
                "network",
                self.asks(&["wasi:sockets", "wasi:http"]),
                Vec::new(),
            ),
        ];
        // A policy has the loop's own clock and numbers, and a tool no model.
        match self.found.info.world() {
            Some(World::Policy) => rows.retain(|row| row.what == "network"),
            Some(World::Tool | World::ToolBlocking) => {
                rows.retain(|row| !matches!(row.what, "models" | "model files" | "tools"));
            }
            _ => {}
        }
        rows
    }

    /// What its imports mean, each meaning with the imports that have it.
    fn wants(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut wants: Vec<(&str, Vec<String>)> = Vec::new();
        // A type by itself gives nothing.
        let imports = self.found.info.imports.iter();
        for import in imports.filter(|import| import.kind != ExternKind::Type) {
            let what = import.explain();
            match wants.iter_mut().find(|(known, _)| *known == what) {
                Some((_, names)) => names.push(import.name.clone()),
                None => wants.push((what, vec![import.name.clone()])),
            }
        }
        wants
    }

    /// What the component says of itself.
    pub(crate) fn inspection_text(&self) -> String {
        let info = &self.found.info;
        let world = info.world().map_or("none of the contract's", World::name);
        let list = |words: Vec<String>| match words.is_empty() {
            true => "not said".to_owned(),
            false => words.join(", "),
        };
        let producers = |all: &[rusty_genius::core::component::Producer]| {
            let words = all.iter().map(|p| format!("{} {}", p.name, p.version));
            list(words.map(|w| w.trim().to_owned()).collect())
        };
        let versions = |all: Vec<&str>| list(all.into_iter().map(str::to_owned).collect());
        let mut text = String::new();
        for (what, words) in [
            ("component", self.found.name.clone()),
            ("digest", self.found.digest.to_string()),
            (
                "size",
                format!(
                    "{} ({} of code, {} of data, {} of names and notes)",
                    HumanBytes(info.bytes),
                    HumanBytes(info.code_bytes),
                    HumanBytes(info.data_bytes),
                    HumanBytes(info.custom_bytes)
                ),
            ),
            ("world", world.to_owned()),
            ("contract", versions(info.contract_versions())),
            ("WASI", versions(info.wasi_versions())),
            ("written in", producers(&info.languages)),
            ("made with", producers(&info.tools)),
            (
                "memory",
                format!(
                    "{} at the start, in {} of {} modules",
                    HumanBytes(info.memory_bytes),
                    info.memories,
                    info.modules
                ),
            ),
        ] {
            let _ = writeln!(text, "{what:<12} {}", safe::line(&words));
        }
        text.push_str("\nIt wants to:\n");
        let wants = self.wants();
        if wants.is_empty() {
            text.push_str("  nothing\n");
        }
        for (what, imports) in wants {
            let _ = writeln!(text, "  {what}");
            let _ = writeln!(text, "      {}", safe::line(&imports.join(", ")));
        }
        text
    }

    /// What it would get, and whether it would run.
    pub(crate) fn outcome_text(&self) -> String {
        let mut text = String::from("\nUnder these grants it gets:\n");
        for row in self.rows() {
            let gets = match (row.gets.as_slice(), row.what) {
                ([], "network") => "never".to_owned(),
                ([], _) => "nothing".to_owned(),
                (gets, _) => gets.join(", "),
            };
            let asks = if row.asks { "asks" } else { "does not ask" };
            let _ = writeln!(text, "  {:<12} {asks:<13} {}", row.what, safe::line(&gets));
        }
        let refusals = self.refusals();
        if refusals.is_empty() {
            text.push_str("\nIt would run.\n");
        } else {
            text.push_str("\nIt would not run:\n");
        }
        for (what, reason) in refusals {
            let _ = writeln!(text, "  {}: {}", safe::line(&what), safe::line(&reason));
        }
        text
    }

    /// The limits, with a mark at those that the manifest sets.
    pub(crate) fn budget_text(&self) -> String {
        let mut text = String::from("\nAnd may consume:\n");
        let budget = self.manifest.budget.over(Budget::default());
        for resource in BudgetResource::ALL {
            let set = match self.manifest.budget.get(resource) {
                Some(_) => "",
                None => "  (default)",
            };
            let limit = resource.show(budget.limit(resource));
            let _ = writeln!(text, "  {:<18} {limit}{set}", resource.key());
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let info = &self.found.info;
        let externs = |all: &[Extern]| -> Vec<Value> {
            let one =
                |e: &Extern| json!({ "name": e.name, "kind": e.kind.name(), "means": e.explain() });
            all.iter().map(one).collect()
        };
        let producers = |all: &[rusty_genius::core::component::Producer]| -> Vec<Value> {
            let one = |p: &rusty_genius::core::component::Producer| json!({ "name": p.name, "version": p.version });
            all.iter().map(one).collect()
        };
        let outcome: Vec<Value> = self
            .rows()
            .into_iter()
            .map(|row| json!({ "capability": row.what, "asks": row.asks, "gets": row.gets }))
            .collect();
        let refusals: Vec<Value> = self
            .refusals()
            .into_iter()
            .map(|(what, reason)| json!({ "what": what, "reason": reason }))
            .collect();
        json!({
            "component": self.found.name,
            "digest": self.found.digest,
            "bytes": info.bytes,
            "code-bytes": info.code_bytes,
            "data-bytes": info.data_bytes,
            "custom-bytes": info.custom_bytes,
            "world": info.world().map(World::name),
            "contract": info.contract_versions(),
            "wasi": info.wasi_versions(),
            "languages": producers(&info.languages),
            "tools": producers(&info.tools),
            "modules": info.modules,
            "memory-bytes": info.memory_bytes,
            "imports": externs(&info.imports),
            "exports": externs(&info.exports),
            "outcome": outcome,
            "budget": self.manifest.budget.over(Budget::default()),
            "would-run": refusals.is_empty(),
            "refusals": refusals,
        })
    }
}
