//! `tools`: tool guests, each call in a sandbox of its own.

use super::{Ctx, Desk, Host};
use crate::bindings::types::{self, Error, Failure, ToolDescription};
use crate::bindings::{tools, tools_blocking};
use crate::grant::{Grant, Tool};
use crate::meter::CallClass;
use crate::record::outcome;
use crate::run::Report;
use rusty_genius_core::{BudgetError, BudgetResource, GeniusError, SandboxError, check_tool_name};
use wasmtime::component::Accessor;

/// Most calls of one run at once; more wait.
pub(super) const AT_ONCE: usize = 4;
/// Most bytes of a call's arguments, and of its answer.
const WORDS_LIMIT: usize = 1 << 20;
/// Most bytes of a tool's description for a model.
const DESCRIPTION_LIMIT: usize = 4 << 10;
/// Most bytes of the schema of its arguments.
const SCHEMA_LIMIT: usize = 64 << 10;

/// What is said of a tool whose task ended without an answer: that of a host that shuts down.
const GONE: &str = "the host gave it up";

/// Why a call gave no answer.
enum Trouble {
    /// The tool's own words, for the guest.
    Words(Failure),
    /// The caller's budget, or its grant, or the tool is broken.
    Host(GeniusError),
}

impl From<GeniusError> for Trouble {
    fn from(error: GeniusError) -> Self {
        Self::Host(error)
    }
}

impl From<BudgetError> for Trouble {
    fn from(error: BudgetError) -> Self {
        Self::Host(error.into())
    }
}

impl Desk {
    async fn describe_tools(&self) -> Result<Vec<ToolDescription>, Error> {
        self.meter.called(CallClass::Tools);
        let mut all = Vec::new();
        for (name, tool) in &self.grant.tools {
            let described = self.describe_tool(name, tool).await;
            all.push(self.report(described)?);
        }
        Ok(all)
    }

    async fn describe_tool(&self, name: &str, tool: &Tool) -> Result<ToolDescription, GeniusError> {
        self.meter.take(BudgetResource::ToolCalls, 1)?;
        let _turn = self.turns.acquire().await;
        let run = self
            .sandbox
            .describe_tool(&tool.guest, self.within(name, tool))?;
        let report = run.apart().await.ok_or_else(|| broken(name, GONE))?;
        self.noted(name, &report);
        let mut described = report.result.map_err(|e| broken(name, e.to_string()))?;
        if described.description.len() > DESCRIPTION_LIMIT {
            return Err(broken(name, "its description has more than 4 KiB"));
        }
        if described.parameters.len() > SCHEMA_LIMIT {
            return Err(broken(
                name,
                "the schema of its arguments has more than 64 KiB",
            ));
        }
        // Whatever it calls itself: the grant says what it is called here.
        described.name = name.to_owned();
        Ok(described)
    }

    async fn call_tool(&self, name: &str, arguments: String) -> Result<String, Failure> {
        self.meter.called(CallClass::Tools);
        match self.try_call_tool(name, arguments).await {
            Ok(answer) => Ok(answer),
            Err(Trouble::Words(failure)) => Err(failure),
            Err(Trouble::Host(error)) => {
                let told = self.report::<()>(Err(error));
                Err(Failure::Host(
                    told.err().unwrap_or(Error::Tool(types::ToolError::Broken)),
                ))
            }
        }
    }

    async fn try_call_tool(&self, name: &str, arguments: String) -> Result<String, Trouble> {
        let Some(tool) = self.grant.tools.get(name) else {
            let key = match check_tool_name(name) {
                Ok(()) => format!("grants.tools.{name}"),
                Err(_) => "grants.tools".to_owned(),
            };
            self.meter.deny(format!("tool {name:?}"), Some(key));
            let name = name.chars().take(64).collect();
            return Err(GeniusError::from(SandboxError::ToolNotGranted { name }).into());
        };
        let usage = |words: &str| Err(Trouble::Words(Failure::Usage(words.to_owned())));
        if arguments.len() > WORDS_LIMIT {
            return usage("the arguments have more than 1 MiB");
        }
        if serde_json::from_str::<serde_json::Map<_, _>>(&arguments).is_err() {
            return usage("the arguments are no JSON object");
        }
        self.meter.take(BudgetResource::ToolCalls, 1)?;
        let _turn = self.turns.acquire().await;
        let within = self.within(name, tool);
        let run = self.sandbox.call_tool(&tool.guest, arguments, within);
        let report = run.map_err(GeniusError::from)?.apart().await;
        let report = report.ok_or_else(|| broken(name, GONE))?;
        self.noted(name, &report);
        match report.result {
            Ok(answer) if answer.len() <= WORDS_LIMIT => Ok(answer),
            Ok(_) => Err(broken(name, "its answer has more than 1 MiB").into()),
            Err(GeniusError::Sandbox(SandboxError::GuestUsage { message, .. })) => {
                Err(Trouble::Words(Failure::Usage(message)))
            }
            Err(GeniusError::Sandbox(SandboxError::GuestFailed { message, .. })) => {
                Err(Trouble::Words(Failure::Failed(message)))
            }
            Err(error) => Err(broken(name, error.to_string()).into()),
        }
    }

    /// What a call of the tool may use, and the meter that counts it for this run too.
    fn within(&self, name: &str, tool: &Tool) -> ToolJob {
        let mut grant = Grant::new(self.grant.model.clone());
        grant.files.clone_from(&tool.files);
        grant.clocks = self.grant.clocks;
        grant.random = self.grant.random;
        ToolJob {
            grant,
            meter: self.meter.of_tool(name, tool.budget.clone()),
        }
    }

    fn noted<T>(&self, name: &str, report: &Report<T>) {
        if let Some(log) = self.meter.log() {
            let ended = outcome(report.result.as_ref().err());
            log.tool(name, ended, report.wall_time);
        }
    }
}

/// A call of a tool: what it may use, and its meter.
pub(crate) struct ToolJob {
    pub(crate) grant: Grant,
    pub(crate) meter: crate::meter::Meter,
}

fn broken(name: &str, reason: impl Into<String>) -> GeniusError {
    let (name, reason) = (name.to_owned(), reason.into());
    SandboxError::ToolBroken { name, reason }.into()
}

impl<T: Send + 'static> tools::HostWithStore<T> for Host {
    async fn describe(
        accessor: &Accessor<T, Self>,
    ) -> wasmtime::Result<Result<Vec<ToolDescription>, Error>> {
        let desk = accessor.with(|mut access| access.get().desk.clone());
        Ok(desk.describe_tools().await)
    }

    async fn call(
        accessor: &Accessor<T, Self>,
        name: String,
        arguments: String,
    ) -> wasmtime::Result<Result<String, Failure>> {
        let desk = accessor.with(|mut access| access.get().desk.clone());
        Ok(desk.call_tool(&name, arguments).await)
    }
}

impl tools::Host for Ctx {}

impl tools_blocking::Host for Ctx {
    async fn describe(&mut self) -> wasmtime::Result<Result<Vec<ToolDescription>, Error>> {
        Ok(self.desk.describe_tools().await)
    }

    async fn call(
        &mut self,
        name: String,
        arguments: String,
    ) -> wasmtime::Result<Result<String, Failure>> {
        Ok(self.desk.call_tool(&name, arguments).await)
    }
}
