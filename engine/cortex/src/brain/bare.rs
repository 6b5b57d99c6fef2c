//! llama.cpp with nothing around it: what the benchmarks compare the engine with.

use super::llama::backend;
use super::plan::BrainConfig;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use std::error::Error;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

/// Reads a prompt and writes so many tokens, greedily; says how long each took.
pub type Round<'a> = dyn FnMut(&[u32], usize) -> Result<(Duration, Duration), String> + 'a;

/// Loads a model and lends a loop over it to `with`: one sequence, one token a step, no
/// scheduler, no channel, no sampler.
#[doc(hidden)]
pub fn bare(
    file: &Path,
    config: &BrainConfig,
    with: impl FnOnce(&mut Round<'_>) -> Result<(), String>,
) -> Result<(), Box<dyn Error>> {
    let backend = backend()?;
    let model = LlamaModel::load_from_file(backend, file, &LlamaModelParams::default())?;
    let threads = i32::try_from(config.threads)?;
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(config.context))
        .with_n_threads(threads)
        .with_n_threads_batch(threads)
        .with_no_perf(true);
    let mut context = model.new_context(backend, params)?;
    let mut batch = LlamaBatch::new(512, 1);
    let mut round = |prompt: &[u32], tokens: usize| -> Result<_, Box<dyn Error>> {
        context.clear_kv_cache();
        let began = Instant::now();
        let mut position = 0;
        for piece in prompt.chunks(512) {
            batch.clear();
            for &id in piece {
                let last = position as usize + 1 == prompt.len();
                batch.add(LlamaToken(id.cast_signed()), position, &[0], last)?;
                position += 1;
            }
            context.decode(&mut batch)?;
        }
        let read = began.elapsed();
        for _ in 0..tokens {
            let logits = context.get_logits_ith(batch.n_tokens() - 1);
            let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            let token = i32::try_from(best.map_or(0, |(token, _)| token))?;
            batch.clear();
            batch.add(LlamaToken(token), position, &[0], true)?;
            position += 1;
            context.decode(&mut batch)?;
        }
        Ok((read, began.elapsed() - read))
    };
    with(&mut |prompt, tokens| round(prompt, tokens).map_err(|e| e.to_string()))?;
    Ok(())
}
