//! A model in llama.cpp.

use super::device::{DecodeError, Device, Entry, Limits, Prompt, Sequence, Token};
use super::engine::{Info, Serve, Watch};
use super::facts::Facts;
use super::plan::{BrainConfig, CacheType, Plan};
use super::saved;
use super::scribe::Scribe;
use super::template::ChatTemplate;
use crate::constraint::{TokenText, Vocabulary};
use llama_cpp_2::DecodeError as LlamaError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;
use llama_cpp_2::{LogOptions, send_logs_to_tracing};
use rusty_genius_core::{EngineError, Turn};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Models below this are computed by one thread: several would only wait for each other.
/// Bytes.
const SMALL: u64 = 8 << 20;
/// `LLAMA_FLASH_ATTN_TYPE_DISABLED` of `llama.h`.
const NO_FLASH_ATTENTION: i32 = 0;
/// Where DRY begins anew, as in llama.cpp: line ends, colons, quotes, asterisks.
const BREAKERS: &[u8] = b"\n:\"*";

/// llama.cpp itself, set up once for the process.
pub(super) fn backend() -> Result<&'static LlamaBackend, String> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        // What llama.cpp is compiled for where nobody says otherwise; without it the process
        // would die of the first product.
        #[cfg(target_arch = "x86_64")]
        if !(is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c"))
        {
            return Err(
                "llama.cpp is built for AVX2, BMI2, FMA and F16C, which this processor has not"
                    .into(),
            );
        }
        send_logs_to_tracing(LogOptions::default());
        LlamaBackend::init().map_err(|e| e.to_string())
    });
    backend.as_ref().map_err(Clone::clone)
}

/// Loads a model, and serves it until nobody needs it.
pub(super) fn run(
    name: &str,
    weights: &[PathBuf],
    facts: &Facts,
    plan: Plan,
    config: &BrainConfig,
    watch: Watch,
    serve: Serve<'_>,
) -> Result<(), EngineError> {
    let failed = |reason: String| EngineError::LoadFailed {
        model: name.to_owned(),
        reason,
    };
    let first = weights.first().ok_or_else(|| failed("no file".into()))?;
    let backend = backend().map_err(failed)?;
    let params = LlamaModelParams::default()
        .with_n_gpu_layers(config.gpu_layers)
        .with_progress_callback(move |done| watch.report((done * 100.0) as u8));
    let model = LlamaModel::load_from_file(backend, first, &params)
        .map_err(|e| failed(format!("llama.cpp refuses it: {e}")))?;
    let model = Arc::new(model);
    let mut device = Llama::new(backend, &model, facts, plan, config).map_err(failed)?;
    let info = Info {
        memory: plan.memory,
        context: plan.context,
    };
    serve(&mut device, info);
    Ok(())
}

struct Llama<'a> {
    vocab: LlamaVocab<'a>,
    context: LlamaContext<'a>,
    batch: LlamaBatch<'static>,
    limits: Limits,
    fingerprint: [u8; 32],
    scribe: Arc<LlamaScribe>,
}

impl<'a> Llama<'a> {
    fn new(
        backend: &'static LlamaBackend,
        model: &'a Arc<LlamaModel>,
        facts: &Facts,
        plan: Plan,
        config: &BrainConfig,
    ) -> Result<Self, String> {
        let threads = match facts.weights_bytes {
            ..SMALL => 1,
            _ => i32::try_from(config.threads.max(1)).unwrap_or(i32::MAX),
        };
        let cache = match config.cache {
            CacheType::F32 => KvCacheType::F32,
            CacheType::F16 => KvCacheType::F16,
            CacheType::Q8 => KvCacheType::Q8_0,
        };
        let mut params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(plan.cells))
            .with_n_batch(plan.batch)
            // One step is one pass: it is computed as a whole, or the cache is as before.
            .with_n_ubatch(plan.batch)
            .with_n_seq_max(plan.sequences)
            // One cache for all, so that sequences can share what they have in common.
            .with_kv_unified(true)
            .with_type_k(cache)
            .with_type_v(cache)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_no_perf(true);
        if config.cache == CacheType::F32 {
            // Flash attention rounds to 16 bits on its way.
            params = params.with_flash_attention_policy(NO_FLASH_ATTENTION);
        }
        let context = model
            .new_context(backend, params.clone())
            .map_err(|e| format!("no context of {} tokens: {e}", plan.cells))?;
        let recurrent = facts.is_recurrent || model.is_recurrent() || model.is_hybrid();
        Ok(Self {
            vocab: model.vocab(),
            context,
            batch: LlamaBatch::new(plan.batch as usize, 1),
            limits: Limits {
                context: plan.context as usize,
                sequences: plan.sequences as usize,
                batch: plan.batch as usize,
                cuts: !recurrent,
                writes: !facts.is_embedding_model,
            },
            fingerprint: facts.fingerprint,
            scribe: Arc::new(LlamaScribe::new(backend, model, facts, params)?),
        })
    }
}

