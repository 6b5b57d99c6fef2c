//! Expressions with filters in place of the operators that make things larger.
//!
//! Of Jinja's grammar only this matters: below comparisons, `+` and `-` bind loosest, then
//! `~`, then `*`, `/`, `//` and `%`, all from the left; all else (signs, powers, filters,
//! tests, brackets) binds closer and stays as it is.

use super::Token;

/// Deepest nesting of brackets.
const DEPTH_LIMIT: usize = 60;
/// Most operators between two commas, brackets or comparisons.
const OPERATORS_LIMIT: usize = 256;

/// The operators, from loose to close.
const LEVELS: [&[&str]; 3] = [&["+", "-"], &["~"], &["*", "/", "//", "%"]];

/// Rewrites the tokens of an expression, or of a list of some.
pub(super) fn rewrite(tokens: &[Token<'_>]) -> Result<String, String> {
    list(tokens, 0)
}

/// Expressions and what stands between them: commas, comparisons, `if`, `and` …
fn list(tokens: &[Token<'_>], depth: usize) -> Result<String, String> {
    if depth > DEPTH_LIMIT {
        return Err(format!("brackets nested over {DEPTH_LIMIT} deep"));
    }
    let mut out = String::new();
    let mut begin = 0;
    let mut nots = 0;
    for at in top_level(tokens)? {
        if !separates(tokens, at) {
            continue;
        }
        // minijinja recurses at each `not` of a row.
        nots += usize::from(tokens[at] == Token::Name("not"));
        if nots > OPERATORS_LIMIT {
            return Err(format!("over {OPERATORS_LIMIT} times not"));
        }
        out += &operators(&tokens[begin..at], 0, depth)?;
        out += " ";
        out += tokens[at].source();
        out += " ";
        begin = at + 1;
    }
    out += &operators(&tokens[begin..], 0, depth)?;
    Ok(out)
}

/// Places of the tokens that no bracket encloses; of brackets, the opening ones.
fn top_level(tokens: &[Token<'_>]) -> Result<Vec<usize>, String> {
    let mut places = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        places.push(at);
        at = match tokens[at] {
            Token::Op("(" | "[" | "{") => closing(tokens, at)? + 1,
            _ => at + 1,
        };
    }
    Ok(places)
}

/// Where the bracket that opens at `open` closes.
fn closing(tokens: &[Token<'_>], open: usize) -> Result<usize, String> {
    let mut pending = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Op("(") => pending.push(")"),
            Token::Op("[") => pending.push("]"),
            Token::Op("{") => pending.push("}"),
            Token::Op(close @ (")" | "]" | "}")) => {
                if pending.pop() != Some(*close) {
                    return Err(format!("{close:?} closes no bracket of its kind"));
                }
                if pending.is_empty() {
                    return Ok(at);
                }
            }
            _ => {}
        }
    }
    Err("a bracket is not closed".into())
}

/// Whether operators on one side of this token have nothing to do with the other side.
fn separates(tokens: &[Token<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| tokens[before]);
    match tokens[at] {
        Token::Op("," | ":" | "=" | "==" | "!=" | "<" | "<=" | ">" | ">=") => true,
        // `x is in y`, `x is not in y`, `x.in`
        Token::Name("in" | "not") if before == Some(Token::Name("is")) => false,
        Token::Name("in")
            if at > 1 && tokens[at - 2..at] == [Token::Name("is"), Token::Name("not")] =>
        {
            false
        }
        Token::Name("if" | "else" | "and" | "or" | "not" | "in" | "recursive") => {
            before != Some(Token::Op("."))
        }
        _ => false,
    }
}

/// Operands joined by the operators of a level, each made of those of the next.
fn operators(tokens: &[Token<'_>], level: usize, depth: usize) -> Result<String, String> {
    let Some(&ops) = LEVELS.get(level) else {
        return operand(tokens, depth);
    };
    let places: Vec<usize> = top_level(tokens)?
        .into_iter()
        .filter(|&at| matches!(tokens[at], Token::Op(op) if ops.contains(&op)))
        .filter(|&at| is_between(tokens, at))
        .collect();
    if places.len() > OPERATORS_LIMIT {
        return Err(format!("over {OPERATORS_LIMIT} operators in a row"));
    }
    let Some(&first) = places.first() else {
        return operators(tokens, level + 1, depth);
    };
    let mut out = format!("({})", operators(&tokens[..first], level + 1, depth)?);
    for (number, &at) in places.iter().enumerate() {
        let end = places.get(number + 1).copied().unwrap_or(tokens.len());
        let right = operators(&tokens[at + 1..end], level + 1, depth)?;
        out = match tokens[at].source() {
            "+" => format!("({out}|rg_add({right}))"),
            "~" => format!("({out}|rg_cat({right}))"),
            "*" => format!("({out}|rg_mul({right}))"),
            other => format!("({out} {other} ({right}))"),
        };
    }
    Ok(out)
}

/// Whether the operator stands between operands: others are signs.
fn is_between(tokens: &[Token<'_>], at: usize) -> bool {
    match at.checked_sub(1).map(|before| tokens[before]) {
        None => false,
        Some(Token::Op(op)) => matches!(op, ")" | "]" | "}"),
        Some(_) => true,
    }
}

/// What has no operators of any level outside of brackets.
fn operand(tokens: &[Token<'_>], depth: usize) -> Result<String, String> {
    let mut out = String::new();
    // Where the operand's first value begins, for what applies to all of it so far.
    let mut value_at = 0;
    let mut at = 0;
    let mut steps = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).map(|before| tokens[before]);
        steps += 1;
        if steps > OPERATORS_LIMIT {
            return Err(format!("over {OPERATORS_LIMIT} steps in a row"));
        }
        match tokens[at] {
            Token::Op(open @ ("(" | "[" | "{")) => {
                let close = closing(tokens, at)?;
                let inside = &tokens[at + 1..close];
                let body = list(inside, depth + 1)?;
                let shut = tokens[close].source();
                let begins = match before {
                    None => true,
                    Some(Token::Op(op)) => !matches!(op, ")" | "]" | "}"),
                    Some(_) => false,
                };
                let slices = top_level(inside)?
                    .into_iter()
                    .any(|at| inside[at] == Token::Op(":"));
                match (open, begins) {
                    ("(", _) => out += &format!("({body})"),
                    (_, true) => out += &format!("({open}{body}{shut}|rg_flat)"),
                    (_, false) => {
                        out += &format!("{open}{body}{shut}");
                        // A slice is a copy.
                        if slices {
                            out.insert(value_at, '(');
                            out += "|rg_seen)";
                        }
                    }
                }
                at = close;
            }
            Token::Op("|") => out += "|rg_seen|",
            Token::Op(op @ ("+" | "*" | "~")) => {
                return Err(format!("{op:?} stands before a value"));
            }
            Token::Op(op @ ("-" | "**")) => {
                out += op;
                out += " ";
                value_at = out.len();
            }
            Token::Op(op) => out += op,
            token => {
                out += " ";
                out += token.source();
                // A test's argument is a value of its own.
                out += " ";
            }
        }
        at += 1;
    }
    Ok(out)
}
