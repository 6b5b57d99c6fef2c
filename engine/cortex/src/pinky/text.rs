//! What Pinky makes of text it is given: counts, seeds, embeddings, one word.

use crate::rng::Rng;
use rusty_genius_core::{Role, Turn};

/// Characters of a word that make one token.
const TOKEN_CHARS: u64 = 8;
/// Tokens a turn costs besides its words, as chat templates do.
const TURN_TOKENS: u64 = 4;
/// How much of a turn is looked at for a word, bytes.
const ECHO_WINDOW: usize = 4096;
/// Longest word repeated, characters.
const ECHO_CHARS: usize = 24;
/// Length of an embedding.
const DIMENSIONS: usize = 16;

/// The token rule that [`Pinky`](super::Pinky) documents.
pub(super) fn count_tokens(text: &str) -> u64 {
    let mut tokens = 0;
    let mut run = 0;
    for c in text.chars() {
        if c.is_alphanumeric() {
            tokens += u64::from(run % TOKEN_CHARS == 0);
            run += 1;
        } else {
            run = 0;
            tokens += u64::from(!c.is_whitespace());
        }
    }
    tokens
}

pub(super) fn count_prompt(conversation: &[Turn]) -> u64 {
    conversation
        .iter()
        .map(|turn| count_tokens(&turn.content) + TURN_TOKENS)
        .sum()
}

/// FNV-1a, which is the same on every machine and in every release.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

const FNV_START: u64 = 0xCBF2_9CE4_8422_2325;

/// Mixes the sampling seed with all of the conversation.
pub(super) fn seed(seed: u64, conversation: &[Turn]) -> u64 {
    let mut hash = fnv(FNV_START, &seed.to_le_bytes());
    for turn in conversation {
        // The length keeps turns apart.
        hash = fnv(hash, &[role_byte(turn.role)]);
        hash = fnv(hash, &(turn.content.len() as u64).to_le_bytes());
        hash = fnv(hash, turn.content.as_bytes());
    }
    hash
}

fn role_byte(role: Role) -> u8 {
    match role {
        Role::System => 0,
        Role::User => 1,
        Role::Assistant => 2,
        Role::Tool => 3,
    }
}

/// One word of the last user turn: letters and digits only, so that no tag, no control
/// character and no escape can come back out.
pub(super) fn echo(conversation: &[Turn], seed: u64) -> String {
    let turn = conversation.iter().rev().find(|t| t.role == Role::User);
    let content = turn.map_or("", |turn| &turn.content);
    let window = &content[..content.floor_char_boundary(ECHO_WINDOW)];
    let count = words(window).count();
    if count == 0 {
        return "that".into();
    }
    let pick = Rng::new(fnv(seed, window.as_bytes())).below(count);
    let word = words(window).nth(pick).unwrap_or_default();
    word.chars().take(ECHO_CHARS).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// The sum of a random direction for each word, of unit length.
pub(super) fn embed(text: &str) -> Vec<f32> {
    let mut sum = [0.0_f64; DIMENSIONS];
    for word in words(text) {
        let mut hash = FNV_START;
        for c in word.chars().flat_map(char::to_lowercase) {
            hash = fnv(hash, c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        add_direction(&mut sum, hash);
    }
    let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    // No words, or words that cancel out: then the text as a whole.
    if length(&sum) < 1e-6 {
        sum = [0.0; DIMENSIONS];
        add_direction(&mut sum, fnv(FNV_START, text.as_bytes()));
    }
    let length = length(&sum);
    sum.iter().map(|x| (x / length) as f32).collect()
}

fn add_direction(sum: &mut [f64; DIMENSIONS], seed: u64) {
    let mut rng = Rng::new(seed);
    for x in sum {
        // 53 bits, -1 to 1; all sixteen zero does not happen.
        *x += (rng.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_count_by_eight_characters_and_punctuation_by_one() {
        for (text, tokens) in [
            ("", 0),
            (" \n\t", 0),
            ("Narf", 1),
            ("12345678", 1),
            ("123456789", 2),
            ("Gee, Brain!", 4),
            ("naïve 🐁🐁", 3),
        ] {
            assert_eq!(count_tokens(text), tokens, "{text:?}");
        }
        assert_eq!(count_prompt(&[Turn::user("a b"), Turn::user("")]), 10);
    }

    #[test]
    fn the_seed_tells_turns_and_roles_apart() {
        let seeds = [
            seed(0, &[]),
            seed(1, &[]),
            seed(0, &[Turn::user("ab")]),
            seed(0, &[Turn::user("a"), Turn::user("b")]),
            seed(0, &[Turn::new(Role::System, "ab")]),
        ];
        for (i, a) in seeds.iter().enumerate() {
            assert!(seeds[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn texts_that_share_words_are_near() {
        let dot =
            |a: &str, b: &str| -> f32 { embed(a).iter().zip(embed(b)).map(|(x, y)| x * y).sum() };
        assert!(dot("take over the world", "take over the WORLD!") > 0.99);
        assert!(dot("take over the world", "take over the moon") > dot("take over", "cheese"));
    }

    proptest! {
        #[test]
        fn an_embedding_has_unit_length(text in "\\PC{0,40}") {
            let vector = embed(&text);
            prop_assert_eq!(vector.len(), DIMENSIONS);
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            prop_assert!((length - 1.0).abs() < 1e-4, "{}", length);
        }

        #[test]
        fn what_is_repeated_is_one_short_word(text in any::<String>(), seed in any::<u64>()) {
            let word = echo(&[Turn::user(text)], seed);
            prop_assert!(!word.is_empty() && word.chars().count() <= ECHO_CHARS);
            prop_assert!(word.chars().all(char::is_alphanumeric));
        }
    }
}
