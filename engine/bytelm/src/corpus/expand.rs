//! From a file's entries to questions: a family's wordings for each of its rows, a talk's
//! turns with those before them.

use super::file::{Family, File, Pair, Talk, line};
use super::{CorpusError, CorpusProblem, Exchange, Place, Question};
use std::collections::BTreeSet;
use toml::Spanned;

/// Adds a file's questions to `questions`.
pub(super) fn questions(
    path: &str,
    text: &str,
    file: File,
    questions: &mut Vec<Question>,
) -> Result<(), CorpusError> {
    let place = |start| Place {
        file: path.to_owned(),
        line: line(text.as_bytes(), start),
    };
    for entry in file.pair {
        let place = place(entry.span().start);
        questions.push(pair(entry.into_inner(), place));
    }
    for entry in file.family {
        let place = place(entry.span().start);
        family(entry.into_inner(), place, questions)?;
    }
    for entry in file.talk {
        talk(entry, place, questions)?;
    }
    Ok(())
}

fn pair(pair: Pair, place: Place) -> Question {
    Question {
        system: pair.system,
        earlier: Vec::new(),
        ask: pair.ask,
        held_out: pair.held_out.unwrap_or_default(),
        think: pair.think,
        answer: pair.answer,
        unseen: false,
        place,
    }
}

fn talk(
    entry: Spanned<Talk>,
    place: impl Fn(usize) -> Place,
    questions: &mut Vec<Question>,
) -> Result<(), CorpusError> {
    let start = entry.span().start;
    let talk = entry.into_inner();
    if talk.turn.is_empty() {
        return Err(CorpusError::in_entry(
            &place(start),
            CorpusProblem::EmptyList("turn"),
        ));
    }
    let mut earlier = Vec::new();
    for turn in talk.turn {
        let place = place(turn.span().start);
        let turn = turn.into_inner();
        let exchange = Exchange {
            ask: turn.ask.clone(),
            answer: turn.answer.clone(),
        };
        questions.push(Question {
            system: talk.system.clone(),
            earlier: earlier.clone(),
            ask: turn.ask,
            held_out: turn.held_out.unwrap_or_default(),
            think: turn.think,
            answer: turn.answer,
            unseen: false,
            place,
        });
        earlier.push(exchange);
    }
    Ok(())
}

fn family(family: Family, place: Place, questions: &mut Vec<Question>) -> Result<(), CorpusError> {
    let fail = |problem| Err(CorpusError::in_entry(&place, problem));
    if family.columns.is_empty() {
        return fail(CorpusProblem::EmptyList("columns"));
    }
    if family.rows.is_empty() {
        return fail(CorpusProblem::EmptyList("rows"));
    }
    let names: BTreeSet<&String> = family.columns.iter().collect();
    if names.len() != family.columns.len() {
        return fail(CorpusProblem::TwoColumns);
    }
    let unseen = family.held_out_rows.unwrap_or_default();
    let seen = family.rows.iter().map(|row| (row, false));
    for (row, unseen) in seen.chain(unseen.iter().map(|row| (row, true))) {
        if row.len() != family.columns.len() {
            return fail(CorpusProblem::RowLength {
                row: row.join(", "),
                cells: row.len(),
                columns: family.columns.len(),
            });
        }
        let fill = |template: &String| {
            fill(template, &family.columns, row)
                .map_err(|problem| CorpusError::in_entry(&place, problem))
        };
        let fill_all = |templates: &[String]| -> Result<Vec<String>, CorpusError> {
            templates.iter().map(fill).collect()
        };
        // A row that is held out is asked in the wordings that other rows are trained in, so
        // that it measures the row alone.
        let reworded = fill_all(family.held_out.as_deref().unwrap_or_default())?;
        questions.push(Question {
            system: family.system.as_ref().map(fill).transpose()?,
            earlier: Vec::new(),
            ask: fill_all(&family.ask)?,
            held_out: if unseen { Vec::new() } else { reworded },
            think: family.think.as_ref().map(fill).transpose()?,
            answer: fill(&family.answer)?,
            unseen,
            place: place.clone(),
        });
    }
    Ok(())
}

/// The template with each `{column}` replaced by the row's cell. Braces around anything but a
/// word stand for themselves.
fn fill(template: &str, columns: &[String], row: &[String]) -> Result<String, CorpusProblem> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let word = rest[1..].find('}').map(|length| &rest[1..=length]);
        match word.filter(|word| is_word(word)) {
            Some(word) => {
                let Some(at) = columns.iter().position(|column| column == word) else {
                    return Err(CorpusProblem::UnknownColumn(word.to_owned()));
                };
                filled.push_str(&row[at]);
                rest = &rest[word.len() + 2..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_word(text: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_' || char == '-';
    !text.is_empty() && text.chars().all(is_part)
}
