//! `bytelm eval`.

use crate::cli::EvalArgs;
use crate::failure::Failure;
use rusty_genius_bytelm::ByteModel;
use rusty_genius_bytelm::corpus::Corpus;
use rusty_genius_bytelm::eval::{Score, evaluate};
use std::process::ExitCode;

pub(crate) fn run(arguments: &EvalArgs) -> Result<ExitCode, Failure> {
    let corpus = Corpus::load(&arguments.data)?;
    let model = ByteModel::open(&arguments.model).map_err(|error| Failure {
        message: format!("{}: {error}", arguments.model.display()),
        hint: "give it a .gguf that `bytelm train` or `bytelm export` has made".into(),
    })?;
    let mut shown = 0;
    let found = evaluate(&model, corpus.held_out(), |answered| {
        if answered.right || shown == arguments.wrong {
            return;
        }
        shown += 1;
        let asked = answered.question.conversation.last();
        eprintln!("asked:    {:?}", asked.map_or("", |turn| &turn.content));
        eprintln!("answered: {:?}", answered.written);
        eprintln!("expected: {:?}", answered.question.answer);
    });
    println!("held out          questions   right  bits/byte");
    for (name, score) in [
        ("in other words", found.wordings),
        ("of other things", found.rows),
    ] {
        line(name, &score);
    }
    Ok(ExitCode::SUCCESS)
}

fn line(name: &str, score: &Score) {
    println!(
        "{name:<16}  {:>9}  {:>5.1}%  {:>9.3}",
        score.questions,
        score.accuracy() * 100.0,
        score.bits_per_byte()
    );
}
