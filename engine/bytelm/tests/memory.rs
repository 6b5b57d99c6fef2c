//! A model file, however hostile, makes the loader take no more memory than twice its size.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use rusty_genius_bytelm::{ByteModel, Config, LoadError, WeightType, Weights};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a load may take beside twice the file: buffers of fixed size.
const BESIDE: usize = 128 << 10;

/// The system's allocator, which counts for each thread what is taken and not given back.
struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn taken(bytes: usize) {
    // A thread that ends has no counters any more, and nobody asks for them.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
    });
}

fn given_back(bytes: usize) {
    let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(bytes)));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        given_back(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        given_back(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Loads a file, and the most memory that took, beside the file's own bytes.
fn load(file: &[u8]) -> (Result<ByteModel, LoadError>, usize) {
    let before = NOW.get();
    MOST.set(before);
    let model = ByteModel::from_bytes(file);
    (model, MOST.get() - before)
}

fn file(name: &str, ty: WeightType) -> Vec<u8> {
    let weights = Weights::random(Config::named(name).unwrap(), 5).unwrap();
    let mut file = Vec::new();
    weights.write_gguf(ty, &mut file).unwrap();
    file
}

/// The file with a number after this text, `skip` bytes further on, changed.
fn with_number(file: &[u8], text: &str, skip: usize, number: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let found = file
        .windows(text.len())
        .position(|bytes| bytes == text.as_bytes());
    let at = found.unwrap() + text.len() + skip;
    file[at..at + number.len()].copy_from_slice(number);
    file
}

#[test]
fn a_model_takes_little_more_than_its_file() {
    for ty in WeightType::ALL {
        let file = file("narf-1m", ty);
        let (model, most) = load(&file);
        assert!(model.is_ok());
        assert!(
            most < file.len() * 5 / 4 + BESIDE,
            "{ty}: {most} for {}",
            file.len()
        );
    }
}

#[test]
fn what_a_file_claims_to_have_is_not_taken_before_it_is_there() {
    let good = file("test-50k", WeightType::Q8_0);
    let most_u64 = u64::MAX.to_le_bytes();
    let huge = (1_u64 << 62).to_le_bytes();
    let large = 0x7FFF_FFFF_u32.to_le_bytes();
    // A key's value comes after its type, 4 bytes.
    let hostile = [
        // The header: tensors, keys.
        with_number(&good, "GGUF", 4, &most_u64),
        with_number(&good, "GGUF", 12, &most_u64),
        // A model of another size than its tensors.
        with_number(&good, "llama.context_length", 4, &large),
        with_number(&good, "llama.embedding_length", 4, &large),
        with_number(&good, "llama.block_count", 4, &large),
        with_number(&good, "llama.feed_forward_length", 4, &large),
        with_number(&good, "llama.attention.head_count", 4, &large),
        with_number(&good, "llama.attention.head_count_kv", 4, &large),
        // More tokens than there are: type and element type come first.
        with_number(&good, "tokenizer.ggml.tokens", 8, &huge),
        // A string as long as memory.
        with_number(&good, "general.name", 4, &huge),
        // A tensor of 2^62 columns, one of a type there is not, one that lies elsewhere, two
        // that overlap.
        with_number(&good, "blk.1.ffn_up.weight", 4, &huge),
        with_number(&good, "blk.1.ffn_up.weight", 4 + 16, &large),
        with_number(&good, "blk.1.ffn_up.weight", 4 + 16 + 4, &huge),
        with_number(
            &good,
            "blk.1.ffn_up.weight",
            4 + 16 + 4,
            &0_u64.to_le_bytes(),
        ),
    ];
    for (at, file) in hostile.iter().enumerate() {
        let (model, most) = load(file);
        let error = model
            .err()
            .unwrap_or_else(|| panic!("the file {at} was loaded"));
        assert!(!error.to_string().is_empty());
        assert!(
            most <= file.len() * 2 + BESIDE,
            "{at}: {most} for {} ({error})",
            file.len()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_takes_no_more_than_twice_its_size(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<[u8; 8]>(), 1_usize..=8), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = file("test-50k", WeightType::F16);
        for (at, bytes, count) in changes {
            // In the header, most of all.
            let at = at.index(13_000);
            file[at..at + count].copy_from_slice(&bytes[..count]);
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let (_, most) = load(&file);
        prop_assert!(most <= file.len() * 2 + BESIDE, "{most} for {}", file.len());
    }
}
