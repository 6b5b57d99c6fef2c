//! Every hostile guest runs here, beside one that behaves: how it ended, in what time, what
//! its record says, and that its neighbour was served. See `shared/design/threats.md`.
//!
//! One test, because what a process holds can be counted only while nothing else runs in it.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![cfg(target_os = "linux")]

mod attack;
mod badtool;
mod components;
mod disk;
mod elsewhere;
mod flood;
mod grammar;
mod handles;
mod house;
mod neighbour;
mod payload;
mod remains;
mod round;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
mod toolcaller;

use attack::Attack;
use badtool::hostile_badtool;
use components::*;
use disk::hostile_disk;
use elsewhere::*;
use flood::hostile_flood;
use grammar::hostile_grammar;
use handles::hostile_handles;
use house::House;
use neighbour::Neighbour;
use payload::hostile_payload;
use remains::Remains;
use std::time::{Duration, Instant};
use support::test;
use tokens::hostile_tokens;
use toolcaller::hostile_toolcaller;

/// What the whole suite may take, with all that it compiles. The aim is a minute on two free
/// processors, half of which it needs; the rest is for processors that are not.
const PATIENCE: Duration = Duration::from_secs(100);

type Family = fn() -> Vec<Attack>;

/// Does not compile as long as there is a hostile guest without a function of its name here.
macro_rules! families {
    ($($name:ident)*) => { [$((stringify!($name), $name as Family)),*] };
}

#[test]
fn every_attack_ends_as_it_should_and_leaves_nothing() {
    remains::be_thrifty();
    let families = rusty_genius_guests::foreach_hostile!(families);
    test(async move {
        let began = Instant::now();
        let house = House::build(&families).await;
        let neighbour = Neighbour::move_in(&house);
        round::warm_up(&house).await;
        let before = Remains::count();

        let rows = round::attack(&house).await;

        let mut faults = round::faults(&rows);
        faults.extend(neighbour.move_out().await);
        faults.extend(house.listings().await);
        faults.extend(before.left(&house).await);
        round::tell(&rows, &house);
        let took = began.elapsed();
        eprintln!("{} attacks in {took:.1?}", rows.len());
        if took > PATIENCE {
            faults.push(format!("the suite took {took:?}"));
        }
        assert!(
            faults.is_empty(),
            "{} faults:\n{}",
            faults.len(),
            faults.join("\n")
        );
    });
}
