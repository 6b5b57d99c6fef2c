//! The record of one run, from its beginning to its end.

use super::{End, Records, RunLog};
use crate::guest::{Export, Guest};
use crate::run::Job;
use rusty_genius_core::SandboxError;
use serde_json::json;

/// The record of a run that is going on. One that is dropped before its end was reached is
/// of a run that was interrupted, and says so.
pub(crate) struct Recording {
    records: Records,
    run: String,
    log: RunLog,
    ended: bool,
}

impl Recording {
    pub(crate) fn begin(
        records: &Records,
        guest: &Guest,
        export: Export,
        job: &Job,
        run: &str,
    ) -> Result<Self, SandboxError> {
        let opening = json!({
            "component": guest.name(),
            "digest": guest.digest(),
            "export": export.name(),
            "model": job.grant.model.id(),
            "engine": job.grant.model.engine,
            "grants": job.grant.summary(),
            "budget": job.budget,
        });
        let log = records
            .begin(run, opening)
            .map_err(|e| SandboxError::Unrecorded {
                dir: records.dir().to_owned(),
                reason: e.to_string(),
            })?;
        Ok(Self {
            records: records.clone(),
            run: run.to_owned(),
            log,
            ended: false,
        })
    }

    /// Where the run's notes and denials go.
    pub(crate) fn log(&self) -> RunLog {
        self.log.clone()
    }

    /// Whether all of it was written.
    pub(crate) fn end(mut self, end: &End<'_>) -> bool {
        self.ended = true;
        self.log.end(end);
        self.log.is_whole()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.ended {
            self.log.interrupted();
        }
        self.records.close(&self.run);
    }
}
