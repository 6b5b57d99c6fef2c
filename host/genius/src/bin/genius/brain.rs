//! Settings of the engine `brain`, which is llama.cpp. The flags are in every build, so that
//! what they are for can be told where it is missing. The comments on them are help texts.

use clap::Args;
use rusty_genius::core::text::parse_size;
use rusty_genius::cortex::Backend;
use std::sync::Arc;

/// What to do where a flag is given and the engine is not there.
pub(crate) const HINT: &str = "build with --features real-engine, or leave the flag out";

/// Most threads that llama.cpp can have (`GGML_MAX_N_THREADS`); with more it aborts.
const MOST_THREADS: i64 = 512;

#[derive(Debug, Default, Args)]
pub(crate) struct BrainArgs {
    /// Most memory that loaded models may take, all together: bytes, or 4GiB, 512MiB; no limit
    /// if not said
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory_limit: Option<u64>,

    /// Threads that compute, 1 to 512; as many as the machine has if not said. Only llama.cpp
    /// heeds it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_THREADS))]
    threads: Option<u32>,

    /// Most tokens of a conversation, 8192 if not said; less if the model was trained with
    /// less. Only llama.cpp heeds it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
}

impl BrainArgs {
    /// The engine with what is set, if anything is. Fails with words where this build has no
    /// such engine: a limit that nobody keeps is worse than none.
    pub(crate) fn engine(&self) -> Result<Option<Arc<dyn Backend>>, String> {
        let Some(flag) = self.first() else {
            return Ok(None);
        };
        brain(self)
            .map(Some)
            .ok_or_else(|| format!("{flag} is for llama.cpp, which this build does not have"))
    }

    /// What all engines together have to keep to.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.memory_limit
    }

    fn first(&self) -> Option<&'static str> {
        let flags = [
            ("--threads", self.threads.is_some()),
            ("--context", self.context.is_some()),
        ];
        flags
            .into_iter()
            .find(|(_, set)| *set)
            .map(|(flag, _)| flag)
    }
}

#[cfg(feature = "real-engine")]
fn brain(args: &BrainArgs) -> Option<Arc<dyn Backend>> {
    use rusty_genius::cortex::{Brain, BrainConfig};
    let default = BrainConfig::default();
    Some(Arc::new(Brain::new(BrainConfig {
        threads: args.threads.unwrap_or(default.threads),
        context: args.context.unwrap_or(default.context),
        ..default
    })))
}

#[cfg(not(feature = "real-engine"))]
fn brain(_: &BrainArgs) -> Option<Arc<dyn Backend>> {
    None
}

/// Bytes, more than none.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("give more than 0".into()),
        Ok(bytes) => Ok(bytes),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests;
