//! Answers that must look like something: a JSON Schema, a regular expression, a grammar.
//!
//! llguidance knows which tokens may come next. Constraints come from guests, so they are
//! bounded here before it reads them, and bounded by its own limits while it works: what is
//! too large or too deep is refused by name. What is left of it cannot overflow a stack
//! (reading one happens on a thread with a stack of its own, and following one recurses no
//! deeper than these limits), and a panic of it becomes an error.

mod grammar;
mod limits;
mod regex;
mod schema;
mod size;
mod vocabulary;
mod weight;

pub use vocabulary::{TokenText, Vocabulary};

use limits::parser_limits;
use llguidance::api::{GrammarInit, StopReason, TopLevelGrammar};
use llguidance::panic_utils::catch_unwind;
use llguidance::{Logger, ParserFactory, TokenParser};
use rusty_genius_core::{Constraint, EngineError};
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use toktrie::InferenceCapabilities;

/// What errors that are no constraint's fault name as the engine.
const ENGINE: &str = "constraint";

/// One answer's constraint, as far as it has come.
///
/// The answer is text of the model's content: thoughts and tool calls are not its concern,
/// so whoever has them asks it only for what is neither.
///
/// * **JSON Schema**: one JSON value. Draft 2020-12, or the one that `$schema` names, as far
///   as llguidance knows it; keywords it does not know are refused, and so is `oneOf` unless
///   its options exclude each other. `$ref` points into the schema itself (`#`, `#/$defs/a`);
///   nothing is fetched, ever. Between the parts of the value there are at most 32 characters
///   of white space, so that no model loses itself in it.
/// * **Regex**: a text that matches as a whole; syntax of the crate `regex` without
///   look-around, word boundaries, backreferences and verbose mode (`x`).
/// * **Grammar**: llguidance's Lark with rules, terminals, `%ignore` and `%import common`. Not
///   with what reaches beyond text: special tokens, attributes of rules, parameters, nested
///   grammars and options.
///
/// **Limits** (each refusal names its own). Nesting of brackets 64 (30 in grammars, by
/// llguidance); counts in repetitions, lengths and numbers of items 1,000; a regex, or all
/// those of a schema or a grammar, 65,536 characters and classes with every repetition
/// written out, and 512 classes; a schema 4,096 values, 32 `pattern`s and `format`s, 8
/// `patternProperties`, 128 options in a `oneOf`, and 32,768 parts once `allOf`, `anyOf` and
/// `$ref` are multiplied out; a grammar 1,000 definitions.
///
/// **Memory**: at most 10,000 states of the lexer at 1 to 2 KiB and 2,097,152 items of the
/// parser at 16 bytes for each constraint, besides about a kilobyte a part of it. **Time**: the
/// work for one token is bounded by fuel, to some ten milliseconds. Neither limits how long
/// the answer becomes; `max_tokens` does.
pub struct Constrainer {
    parser: Box<TokenParser>,
    vocabulary: Vocabulary,
    /// Nothing may follow but the end.
    complete: bool,
    /// Items of the parser that the answer so far takes.
    items: usize,
}

impl Constrainer {
    /// The constraint of an answer yet to begin. Takes milliseconds, and for a constraint at
    /// its limits up to some seconds.
    ///
    /// Fails with [`EngineError::InvalidConstraint`] if the constraint is malformed, over a
    /// limit, satisfied by nothing, or if the vocabulary cannot be constrained.
    pub fn new(constraint: &Constraint, vocabulary: &Vocabulary) -> Result<Self, EngineError> {
        let factory = vocabulary.factory().map_err(invalid)?;
        let text = constraint.text();
        if text.len() > limits::MAX_BYTES {
            let limit = limits::MAX_BYTES;
            return Err(invalid(format!(
                "it has {} bytes; the limit is {limit}",
                text.len()
            )));
        }
        let parser = aside(constraint.clone(), factory.clone())?;
        let mut this = Self {
            parser: Box::new(parser),
            vocabulary: vocabulary.clone(),
            complete: false,
            items: 0,
        };
        this.guarded(|parser| {
            parser.start_without_prompt();
            Ok::<_, Infallible>(())
        })?;
        // A constraint may be complete before it began: the regex of the empty text.
        this.complete = this.guarded(TokenParser::check_stop)?;
        Ok(this)
    }

