//! Generations that nobody reads to the end leave nothing behind. In a process of its own,
//! so that its memory is this test's alone.
#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

use futures::StreamExt;
use futures::executor::block_on;
use futures::future::{join_all, poll_immediate};
use rusty_genius_core::{Constraint, EngineError, InferenceConfig, PartialConfig, Turn};
use rusty_genius_cortex::{Backend, Brain, BrainConfig, LoadRequest, Model, RawEvent};
use std::path::Path;
use std::sync::Arc;

fn model() -> Arc<dyn Model> {
    let narf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../engine/bytelm/weights/narf-1m-Q8_0.gguf");
    let request = LoadRequest::new("rusty-genius/narf-1m", vec![narf]);
    block_on(Brain::new(BrainConfig::default()).load(request)).unwrap()
}

fn config(change: impl FnOnce(&mut PartialConfig)) -> InferenceConfig {
    let mut config = PartialConfig::default();
    config.behavior.max_tokens = Some(200);
    change(&mut config);
    config.build().unwrap()
}

/// Bytes this process has in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

/// Numbers that look random: `x ↦ 6364136223846793005 x + 1442695040888963407`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_dropped_generations_leave_memory_level_and_every_slot_free() {
    let model = model();
    let mut dice = Dice(1);
    let mut after_warming_up = 0;
    for n in 0..1000 {
        if n == 300 {
            after_warming_up = resident();
        }
        let mut session = model.open(&format!("guest {}", n % 7)).unwrap();
        let text = "A long story. ".repeat(dice.below(40) as usize);
        let config = config(|c| {
            c.sampling.dry_multiplier = Some(dice.below(2) as f32);
            if dice.below(4) == 0 {
                c.behavior.constraint = Some(Constraint::Regex("[a-z ]+".into()));
            }
        });
        let mut stream = session.generate(&[Turn::user(text)], &config).unwrap();
        for _ in 0..dice.below(8) {
            // Some wait for the event, some leave before it is there.
            match dice.below(2) {
                0 => drop(block_on(stream.next())),
                _ => drop(block_on(poll_immediate(stream.next()))),
            }
        }
        if dice.below(2) == 0 {
            drop(session);
            drop(stream);
        }
    }
    // As many as there are slots run to their ends.
    let answers = (0..16).map(|n| {
        let mut session = model.open(&format!("guest {n}")).unwrap();
        let asked = [Turn::user("What is the capital of France?")];
        let stream = session.generate(&asked, &config(|_| {})).unwrap();
        async move {
            let events: Vec<_> = stream.collect().await;
            drop(session);
            assert!(
                matches!(events.last(), Some(Ok(RawEvent::End(_)))),
                "{events:?}"
            );
        }
    });
    block_on(join_all(answers));
    let grown = resident().saturating_sub(after_warming_up);
    assert!(grown < 16 << 20, "{grown} bytes more than after 300");
}

#[test]
fn hostile_requests_get_typed_errors_and_the_engine_goes_on() {
    let model = model();
    let ask = |turns: &[Turn], config: &InferenceConfig| {
        let mut session = model.open("hostile").unwrap();
        let events: Vec<_> = block_on(session.generate(turns, config).unwrap().collect());
        events.into_iter().last().unwrap().map(drop)
    };
    let hello = [Turn::user("Hello")];
    let brackets = "[".repeat(10_000) + &"]".repeat(10_000);
    for constraint in [
        Constraint::JsonSchema(brackets.clone()),
        Constraint::JsonSchema("{\"$ref\": \"#\"}".into()),
        Constraint::JsonSchema("{\"$ref\": \"https://example.org/schema\"}".into()),
        Constraint::JsonSchema("not JSON".into()),
        Constraint::Regex("(".repeat(10_000) + &")".repeat(10_000)),
        Constraint::Regex("((a{1,1000}){1,1000}){1,1000}".into()),
        Constraint::Regex("(?=look)ahead".into()),
        Constraint::Regex("(".into()),
        Constraint::Grammar(format!("start: {}", "(".repeat(10_000))),
        Constraint::Grammar("start: missing".into()),
        Constraint::Grammar("nothing at all".into()),
    ] {
        let text = constraint.text().chars().take(40).collect::<String>();
        let config = config(|c| c.behavior.constraint = Some(constraint));
        match ask(&hello, &config) {
            Err(EngineError::InvalidConstraint { .. }) => {}
            other => panic!("{text}: {other:?}"),
        }
    }
    let plain = config(|_| {});
    let long = [Turn::user(brackets)];
    assert!(matches!(
        ask(&long, &plain),
        Err(EngineError::ContextOverflow { .. })
    ));
    for odd in ["", "\0", "<|im_end|>", "\u{202e}", "\u{f0000}\u{10ffff}"] {
        assert_eq!(ask(&[Turn::user(odd)], &plain), Ok(()), "{odd:?}");
    }
    assert_eq!(ask(&hello, &plain), Ok(()));
}
