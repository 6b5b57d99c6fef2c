//! Who computes next, and that it changes nobody's answer.

use super::desk::{Desk, SETTINGS};
use super::pretend::{ROOMY, Shape, answer};
use super::question;
use crate::RawEnd;
use crate::brain::generation::AHEAD;
use crate::brain::message::ToEngine;
use crate::brain::scheduler::{QUANTUM, Settings};
use proptest::prelude::*;
use rusty_genius_core::{Behavior, EngineError, Overflow, Role, Turn};

#[test]
fn an_answer_is_what_the_model_writes_after_the_prompt() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let asked = desk.ask(session, &question("What shall we do tonight?"), 20);
    desk.run();
    let (text, ended) = answer(&question("What shall we do tonight?"), 20);
    assert_eq!(desk.of(asked).text, text);
    let end = if ended { RawEnd::Stop } else { RawEnd::Length };
    assert_eq!(desk.of(asked).end, Some(end));
    assert_eq!(desk.of(asked).prompt, Some((33, 0)));
}

#[test]
fn all_that_write_share_each_step() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    for guest in ["a", "b", "c", "d"] {
        let session = desk.open(guest);
        desk.ask(session, &question(guest), 20);
    }
    desk.run();
    let steps = &desk.device.steps;
    assert!(steps.iter().any(|step| step.len() == 4), "{steps:?}");
    for (n, guest) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let heard = desk.heard.values().nth(n).unwrap();
        assert_eq!(heard.text, answer(&question(guest), 20).0);
    }
}

#[test]
fn a_long_prompt_is_read_between_the_tokens_of_the_others() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("a");
    let writer = desk.ask(session, &question("b"), 100);
    while desk.of(writer).text.is_empty() {
        desk.step();
    }
    let session = desk.open("reader");
    let reader = desk.ask(session, &question(&"long ".repeat(40)), 1);
    let mut steps = 0;
    while desk.of(reader).prompt.is_none() {
        let before = desk.of(writer).text.len();
        desk.take(writer);
        desk.step();
        steps += 1;
        assert_eq!(desk.of(writer).text.len(), before + 1);
        assert!(desk.device.steps.last().unwrap().len() <= 1 + SETTINGS.chunk);
    }
    assert_eq!(steps, (6_usize + 200 + 2).div_ceil(SETTINGS.chunk));
}

#[test]
fn a_prompt_nobody_waits_behind_is_read_in_whole_batches() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("reader");
    desk.ask(session, &question(&"long ".repeat(40)), 1);
    desk.run();
    let sizes: Vec<_> = desk.device.steps.iter().map(Vec::len).collect();
    assert_eq!(sizes, [64, 64, 64, 16]);
}

#[test]
fn a_guest_who_comes_late_gets_a_slot_of_one_who_has_many() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    for n in 0..8 {
        let session = desk.open("greedy");
        desk.ask(session, &question(&n.to_string()), 400);
    }
    desk.step();
    let session = desk.open("modest");
    let modest = desk.ask(session, &question("m"), 10);
    desk.step();
    let entries = desk.device.steps.last().unwrap();
    assert_eq!(desk.of(modest).text.len(), 1, "{entries:?}");
}

#[test]
fn more_guests_than_slots_take_turns() {
    let settings = Settings {
        slots: 2,
        ..SETTINGS
    };
    let mut desk = Desk::new(ROOMY, settings);
    let asked: Vec<_> = (0..6)
        .map(|n| {
            let session = desk.open(&format!("guest {n}"));
            // A conversation whose answer is long.
            let mut texts = (0..).map(|k| format!("{n} {k}"));
            let long = texts.find(|text| answer(&question(text), 400).0.len() == 400);
            (n, desk.ask(session, &question(&long.unwrap()), 400))
        })
        .collect();
    loop {
        for &(_, id) in &asked {
            desk.take(id);
        }
        let written: Vec<_> = asked
            .iter()
            .map(|&(_, id)| desk.of(id).text.len())
            .collect();
        let (least, most) = (written.iter().min().unwrap(), written.iter().max().unwrap());
        assert!(most - least <= 2 * QUANTUM as usize, "{written:?}");
        if !desk.step() {
            break;
        }
    }
    assert!(asked.iter().all(|&(_, id)| desk.of(id).text.len() == 400));
}

#[test]
fn nothing_is_computed_ahead_of_a_reader_but_two_tokens() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let asked = desk.ask(session, &question("b"), 100);
    while desk.step() {}
    assert_eq!(desk.of(asked).text.len(), AHEAD as usize);
    desk.say(ToEngine::Taken { generation: asked });
    while desk.step() {}
    assert_eq!(desk.of(asked).text.len(), AHEAD as usize + 1);
}

