//! What the person asks of the answer. The comments on its parts are help texts.

use clap::{Args, ValueEnum};
use rusty_genius::core::{Constraint, Overflow, PartialBehavior, PartialConfig};
use std::fs::File;
use std::io::Read;

/// Longest constraint, bytes: as much as a config may hold.
const CONSTRAINT_LIMIT: u64 = 64 << 10;

#[derive(Debug, Default, Args)]
pub(crate) struct Shape {
    #[command(flatten)]
    constraint: ConstraintArgs,

    /// What happens when the conversation does not fit the context: `error` ends it,
    /// `shift` forgets its oldest turns
    #[arg(long, value_name = "HOW")]
    overflow: Option<OverflowArg>,
}

#[derive(Debug, Default, Args)]
#[group(multiple = false)]
struct ConstraintArgs {
    /// The answer is one JSON value that the JSON Schema in this file admits; the guest
    /// may ask for another constraint
    #[arg(long, value_name = "FILE", value_parser = json_schema)]
    json_schema: Option<Constraint>,

    /// The answer is a text of the grammar in this file, in the Lark-like notation of
    /// llguidance
    #[arg(long, value_name = "FILE", value_parser = grammar)]
    grammar: Option<Constraint>,

    /// The answer as a whole matches this regular expression
    #[arg(long, value_name = "REGEX", value_parser = regex)]
    regex: Option<Constraint>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OverflowArg {
    Error,
    Shift,
}

impl Shape {
    /// The flags as a config with gaps.
    pub(crate) fn config(self) -> PartialConfig {
        let ConstraintArgs {
            json_schema,
            grammar,
            regex,
        } = self.constraint;
        PartialConfig {
            behavior: PartialBehavior {
                constraint: json_schema.or(grammar).or(regex),
                overflow: self.overflow.map(|overflow| match overflow {
                    OverflowArg::Error => Overflow::Error,
                    OverflowArg::Shift => Overflow::Shift,
                }),
                ..PartialBehavior::default()
            },
            ..PartialConfig::default()
        }
    }
}

fn json_schema(file: &str) -> Result<Constraint, String> {
    let text = read(file)?;
    // Told here, a slip of the pen has its line; an engine has only the text.
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(_) => Ok(Constraint::JsonSchema(text)),
        Err(e) => Err(format!("it is not JSON: {e}")),
    }
}

fn grammar(file: &str) -> Result<Constraint, String> {
    read(file).map(Constraint::Grammar)
}

fn regex(text: &str) -> Result<Constraint, String> {
    sized(text.to_owned()).map(Constraint::Regex)
}

/// A file's text. Of any kind of file, so that a shell can hand over a pipe; a file
/// without end is read no further than the limit.
fn read(file: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(CONSTRAINT_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > CONSTRAINT_LIMIT {
        return Err(TOO_LONG.into());
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    sized(text)
}

fn sized(text: String) -> Result<String, String> {
    match text.len() as u64 {
        0 => Err("it is empty".into()),
        1..=CONSTRAINT_LIMIT => Ok(text),
        _ => Err(TOO_LONG.into()),
    }
}

const TOO_LONG: &str = "it has more than 65536 bytes";

#[cfg(test)]
mod tests;
