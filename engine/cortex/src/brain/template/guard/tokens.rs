//! The tokens inside of a tag.

/// Most tokens in a tag.
const TOKENS_LIMIT: usize = 4096;

/// A token, as it stands in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    Number(&'a str),
    /// With its quotes.
    Text(&'a str),
    /// An operator, a bracket or other punctuation.
    Op(&'a str),
}

impl<'a> Token<'a> {
    pub(super) fn source(self) -> &'a str {
        match self {
            Token::Name(text) | Token::Number(text) | Token::Text(text) | Token::Op(text) => text,
        }
    }
}

/// The tokens before `end` (`%}` or `}}`), the bytes up to after it, and the `-` or `+`
/// before it.
#[allow(
    clippy::type_complexity,
    reason = "three results that only the caller has names for"
)]
pub(super) fn read<'a>(
    source: &'a str,
    end: &str,
) -> Result<(Vec<Token<'a>>, usize, Option<char>), String> {
    let mut tokens = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let rest = &source[at..];
        let Some(first) = rest.chars().next() else {
            return Err(format!("a tag has no {end:?}"));
        };
        // Inside of brackets `}}` closes two of them.
        if depth == 0 {
            if rest.starts_with(end) {
                return Ok((tokens, at + end.len(), None));
            }
            if matches!(first, '-' | '+') && rest[1..].starts_with(end) {
                return Ok((tokens, at + 1 + end.len(), Some(first)));
            }
        }
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let token = token(rest, first)?;
        match token {
            Token::Op("(" | "[" | "{") => depth += 1,
            Token::Op(")" | "]" | "}") => {
                depth = depth.checked_sub(1).ok_or("a bracket closes nothing")?;
            }
            Token::Name(name) if name.starts_with("rg_") => {
                return Err(format!("the name {name:?} is reserved"));
            }
            _ => {}
        }
        if tokens.len() == TOKENS_LIMIT {
            return Err(format!("over {TOKENS_LIMIT} tokens in a tag"));
        }
        at += token.source().len();
        tokens.push(token);
    }
}

fn token(rest: &str, first: char) -> Result<Token<'_>, String> {
    let length = |good: fn(char) -> bool| rest.find(|c| !good(c)).unwrap_or(rest.len());
    let word = |c: char| c.is_alphanumeric() || c == '_';
    match first {
        '"' | '\'' => {
            let mut escaped = false;
            let close = rest[1..].find(|c| {
                let closes = c == first && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            });
            let close = close.ok_or("a string does not end")?;
            Ok(Token::Text(&rest[..close + 2]))
        }
        '0'..='9' => {
            let whole = length(word);
            let fraction = rest[whole..]
                .strip_prefix('.')
                .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                .map_or(0, |rest| 1 + rest.find(|c| !word(c)).unwrap_or(rest.len()));
            Ok(Token::Number(&rest[..whole + fraction]))
        }
        c if c.is_alphabetic() || c == '_' => Ok(Token::Name(&rest[..length(word)])),
        _ => {
            let double = ["**", "//", "==", "!=", "<=", ">="];
            let length = match double.iter().any(|op| rest.starts_with(op)) {
                true => 2,
                false if "+-*/%~|.,:=<>()[]{}".contains(first) => 1,
                false => return Err(format!("{first:?} has no meaning in a tag")),
            };
            Ok(Token::Op(&rest[..length]))
        }
    }
}