#[test]
fn readers_who_never_read_keep_nobody_out() {
    let shape = Shape {
        sequences: 4,
        ..ROOMY
    };
    let mut desk = Desk::new(shape, SETTINGS);
    let silent: Vec<_> = (0..20)
        .map(|n| {
            let session = desk.open("silent");
            desk.ask(session, &question(&format!("silence {n}")), 100)
        })
        .collect();
    while desk.step() {}
    let session = desk.open("honest");
    let honest = desk.ask(session, &question("b"), 50);
    while !desk.of(honest).is_over() {
        desk.take(honest);
        assert!(desk.step());
    }
    assert_eq!(desk.of(honest).text, answer(&question("b"), 50).0);
    // And whoever begins to read gets his answer, although his place in the cache was lost.
    desk.run();
    for (n, id) in silent.into_iter().enumerate() {
        let expected = answer(&question(&format!("silence {n}")), 100).0;
        assert_eq!(desk.of(id).text, expected);
    }
}

#[test]
fn who_cancels_is_in_no_further_step() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let (one, other) = (desk.open("a"), desk.open("b"));
    let cancelled = desk.ask(one, &question("b"), 100);
    let kept = desk.ask(other, &question("c"), 100);
    desk.step();
    desk.say(ToEngine::Cancel {
        generation: cancelled,
    });
    assert_eq!(desk.stats().running, 1);
    desk.take(kept);
    desk.step();
    assert_eq!(desk.device.steps.last().unwrap().len(), 1);
}

#[test]
fn a_second_generation_of_a_session_ends_the_first() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let first = desk.ask(session, &question("b"), 100);
    desk.step();
    let second = desk.ask(session, &question("c"), 5);
    desk.run();
    assert!(matches!(
        desk.of(first).error,
        Some(EngineError::BackendFailed { .. })
    ));
    assert_eq!(desk.of(second).text, answer(&question("c"), 5).0);
}

#[test]
fn a_generation_outlives_its_session() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let asked = desk.ask(session, &question("b"), 30);
    desk.step();
    desk.say(ToEngine::Close { session });
    desk.run();
    assert_eq!(desk.of(asked).text, answer(&question("b"), 30).0);
    let stats = desk.stats();
    assert_eq!((stats.sessions, stats.running, stats.held), (0, 0, 0));
}

#[test]
fn what_does_not_fit_the_context_is_an_error_with_figures() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let long = question(&"x".repeat(500));
    let asked = desk.ask(session, &long, 100);
    let overflow = EngineError::ContextOverflow {
        needed: 6 + 500 + 2 + 100,
        limit: 512,
    };
    assert_eq!(desk.of(asked).error, Some(overflow));
    assert!(!desk.step());
}

#[test]
fn with_shift_the_oldest_turns_are_forgotten() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let turn = |role, content: &str| Turn::new(role, content);
    let conversation = [
        turn(Role::System, "Be brief."),
        turn(Role::User, &"old".repeat(100)),
        turn(Role::Assistant, &"older".repeat(40)),
        turn(Role::User, "What now?"),
    ];
    let behavior = Behavior {
        max_tokens: 20,
        overflow: Overflow::Shift,
        ..Behavior::default()
    };
    let asked = desk.ask_with(session, &conversation, behavior);
    desk.run();
    let kept = [conversation[0].clone(), conversation[3].clone()];
    assert_eq!(desk.of(asked).text, answer(&kept, 20).0);
}

#[test]
fn an_answer_ends_where_the_context_does() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let behavior = Behavior {
        max_tokens: 1000,
        overflow: Overflow::Shift,
        ..Behavior::default()
    };
    let mut text = "y".repeat(480);
    while answer(&question(&text), 100).0.len() < 30 {
        text.pop();
    }
    let asked = desk.ask_with(session, &question(&text), behavior);
    desk.run();
    assert_eq!(desk.of(asked).text.len(), 512 - (6 + text.len() + 2));
    assert_eq!(desk.of(asked).end, Some(RawEnd::Length));
}

#[test]
fn a_fault_of_the_device_ends_those_in_the_step_and_nobody_else() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let broken = desk.ask(session, &question("b"), 30);
    desk.step();
    desk.device.fault = Some("out of memory".into());
    desk.step();
    match &desk.of(broken).error {
        Some(EngineError::BackendFailed { reason, .. }) => assert_eq!(reason, "out of memory"),
        other => panic!("{other:?}"),
    }
    let again = desk.ask(session, &question("b"), 30);
    desk.run();
    assert_eq!(desk.of(again).text, answer(&question("b"), 30).0);
    assert_eq!(
        desk.of(again).prompt.unwrap().1,
        0,
        "nothing in doubt is reused"
    );
}

