//! How fast a model decodes, beside what this machine's memory allows.
//!
//! A token reads every weight once, so no decoder is faster than reading them. That limit is
//! measured here in the same run: the same number of bytes, read and added up by the widest
//! instructions there are, by one thread. The share says how near decoding comes to it.
//!
//! Rounds of both alternate, and medians are shown: other users of the machine hit both.

use rusty_genius_bytelm::vocab::Token;
use rusty_genius_bytelm::{ByteModel, Cache, Config, WeightType, Weights};
use std::hint::black_box;

const ROUNDS: usize = 9;
/// Tokens decoded in a round, after a prompt of as many.
const TOKENS: usize = 128;

fn main() {
    println!(
        "{:<10} {:<5} {:<8} {:>9} {:>10} {:>11} {:>8} {:>8} {:>6}",
        "model", "type", "kernels", "weights", "decode", "prefill", "GB/s", "memory", "share"
    );
    // `cargo bench -- tiny-30m` measures that one; cargo's own `--bench` is no name.
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    for name in ["narf-1m", "tiny-30m"] {
        if !only.is_empty() && !only.iter().any(|only| name.contains(only.as_str())) {
            continue;
        }
        for ty in [WeightType::Q8_0, WeightType::F16, WeightType::F32] {
            measure(name, ty);
        }
    }
}

fn measure(name: &str, ty: WeightType) {
    let Some(config) = Config::named(name) else {
        return eprintln!("there is no config {name}");
    };
    let mut file = Vec::new();
    let written = Weights::random(config, 1).map(|weights| weights.write_gguf(ty, &mut file));
    let model = match (written, ByteModel::from_bytes(&file)) {
        (Ok(Ok(())), Ok(model)) => model,
        (_, model) => return eprintln!("{name} cannot be made: {:?}", model.err()),
    };
    drop(file);
    let prompt: Vec<Token> = (0..TOKENS as Token).collect();
    let bytes = model.memory();
    let memory: Vec<u64> = vec![3; bytes as usize / 8];
    let (mut decode, mut prefill, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut cache = Cache::new(&model);
        let seconds = time(|| black_box(model.forward(&mut cache, &prompt)).len());
        prefill.push(TOKENS as f64 / seconds);
        let mut next = 0;
        let seconds = time(|| {
            for _ in 0..TOKENS {
                next = greedy(model.forward(&mut cache, &[next]));
            }
        });
        decode.push(TOKENS as f64 / seconds);
        // As often as the weights were read, in effect: long enough to be measured.
        let seconds = time(|| {
            for _ in 0..TOKENS {
                black_box(sum(black_box(&memory)));
            }
        });
        read.push(bytes as f64 * TOKENS as f64 / seconds / 1e9);
    }
    let [decode, prefill, read] = [decode, prefill, read].map(median);
    let rate = decode * bytes as f64 / 1e9;
    println!(
        "{name:<10} {:<5} {:<8} {:>6.1} MB {decode:>6.0} t/s {prefill:>7.0} t/s {rate:>8.1} {read:>8.1} {:>5.0}%",
        ty.to_string(),
        model.instruction_set(),
        bytes as f64 / 1e6,
        rate / read * 100.0,
    );
}

fn greedy(logits: &[f32]) -> Token {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(token, _)| token as Token)
}

/// All numbers added up, in as many sums as keep the loads coming.
fn sum(numbers: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature is there.
        return unsafe { sum_avx512(numbers) };
    }
    sum_lanes(numbers)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn sum_avx512(numbers: &[u64]) -> u64 {
    sum_lanes(numbers)
}

#[inline(always)]
fn sum_lanes(numbers: &[u64]) -> u64 {
    let mut lanes = [0_u64; 64];
    for chunk in numbers.as_chunks::<64>().0 {
        for (lane, number) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(*number);
        }
    }
    lanes.into_iter().fold(0, u64::wrapping_add)
}

/// Seconds of this thread's own time, so that what else runs on the machine counts little.
fn time<T>(run: impl FnOnce() -> T) -> f64 {
    let begin = now();
    black_box(run());
    now() - begin
}

#[cfg(unix)]
fn now() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

#[cfg(not(unix))]
fn now() -> f64 {
    static BEGIN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    BEGIN.elapsed().as_secs_f64()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