    /// Makes the logits of all tokens that may not come next negative infinity. Logits beyond
    /// the vocabulary are forbidden. Once the answer is complete, and nothing may follow,
    /// only the tokens that end a turn are left; where it may end, they are among the others.
    ///
    /// Fails with [`EngineError::InvalidConstraint`] if this takes more work than the limits
    /// allow, or if no token of the model goes on.
    pub fn mask(&mut self, logits: &mut [f32]) -> Result<(), EngineError> {
        if self.complete {
            for (token, logit) in logits.iter_mut().enumerate() {
                if !self.vocabulary.ends_with(token) {
                    *logit = f32::NEG_INFINITY;
                }
            }
            return Ok(());
        }
        let allowed = self.guarded(TokenParser::compute_mask)?;
        let known = self.vocabulary.len();
        for (token, logit) in logits.iter_mut().enumerate() {
            // A vocabulary has fewer than 2^24 tokens.
            if token >= known || !allowed.is_allowed(token as u32) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    /// Takes the token that was chosen.
    ///
    /// Fails with [`EngineError::BackendFailed`] if it may not come next, after which nothing
    /// may; and with [`EngineError::InvalidConstraint`] if this takes more work or memory than
    /// the limits allow.
    pub fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        if self.vocabulary.ends_with(token as usize) {
            if self.complete || self.guarded(|parser| Ok::<_, Infallible>(parser.is_accepting()))? {
                self.complete = true;
                return Ok(());
            }
            return Err(refused(token));
        }
        if self.complete || token as usize >= self.vocabulary.len() {
            return Err(refused(token));
        }
        let before = self.parser.parser_stats().all_items;
        if !self.guarded(|parser| parser.validate_token(token))? {
            return Err(refused(token));
        }
        self.guarded(|parser| parser.consume_token(token))?;
        self.complete = self.guarded(TokenParser::check_stop)?;
        let after = self.parser.parser_stats().all_items;
        self.items = self.items.saturating_add(after.saturating_sub(before));
        if self.items > limits::MAX_ITEMS {
            return Err(invalid(format!(
                "the answer takes over {} items of its grammar's parser",
                limits::MAX_ITEMS
            )));
        }
        Ok(())
    }

    /// Whether the answer may not be extended: nothing follows but a token that ends the turn.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Lets llguidance work; a panic of it is an error, and so is all that follows one.
    fn guarded<T, E: fmt::Display>(
        &mut self,
        work: impl FnOnce(&mut TokenParser) -> Result<T, E>,
    ) -> Result<T, EngineError> {
        let parser = &mut *self.parser;
        match catch_unwind(AssertUnwindSafe(|| Ok(work(parser)))) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) if parser.stop_reason() == StopReason::NoExtensionBias => {
                Err(invalid("no token of the model goes on from here"))
            }
            Ok(Err(error)) => Err(invalid(brief(&error.to_string()))),
            Err(panic) => Err(failed(brief(&panic.to_string()))),
        }
    }
}

impl fmt::Debug for Constrainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Constrainer")
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

/// Checks and reads the constraint on a thread whose stack holds all that the limits admit.
fn aside(constraint: Constraint, factory: Arc<ParserFactory>) -> Result<TokenParser, EngineError> {
    let work = move || read(&constraint, &factory);
    let thread = std::thread::Builder::new()
        .name("constraint".into())
        .stack_size(limits::STACK)
        .spawn(work);
    match thread.map(|thread| thread.join()) {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err(failed("reading it panicked")),
        Err(error) => Err(failed(format!("no thread to read it on: {error}"))),
    }
}

fn read(constraint: &Constraint, factory: &ParserFactory) -> Result<TokenParser, EngineError> {
    let grammar = match constraint {
        Constraint::JsonSchema(text) => {
            TopLevelGrammar::from_json_schema(schema::checked(text).map_err(invalid)?)
        }
        Constraint::Regex(text) => {
            TopLevelGrammar::from_lark(regex::as_grammar(text).map_err(invalid)?)
        }
        Constraint::Grammar(text) => {
            grammar::check(text).map_err(invalid)?;
            TopLevelGrammar::from_lark(text.clone())
        }
    };
    let parser = catch_unwind(AssertUnwindSafe(|| {
        factory.create_parser_from_init_ext(
            GrammarInit::Serialized(grammar),
            Logger::new(0, 0),
            InferenceCapabilities::default(),
            parser_limits(),
        )
    }));
    parser.map_err(|error| invalid(brief(&error.to_string())))
}

fn invalid(reason: impl Into<String>) -> EngineError {
    EngineError::InvalidConstraint {
        reason: reason.into(),
    }
}

fn refused(token: u32) -> EngineError {
    failed(format!("token {token} may not come next"))
}

fn failed(reason: impl Into<String>) -> EngineError {
    EngineError::BackendFailed {
        engine: ENGINE.into(),
        reason: reason.into(),
    }
}

/// The first line of an error: further ones quote the constraint, or are a backtrace.
fn brief(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    match line.char_indices().nth(limits::MAX_REASON) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.into(),
    }
}

#[cfg(test)]
mod tests;
