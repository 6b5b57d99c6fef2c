//! Regular expressions, measured before they are parsed.

use super::size::{Size, check_depth, number};

/// The grammar whose one text is what the regex matches.
pub(super) fn as_grammar(regex: &str) -> Result<String, String> {
    measure(regex, &mut Size::default())?;
    if regex.is_empty() {
        return Ok("start: \"\"".into());
    }
    let mut grammar = String::with_capacity(regex.len() + 16);
    grammar.push_str("start: /");
    let mut escaped = false;
    for c in regex.chars() {
        if c == '/' && !escaped {
            grammar.push('\\');
        }
        escaped = c == '\\' && !escaped;
        grammar.push(c);
    }
    if escaped {
        return Err("the regex ends with a backslash".into());
    }
    grammar.push('/');
    Ok(grammar)
}

/// Adds what the regex has to `size`, as one group.
///
/// It need not be right about what is no regex, only never too low about what is one.
pub(super) fn measure(regex: &str, size: &mut Size) -> Result<(), String> {
    size.begin()?;
    let mut rest = regex;
    let mut groups = 0_u64;
    // Of classes, which may be nested.
    let mut depth = 0_usize;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let escape = rest.chars().next().unwrap_or(' ');
                rest = &rest[escape.len_utf8().min(rest.len())..];
                if matches!(escape, 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P') {
                    size.class()?;
                }
                let braced = matches!(escape, 'p' | 'P' | 'x' | 'u' | 'U' | 'b');
                if braced && let Some(code) = rest.strip_prefix('{') {
                    rest = code.split_once('}').map_or("", |(_, rest)| rest);
                }
                if depth == 0 {
                    size.atom(1)?;
                }
            }
            '[' => {
                size.class()?;
                if depth == 0 {
                    size.atom(1)?;
                }
                depth += 1;
                check_depth(depth)?;
                // Directly after the bracket, a closing one is a character.
                rest = rest.strip_prefix('^').unwrap_or(rest);
                rest = rest.strip_prefix(']').unwrap_or(rest);
            }
            ']' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            '(' => {
                size.begin()?;
                groups += 1;
                if let Some(group) = rest.strip_prefix('?') {
                    rest = flags(group)?;
                }
            }
            ')' if groups > 0 => {
                size.end();
                groups -= 1;
            }
            '{' => {
                if let Some((count, after)) = repetition(rest) {
                    size.repeat(count)?;
                    rest = after;
                }
            }
            '*' | '+' | '?' => {}
            _ => size.atom(1)?,
        }
    }
    for _ in 0..groups {
        size.end();
    }
    size.end();
    Ok(())
}

/// What follows the flags or the name of a group.
fn flags(group: &str) -> Result<&str, String> {
    let end = group
        .find(|c: char| !c.is_ascii_alphabetic() && c != '-')
        .unwrap_or(group.len());
    if group[..end].contains('x') {
        // White space and comments would hide what is repeated.
        return Err("verbose mode (the flag `x`) is not supported".into());
    }
    Ok(&group[end..])
}

/// The count of a repetition in braces, and what follows it.
fn repetition(text: &str) -> Option<(u64, &str)> {
    let (least, digits) = number(text).unwrap_or((0, 0));
    let rest = &text[digits..];
    let (most, rest) = match rest.strip_prefix(',') {
        None => (least, rest),
        Some(rest) => match number(rest) {
            Some((most, digits)) => (most.max(least), &rest[digits..]),
            None => (least, rest),
        },
    };
    Some((most, rest.strip_prefix('}')?))
}
