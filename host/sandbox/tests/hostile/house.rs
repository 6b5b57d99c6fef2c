//! The sandbox that all attacks share, their guests, and their small budgets.

use crate::Family;
use crate::attack::{Attack, Role};
use crate::support::{args, content, guest, model, pinky, tmp};
use rusty_genius_core::SandboxError;
use rusty_genius_sandbox::{Budget, CodeCache, Guest, Job, Records, Sandbox, SandboxConfig, Tool};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) struct House {
    pub(crate) sandbox: Sandbox,
    pub(crate) records: Records,
    pub(crate) scratch_root: PathBuf,
    pub(crate) grants: PathBuf,
    pub(crate) attacks: Vec<Attack>,
    pub(crate) loaded: BTreeMap<String, Loaded>,
    pub(crate) ask: Guest,
    pub(crate) calc: Guest,
    pub(crate) badtool: Guest,
    /// A tool whose functions are of other types.
    pub(crate) odd: Guest,
}

/// What became of a guest before it ran.
pub(crate) struct Loaded {
    pub(crate) guest: Result<Guest, SandboxError>,
    pub(crate) took: Duration,
}

impl House {
    pub(crate) async fn build(families: &[(&str, Family)]) -> Self {
        let root = tmp("hostile");
        let [scratch_root, records, grants] =
            ["runs", "records", "grants"].map(|name| root.join(name));
        for dir in [&scratch_root, &records, &grants] {
            let _ = std::fs::remove_dir_all(dir);
        }
        let records = Records::new(records);
        let mut config = SandboxConfig::new(&scratch_root);
        config.records = Some(records.clone());
        config.cache = Some(CodeCache {
            dir: root.join("cache"),
            key: root.join("key"),
        });
        let sandbox = Sandbox::new(config, pinky(|_| {})).unwrap();
        let attacks: Vec<Attack> = families.iter().flat_map(|(_, family)| family()).collect();
        let mut loaded = BTreeMap::new();
        for attack in &attacks {
            if !loaded.contains_key(&attack.guest) {
                loaded.insert(attack.guest.clone(), load(&sandbox, attack).await);
            }
        }
        let tool = async |name: &str| {
            let bytes = rusty_genius_guests::find(name).unwrap().bytes;
            sandbox.load_tool(name, bytes).await.unwrap()
        };
        Self {
            ask: guest(&sandbox, "ask").await,
            calc: tool("tool/calc").await,
            badtool: tool("hostile/badtool").await,
            odd: tool("hostile/tool-of-another-type").await,
            sandbox,
            records,
            scratch_root,
            grants,
            attacks,
            loaded,
        }
    }

    /// As little as an attack can be made with.
    pub(crate) fn job() -> Job {
        let mut job = Job::new(model());
        job.budget = Budget {
            wall_time: Duration::from_secs(5),
            cpu_time: Duration::from_secs(10),
            memory: 64 << 20,
            prompt_tokens: 100_000,
            completion_tokens: 2000,
            generations: 50,
            handles: 512,
            reply: 1 << 20,
            stdout: 64 << 10,
            journal: 64 << 10,
            scratch: 4 << 20,
            scratch_files: 200,
            tool_calls: 20,
            ..Budget::default()
        };
        job
    }

    pub(crate) fn grant_tools(&self, job: &mut Job) {
        for (name, guest) in [("calc", &self.calc), ("badtool", &self.badtool)] {
            let tool = Tool {
                guest: guest.clone(),
                files: vec![],
                budget: Budget {
                    wall_time: Duration::from_secs(4),
                    memory: 32 << 20,
                    journal: 4 << 10,
                    stdout: 32 << 10,
                    scratch: 4 << 20,
                    scratch_files: 50,
                    ..Budget::for_tool()
                },
            };
            job.grant.tools.insert(name.into(), tool);
        }
    }

    /// Each family is asked for its attacks: one that nobody expects anything of is a fault.
    pub(crate) async fn listings(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, words) in [
            ("disk", &["list"][..]),
            ("handles", &["list"]),
            ("flood", &["list"]),
            ("tokens", &["list"]),
            ("grammar", &["list"]),
            ("payload", &["list"]),
            ("toolcaller", &["list"]),
            ("toolcaller", &["call", "badtool", "{}"]),
        ] {
            let of_tool = words.len() > 1;
            let loaded = self.loaded.get(&format!("hostile/{name}"));
            let Some(Ok(guest)) = loaded.map(|loaded| &loaded.guest) else {
                continue;
            };
            let mut job = Self::job();
            self.grant_tools(&mut job);
            let (sender, receiver) = async_channel::unbounded();
            job.reply = Some(sender);
            let report = self.sandbox.run_workflow(guest, args(words), job).await;
            report.unwrap().result.unwrap();
            let said = content(&receiver.try_recv().unwrap_or_default());
            let said = said.split_once("bytes: ").map_or(&*said, |(_, list)| list);
            let listed: BTreeSet<String> = said.split_whitespace().map(str::to_owned).collect();
            let rows = self.attacks.iter().filter(|a| a.guest.ends_with(name));
            let tried: BTreeSet<String> = match of_tool {
                false => rows.filter_map(|a| a.words.first().cloned()).collect(),
                true => rows.filter_map(crate::badtool::attack_of).collect(),
            };
            for attack in listed.symmetric_difference(&tried) {
                // Chosen by hand, and no attack.
                if attack != "list" {
                    faults.push(format!(
                        "{name} {words:?}: {attack} is not both listed and tried"
                    ));
                }
            }
        }
        faults
    }
}

async fn load(sandbox: &Sandbox, attack: &Attack) -> Loaded {
    let bytes = rusty_genius_guests::find(&attack.guest).unwrap().bytes;
    let began = Instant::now();
    let guest = match attack.role {
        Role::Workflow => sandbox.load(&*attack.guest, bytes).await,
        Role::Tool => sandbox.load_tool(&*attack.guest, bytes).await,
    };
    let took = began.elapsed();
    Loaded { guest, took }
}
