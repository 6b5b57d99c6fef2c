//! The engine: byte-level models behind cortex's [`Backend`].

mod chooser;
mod generation;
#[cfg(test)]
mod tests;

use crate::model::{ByteModel, Cache};
use crate::vocab;
use chooser::Chooser;
use generation::{Generation, GenerationStream};
use rusty_genius_core::{EngineError, InferenceConfig, Overflow, Turn};
use rusty_genius_cortex::{Backend, BoxFuture, LoadRequest, Model, ModelSession, RawStream, fit};
use std::sync::{Arc, Mutex, MutexGuard};

/// The engine's name.
pub const ENGINE: &str = "bytelm";

/// The backend `bytelm`: byte-level models from GGUF files, in Rust alone.
///
/// A token is a byte, so limits and usage count bytes. A session keeps the keys and values of
/// the conversation and reads only what is new in it. The answer ends at `<|im_end|>`, or at
/// another marker. Models over 8 MiB compute each step on a thread of the pool for blocking
/// work; smaller ones where they are polled, at most 64 bytes of a prompt at a time.
///
/// An answer with a constraint obeys it from its first byte on, so it has no thought before
/// it. Logprobs are told of bytes, not of the end.
///
/// An embedding is the mean of the last hidden states, of the model's width.
#[derive(Debug, Default, Clone, Copy)]
pub struct Bytelm;

impl Backend for Bytelm {
    fn name(&self) -> &str {
        ENGINE
    }

    fn needs_weights(&self) -> bool {
        true
    }

    /// As many as the file has: its weights stay as they are in memory.
    fn memory_needed<'a>(
        &'a self,
        request: &'a LoadRequest,
    ) -> BoxFuture<'a, Result<Option<u64>, EngineError>> {
        let files = request.weights.clone();
        Box::pin(blocking::unblock(move || {
            let sizes = files.iter().map(|file| Some(file.metadata().ok()?.len()));
            Ok(sizes.sum())
        }))
    }

    fn load(&self, request: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>> {
        Box::pin(blocking::unblock(move || {
            let LoadRequest { model, weights, .. } = request;
            let [file] = &weights[..] else {
                return Err(EngineError::LoadFailed {
                    model,
                    reason: format!("bytelm reads one file, not {}", weights.len()),
                });
            };
            match ByteModel::open(file) {
                Ok(loaded) => Ok(Arc::new(LoadedModel(Arc::new(loaded))) as Arc<dyn Model>),
                Err(error) => Err(EngineError::LoadFailed {
                    model,
                    reason: error.to_string(),
                }),
            }
        }))
    }
}

struct LoadedModel(Arc<ByteModel>);

impl Model for LoadedModel {
    fn memory(&self) -> u64 {
        self.0.memory()
    }

    fn context_length(&self) -> u32 {
        context(&self.0)
    }

    fn open(&self, _guest: &str) -> Result<Box<dyn ModelSession>, EngineError> {
        Ok(Box::new(Session {
            model: self.0.clone(),
            place: Place::new(Cache::new(&self.0)),
        }))
    }

    fn count_tokens<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<u32, EngineError>> {
        let count = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Box::pin(std::future::ready(Ok(count)))
    }

    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Vec<f32>, EngineError>> {
        if let Err(error) = check_length(&self.0, text.len()) {
            return Box::pin(std::future::ready(Err(error)));
        }
        // A text of nothing still has an end.
        let tokens: Vec<_> = vocab::encode(text.as_bytes())
            .chain([vocab::END_OF_TEXT])
            .collect();
        let model = self.0.clone();
        Box::pin(blocking::unblock(move || {
            let mut mean = model.mean_state(&tokens);
            let length = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
            mean.iter_mut()
                .for_each(|x| *x /= length.max(f32::MIN_POSITIVE));
            Ok(mean)
        }))
    }
}

fn context(model: &ByteModel) -> u32 {
    // A config's limit is 2^20.
    u32::try_from(model.config().context).unwrap_or(u32::MAX)
}

fn check_length(model: &ByteModel, tokens: usize) -> Result<(), EngineError> {
    let (needed, limit) = (tokens as u64, u64::from(context(model)));
    match needed <= limit {
        true => Ok(()),
        false => Err(EngineError::ContextOverflow { needed, limit }),
    }
}

fn failed(reason: impl ToString) -> EngineError {
    EngineError::BackendFailed {
        engine: ENGINE.into(),
        reason: reason.to_string(),
    }
}

/// Where a session's cache is: shared with the generation that runs, if one does.
#[derive(Clone)]
struct Place(Arc<Mutex<Turnstile>>);

/// A cache, and which generation may use it.
struct Turnstile {
    cache: Cache,
    /// Of the session's generations the last one: it alone goes on.
    generation: u64,
}

impl Place {
    fn new(cache: Cache) -> Self {
        Self(Arc::new(Mutex::new(Turnstile {
            cache,
            generation: 0,
        })))
    }

    fn lock(&self, model: &ByteModel) -> MutexGuard<'_, Turnstile> {
        self.0.lock().unwrap_or_else(|poisoned| {
            // A step that panicked may have left layers of different lengths.
            let mut place = poisoned.into_inner();
            place.cache = Cache::new(model);
            self.0.clear_poison();
            place
        })
    }
}

struct Session {
    model: Arc<ByteModel>,
    place: Place,
}

impl ModelSession for Session {
    fn generate(
        &mut self,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, EngineError> {
        let mut max_tokens = config.behavior().max_tokens;
        let kept;
        let conversation = match config.behavior().overflow {
            Overflow::Error => {
                let length = vocab::prompt_length(conversation);
                check_length(&self.model, length.saturating_add(max_tokens as usize))?;
                conversation
            }
            Overflow::Shift => {
                let limit = context(&self.model);
                let length = |turns: &[Turn]| Ok(vocab::prompt_length(turns));
                kept = fit(conversation, max_tokens, limit as usize, length)?;
                // It is shorter than the limit, which is 32 bits.
                let length = vocab::prompt_length(&kept) as u32;
                max_tokens = max_tokens.min(limit.saturating_sub(length));
                &kept[..]
            }
        };
        let prompt = vocab::encode_prompt(conversation);
        let chooser = Chooser::new(config, &prompt)?;
        let (generation, reused) = {
            let mut place = self.place.lock(&self.model);
            place.generation += 1;
            let cached = place.cache.tokens().iter().zip(&prompt);
            let same = cached.take_while(|(a, b)| a == b).count();
            // The last token is read anew in any case: its logits are the beginning.
            let reused = same.min(prompt.len() - 1);
            place.cache.truncate(reused);
            (place.generation, reused)
        };
        let generation = Generation::new(
            self.model.clone(),
            self.place.clone(),
            generation,
            reused,
            prompt,
            chooser,
            max_tokens,
        );
        let inline = self.model.is_small();
        Ok(Box::pin(GenerationStream::new(generation, inline)))
    }

    fn fork(&self) -> Result<Box<dyn ModelSession>, EngineError> {
        let cache = self.place.lock(&self.model).cache.clone();
        Ok(Box::new(Self {
            model: self.model.clone(),
            place: Place::new(cache),
        }))
    }
}
