//! How a synthetic trace comes about.

use super::random::Random;
use super::synthetic::{DAY, Pattern, SMALLEST, Synthetic};
use super::trace::{SimModel, SimRequest, TIME_LIMIT, Trace};
use rusty_genius_core::CortexStrategy;
use rusty_genius_core::brainstem::{Budgets, DEFAULT_PRIORITY};
use std::sync::Arc;
use std::time::Duration;

/// What models need, in MiB.
const SIZES: [u64; 14] = [
    512, 1024, 1536, 2048, 3072, 4096, 5120, 6144, 8192, 10_240, 12_288, 16_384, 20_480, 24_576,
];
/// How much of a working day's rush there is, by the hour.
const RUSH: [(f64, f64); 11] = [
    (0.0, 0.05),
    (6.0, 0.05),
    (8.0, 0.6),
    (10.0, 1.0),
    (12.0, 0.9),
    (13.0, 0.5),
    (14.5, 1.0),
    (17.0, 0.8),
    (19.0, 0.3),
    (22.0, 0.15),
    (24.0, 0.05),
];
/// Requests of a burst, on average, and the bursts' share of the time.
const BURST: f64 = 20.0;
const BURST_SHARE: f64 = 0.25;
/// Share of a burst's requests that are for its own model.
const LOYAL: f64 = 0.8;
/// Longest prompt and answer, as multiples of the average.
const LONGEST: f64 = 8.0;
/// How long somebody impatient waits at least, and on average beyond that, milliseconds.
const PATIENCE: (f64, f64) = (1000.0, 9000.0);

impl Synthetic {
    /// Makes the trace. Its origin is this, as text.
    pub fn trace(&self) -> Trace {
        let mut random = Random::new(self.seed);
        let models: Vec<SimModel> = (0..self.models)
            .map(|n| model(n + 1, self.memory.unwrap_or(u64::MAX), &mut random))
            .collect();
        let budgets = Budgets {
            memory: self.memory,
            queue: self.queue,
            generations: self.generations,
            ..Budgets::default()
        };
        let requests = Source::new(self, random).take(self.requests).collect();
        Trace::checked(Some(self.to_string()), budgets, models, requests)
    }
}

fn model(number: usize, limit: u64, random: &mut Random) -> SimModel {
    let fitting = SIZES.iter().filter(|mib| **mib << 20 <= limit).count();
    // The lesser of two makes small ones more frequent.
    let place = random
        .below(fitting.max(1))
        .min(random.below(fitting.max(1)));
    let mib = SIZES.get(place).copied().unwrap_or(SMALLEST >> 20);
    let gib = mib as f64 / 1024.0;
    // Reading takes what a good disk takes, and every token is as slow as the memory is.
    let tenths = 5 + mib * 10 / 1536;
    let decode = (160.0 / gib).clamp(5.0, 150.0).round();
    SimModel {
        name: format!("model-{number:02}").into(),
        memory: mib << 20,
        load: Duration::from_millis(100 * tenths),
        save: Duration::from_millis(10 * tenths),
        prefill: 20.0 * decode,
        decode,
        slots: 4,
        strategy: CortexStrategy::default(),
        fails_every: None,
        dies_every: None,
    }
}

/// Requests without end.
struct Source<'a> {
    spec: &'a Synthetic,
    random: Random,
    guests: Vec<Arc<str>>,
    /// How often a model, or one before it, is asked for; the last stands for all.
    popularity: Vec<f64>,
    /// Seconds.
    now: f64,
    burst: Burst,
}

struct Burst {
    until: f64,
    model: u32,
    guest: usize,
}

impl<'a> Source<'a> {
    fn new(spec: &'a Synthetic, random: Random) -> Self {
        let mut sum = 0.0;
        let popularity = (1..=spec.models).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self {
            spec,
            random,
            guests: (1..=spec.guests)
                .map(|n| format!("guest-{n}").into())
                .collect(),
            popularity: popularity.collect(),
            now: 0.0,
            burst: Burst {
                until: 0.0,
                model: 0,
                guest: 0,
            },
        }
    }

    fn model(&mut self) -> u32 {
        let all = self.popularity.last().copied().unwrap_or(1.0);
        let at = self.random.unit() * all;
        let place = self.popularity.partition_point(|sum| *sum < at);
        place.min(self.spec.models - 1) as u32
    }

    /// Moves the time on to the next request: which model it is for, and who asks.
    fn next_arrival(&mut self) -> (u32, usize) {
        let rate = self.spec.rate;
        match self.spec.pattern {
            Pattern::Steady => self.now += self.random.exponential(1.0 / rate),
            Pattern::Day => {
                let peak = rate / mean_rush();
                loop {
                    self.now += self.random.exponential(1.0 / peak);
                    if self.random.unit() <= rush(self.now % DAY / 3600.0) {
                        break;
                    }
                }
            }
            Pattern::Bursty => {
                let mut next = self.now + self.random.exponential(BURST_SHARE / rate);
                while next > self.burst.until {
                    let pause = self.random.exponential(BURST * (1.0 - BURST_SHARE) / rate);
                    let begin = self.burst.until + pause;
                    let length = self.random.exponential(BURST * BURST_SHARE / rate);
                    self.burst = Burst {
                        until: begin + length,
                        model: self.model(),
                        guest: self.random.below(self.spec.guests),
                    };
                    next = begin + self.random.exponential(BURST_SHARE / rate);
                }
                self.now = next;
                if self.random.unit() <= LOYAL {
                    return (self.burst.model, self.burst.guest);
                }
            }
        }
        (self.model(), self.random.below(self.spec.guests))
    }

    fn tokens(&mut self, mean: u32) -> u32 {
        let mean = f64::from(mean);
        let most = mean * LONGEST;
        self.random.exponential(mean).clamp(1.0, most).round() as u32
    }
}

impl Iterator for Source<'_> {
    type Item = SimRequest;

    fn next(&mut self) -> Option<SimRequest> {
        let (model, guest) = self.next_arrival();
        let prompt_tokens = self.tokens(self.spec.prompt);
        let completion_tokens = self.tokens(self.spec.completion);
        let impatient = self.spec.impatient > 0.0 && self.random.unit() <= self.spec.impatient;
        let cancel = impatient.then(|| {
            let (least, more) = PATIENCE;
            (least + self.random.exponential(more)) as u32
        });
        Some(SimRequest {
            at: ((self.now * 1000.0) as u64).min(TIME_LIMIT),
            guest: self.guests.get(guest)?.clone(),
            model,
            prompt_tokens,
            max_tokens: completion_tokens.next_power_of_two().max(256),
            completion_tokens,
            priority: DEFAULT_PRIORITY,
            deadline: self.spec.deadline.map(|s| s * 1000),
            cancel,
        })
    }
}

/// How much rush there is at this hour.
fn rush(hour: f64) -> f64 {
    let pairs = RUSH.windows(2);
    pairs.fold(0.0, |rush, pair| match pair {
        [(from, a), (to, b)] if (*from..=*to).contains(&hour) => {
            a + (b - a) * (hour - from) / (to - from)
        }
        _ => rush,
    })
}

fn mean_rush() -> f64 {
    let areas = RUSH.windows(2).map(|pair| match pair {
        [(from, a), (to, b)] => (a + b) / 2.0 * (to - from),
        _ => 0.0,
    });
    areas.sum::<f64>() / 24.0
}
