//! Pinky: an engine without a model. It costs nothing, says the same every time, and is
//! as awkward as a real one: thoughts, split tags, split characters.

mod chunks;
mod script;
mod text;

use crate::backend::{
    Backend, BoxFuture, LoadRequest, Model, ModelSession, RawEnd, RawEvent, RawStream,
};
use crate::clock::Clock;
use crate::rng::Rng;
use chunks::Chunks;
use futures::Stream;
use rusty_genius_core::{EngineError, InferenceConfig, Turn};
use script::Script;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Context with [`PinkyConfig::tokens`] set: the longest answer that can be asked for,
/// and as much again for the prompt.
const UNBOUNDED_CONTEXT: u32 = 1 << 21;
/// Shortest answer that begins with a thought, tokens: less might end within the tag.
const THOUGHT_MIN_TOKENS: u32 = 16;

/// How [`Pinky`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinkyConfig {
    /// Time each token takes. Default 15 ms. At zero the timer is never touched and the
    /// stream is always ready.
    pub delay: Duration,
    /// Time a load takes. Default zero.
    pub load_delay: Duration,
    /// Exactly how many tokens to write, thought included, unless `max_tokens` comes
    /// first. Default `None`: a short answer, some dozens of tokens.
    pub tokens: Option<u32>,
    /// Whether to think before answering. Default true. Answers of fewer than 16 tokens
    /// have no thought.
    pub thoughts: bool,
    /// Tokens of context, prompt and answer together. Default 8,192. Where `tokens` is
    /// set it counts as at least 2,097,152, so that it cuts no benchmark.
    pub context_length: u32,
    /// Bytes the model claims to hold. Default 1 MiB. Nothing is allocated.
    pub memory: u64,
}

impl Default for PinkyConfig {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(15),
            load_delay: Duration::ZERO,
            tokens: None,
            thoughts: true,
            context_length: 8192,
            memory: 1 << 20,
        }
    }
}

/// The stub backend, `pinky`. It takes any model and looks at no weights.
///
/// The answer depends on the sampling seed, the conversation and whether and how long it
/// is to be, and on nothing else: the same gives the same bytes in the same tokens. Of
/// the prompt, an answer repeats one word of the last user turn, letters and digits
/// only, cut to 24 characters. Content begins with `Narf!`.
///
/// Tokens of a prompt are counted thus: a run of letters and digits is one token for
/// every 8 characters begun, any other character that is not white space is one, and a
/// turn costs 4 more. The rule for an answer is another: one token is 1 to 12 bytes.
#[derive(Debug, Clone)]
pub struct Pinky {
    config: Arc<PinkyConfig>,
    clock: Arc<dyn Clock>,
}

impl Pinky {
    /// A Pinky whose delays go by this clock.
    pub fn new(config: PinkyConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            config: Arc::new(config),
            clock,
        }
    }

    fn context(&self) -> u32 {
        match self.config.tokens {
            Some(_) => self.config.context_length.max(UNBOUNDED_CONTEXT),
            None => self.config.context_length,
        }
    }
}

impl Backend for Pinky {
    fn name(&self) -> &str {
        "pinky"
    }

    fn needs_weights(&self) -> bool {
        false
    }

    fn load(&self, _: LoadRequest) -> BoxFuture<'_, Result<Arc<dyn Model>, EngineError>> {
        Box::pin(async {
            if !self.config.load_delay.is_zero() {
                self.clock.sleep(self.config.load_delay).await;
            }
            Ok(Arc::new(self.clone()) as Arc<dyn Model>)
        })
    }
}

// Pinky has no state but its config, so the backend is the model and the session too.
impl Model for Pinky {
    fn memory(&self) -> u64 {
        self.config.memory
    }

    fn context_length(&self) -> u32 {
        self.context()
    }

    fn open(&self, _guest: &str) -> Result<Box<dyn ModelSession>, EngineError> {
        Ok(Box::new(self.clone()))
    }