/// The tokenizer and the chat template of a model.
struct LlamaScribe {
    backend: &'static LlamaBackend,
    model: Arc<LlamaModel>,
    /// Of a context for embeddings, but for its size.
    embedding: LlamaContextParams,
    template: ChatTemplate,
    /// Put before a prompt whose template does not write it.
    bos: Option<Token>,
    vocabulary: OnceLock<Vocabulary>,
    breakers: OnceLock<Arc<[bool]>>,
}

impl LlamaScribe {
    fn new(
        backend: &'static LlamaBackend,
        model: &Arc<LlamaModel>,
        facts: &Facts,
        params: LlamaContextParams,
    ) -> Result<Self, String> {
        let vocab = model.vocab();
        // Models made for it say how they pool; of the others it is the mean.
        let pooling = match facts.is_embedding_model {
            true => LlamaPoolingType::Unspecified,
            false => LlamaPoolingType::Mean,
        };
        let embedding = params
            .with_n_seq_max(1)
            .with_embeddings(true)
            .with_pooling_type(pooling);
        // Below 0 the model has none.
        let text = |token: LlamaToken| {
            let bytes = match token.0 {
                0.. => vocab.token_to_piece(token, true, None),
                _ => Vec::new(),
            };
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let specials: Vec<String> = vocab
            .tokens()
            .filter(|&token| vocab.is_control(token))
            .map(text)
            .filter(|text| !text.is_empty())
            .collect();
        let (bos, eos) = (vocab.bos(), vocab.eos());
        let make = |source| ChatTemplate::new(source, &text(bos), &text(eos), &specials);
        let template = make(facts.chat_template.as_deref()).or_else(|reason| {
            tracing::warn!(
                reason,
                "the model's chat template is of no use; ChatML is used"
            );
            make(None)
        })?;
        Ok(Self {
            template,
            bos: (vocab.should_add_bos() && bos.0 >= 0).then_some(bos.0.cast_unsigned()),
            backend,
            model: model.clone(),
            embedding,
            vocabulary: OnceLock::new(),
            breakers: OnceLock::new(),
        })
    }

    fn tokens_of(&self, text: &str, special: bool) -> impl Iterator<Item = Token> + use<> {
        let tokens = self.model.vocab().tokenize(text.as_bytes(), false, special);
        tokens.into_iter().map(|token| token.0.cast_unsigned())
    }
}

impl Scribe for LlamaScribe {
    fn prompt(&self, conversation: &[Turn]) -> Result<Prompt, String> {
        let rendered = self.template.render(conversation)?;
        let bos = self.bos.filter(|_| !rendered.has_bos);
        let mut tokens: Vec<_> = bos.into_iter().collect();
        for part in &rendered.parts {
            tokens.extend(self.tokens_of(&part.text, part.special));
        }
        match tokens.is_empty() {
            true => Err("the chat template makes nothing of the conversation".into()),
            false => Ok(Prompt {
                tokens,
                in_thought: rendered.in_thought,
            }),
        }
    }

    fn tokenize(&self, text: &str) -> Vec<Token> {
        self.tokens_of(text, false).collect()
    }

