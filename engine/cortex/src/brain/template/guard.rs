//! Rewrites a template so that what it computes can be counted.
//!
//! minijinja bounds the instructions a template runs, not the memory they take: forty times
//! `{% set x = x ~ x %}` is a terabyte. It has no hook for operators, so the source is taken
//! apart here and put together again with filters in their place: `a ~ b` becomes
//! `((a)|rg_cat(b))`, where `rg_cat` ([`super::runtime`]) refuses what passes its budget.
//! Likewise `+` and `*`. A value that is stored, filtered or made a literal passes through
//! `rg_seen` or `rg_flat`, which count its size and nesting. Text outside of tags becomes
//! `{{"text"}}`, so that it is counted as it is printed, and nothing of the source reaches
//! minijinja but tokens that were recognised here.
//!
//! The whitespace of tags is that of Jinja with `trim_blocks` and `lstrip_blocks`, as Hugging
//! Face sets them. `{% generation %}` and `{% endgeneration %}`, which mark what is trained
//! on, leave nothing. Statements that chat templates have no use for (`include`, `extends`,
//! `import` …) and arguments with `*` are refused.

mod expression;
mod tokens;

use std::fmt::Write;
use tokens::Token;

/// Most tags of a template: each may be a level of some recursion in minijinja.
const TAGS_LIMIT: usize = 4096;
/// Most `elif` of a template; minijinja parses each inside the one before.
const ELIFS_LIMIT: usize = 256;

/// The template that computes the same and can be counted, or what is wrong with this one.
pub(super) fn guard(source: &str) -> Result<String, String> {
    let source = source.replace("\r\n", "\n");
    let mut writer = Guard {
        // A last line feed is the editor's, not the prompt's.
        source: source.strip_suffix('\n').unwrap_or(&source),
        at: 0,
        out: String::with_capacity(source.len() * 2),
        tags: 0,
        elifs: 0,
    };
    writer.run()?;
    Ok(writer.out)
}

struct Guard<'a> {
    source: &'a str,
    at: usize,
    out: String,
    tags: usize,
    elifs: usize,
}

impl<'a> Guard<'a> {
    fn run(&mut self) -> Result<(), String> {
        loop {
            let begin = self.at;
            let rest = &self.source[begin..];
            let tag = rest
                .match_indices('{')
                .map(|(at, _)| at)
                .find(|&at| matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')));
            let Some(tag) = tag else {
                self.text(rest);
                return Ok(());
            };
            let tag = begin + tag;
            let kind = self.source.as_bytes()[tag + 1];
            let mark = self.source.as_bytes().get(tag + 2).copied();
            self.text(self.before(begin, tag, kind, mark));
            self.at = tag + 2 + usize::from(matches!(mark, Some(b'-' | b'+')));
            self.tags += 1;
            if self.tags > TAGS_LIMIT {
                return Err(format!("over {TAGS_LIMIT} tags"));
            }
            match kind {
                b'#' => self.comment()?,
                b'{' => {
                    let tokens = self.tokens("}}")?;
                    let expression = expression::rewrite(&tokens)?;
                    let _ = write!(self.out, "{{{{ {expression} }}}}");
                }
                _ => {
                    let tokens = self.tokens("%}")?;
                    self.statement(&tokens)?;
                }
            }
        }
    }

    /// The text between two tags, without the whitespace that the tag after it takes away.
    fn before(&self, begin: usize, tag: usize, kind: u8, mark: Option<u8>) -> &'a str {
        let text = &self.source[begin..tag];
        if mark == Some(b'-') {
            return text.trim_end();
        }
        let line = self.source[..tag].rfind('\n').map_or(0, |at| at + 1);
        let alone = self.source[line..tag].trim().is_empty();
        match alone && kind != b'{' && mark != Some(b'+') {
            true => &self.source[begin..line.max(begin)],
            false => text,
        }
    }

    fn text(&mut self, text: &str) {
        if !text.is_empty() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = write!(self.out, "{{{{\"{text}\"}}}}");
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        let rest = &self.source[self.at..];
        let end = rest.find("#}").ok_or("a comment does not end")?;
        let minus = rest[..end].ends_with('-');
        self.at += end + 2;
        self.after(minus, true);
        Ok(())
    }

    /// Skips the whitespace that a tag takes away after it.
    fn after(&mut self, all: bool, line_feed: bool) {
        let rest = &self.source[self.at..];
        if all {
            self.at += rest.len() - rest.trim_start().len();
        } else if line_feed && rest.starts_with('\n') {
            self.at += 1;
        }
    }

    /// The tokens up to the tag's end, which is skipped.
    fn tokens(&mut self, end: &str) -> Result<Vec<Token<'a>>, String> {
        let (tokens, length, mark) = tokens::read(&self.source[self.at..], end)?;
        self.at += length;
        self.after(mark == Some('-'), end == "%}" && mark.is_none());
        Ok(tokens)
    }

    fn statement(&mut self, tokens: &[Token<'a>]) -> Result<(), String> {
        let Some((&Token::Name(keyword), rest)) = tokens.split_first() else {
            return Err("a tag begins with no keyword".into());
        };
        let body = match keyword {
            "generation" | "endgeneration" => return Ok(()),
            "raw" => return self.raw(),
            "set" => assignment(rest)?,
            "if" | "elif" | "for" | "macro" | "call" | "with" | "filter" => {
                expression::rewrite(rest)?
            }
            "else" | "endif" | "endfor" | "endset" | "endmacro" | "endcall" | "endwith"
            | "endfilter" | "break" | "continue" => String::new(),
            other => return Err(format!("the statement {other:?} is not supported")),
        };
        self.elifs += usize::from(keyword == "elif");
        if self.elifs > ELIFS_LIMIT {
            return Err(format!("over {ELIFS_LIMIT} times elif"));
        }
        let _ = write!(self.out, "{{% {keyword} {body} %}}");
        Ok(())
    }

    /// All up to `{% endraw %}` is text.
    fn raw(&mut self) -> Result<(), String> {
        let begin = self.at;
        let mut from = begin;
        loop {
            let rest = &self.source[from..];
            let tag = from + rest.find("{%").ok_or("{% raw %} does not end")?;
            let mark = self.source.as_bytes().get(tag + 2).copied();
            let inside = tag + 2 + usize::from(matches!(mark, Some(b'-' | b'+')));
            if self.source[inside..].trim_start().starts_with("endraw") {
                self.text(self.before(begin, tag, b'%', mark));
                self.at = inside;
                self.tokens("%}")?;
                return Ok(());
            }
            from = tag + 2;
        }
    }
}

/// What follows `set`: a target, and its value unless a block gives it.
fn assignment(tokens: &[Token<'_>]) -> Result<String, String> {
    let Some(equals) = tokens.iter().position(|&token| token == Token::Op("=")) else {
        return expression::rewrite(tokens);
    };
    let (target, value) = (&tokens[..equals], &tokens[equals + 1..]);
    // What is stored in an object outlives its block, and could be nested without end.
    let filter = match target.contains(&Token::Op(".")) {
        true => "rg_flat",
        false => "rg_seen",
    };
    let target = expression::rewrite(target)?;
    let value = expression::rewrite(value)?;
    Ok(format!("{target} = ({value})|{filter}"))
}
