//! SIGKILL at any moment: the file is right in the end, the registry always parses, and
//! little is fetched twice. `scripts/facecrab-kill.sh N` does it often.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

mod support;

use std::time::{Duration, Instant};
use support::child::{self, Other};
use support::{Content, Hub, Origin, Place};

const REPO: &str = "o/m-GGUF";
const FILE: &str = "m-q4_k_m.gguf";
const SPEC: &str = "o/m-GGUF:Q4_K_M";
/// Slow enough for a download to be killed several times.
const PACE: u64 = 40 << 20;
const TWICE_PER_KILL: u64 = 1 << 20;

#[test]
#[ignore = "what the other process does"]
fn as_another_process() {
    child::run();
}

#[test]
fn a_download_survives_being_killed_at_random_moments() {
    kills("kill/short", 15, 60 << 20, 1);
}

#[test]
#[ignore = "takes minutes: scripts/facecrab-kill.sh"]
fn a_download_survives_being_killed_hundreds_of_times() {
    let number = |name, default| {
        let value = std::env::var(name).ok().and_then(|v| v.parse().ok());
        value.unwrap_or(default)
    };
    kills(
        "kill/long",
        number("FACECRAB_KILLS", 300),
        number("FACECRAB_KILL_BYTES", 200 << 20),
        number("FACECRAB_KILL_SEED", 1),
    );
}

/// When to kill.
#[derive(Debug)]
enum Moment {
    /// So long after the start.
    After(Duration),
    /// So long after it said this.
    Said(&'static str, Duration),
}

fn moment(random: &mut fastrand::Rng) -> Moment {
    let mut ms = |most: u64| Duration::from_micros(random.u64(0..most * 1000));
    let (any, soon, verify, ready) = (ms(1200), ms(60), ms(250), ms(15));
    match random.u8(0..10) {
        0..5 => Moment::After(any),
        5 => Moment::After(soon),
        6 => Moment::Said("resolving", soon),
        7 | 8 => Moment::Said("verifying", verify),
        _ => Moment::Said("ready", ready),
    }
}

fn kills(name: &str, kills: u64, size: u64, seed: u64) {
    let hub = Hub::start();
    let content = Content::gguf(size, seed);
    hub.add(REPO, FILE, &content);
    hub.pace(PACE);
    hub.tight();
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut done, mut round, mut twice_in_all, mut worst) = (0, 0, 0, 0);
    let began = Instant::now();
    while done < kills {
        round += 1;
        assert!(
            began.elapsed() < Duration::from_secs(3600),
            "it takes too long"
        );
        // A fresh cache; killed again and again until somebody gets through.
        let place = Place::new(name);
        hub.forget();
        let mut in_round = 0;
        let mut whole = false;
        while !whole && done < kills {
            let moment = moment(&mut random);
            let mut other = Other::start(&place, &hub, SPEC);
            whole = kill(&mut other, &moment);
            if !whole {
                done += 1;
                in_round += 1;
            }
            let registry = place.registry();
            assert!(
                registry.parse::<toml::Table>().is_ok(),
                "after {moment:?}: {registry:?}"
            );
            if !place.blobs().is_empty() || !place.snapshot_files().is_empty() {
                place.assert_sound();
            }
        }
        let said = Other::start(&place, &hub, SPEC).rest();
        assert!(said.contains(&format!("ready {size}")), "{said:?}");
        place.assert_sound();
        assert_eq!(place.blobs().len(), 1);
        assert_eq!(place.parts(), [], "nothing of the way is left behind");
        assert!(
            place.registry().contains(content.sha256()),
            "{}",
            place.registry()
        );
        let sent: u64 = hub.at(Origin::Cdn).iter().map(|s| s.sent()).sum();
        let twice = sent - size;
        twice_in_all += twice;
        worst = worst.max(twice / in_round.max(1));
        assert!(
            twice <= in_round * TWICE_PER_KILL,
            "round {round}: {twice} bytes twice in {in_round} kills"
        );
    }
    println!(
        "{done} kills in {round} rounds of {size} bytes, {:.0} s: {} bytes fetched twice per kill, {worst} in the worst round",
        began.elapsed().as_secs_f64(),
        twice_in_all / done.max(1),
    );
}

/// Kills it at this moment. Whether it got through before that.
fn kill(other: &mut Other, moment: &Moment) -> bool {
    match moment {
        Moment::After(time) => std::thread::sleep(*time),
        Moment::Said(what, time) => {
            while let Some(said) = other.next() {
                if said.starts_with("failed") {
                    panic!("{said}");
                }
                if said.starts_with(what) {
                    std::thread::sleep(*time);
                    break;
                }
            }
        }
    }
    other.child.kill().unwrap();
    other.child.wait().unwrap().success()
}
