//! What is in the cache is not read again.

use super::desk::{Desk, SETTINGS};
use super::pretend::{ROOMY, Shape, answer, prompt};
use super::{follow, question};
use crate::brain::message::{Answer, Question, ToEngine};
use crate::brain::scheduler::Settings;
use rusty_genius_core::{EngineError, Role, Turn};

const SYSTEM: &str = "You are a mouse who wants to take over the world.";

fn with_system(text: &str) -> Vec<Turn> {
    vec![Turn::new(Role::System, SYSTEM), Turn::user(text)]
}

/// Tokens that two prompts have in common.
fn common(a: &[Turn], b: &[Turn]) -> u32 {
    let (a, b) = (prompt(a), prompt(b));
    a.iter().zip(&b).take_while(|(a, b)| a == b).count() as u32
}

#[test]
fn the_next_turn_reads_only_what_is_new() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let first = question("What shall we do tonight?");
    let asked = desk.ask(session, &first, 20);
    desk.run();
    let said = desk.of(asked).text.clone();
    let second = follow(&first, &said, "And tomorrow?");
    let before = desk.stats().computed;
    let asked = desk.ask(session, &second, 1);
    desk.run();
    let (read, cached) = desk.of(asked).prompt.unwrap();
    assert_eq!(cached, common(&first, &second));
    assert_eq!(desk.stats().computed - before, u64::from(read - cached));
    assert_eq!(desk.of(asked).text, answer(&second, 1).0);
}

#[test]
fn two_guests_with_the_same_system_prompt_pay_for_it_once() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let (a, b) = (desk.open("a"), desk.open("b"));
    let first = desk.ask(a, &with_system("Ready?"), 30);
    while desk.of(first).prompt.is_none() {
        desk.step();
    }
    let used = desk.device.used();
    // Even while the first still writes.
    let second = desk.ask(b, &with_system("Narf?"), 30);
    desk.run();
    let shared = common(&with_system("Ready?"), &with_system("Narf?"));
    assert_eq!(desk.of(second).prompt.unwrap().1, shared);
    assert!(desk.device.used() < 2 * used);
    assert_eq!(desk.of(first).text, answer(&with_system("Ready?"), 30).0);
    assert_eq!(desk.of(second).text, answer(&with_system("Narf?"), 30).0);
}

#[test]
fn a_conversation_that_is_over_still_serves_those_that_begin_alike() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("a");
    desk.ask(session, &with_system("Ready?"), 5);
    desk.run();
    desk.say(ToEngine::Close { session });
    assert_eq!((desk.stats().held, desk.stats().remembered), (0, 1));
    let session = desk.open("b");
    let asked = desk.ask(session, &with_system("Ready?"), 5);
    desk.run();
    let length = prompt(&with_system("Ready?")).len() as u32;
    // All but the last token, whose logits are needed.
    assert_eq!(desk.of(asked).prompt, Some((length, length - 1)));
}

#[test]
fn of_conversations_that_are_over_the_latest_are_remembered() {
    let settings = Settings {
        remembered: 100,
        ..SETTINGS
    };
    let mut desk = Desk::new(ROOMY, settings);
    let mut cached = |letter: &str, length: usize| {
        let session = desk.open("guest");
        let asked = desk.ask(session, &question(&letter.repeat(length)), 3);
        desk.run();
        desk.say(ToEngine::Close { session });
        desk.of(asked).prompt.unwrap().1 as usize
    };
    for letter in ["a", "b", "c", "d", "e", "f"] {
        cached(letter, 40);
    }
    assert!(cached("f", 40) > 40);
    // One that is longer than all that may be kept is the only one that is.
    cached("g", 300);
    assert!(cached("g", 300) > 300);
    assert!(
        ["a", "b", "c", "d", "e", "f"]
            .map(|l| cached(l, 40))
            .iter()
            .all(|&c| c < 10)
    );
}

