//! From a manifest to a run: names become models, components, tools and directories.

use crate::builder::Genius;
use crate::component::component;
use rusty_genius_core::component::ComponentInfo;
use rusty_genius_core::{
    Budget, Digest, FileGrant, GeniusError, RunManifest, SandboxError, ToolGrant,
};
use rusty_genius_guests::Kind;
use rusty_genius_sandbox::{Guest, Job, Models, Mount, Tool, digest};
use std::collections::BTreeMap;

/// A component as it is, before anything of it is compiled or run.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Its file or built-in name.
    pub name: String,
    /// The sha256 of its bytes.
    pub digest: Digest,
    /// What it asks for, and what it is made of.
    pub info: ComponentInfo,
}

/// Looks at a component: a built-in one by name, or a file by path. Nothing of it runs.
///
/// Errors: [`SandboxError::NoSuchGuest`], [`SandboxError::NotAComponent`].
pub async fn inspect(name: &str) -> Result<Inspection, GeniusError> {
    let found = component(name, Kind::Workflow).await?;
    let info = ComponentInfo::read(found.bytes()).map_err(|e| SandboxError::NotAComponent {
        component: name.to_owned(),
        reason: e.to_string(),
        hint: e.hint().to_owned(),
    })?;
    Ok(Inspection {
        name: name.to_owned(),
        digest: digest(found.bytes()),
        info,
    })
}

impl Genius {
    /// Makes a manifest into what runs: loads the component and its tools, and finds models,
    /// directories and variables. Relative paths are the working directory's;
    /// [`RunManifest::relative_to`] makes them another's. What is to be read on stdin is the
    /// caller's to add, as [`Grant::stdin`](rusty_genius_sandbox::Grant::stdin).
    ///
    /// Errors: [`SandboxError::BadGrant`] for a manifest without a component,
    /// [`SandboxError::WrongDigest`], and what [`Genius::guest`], [`Genius::tool`] and
    /// [`Genius::job`] say.
    pub async fn plan(&self, manifest: &RunManifest) -> Result<(Guest, Job), GeniusError> {
        let Some(name) = &manifest.component else {
            return Err(SandboxError::BadGrant {
                key: "component".into(),
                reason: "the manifest does not say which component to run".into(),
            }
            .into());
        };
        let mut job = self.job(manifest.model.as_deref().unwrap_or_default())?;
        let guest = self.guest(name).await?;
        guest.check_digest(manifest.digest)?;
        let grants = &manifest.grants;
        job.budget = manifest.budget.over(Budget::default());
        let grant = &mut job.grant;
        grant.models = Models {
            patterns: grants.models.clone(),
            resolve: Some(self.resolve()),
            known: self.model_names(),
        };
        grant.files = mounts(&grants.files);
        for (name, tool) in &grants.tools {
            grant
                .tools
                .insert(name.clone(), self.granted_tool(name, tool).await?);
        }
        // A variable that the host does not have, the guest does not have either.
        let value = |name: &String| Some((name.clone(), std::env::var(name).ok()?));
        grant.env = grants.env.iter().filter_map(value).collect();
        grant.stdio.clone_from(&grants.stdio);
        grant.clocks = grants.clocks;
        grant.random = grants.random;
        Ok((guest, job))
    }

    /// The same for a tool that is called without a workflow: it gets what a workflow could
    /// grant it (directories, clocks, randomness, a budget), and nothing else of the manifest.
    pub async fn plan_tool(&self, manifest: &RunManifest) -> Result<(Guest, Job), GeniusError> {
        let name = manifest.component.as_deref().unwrap_or_default();
        let guest = self.tool(name).await?;
        guest.check_digest(manifest.digest)?;
        let mut job = self.job("")?;
        job.budget = manifest.budget.over(Budget::for_tool());
        job.grant.files = mounts(&manifest.grants.files);
        job.grant.clocks = manifest.grants.clocks;
        job.grant.random = manifest.grants.random;
        Ok((guest, job))
    }

    async fn granted_tool(&self, name: &str, grant: &ToolGrant) -> Result<Tool, GeniusError> {
        let guest = self
            .tool(grant.component.as_deref().unwrap_or(name))
            .await?;
        guest.check_digest(grant.digest)?;
        Ok(Tool {
            guest,
            files: mounts(&grant.files),
            budget: grant.budget.over(Budget::for_tool()),
        })
    }
}

fn mounts(files: &BTreeMap<String, FileGrant>) -> Vec<Mount> {
    let mount = |(guest, grant): (&String, &FileGrant)| Mount {
        host: grant.host.clone(),
        guest: guest.clone(),
        writable: grant.writable(),
    };
    files.iter().map(mount).collect()
}
