//! Whether a text is as a fixture says.

use crate::show;
use regex::{Regex, RegexBuilder};
use rusty_genius_core::fixture::Words;
use similar::{ChangeTag, TextDiff};
use std::fmt;

/// Characters of a text that are shown.
const SHOWN: usize = 200;
/// Lines of a difference that are shown.
const DIFF_LINES: usize = 40;
/// Most bytes of each side of a difference: what is longer is not compared line by line.
const DIFF_BYTES: usize = 64 << 10;
/// Bytes a compiled expression may have.
const REGEX_SIZE: usize = 4 << 20;

/// How a text is not as it should be. The texts are those of the fixture, but for `seen`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WordsFault {
    /// It lacks a text of `contains`.
    Lacks(String),
    /// It holds a text of `not-contains`.
    Holds(String),
    /// It does not begin with `starts-with`.
    Begins {
        /// How it should begin.
        expected: String,
        /// How it does.
        seen: String,
    },
    /// It does not end with `ends-with`.
    Ends {
        /// How it should end.
        expected: String,
        /// How it does.
        seen: String,
    },
    /// The expression of `regex` matches nowhere.
    Matches(String),
    /// It is not `exact`.
    Exact {
        /// What it should be.
        expected: String,
        /// What it is.
        seen: String,
    },
}

impl WordsFault {
    /// The key of the fixture.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Lacks(_) => "contains",
            Self::Holds(_) => "not-contains",
            Self::Begins { .. } => "starts-with",
            Self::Ends { .. } => "ends-with",
            Self::Matches(_) => "regex",
            Self::Exact { .. } => "exact",
        }
    }

    /// How `exact` and what is there differ, line by line.
    pub fn diff(&self) -> Option<String> {
        match self {
            Self::Exact { expected, seen } => Some(diff(expected, seen)),
            _ => None,
        }
    }
}

/// What follows "the answer" or "the file".
impl fmt::Display for WordsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = |text: &str| show::excerpt(text, SHOWN);
        match self {
            Self::Lacks(text) => write!(f, "lacks {}", quote(text)),
            Self::Holds(text) => write!(f, "holds {}", quote(text)),
            Self::Begins { expected, seen } => {
                write!(f, "begins {}, expected {}", quote(seen), quote(expected))
            }
            Self::Ends { expected, seen } => {
                write!(f, "ends {}, expected {}", quote(seen), quote(expected))
            }
            Self::Matches(pattern) => write!(f, "matches {} nowhere", quote(pattern)),
            Self::Exact { expected, seen } => {
                write!(f, "is {}, expected {}", quote(seen), quote(expected))
            }
        }
    }
}

