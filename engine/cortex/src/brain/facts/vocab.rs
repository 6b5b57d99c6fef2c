//! The vocabulary: one that llama.cpp can read, look tokens up in, and spell bytes with.

use super::parts::{self, Part};
use super::refusal;
use rusty_genius_core::gguf::{Array, Gguf, Value, ValueType};
use std::collections::HashSet;

/// Most tokens of a vocabulary.
const VOCAB_LIMIT: u64 = 1 << 22;
const TOKENS: &str = "tokenizer.ggml.tokens";
const MODEL: &str = "tokenizer.ggml.model";
/// The type of tokens that stand for one byte (`llama_token_type` in llama.cpp).
const BYTE: u64 = 6;

/// Checks everything under `tokenizer.ggml`; returns how many tokens there are.
pub(super) fn check(part: &Part) -> Result<u64, String> {
    let gguf = &part.gguf;
    let tokens = array(gguf, TOKENS, &[ValueType::String])?
        .ok_or_else(|| format!("`{TOKENS}` is missing"))?;
    let count = tokens.count();
    if !(1..=VOCAB_LIMIT).contains(&count) {
        return Err(format!(
            "`{TOKENS}` has {count} tokens (expected 1 to {VOCAB_LIMIT})"
        ));
    }
    const TYPES: &str = "tokenizer.ggml.token_type";
    let types = array(gguf, TYPES, &[ValueType::I32])?;
    let scores = array(
        gguf,
        "tokenizer.ggml.scores",
        &[ValueType::F32, ValueType::I32],
    )?;
    for (key, array) in [(TYPES, types), ("tokenizer.ggml.scores", scores)] {
        if let Some(array) = array
            && array.count() != count
        {
            let have = array.count();
            return Err(format!(
                "`{key}` has {have} elements (expected {count}, one for each token)"
            ));
        }
    }
    array(gguf, "tokenizer.ggml.merges", &[ValueType::String])?;
    array(
        gguf,
        "tokenizer.ggml.precompiled_charsmap",
        &[ValueType::I8, ValueType::U8],
    )?;
    ids(gguf, count)?;
    texts(part, tokens, types)?;
    Ok(count)
}

/// An array of one of these types of elements, if the key is there.
fn array<'a>(gguf: &'a Gguf, key: &str, types: &[ValueType]) -> Result<Option<&'a Array>, String> {
    match gguf.get(key) {
        None => Ok(None),
        Some(Value::Array(array)) if types.contains(&array.element()) => Ok(Some(array)),
        Some(other) => {
            let types: Vec<String> = types.iter().map(|ty| format!("{ty:?}")).collect();
            Err(refusal(
                key,
                other,
                &format!("an array of {}", types.join(" or ")),
            ))
        }
    }
}

/// Every `…_token_id` is the number of a token, and a token to be added has one.
fn ids(gguf: &Gguf, count: u64) -> Result<(), String> {
    for (key, value) in gguf.metadata() {
        let is_id = key.starts_with("tokenizer.ggml.") && key.ends_with("_token_id");
        if is_id && value.as_u64().is_none_or(|id| id >= count) {
            return Err(refusal(
                key,
                value,
                &format!("the number of one of {count} tokens"),
            ));
        }
    }
    // To add a token that there is none of ends in an assertion.
    for (name, id) in [("bos", "bos"), ("eos", "eos"), ("sep", "seperator")] {
        let add = format!("tokenizer.ggml.add_{name}_token");
        let id = format!("tokenizer.ggml.{id}_token_id");
        match gguf.get(&add) {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) if gguf.get(&id).is_some() => {}
            Some(value @ Value::Bool(true)) => {
                return Err(refusal(
                    &add,
                    value,
                    &format!("false, as there is no `{id}`"),
                ));
            }
            Some(value) => return Err(refusal(&add, value, "a boolean")),
        }
    }
    // The kinds of tokenizer and how many tokens hold the ids they take for granted.
    let model = gguf
        .get(MODEL)
        .ok_or_else(|| format!("`{MODEL}` is missing"))?;
    let least = match model.as_str() {
        Some("no_vocab" | "none") | None => return Err(refusal(MODEL, model, "a tokenizer")),
        Some("llama") => 3,
        Some("gpt2") => 12,
        Some("bert") => 104,
        Some(_) => 0,
    };
    let given = ["bos", "eos"].iter().all(|name| {
        let key = format!("tokenizer.ggml.{name}_token_id");
        gguf.get(&key).is_some()
    });
    match count >= least || given {
        true => Ok(()),
        false => Err(format!(
            "`{TOKENS}` has {count} tokens (expected {least} for the tokenizer {model}, or ids of bos and eos)"
        )),
    }
}

/// No text stands twice, and bytes are spelled as the tokenizer looks them up.
fn texts(part: &Part, tokens: &Array, types: Option<&Array>) -> Result<(), String> {
    let model = part.gguf.get(MODEL).and_then(Value::as_str);
    let mut types = types
        .map(|types| parts::elements(&part.path, types))
        .transpose()?;
    let mut seen = HashSet::new();
    let elements = parts::elements(&part.path, tokens)?;
    for (id, text) in elements.enumerate() {
        let text = text.map_err(|e| format!("`{TOKENS}`: {e}"))?;
        let ty = match types.as_mut().and_then(Iterator::next) {
            None => None,
            Some(ty) => ty.map_err(|e| e.to_string())?.as_u64(),
        };
        let Value::String(text) = text else {
            return Err(format!("`{TOKENS}[{id}]` is no string"));
        };
        if ty == Some(BYTE) && (byte(&text).is_none() || model == Some("bert")) {
            return Err(format!(
                "`{TOKENS}[{id}]` is {:?}, of the type of bytes (expected `<0x00>` to `<0xFF>`)",
                cut(&text)
            ));
        }
        // llama.cpp gives tokens without text one like this.
        let text = match text.is_empty() {
            true => format!("[EMPTY_{id}]"),
            false => text,
        };
        if let Some(twice) = seen.replace(text) {
            return Err(format!(
                "`{TOKENS}[{id}]` is {:?} (expected a text that no other token has)",
                cut(&twice)
            ));
        }
    }
    // SentencePiece falls back on bytes, and looks them up without asking whether they exist.
    let spelled = |byte: u8| {
        let itself = byte.is_ascii() && seen.contains(&char::from(byte).to_string());
        itself || seen.contains(&format!("<0x{byte:02X}>"))
    };
    let missing = (0..=u8::MAX).find(|&byte| !spelled(byte));
    match (model, missing) {
        (Some("llama"), Some(byte)) => Err(format!(
            "`{TOKENS}` has no `<0x{byte:02X}>` (expected a token for each byte)"
        )),
        _ => Ok(()),
    }
}

/// The byte that a text such as `<0x0A>` stands for.
fn byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    match digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => u8::from_str_radix(digits, 16).ok(),
        false => None,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
