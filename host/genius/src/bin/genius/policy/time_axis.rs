//! Round times for an axis.

use std::time::Duration;

const STEPS: [u64; 20] = [
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    2 * 3600,
    3 * 3600,
    6 * 3600,
    12 * 3600,
    24 * 3600,
    7 * 24 * 3600,
    30 * 24 * 3600,
];
/// Most marks of an axis.
const MARKS: u64 = 13;

/// Where an axis from 0 to `end` has its marks, with what stands below them.
pub(super) fn marks(end: Duration) -> Vec<(Duration, String)> {
    let end = end.as_secs();
    let fits = |step: &u64| end / step < MARKS;
    let step = STEPS.into_iter().find(fits).unwrap_or(end / MARKS + 1);
    let marks = (0..=end / step).map(|n| n * step);
    marks
        .map(|at| (Duration::from_secs(at), label(at, end)))
        .collect()
}

fn label(at: u64, end: u64) -> String {
    match end {
        0..120 => format!("{at} s"),
        120..7200 => format!("{}:{:02} min", at / 60, at % 60),
        7200..259_200 => format!("{}:{:02} h", at / 3600, at / 60 % 60),
        _ => format!("day {:.4}", at as f64 / 86_400.0)
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_not_too_many() {
        let labels = |seconds| -> Vec<String> {
            let marks = marks(Duration::from_secs(seconds));
            marks.into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(0), ["0 s"]);
        assert_eq!(labels(45)[..2], ["0 s", "5 s"]);
        assert_eq!(labels(86_400)[11..], ["22:00 h", "24:00 h"]);
        assert_eq!(labels(180 * 86_400)[1], "day 30");
        for seconds in [1, 59, 100, 1000, 86_399, 1_000_000, u64::MAX] {
            assert!(labels(seconds).len() <= MARKS as usize + 1);
        }
    }
}