/// The expression of a rule, if it has one and that can be compiled.
pub(crate) fn expression(rule: &Words) -> Result<Option<Regex>, String> {
    let Some(pattern) = &rule.regex else {
        return Ok(None);
    };
    let built = RegexBuilder::new(pattern)
        .case_insensitive(rule.ignores_case)
        .size_limit(REGEX_SIZE)
        .build();
    built.map(Some).map_err(|e| match e {
        regex::Error::CompiledTooBig(bytes) => {
            format!("it would take more than {bytes} bytes compiled")
        }
        // Of the drawing with a caret the last line says what is wrong.
        e => {
            let text = e.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    })
}

/// Everything about the text that is not as the rule says.
pub(crate) fn faults(text: &str, rule: &Words) -> Vec<WordsFault> {
    let fold = |text: &str| match rule.ignores_case {
        false => text.to_owned(),
        true => text.to_lowercase(),
    };
    let folded = fold(text);
    let holds = |part: &&String| folded.contains(&fold(part));
    let mut faults = Vec::new();
    let lacking = rule.contains.iter().filter(|part| !holds(part));
    faults.extend(lacking.cloned().map(WordsFault::Lacks));
    let unwanted = rule.not_contains.iter().filter(holds);
    faults.extend(unwanted.cloned().map(WordsFault::Holds));
    if let Some(start) = &rule.starts_with
        && !folded.starts_with(&fold(start))
    {
        faults.push(WordsFault::Begins {
            expected: start.clone(),
            seen: text.chars().take(start.chars().count()).collect(),
        });
    }
    if let Some(end) = &rule.ends_with
        && !folded.ends_with(&fold(end))
    {
        let skip = text.chars().count().saturating_sub(end.chars().count());
        faults.push(WordsFault::Ends {
            expected: end.clone(),
            seen: text.chars().skip(skip).collect(),
        });
    }
    // One that cannot be compiled was refused when the fixture was found.
    if let Ok(Some(expression)) = expression(rule)
        && !expression.is_match(text)
    {
        faults.extend(rule.regex.clone().map(WordsFault::Matches));
    }
    if let Some(exact) = &rule.exact
        && folded != fold(exact)
    {
        faults.push(WordsFault::Exact {
            expected: exact.clone(),
            seen: text.to_owned(),
        });
    }
    faults
}

/// Two texts compared line by line, each line safe on a terminal: `-` stands before what was
/// expected, `+` before what is there.
pub(crate) fn diff(expected: &str, seen: &str) -> String {
    if expected.len() > DIFF_BYTES || seen.len() > DIFF_BYTES {
        return format!("- {} bytes\n+ {} bytes\n", expected.len(), seen.len());
    }
    let diff = TextDiff::from_lines(expected, seen);
    let mut lines: Vec<String> = Vec::new();
    for group in diff.grouped_ops(2) {
        if !lines.is_empty() {
            lines.push("  …".into());
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let text = change.value();
            let (line, end) = match text.strip_suffix('\n') {
                Some(line) => (line, ""),
                None => (text, " (no newline at the end)"),
            };
            let end = if change.tag() == ChangeTag::Equal {
                ""
            } else {
                end
            };
            lines.push(format!("{sign} {}{end}", show::short(line, SHOWN)));
        }
    }
    let rest = lines.len().saturating_sub(DIFF_LINES);
    lines.truncate(DIFF_LINES);
    if rest > 0 {
        lines.push(format!("  … and {rest} lines more"));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(text: &str, rule: Words) -> Vec<String> {
        faults(text, &rule)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_rule_says_what_it_saw() {
        let rule = Words {
            contains: vec!["Rome".into(), "Paris".into()],
            not_contains: vec!["capital".into(), "London".into()],
            starts_with: Some("A".into()),
            ends_with: Some("?!".into()),
            regex: Some("^[0-9]+$".into()),
            exact: Some("Paris".into()),
            ignores_case: false,
        };
        assert_eq!(
            told("The capital is Paris.", rule),
            [
                r#"lacks "Rome""#,
                r#"holds "capital""#,
                r#"begins "T", expected "A""#,
                r#"ends "s.", expected "?!""#,
                r#"matches "^[0-9]+$" nowhere"#,
                r#"is "The capital is Paris.", expected "Paris""#,
            ]
        );
    }

    #[test]
    fn case_can_be_ignored_by_all_of_them() {
        let rule = Words {
            contains: vec!["PARIS".into()],
            starts_with: Some("the".into()),
            ends_with: Some("PARIS.".into()),
            regex: Some("capital IS".into()),
            exact: Some("THE CAPITAL IS PARIS.".into()),
            ignores_case: true,
            ..Words::default()
        };
        assert_eq!(told("The capital is Paris.", rule), [""; 0]);
    }

    #[test]
    fn an_expression_matches_somewhere_unless_it_says_otherwise() {
        let rule = |regex: &str| Words {
            regex: Some(regex.into()),
            ..Words::default()
        };
        assert!(faults("a 42 b", &rule("[0-9]+")).is_empty());
        assert_eq!(faults("a 42 b", &rule("^[0-9]+$")).len(), 1);
    }

    #[test]
    fn an_impossible_expression_says_why_in_a_line() {
        let wrong = |regex: &str| {
            let rule = Words {
                regex: Some(regex.into()),
                ..Words::default()
            };
            expression(&rule).unwrap_err()
        };
        assert_eq!(wrong("("), "unclosed group");
        assert!(wrong("(?=a)").contains("look-around"));
        assert!(wrong("(a{9999}){9999}").contains("bytes"));
        assert!(!wrong("[z-a]").contains('\n'));
    }

    #[test]
    fn a_difference_is_shown_line_by_line_and_cannot_forge_one() {
        assert_eq!(
            diff("a\nb\nc\n", "a\nB\x1b[2J\nc\n"),
            "  a\n- b\n+ B\\u{1b}[2J\n  c\n"
        );
        assert_eq!(diff("a", "a\n"), "- a (no newline at the end)\n+ a\n");
        let long = "x\n".repeat(100);
        assert!(diff("", &long).ends_with("… and 60 lines more\n"));
    }

    proptest! {
        #[test]
        fn a_text_is_what_it_is(text in any::<String>()) {
            let rule = Words {
                contains: Some(text.clone()).filter(|t| !t.is_empty()).into_iter().collect(),
                starts_with: Some(text.clone()),
                ends_with: Some(text.clone()),
                exact: Some(text.clone()),
                ..Words::default()
            };
            prop_assert_eq!(faults(&text, &rule), []);
            let other = format!("{text}x");
            prop_assert!(!faults(&other, &rule).is_empty());
            let shown = diff(&text, &other);
            prop_assert!(shown.lines().all(|line| !line.contains(char::is_control)));
        }
    }
}