    fn count_tokens<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<u32, EngineError>> {
        let tokens = u32::try_from(text::count_tokens(text)).unwrap_or(u32::MAX);
        Box::pin(std::future::ready(Ok(tokens)))
    }

    /// A vector of 16: texts that share words are near each other.
    fn embed<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Vec<f32>, EngineError>> {
        Box::pin(std::future::ready(Ok(text::embed(text))))
    }
}

impl ModelSession for Pinky {
    fn generate(
        &mut self,
        conversation: &[Turn],
        config: &InferenceConfig,
    ) -> Result<RawStream, EngineError> {
        let max_tokens = config.behavior().max_tokens;
        let prompt = text::count_prompt(conversation);
        let (needed, limit) = (
            prompt.saturating_add(u64::from(max_tokens)),
            u64::from(self.context()),
        );
        if needed > limit {
            return Err(EngineError::ContextOverflow { needed, limit });
        }
        let wanted = self.config.tokens;
        let budget = wanted.map_or(max_tokens, |n| n.min(max_tokens));
        // Two generators of one seed, so that what is said does not hang on how it is cut.
        let mut seeds = Rng::new(text::seed(config.sampling().seed, conversation));
        let script = Script::new(
            seeds.next(),
            text::echo(conversation, config.sampling().seed),
            self.config.thoughts && budget >= THOUGHT_MIN_TOKENS,
            wanted.is_some(),
        );
        Ok(Box::pin(PinkyStream {
            // It is under the context length, a u32.
            prompt_tokens: u32::try_from(prompt).unwrap_or(u32::MAX),
            chunks: Chunks::new(script, seeds.next()),
            left: budget,
            natural_end: wanted.is_some_and(|n| n <= max_tokens),
            delay: self.config.delay,
            clock: self.clock.clone(),
            sleep: None,
            state: State::Prefill,
        }))
    }

    fn fork(&self) -> Result<Box<dyn ModelSession>, EngineError> {
        self.open("")
    }
}

struct PinkyStream {
    prompt_tokens: u32,
    chunks: Chunks,
    /// Tokens it may still write.
    left: u32,
    /// Whether the last of these tokens is a proper end.
    natural_end: bool,
    delay: Duration,
    clock: Arc<dyn Clock>,
    sleep: Option<BoxFuture<'static, ()>>,
    state: State,
}

enum State {
    Prefill,
    Decode,
    Over,
}

impl PinkyStream {
    fn step(&mut self) -> RawEvent {
        // The text may be over exactly with the last token that is allowed.
        if self.left == 0 && (self.natural_end || self.chunks.is_over()) {
            self.state = State::Over;
            return RawEvent::End(RawEnd::Stop);
        }
        if self.left == 0 {
            self.state = State::Over;
            return RawEvent::End(RawEnd::Length);
        }
        let last = self.left == 1 && self.natural_end;
        match self.chunks.next(last) {
            Some(token) => {
                self.left -= 1;
                RawEvent::Token(token)
            }
            None => {
                self.state = State::Over;
                RawEvent::End(RawEnd::Stop)
            }
        }
    }
}

impl Stream for PinkyStream {
    type Item = Result<RawEvent, EngineError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.state {
            State::Prefill => {
                this.state = State::Decode;
                Poll::Ready(Some(Ok(RawEvent::Prefilled {
                    prompt_tokens: this.prompt_tokens,
                    cached_tokens: 0,
                    in_thought: false,
                })))
            }
            State::Over => Poll::Ready(None),
            State::Decode => {
                let more = this.left > 0 && !this.chunks.is_over();
                if more && !this.delay.is_zero() {
                    let (clock, delay) = (&this.clock, this.delay);
                    let sleep = this.sleep.get_or_insert_with(|| clock.sleep(delay));
                    ready!(sleep.as_mut().poll(cx));
                    this.sleep = None;
                }
                Poll::Ready(Some(Ok(this.step())))
            }
        }
    }
}

#[cfg(test)]
mod tests;
