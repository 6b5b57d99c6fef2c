//! The Brain without llama.cpp: a device that only pretends, and tells whoever mixes up two
//! conversations.

mod desk;
#[cfg(feature = "real-engine")]
mod narf;
mod pretend;
mod scheduling;
mod sharing;
mod threads;

use rusty_genius_core::{Role, Turn};

/// A conversation of one question.
fn question(text: &str) -> Vec<Turn> {
    vec![Turn::user(text)]
}

/// The conversation that follows when `answer` was given and `next` is asked.
fn follow(conversation: &[Turn], answer: &str, next: &str) -> Vec<Turn> {
    let mut turns = conversation.to_vec();
    turns.push(Turn::new(Role::Assistant, answer));
    turns.push(Turn::user(next));
    turns
}