#[test]
fn a_template_that_fails_is_an_error_of_that_request() {
    let mut desk = Desk::new(ROOMY, SETTINGS);
    let session = desk.open("guest");
    let asked = desk.ask(session, &question("no template"), 30);
    assert!(matches!(
        desk.of(asked).error,
        Some(EngineError::BackendFailed { .. })
    ));
    let asked = desk.ask(session, &question("b"), 30);
    desk.run();
    assert_eq!(desk.of(asked).text, answer(&question("b"), 30).0);
}

#[test]
fn a_conversation_larger_than_the_cache_is_an_error() {
    let shape = Shape { cells: 40, ..ROOMY };
    let mut desk = Desk::new(shape, SETTINGS);
    let session = desk.open("guest");
    let asked = desk.ask(session, &question(&"x".repeat(60)), 10);
    desk.run();
    assert!(matches!(
        desk.of(asked).error,
        Some(EngineError::BackendFailed { .. })
    ));
    assert_eq!(desk.device.used(), 0);
}

/// Something that happens to a desk.
#[derive(Debug, Clone)]
enum Happening {
    Open(u8),
    Ask { session: u8, length: u8, max: u8 },
    Fork(u8),
    Close(u8),
    Read(u8),
    Cancel(u8),
    Steps(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        any::<u8>().prop_map(Happening::Open),
        (any::<u8>(), any::<u8>(), 1..40_u8).prop_map(|(session, length, max)| Happening::Ask {
            session,
            length,
            max
        }),
        any::<u8>().prop_map(Happening::Fork),
        any::<u8>().prop_map(Happening::Close),
        any::<u8>().prop_map(Happening::Read),
        any::<u8>().prop_map(Happening::Cancel),
        (1..10_u8).prop_map(Happening::Steps),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens, whoever is answered gets the answer he would have got alone, and in
    /// the end nothing is left.
    #[test]
    fn company_changes_nobodys_answer(
        happenings in prop::collection::vec(happening(), 1..80),
        sequences in 1..6_usize,
        slots in 1..6_usize,
        cells in prop_oneof![Just(300_usize), Just(4000)],
        (cuts, shared) in any::<(bool, bool)>(),
        remembered in 0..500_usize,
    ) {
        let shape = Shape { context: 300, sequences, batch: 16, cells, cuts };
        let settings = Settings { slots, chunk: 5, shared, remembered };
        let mut desk = Desk::new(shape, settings);
        let mut sessions: Vec<u64> = Vec::new();
        let mut asked: Vec<(u64, Vec<Turn>, u8)> = Vec::new();
        let mut cancelled = Vec::new();
        let pick = |n: u8, of: usize| usize::from(n) % of;
        for happening in happenings {
            match happening {
                Happening::Open(guest) => sessions.push(desk.open(&format!("{}", guest % 4))),
                Happening::Steps(steps) => for _ in 0..steps { desk.step(); },
                Happening::Read(n) if !asked.is_empty() => {
                    let id = asked[pick(n, asked.len())].0;
                    desk.take(id);
                }
                Happening::Cancel(n) if !asked.is_empty() => {
                    let id = asked[pick(n, asked.len())].0;
                    desk.say(ToEngine::Cancel { generation: id });
                    cancelled.push(id);
                }
                _ if sessions.is_empty() => {}
                Happening::Ask { session, length, max } => {
                    let session = sessions[pick(session, sessions.len())];
                    // Prompts that have much in common.
                    let turns = question(&"The same old story. ".repeat(8)[..usize::from(length) % 160]);
                    let id = desk.ask(session, &turns, max.into());
                    asked.push((id, turns, max));
                }
                Happening::Fork(n) => {
                    let parent = sessions[pick(n, sessions.len())];
                    let session = desk.id();
                    desk.say(ToEngine::Fork { parent, session });
                    sessions.push(session);
                }
                Happening::Close(n) => {
                    let session = sessions.swap_remove(pick(n, sessions.len()));
                    desk.say(ToEngine::Close { session });
                }
                Happening::Read(_) | Happening::Cancel(_) => {}
            }
        }
        desk.run();
        for (id, turns, max) in asked {
            let heard = desk.of(id);
            let (expected, ended) = answer(&turns, max.into());
            if heard.end.is_some() {
                prop_assert_eq!(&heard.text, &expected);
                prop_assert_eq!(heard.end == Some(RawEnd::Stop), ended);
            } else {
                prop_assert!(expected.starts_with(&heard.text));
                // Cancelled, or replaced by the session's next.
                prop_assert!(cancelled.contains(&id) || heard.error.is_some(), "{:?}", heard);
            }
        }
        for session in sessions {
            desk.say(ToEngine::Close { session });
        }
        let stats = desk.stats();
        prop_assert_eq!((stats.sessions, stats.running, stats.waiting, stats.held), (0, 0, 0, 0));
        prop_assert!(desk.device.used() <= cells);
    }
}
