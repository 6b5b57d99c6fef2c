//! What holds of all questions together.

use super::sample::{careless, render};
use super::{CorpusError, CorpusProblem, Exchange, LONGEST, Question};
use std::collections::BTreeMap;

/// Checks texts and lengths, and that nothing held out is trained on.
pub(super) fn questions(questions: &[Question]) -> Result<(), CorpusError> {
    if questions.is_empty() {
        let problem = CorpusProblem::NoQuestions;
        return Err(CorpusError::at("the data directory", None, problem));
    }
    for question in questions {
        texts(question)
            .and_then(|()| length(question))
            .map_err(|problem| CorpusError::in_entry(&question.place, problem))?;
    }
    // As carelessly as training may type them: else "Name it." would be held out and
    // "name it" trained on.
    let asked: BTreeMap<String, &Question> = questions
        .iter()
        .filter(|question| !question.unseen)
        .flat_map(|question| {
            question
                .ask
                .iter()
                .map(move |ask| (careless(ask), question))
        })
        .collect();
    for question in questions {
        let held_out = match question.unseen {
            true => &question.ask,
            false => &question.held_out,
        };
        for wording in held_out {
            if let Some(other) = asked.get(&careless(wording)) {
                let problem = CorpusProblem::HeldOutAsked {
                    question: wording.clone(),
                    asked: other.place.clone(),
                };
                return Err(CorpusError::in_entry(&question.place, problem));
            }
        }
    }
    Ok(())
}

fn texts(question: &Question) -> Result<(), CorpusProblem> {
    if question.ask.is_empty() {
        return Err(CorpusProblem::EmptyList("ask"));
    }
    let ask = question.ask.iter().map(|text| ("ask", text));
    let held_out = question.held_out.iter().map(|text| ("held-out", text));
    let one = [
        ("system", question.system.as_ref()),
        ("think", question.think.as_ref()),
        ("answer", Some(&question.answer)),
    ];
    let one = one
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)));
    for (name, text) in ask.chain(held_out).chain(one) {
        if text.trim().is_empty() {
            return Err(CorpusProblem::EmptyText(name));
        }
        let control = text.chars().find(|char| char.is_control() && *char != '\n');
        if let Some(char) = control {
            return Err(CorpusProblem::ControlCharacter {
                text: text.clone(),
                code: char.into(),
            });
        }
    }
    Ok(())
}

/// The longest form of the conversation, each question in its longest wording.
fn length(question: &Question) -> Result<(), CorpusProblem> {
    let longest = |texts: &[String]| texts.iter().max_by_key(|text| text.len()).cloned();
    let earlier = question.earlier.iter().map(|exchange| Exchange {
        ask: longest(&exchange.ask).into_iter().collect(),
        answer: exchange.answer.clone(),
    });
    let wordings = [&question.ask[..], &question.held_out[..]].concat();
    let wording = longest(&wordings).unwrap_or_default();
    let question = Question {
        earlier: earlier.collect(),
        ..question.clone()
    };
    let conversation = question.conversation(&wording, |_| 0);
    let sample = render(&conversation, question.think.as_deref(), &question.answer);
    match sample.tokens.len() {
        tokens if tokens > LONGEST => Err(CorpusProblem::TooLong {
            question: wording,
            tokens,
        }),
        _ => Ok(()),
    }
}
