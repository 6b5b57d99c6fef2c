//! The backend itself.

use super::client::EngineModel;
use super::facts::{self, Facts};
use super::plan::{BrainConfig, Plan};
use super::{ENGINE, llama};
use crate::{Backend, BoxFuture, LoadRequest, Model};
use rusty_genius_core::EngineError;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The backend `brain`: any GGUF that llama.cpp runs, for many guests at once.
///
/// Each model has a thread that owns it. Its generations share every decode step
/// (*continuous batching*); prompts are read in pieces between the others' tokens; what two
/// prompts have in common is read once. A file is checked in Rust before llama.cpp sees it.
///
/// The same request gives the same answer, but for this: llama.cpp adds up a batch in another
/// order than a single token, so logits differ in their last digits with the company a
/// generation has, and two tokens that are as likely as each other within that may change
/// places. The numbers that draw tokens depend on the seed alone.
///
/// llama.cpp's log goes to [`tracing`], target `llama-cpp-2`.
#[derive(Debug, Clone, Default)]
pub struct Brain {
    config: BrainConfig,
    /// Bytes that loaded models hold.
    held: Arc<AtomicU64>,
}

/// Memory of one model. Dropping it gives the memory back.
struct Share {
    held: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Brain {
    /// A backend that runs models as `config` says.
    pub fn new(config: BrainConfig) -> Self {
        Self {
            config,
            held: Arc::default(),
        }
    }

    fn plan(&self, model: &str, facts: &Facts) -> Result<Plan, EngineError> {
        let held = self.held.load(Ordering::SeqCst);
        let left = self.config.memory_limit.map(|l| l.saturating_sub(held));
        Plan::new(model, facts, &self.config, left)
    }
}

/// Reads the facts where waiting for a file holds nobody up.
async fn facts(model: &str, weights: &[PathBuf]) -> Result<Facts, EngineError> {
    let files = weights.to_vec();
    blocking::unblock(move || facts::read(&files))
        .await
        .map_err(|reason| EngineError::LoadFailed {
            model: model.to_owned(),
            reason,
        })
}

impl Backend for Brain {
    fn name(&self) -> &str {
        ENGINE
    }

    fn needs_weights(&self) -> bool {
        true
    }

    fn memory_needed<'a>(
        &'a self,
        request: &'a LoadRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, EngineError>> {
        Box::pin(async {
            let facts = facts(&request.model, &request.weights).await?;
            Plan::new(&request.model, &facts, &self.config, None).map(|plan| Some(plan.memory))
        })
    }

    fn load(&self, request: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>> {
        Box::pin(async move {
            let LoadRequest {
                model,
                weights,
                progress,
            } = request;
            let facts = facts(&model, &weights).await?;
            let plan = self.plan(&model, &facts)?;
            self.held.fetch_add(plan.memory, Ordering::SeqCst);
            let share = Share {
                held: self.held.clone(),
                bytes: plan.memory,
            };
            let config = self.config.clone();
            let loaded = EngineModel::start(
                config.settings(&facts),
                progress,
                Box::new(share),
                move |watch, serve| {
                    llama::run(&model, &weights, &facts, plan, &config, watch, serve)
                },
            );
            Ok(Arc::new(loaded.await?) as Arc<dyn Model>)
        })
    }
}
