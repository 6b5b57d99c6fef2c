//! Grammars, measured before they are parsed.

use super::limits::{MAX_DEFINITIONS, MAX_SIZE};
use super::regex;
use super::size::{Size, check_count, number};

/// Checks a grammar in llguidance's Lark against the limits, and that it stays with text.
///
/// It need not be right about what is no grammar, only never too kind to what is one.
pub(super) fn check(grammar: &str) -> Result<(), String> {
    let mut size = Size::default();
    let mut definitions = 0;
    // Before the colon of a definition, where a bracket begins attributes.
    let mut head = true;
    let mut rest = grammar;
    while let Some(c) = rest.chars().next() {
        let token = rest;
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => head = true,
            ' ' | '\t' | '\r' => {}
            '#' => rest = line_end(rest),
            '/' if rest.starts_with('/') => rest = line_end(rest),
            '/' => {
                let end = closing(rest, '/').ok_or("a regex has no end")?;
                regex::measure(&rest[..end], &mut size)?;
                rest = &rest[end + 1..];
                let flags = rest.bytes().take_while(u8::is_ascii_lowercase).count();
                if rest[..flags].contains('x') {
                    return Err("verbose mode (the flag `x`) is not supported".into());
                }
                rest = &rest[flags..];
            }
            '"' => {
                let end = closing(rest, '"').ok_or("a text has no end")?;
                size.atom(end as u64)?;
                rest = &rest[end + 1..];
                // Upper and lower case alike.
                rest = rest.strip_prefix('i').unwrap_or(rest);
            }
            '(' => size.begin()?,
            '[' if head => return Err("attributes of rules are not supported".into()),
            '[' => size.begin()?,
            ')' | ']' => size.end(),
            ':' if rest.starts_with(':') => return Err("parameters are not supported".into()),
            ':' => {
                head = false;
                definitions += 1;
                if definitions > MAX_DEFINITIONS {
                    return Err(format!("it has over {MAX_DEFINITIONS} definitions"));
                }
            }
            '|' => head = false,
            '<' => return Err("special tokens are not supported".into()),
            '@' => return Err("references to other grammars are not supported".into()),
            '%' => {
                let name = word(rest);
                if !matches!(name, "ignore" | "import") {
                    return Err(format!("%{name} is not supported"));
                }
                head = head && name == "import";
                rest = &rest[name.len()..];
            }
            '{' => {
                let (count, after) = braces(rest).ok_or("templates are not supported")?;
                size.repeat(count)?;
                rest = after;
            }
            '~' => {
                if let Some((count, after)) = range(rest) {
                    size.repeat(count)?;
                    rest = after;
                }
            }
            '0'..='9' => {
                // A priority.
                let (count, digits) = number(token).unwrap_or((u64::MAX, 1));
                check_count("a priority", count)?;
                rest = &token[digits..];
            }
            _ if c.is_ascii_alphabetic() || c == '_' => {
                size.atom(1)?;
                rest = &token[word(token).len()..];
            }
            // Operators, and what the parser will refuse.
            _ => {}
        }
    }
    if grammar.len() as u64 > MAX_SIZE {
        return Err(format!("it is longer than {MAX_SIZE} bytes"));
    }
    Ok(())
}

fn line_end(text: &str) -> &str {
    text.find('\n').map_or("", |end| &text[end..])
}

/// Where the unescaped quote is.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let end = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        end.then_some(at)
    })
}

/// The highest count of `{n}`, `{n,}`, `{,m}` or `{n,m}`, and what follows.
fn braces(text: &str) -> Option<(u64, &str)> {
    let (least, rest) = signed(text).unwrap_or((0, text.trim_start_matches(SPACE)));
    let (most, rest) = match rest.strip_prefix(',') {
        None => (least, rest),
        Some(rest) => signed(rest).unwrap_or((least, rest.trim_start_matches(SPACE))),
    };
    Some((most.max(least), rest.strip_prefix('}')?))
}

/// The highest count of `~ n` or `~ n..m`, and what follows.
fn range(text: &str) -> Option<(u64, &str)> {
    let (least, rest) = signed(text)?;
    match rest.strip_prefix("..").and_then(signed) {
        Some((most, rest)) => Some((most.max(least), rest)),
        None => Some((least, rest)),
    }
}

/// A number among spaces, and what follows them.
fn signed(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start_matches(SPACE);
    let text = text.strip_prefix('+').unwrap_or(text);
    let (count, digits) = number(text)?;
    Some((count, text[digits..].trim_start_matches(SPACE)))
}

const SPACE: [char; 2] = [' ', '\t'];

fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
        .unwrap_or(text.len());
    &text[..end]
}
