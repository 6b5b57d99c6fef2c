//! Lists of a million small things, each of which costs the host more than the guest.

use crowbar::model::{told, user};
use crowbar::of;
use crowbar::reply::{Fragment, emit};
use crowbar::types::Setting;
use wasip2::cli::stdin::get_stdin;
use wasip2::io::poll::poll;

const MILLION: usize = 1_000_000;

pub async fn tiny_turns() -> String {
    told(vec![user("t"); MILLION], vec![]).await
}

pub fn empty_fragments() -> String {
    of(emit(&vec![Fragment::Content(String::new()); MILLION]))
}

pub async fn stop_texts() -> String {
    let stop = Setting::Stop(vec![String::new(); MILLION]);
    told(vec![user("Hello")], vec![stop]).await
}

pub async fn settings() -> String {
    told(vec![user("Hello")], vec![Setting::Seed(1); MILLION]).await
}

/// The same thing a hundred thousand times.
pub fn poll_many() -> String {
    let stdin = get_stdin();
    let ready = stdin.subscribe();
    format!("{} ready", poll(&vec![&ready; MILLION / 10]).len())
}

/// Waits for nothing, which never comes.
pub fn poll_nothing() -> String {
    format!("{} ready", poll(&[]).len())
}
