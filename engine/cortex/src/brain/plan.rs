//! How large a model's cache and steps are, and what memory that takes.

use super::facts::Facts;
use super::scheduler::Settings;
use rusty_genius_core::EngineError;
use std::num::NonZero;

/// Cells of the cache where nobody says how many, at least.
const LEAST_CELLS: u32 = 8192;
/// Tokens of one step, at least: fewer make reading a prompt slower.
const LEAST_BATCH: u32 = 256;
/// llama.cpp's own limit.
const MOST_SEQUENCES: u32 = 256;

/// How the Brain runs models. [`BrainConfig::default`] suits a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "real-engine"),
    expect(unreachable_pub, reason = "exported with llama.cpp")
)]
pub struct BrainConfig {
    /// Threads that compute. Default: as many as the machine runs at once.
    pub threads: u32,
    /// Most tokens of one conversation; less if the model was trained with less. Default
    /// 8,192.
    pub context: u32,
    /// Tokens the cache holds for all conversations together. 0, the default: two full
    /// conversations and at least 8,192, or one where [`BrainConfig::memory_limit`] leaves no
    /// more.
    pub cells: u32,
    /// Conversations the cache remembers at once, 1 to 256. Default 64.
    pub sequences: u32,
    /// Generations that compute at once, 1 to 256; others wait their turn. Default 16.
    pub slots: u32,
    /// Tokens of a prompt read in a step in which others write: more read it faster, and let
    /// the others wait longer. Default 128.
    pub chunk: u32,
    /// Whether a prompt that begins as another guest's did is not read again. Default true.
    ///
    /// How soon the first token comes tells a guest then whether somebody said the same
    /// before.
    pub share_prefixes: bool,
    /// Tokens of conversations that are over, kept for those that begin alike; the last one is
    /// kept whatever its length. Each step has to look past them. Default: as many as make a
    /// step about half a hundredth longer.
    pub remember: Option<u32>,
    /// Most bytes all loaded models may hold together, caches and buffers included. Default
    /// none.
    pub memory_limit: Option<u64>,
    /// How the cache keeps keys and values. Default [`CacheType::F16`].
    pub cache: CacheType,
    /// Layers computed by a graphics processor, where this build has one. Default all.
    pub gpu_layers: u32,
}

/// How exactly the cache keeps keys and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "real-engine"),
    expect(unreachable_pub, reason = "exported with llama.cpp")
)]
pub enum CacheType {
    /// 32 bits a number, and no rounding to 16 on the way: twice the memory, and slower.
    F32,
    /// 16 bits a number.
    #[default]
    F16,
    /// 8.5 bits a number, in blocks of 32.
    Q8,
}

impl CacheType {
    /// Bytes of so many that 16-bit numbers take.
    fn scale(self, bytes: u64) -> u64 {
        match self {
            Self::F32 => bytes.saturating_mul(2),
            Self::F16 => bytes,
            Self::Q8 => bytes / 32 * 17,
        }
    }
}

impl Default for BrainConfig {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            threads: u32::try_from(threads).unwrap_or(1),
            context: 8192,
            cells: 0,
            sequences: 64,
            slots: 16,
            chunk: 128,
            share_prefixes: true,
            remember: None,
            memory_limit: None,
            cache: CacheType::F16,
            gpu_layers: i32::MAX.cast_unsigned(),
        }
    }
}

impl BrainConfig {
    pub(super) fn settings(&self, facts: &Facts) -> Settings {
        Settings {
            slots: self.slots as usize,
            chunk: self.chunk as usize,
            shared: self.share_prefixes,
            remembered: self
                .remember
                .map_or_else(|| remembered(facts), |r| r as usize),
        }
    }
}

/// Tokens that make a step about half a hundredth longer: at 20 bytes of weights a
/// nanosecond, and 1.5 ns for each head to see that a token is none of its business.
fn remembered(facts: &Facts) -> usize {
    let step = facts.weights_bytes as f64 / 20.0;
    let token = (facts.layers * facts.heads).max(1) as f64 * 1.5;
    (step / token / 200.0) as usize
}

/// What a model is loaded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Tokens of one conversation.
    pub(super) context: u32,
    /// Tokens of all.
    pub(super) cells: u32,
    pub(super) sequences: u32,
    /// Tokens of one step.
    pub(super) batch: u32,
    /// Bytes, all in all.
    pub(super) memory: u64,
}

impl Plan {
    /// The plan for this model, within `limit` bytes.
    ///
    /// Fails with [`EngineError::MemoryExceeded`] if even the smallest cache is too large.
    pub(super) fn new(
        model: &str,
        facts: &Facts,
        config: &BrainConfig,
        limit: Option<u64>,
    ) -> Result<Self, EngineError> {
        let trained = u32::try_from(facts.context_length).unwrap_or(u32::MAX);
        let context = config.context.clamp(1, trained.max(1));
        let slots = config.slots.clamp(1, MOST_SEQUENCES);
        let batch = config.chunk.max(1).saturating_add(slots).max(LEAST_BATCH);
        let sequences = config.sequences.clamp(slots, MOST_SEQUENCES);
        let plan = |cells: u32| Self {
            context,
            cells,
            sequences,
            batch,
            memory: {
                let halves = facts.cache_bytes_per_token().saturating_mul(cells.into());
                let all = facts.memory_needed(cells, batch);
                all.saturating_sub(halves)
                    .saturating_add(config.cache.scale(halves))
            },
        };
        let fits = |plan: &Self| limit.is_none_or(|limit| plan.memory <= limit);
        let wished = match config.cells {
            0 => context.saturating_mul(2).max(LEAST_CELLS),
            cells => cells.max(context),
        };
        let (wished, least) = (plan(wished), plan(context));
        match limit {
            _ if fits(&wished) => Ok(wished),
            Some(limit) if !fits(&least) => Err(EngineError::MemoryExceeded {
                model: model.to_owned(),
                needed: least.memory,
                limit,
            }),
            _ => Ok(least),
        }
    }
}
