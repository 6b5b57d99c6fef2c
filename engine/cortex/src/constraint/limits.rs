//! What a constraint may be, and what following it may cost.

use llguidance::api::ParserLimits;

/// Longest constraint, bytes. The config has the same limit.
pub(super) const MAX_BYTES: usize = 64 << 10;
/// Deepest nesting of brackets.
pub(super) const MAX_DEPTH: usize = 64;
/// Highest count of a repetition, a length or a number of items.
pub(super) const MAX_COUNT: u64 = 1000;
/// Most characters and classes of all regexes together, every repetition written out.
pub(super) const MAX_SIZE: u64 = 1 << 16;
/// Most classes of characters: some have 800 ranges.
pub(super) const MAX_CLASSES: u64 = 512;

/// Most JSON values in a schema, keys not counted.
pub(super) const MAX_VALUES: usize = 4096;
/// Most `pattern`s and `format`s in a schema; each is read as a regex.
pub(super) const MAX_PATTERNS: usize = 32;
/// Most `patternProperties` in a schema: each pair of them is compared.
pub(super) const MAX_KEY_PATTERNS: usize = 8;
/// Most options of a `oneOf`: each pair of them is compared.
pub(super) const MAX_ONE_OF: usize = 128;
/// Most parts of a schema once what `allOf`, `anyOf` and `$ref` combine is multiplied out:
/// llguidance does that in memory, at about a kilobyte a part.
pub(super) const MAX_PARTS: u64 = 1 << 15;

/// Most rules and terminals of a grammar.
pub(super) const MAX_DEFINITIONS: usize = 1000;

/// Most items of llguidance's parser that an answer may take, 16 bytes each.
pub(super) const MAX_ITEMS: usize = 1 << 21;
/// Longest reason given, characters.
pub(super) const MAX_REASON: usize = 300;
/// Stack to read a constraint on, bytes; what is not needed is never touched. A chain of
/// references or rules as long as the limits admit takes less than a third, unoptimised.
pub(super) const STACK: usize = 128 << 20;

/// llguidance's own limits: what is not said here depends on the tokens, or is its default.
pub(super) fn parser_limits() -> ParserLimits {
    ParserLimits {
        // A row has an item for each alternative that may go on.
        max_items_in_row: 1000,
        initial_lexer_fuel: 1_000_000,
        step_lexer_fuel: 200_000,
        step_max_items: 50_000,
        max_lexer_states: 10_000,
        max_grammar_size: 100_000,
        // It takes seconds for large vocabularies, whoever asks.
        precompute_large_lexemes: false,
        // They quote the answer.
        verbose_errors: false,
    }
}