    fn embed(&self, tokens: &[Token]) -> Result<Vec<f32>, String> {
        // A text of nothing still has an end.
        let end = [self.model.vocab().eos().0.max(0).cast_unsigned()];
        let tokens = if tokens.is_empty() { &end } else { tokens };
        let length = u32::try_from(tokens.len()).map_err(|e| e.to_string())?;
        // A context of its own, made and freed here: the other ones have no room for it, and
        // the mean is taken over one pass.
        let params = self
            .embedding
            .clone()
            .with_n_ctx(NonZeroU32::new(length))
            .with_n_batch(length)
            .with_n_ubatch(length);
        let mut context = self
            .model
            .new_context(self.backend, params)
            .map_err(|e| e.to_string())?;
        let mut batch = LlamaBatch::new(tokens.len(), 1);
        for (position, &id) in tokens.iter().enumerate() {
            batch
                .add(token(id), number(position), &[0], true)
                .map_err(|e| e.to_string())?;
        }
        context.decode(&mut batch).map_err(|e| e.to_string())?;
        let vector = context.embeddings_seq_ith(0).map_err(|e| e.to_string())?;
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        let unit = |x: &f32| x / length.max(f32::MIN_POSITIVE);
        Ok(vector.iter().map(unit).collect())
    }

    fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary.get_or_init(|| {
            let vocab = self.model.vocab();
            let ends = vocab.tokens().filter(|&t| vocab.is_eog(t));
            let ends: Vec<_> = ends.map(|t| t.0.cast_unsigned()).collect();
            let texts = vocab.tokens().map(|t| TokenText {
                bytes: vocab.token_to_piece(t, false, None),
                control: vocab.is_control(t) || vocab.is_eog(t),
            });
            Vocabulary::new(texts, &ends)
        })
    }

    fn breakers(&self) -> Arc<[bool]> {
        let vocab = self.model.vocab();
        let breaks = |t| {
            let bytes = vocab.token_to_piece(t, false, None);
            bytes.iter().any(|byte| BREAKERS.contains(byte))
        };
        self.breakers
            .get_or_init(|| vocab.tokens().map(breaks).collect())
            .clone()
    }
}

/// llama.cpp counts in `i32`; what is larger names nothing.
fn number(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn token(token: Token) -> LlamaToken {
    LlamaToken(token.cast_signed())
}

impl Device for Llama<'_> {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn scribe(&self) -> Arc<dyn Scribe> {
        self.scribe.clone()
    }

    fn bytes(&self, id: Token) -> Vec<u8> {
        self.vocab.token_to_piece(token(id), false, None)
    }

    fn is_end(&self, id: Token) -> bool {
        self.vocab.is_eog(token(id))
    }

    fn decode(&mut self, entries: &[Entry]) -> Result<(), DecodeError> {
        self.batch.clear();
        for entry in entries {
            let (position, sequence) = (number(entry.position), number(entry.sequence));
            self.batch
                .add(token(entry.token), position, &[sequence], entry.logits)
                .map_err(|e| DecodeError::Failed(e.to_string()))?;
        }
        self.context
            .decode(&mut self.batch)
            .map_err(|error| match error {
                LlamaError::NoKvCacheSlot => DecodeError::CacheFull,
                error => DecodeError::Failed(error.to_string()),
            })
    }

    fn logits(&self, entry: usize) -> &[f32] {
        self.context.get_logits_ith(number(entry))
    }

    fn cut(&mut self, sequence: Sequence, length: usize) -> bool {
        let sequence = u32::try_from(sequence).ok();
        let length = u32::try_from(length).ok();
        let cut = self.context.clear_kv_cache_seq(sequence, length, None);
        if cut == Ok(true) {
            return true;
        }
        // The whole of a sequence can always be removed.
        let _ = self.context.clear_kv_cache_seq(sequence, None, None);
        false
    }

    fn share(&mut self, from: Sequence, to: Sequence, length: usize) {
        let length = u32::try_from(length).ok();
        // The numbers are small enough: the sequences are the context's own.
        let _ = self
            .context
            .copy_kv_cache_seq(number(from), number(to), None, length);
    }

    fn save(&mut self, sequence: Sequence, tokens: &[Token], file: &Path) -> Result<(), String> {
        let tokens: Vec<_> = tokens.iter().map(|&id| token(id)).collect();
        saved::write(file, &self.fingerprint, |aside| {
            self.context
                .state_seq_save_file(aside, number(sequence), &tokens)
                .map(|_| ())
                .map_err(|e| e.to_string())
        })
    }

    fn restore(&mut self, sequence: Sequence, file: &Path) -> Result<Vec<Token>, String> {
        saved::check(file, &self.fingerprint)?;
        let (tokens, _) = self
            .context
            .state_seq_load_file(file, number(sequence), self.limits.context)
            .map_err(|e| e.to_string())?;
        Ok(tokens.into_iter().map(|t| t.0.cast_unsigned()).collect())
    }
}
