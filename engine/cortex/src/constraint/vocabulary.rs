//! The tokens of a model, for constraints.

use llguidance::ParserFactory;
use llguidance::earley::SlicedBiasComputer;
use llguidance::panic_utils::catch_unwind;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};

/// Longest token that a constrained answer may have, bytes: the trie has a level for each.
const MAX_TOKEN: usize = 512;
/// Most tokens: the trie has 24 bits for them, one value of which means none.
const MAX_TOKENS: usize = (1 << 24) - 1;
/// Vocabularies from this size on get tables for what strings are made of, which take time
/// and memory to build.
const SLICED: usize = 4096;

/// A token of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenText {
    /// What it spells: perhaps a part of a character.
    pub bytes: Vec<u8>,
    /// Whether it is a control or special token, never text of an answer.
    pub control: bool,
}

impl TokenText {
    /// A token of text.
    pub fn text(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            control: false,
        }
    }

    /// A control token.
    pub fn control() -> Self {
        Self {
            bytes: Vec::new(),
            control: true,
        }
    }
}

/// The tokens of a model, as constraints see them. Built once a model, in time and memory
/// like that of reading its vocabulary a few times; cloning is cheap.
#[derive(Clone)]
pub struct Vocabulary(Arc<Shared>);

struct Shared {
    /// Or why nothing can be constrained.
    factory: Result<Arc<ParserFactory>, String>,
    ends: Box<[u32]>,
    len: usize,
}

impl Vocabulary {
    /// Of the tokens in the order of their ids, and of the ids that end a turn, of which
    /// there must be one at least.
    ///
    /// In a constrained answer there are no control tokens, no empty ones, and none over 512
    /// bytes. A vocabulary that cannot be used (no end, over 16,777,214 tokens, over some
    /// four million bytes in all) is found out by [`Constrainer::new`].
    ///
    /// [`Constrainer::new`]: super::Constrainer::new
    pub fn new(tokens: impl IntoIterator<Item = TokenText>, ends: &[u32]) -> Self {
        let mut words: Vec<Vec<u8>> = tokens.into_iter().map(spelling).collect();
        let len = words.len();
        let ends: Box<[u32]> = ends
            .iter()
            .copied()
            .filter(|&end| (end as usize) < len)
            .collect();
        for &end in &ends {
            words[end as usize].clear();
        }
        let factory = if ends.is_empty() {
            Err("the model names no token that ends a turn".into())
        } else if len >= MAX_TOKENS {
            Err(format!("the model has {len} tokens"))
        } else {
            build(&words, &ends)
        };
        Self(Arc::new(Shared { factory, ends, len }))
    }

    pub(super) fn factory(&self) -> Result<&Arc<ParserFactory>, String> {
        self.0.factory.as_ref().map_err(Clone::clone)
    }

    pub(super) fn ends_with(&self, token: usize) -> bool {
        self.0.ends.iter().any(|&end| end as usize == token)
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.0.len
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary")
            .field("tokens", &self.0.len)
            .field("ends", &self.0.ends)
            .finish_non_exhaustive()
    }
}

/// What the trie gets: nothing for what an answer never has.
fn spelling(token: TokenText) -> Vec<u8> {
    // No UTF-8 has the marker of special tokens, so a token that begins with it is none.
    let special = token.bytes.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER);
    if token.control || special || token.bytes.len() > MAX_TOKEN {
        return Vec::new();
    }
    token.bytes
}

fn build(words: &[Vec<u8>], ends: &[u32]) -> Result<Arc<ParserFactory>, String> {
    let built = catch_unwind(AssertUnwindSafe(|| {
        // It is under 2^24.
        let info = TokRxInfo::new(words.len() as u32, ends[0]);
        let trie = TokTrie::from(&info, words).with_eos_tokens(ends);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = match words.len() < SLICED {
            true => Vec::new(),
            false => SlicedBiasComputer::general_slices(),
        };
        ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
    }));
    match built {
        Ok(mut factory) => {
            factory.quiet();
            Ok(Arc::new(factory))
        }
        Err(error) => Err(format!(
            "the model's tokens cannot be searched: {}",
            super::brief(&error.to_string())
        )),
    }
}
