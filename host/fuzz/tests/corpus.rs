//! Every target over its seeds, and over what simple mutations make of them: the same ones
//! each time, ten thousand a target.

use rusty_genius_fuzz::TARGETS;
use std::fs;
use std::path::PathBuf;

/// Mutations of a target's seeds, all together.
const MUTATIONS: usize = 10_000;
/// Largest seed that is kept; larger ones make the tests slow.
const SEED_LIMIT: usize = 16 << 10;

fn folder(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../fixtures/fuzz", target]
        .iter()
        .collect()
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).expect("a folder of seeds");
    let seed = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).expect("a seed"))
    };
    let mut seeds: Vec<_> = entries.map(|e| seed(e.expect("an entry"))).collect();
    seeds.sort();
    seeds
}

/// Numbers that look random: SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % bound.max(1)
    }
}

/// One of the ways in which a file goes wrong.
fn mutated(seeds: &[(String, Vec<u8>)], at: usize, numbers: &mut Numbers) -> Vec<u8> {
    const NUMBERS: [u8; 6] = [0, 1, 0x7f, 0x80, 0xff, b'"'];
    let mut bytes = seeds[at].1.clone();
    let place = numbers.below(bytes.len() + 1);
    match numbers.below(6) {
        0 => bytes.truncate(place),
        1 => {
            for _ in 0..=numbers.below(4) {
                let place = numbers.below(bytes.len());
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << numbers.below(8);
                }
            }
        }
        2 => {
            let place = numbers.below(bytes.len());
            if let Some(byte) = bytes.get_mut(place) {
                *byte = NUMBERS[numbers.below(NUMBERS.len())];
            }
        }
        3 => {
            let other = &seeds[numbers.below(seeds.len())].1;
            let from = numbers.below(other.len() + 1);
            bytes.truncate(place);
            bytes.extend(&other[from..]);
        }
        4 => {
            let end = (place + 1 + numbers.below(16)).min(bytes.len());
            let part = bytes[place..end].to_vec();
            let to = numbers.below(bytes.len() + 1);
            bytes.splice(to..to, part);
        }
        _ => {
            let end = (place + 1 + numbers.below(16)).min(bytes.len());
            bytes.drain(place..end);
        }
    }
    bytes
}

/// Shows the bytes of what went wrong, so that they can be kept as a seed.
fn run(name: &str, what: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    let (_, target) = target.expect("a target of that name");
    if let Err(panic) = std::panic::catch_unwind(|| target(bytes)) {
        eprintln!("{name}, {what}: b\"{}\"", bytes.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

fn corpus(target: &str) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "no seeds of {target}");
    for (name, bytes) in &seeds {
        run(target, name, bytes);
    }
    let mut numbers = Numbers(0);
    for i in 0..MUTATIONS {
        let bytes = mutated(&seeds, i % seeds.len(), &mut numbers);
        run(target, &format!("mutation {i}"), &bytes);
    }
}

macro_rules! corpora {
    ($($target:ident),*) => {
        $(#[test]
        fn $target() {
            corpus(stringify!($target));
        })*

        #[test]
        fn every_target_has_a_test_and_every_folder_a_target() {
            let mut tested = vec![$(stringify!($target)),*];
            tested.sort_unstable();
            let targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(tested, targets);
            let entries = fs::read_dir(folder("")).expect("the folder of seeds");
            for entry in entries {
                let name = entry.expect("an entry").file_name();
                assert!(targets.iter().any(|target| name == **target), "{name:?}");
            }
        }
    };
}

corpora!(
    component,
    fixture,
    gguf,
    manifest,
    output,
    registry,
    run_manifest
);

#[test]
fn seeds_are_small() {
    for (target, _) in TARGETS {
        let seeds = seeds(target);
        let all: usize = seeds.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(all <= 300 << 10, "{target}: {all} bytes in all");
        for (name, bytes) in seeds {
            assert!(
                bytes.len() <= SEED_LIMIT,
                "{target}/{name}: {} bytes",
                bytes.len()
            );
        }
    }
}

#[test]
fn mutations_are_the_same_each_time() {
    let seeds = vec![("a".to_owned(), b"some bytes".to_vec())];
    let made = || -> Vec<Vec<u8>> {
        let mut numbers = Numbers(0);
        (0..50).map(|_| mutated(&seeds, 0, &mut numbers)).collect()
    };
    assert_eq!(made(), made());
    assert!(made().iter().any(|bytes| bytes.len() < 10));
    assert!(made().iter().any(|bytes| bytes.len() > 10));
}