#[test]
fn where_guests_do_not_share_each_reads_for_himself() {
    let settings = Settings {
        shared: false,
        ..SETTINGS
    };
    let mut desk = Desk::new(ROOMY, settings);
    let (a, b, a_again) = (desk.open("a"), desk.open("b"), desk.open("a"));
    desk.ask(a, &with_system("Ready?"), 5);
    desk.run();
    let other = desk.ask(b, &with_system("Ready?"), 5);
    let own = desk.ask(a_again, &with_system("Ready?"), 5);
    desk.run();
    assert_eq!(desk.of(other).prompt.unwrap().1, 0);
    assert!(desk.of(own).prompt.unwrap().1 > 0);
}

#[test]
fn a_fork_goes_on_from_where_its_parent_was() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let parent = desk.open("guest");
    let first = question("What shall we do tonight?");
    let asked = desk.ask(parent, &first, 20);
    desk.run();
    let said = desk.of(asked).text.clone();
    let session = 77;
    desk.say(ToEngine::Fork { parent, session });
    let (one, other) = (
        follow(&first, &said, "The same?"),
        follow(&first, &said, "Another thing?"),
    );
    let of_parent = desk.ask(parent, &one, 20);
    let of_fork = desk.ask(session, &other, 20);
    desk.run();
    assert_eq!(desk.of(of_fork).prompt.unwrap().1, common(&first, &other));
    assert_eq!(desk.of(of_parent).text, answer(&one, 20).0);
    assert_eq!(desk.of(of_fork).text, answer(&other, 20).0);
}

#[test]
fn what_cannot_be_cut_is_reused_only_as_a_whole() {
    let shape = Shape {
        cuts: false,
        ..ROOMY
    };
    let mut desk = Desk::new(shape, SETTINGS);
    let (a, b) = (desk.open("a"), desk.open("b"));
    let first = desk.ask(a, &with_system("Ready?"), 10);
    desk.run();
    let second = desk.ask(b, &with_system("Narf?"), 10);
    desk.run();
    assert_eq!(desk.of(first).text, answer(&with_system("Ready?"), 10).0);
    assert_eq!(desk.of(second).prompt.unwrap().1, 0);
    assert_eq!(desk.of(second).text, answer(&with_system("Narf?"), 10).0);
}

#[test]
fn of_those_nobody_needs_the_oldest_makes_room() {
    let shape = Shape {
        sequences: 2,
        ..ROOMY
    };
    let mut desk = Desk::new(shape, SETTINGS);
    for text in ["first", "second", "third"] {
        let session = desk.open("guest");
        desk.ask(session, &question(text), 3);
        desk.run();
        desk.say(ToEngine::Close { session });
    }
    let session = desk.open("guest");
    let cached = |desk: &mut Desk, text| {
        let asked = desk.ask(session, &question(text), 1);
        desk.run();
        desk.of(asked).prompt.unwrap().1
    };
    assert!(cached(&mut desk, "third") > cached(&mut desk, "first"));
}

#[test]
fn a_saved_session_goes_on_without_reading_again() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/tmp")
        .join(format!("pretend-session-{}", std::process::id()));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let first = question("What shall we do tonight?");
    let said = {
        let mut desk = Desk::new(ROOMY, SETTINGS);
        let session = desk.open("guest");
        let save = Question::Save {
            session,
            file: file.clone(),
        };
        assert!(matches!(
            desk.question(save.clone()),
            Err(EngineError::InvalidSession { .. })
        ));
        let asked = desk.ask(session, &first, 20);
        desk.run();
        assert_eq!(desk.question(save), Ok(Answer::Done));
        desk.of(asked).text.clone()
    };
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let restore = Question::Restore {
        session,
        file: file.clone(),
    };
    assert_eq!(desk.question(restore.clone()), Ok(Answer::Done));
    let second = follow(&first, &said, "And tomorrow?");
    let asked = desk.ask(session, &second, 20);
    desk.run();
    assert_eq!(desk.of(asked).prompt.unwrap().1, common(&first, &second));
    assert_eq!(desk.of(asked).text, answer(&second, 20).0);
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(
        desk.question(restore),
        Err(EngineError::InvalidSession { .. })
    ));
}
