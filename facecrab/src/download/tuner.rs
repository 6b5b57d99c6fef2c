//! How many connections are worth it, found by trying.

use std::time::Duration;

/// How long a number of connections is measured; the time a new one needs to get going
/// does not count.
const MEASURE: Duration = Duration::from_millis(1000);
const SETTLE: Duration = Duration::from_millis(500);
/// Below so many missing bytes it is not worth the trouble.
const WORTH: u64 = 64 << 20;
/// Another connection has to bring so much more in all.
const GAIN: f64 = 1.15;
/// Bounds of a piece.
const PIECE: std::ops::RangeInclusive<u64> = 8 << 20..=64 << 20;

/// Starts with one connection and tries one more as long as that is faster.
#[derive(Debug)]
pub(super) struct Tuner {
    most: usize,
    wanted: usize,
    /// The rate before the last one was added, bytes a second.
    before: Option<f64>,
    rate: f64,
    /// When the measuring of this number began, and the bytes there were then.
    since: Option<(Duration, u64)>,
    changed: Duration,
    settled: bool,
}

impl Tuner {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.clamp(1, 16),
            wanted: 1,
            before: None,
            rate: 0.0,
            since: None,
            changed: Duration::ZERO,
            settled: false,
        }
    }

    /// How many connections there should be.
    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// How long the piece of one of several connections should be: some seconds of its
    /// rate, as each piece costs the hub a request.
    pub(super) fn piece(&self) -> u64 {
        let share = self.rate * 2.0 / self.wanted as f64;
        (share as u64).clamp(*PIECE.start(), *PIECE.end())
    }

    /// One connection from now on: the server is busy, or more do not help.
    pub(super) fn give_up(&mut self) {
        self.wanted = 1;
        self.settled = true;
    }

    /// Looks at the clock: `now` since the start, `bytes` fetched since then, `missing`
    /// bytes left. Whether the number of connections changed.
    pub(super) fn tick(&mut self, now: Duration, bytes: u64, missing: u64) -> bool {
        if self.settled || now < self.changed + SETTLE {
            return false;
        }
        let (start, count) = *self.since.get_or_insert((now, bytes));
        let elapsed = now.saturating_sub(start);
        if elapsed < MEASURE {
            return false;
        }
        self.rate = bytes.saturating_sub(count) as f64 / elapsed.as_secs_f64();
        let was = self.wanted;
        if self.before.is_some_and(|before| self.rate < before * GAIN) {
            self.wanted -= 1;
            self.settled = true;
        } else if self.wanted < self.most && missing > WORTH {
            self.before = Some(self.rate);
            self.wanted += 1;
        } else {
            self.settled = true;
        }
        self.changed = now;
        self.since = None;
        self.wanted != was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where it ends up on a line that gives `rate(connections)` bytes a second.
    fn settle(most: usize, missing: u64, rate: impl Fn(usize) -> u64) -> usize {
        let mut tuner = Tuner::new(most);
        let mut bytes = 0;
        for tick in 0..600 {
            let wanted = tuner.wanted();
            assert!((1..=most).contains(&wanted));
            bytes += rate(wanted) / 10;
            tuner.tick(Duration::from_millis(100 * tick), bytes, missing);
            assert!(PIECE.contains(&tuner.piece()));
        }
        tuner.wanted()
    }

    #[test]
    fn more_connections_are_kept_where_they_bring_more() {
        let each = |n| n as u64 * 10_000_000;
        assert_eq!(settle(4, 1 << 40, each), 4);
        assert_eq!(settle(1, 1 << 40, each), 1);
        let up_to_three = |n: usize| n.min(3) as u64 * 10_000_000;
        assert_eq!(settle(8, 1 << 40, up_to_three), 3);
    }

    #[test]
    fn one_is_enough_for_a_line_that_is_full_and_for_small_files() {
        assert_eq!(settle(4, 1 << 40, |_| 100_000_000), 1);
        assert_eq!(settle(4, 1 << 20, |n| n as u64 * 10_000_000), 1);
    }

    #[test]
    fn a_busy_server_gets_one_for_good() {
        let mut tuner = Tuner::new(4);
        tuner.give_up();
        for s in 0..100 {
            assert!(!tuner.tick(Duration::from_secs(s), s << 24, 1 << 40));
        }
        assert_eq!(tuner.wanted(), 1);
    }
}
