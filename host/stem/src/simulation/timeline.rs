//! When models were in memory.

use rusty_genius_core::brainstem::Residency;
use std::time::Duration;

/// Changes kept of all models together; beyond it they are thinned.
const MARKS_LIMIT: usize = 100_000;
/// The first grain, once there are too many.
const FIRST_GRAIN: Duration = Duration::from_millis(100);

/// A time in which a model was in memory, or on its way in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// When it began.
    pub from: Duration,
    /// When it ended.
    pub to: Duration,
    /// How far the model was; never absent.
    pub residency: Residency,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Duration,
    residency: Residency,
}

/// The changes of each model. Where there are very many, only the last in each grain of time
/// is kept.
pub(super) struct Timelines {
    models: Vec<Vec<Mark>>,
    total: usize,
    grain: Duration,
}

impl Timelines {
    pub(super) fn new(models: usize) -> Self {
        Self {
            models: vec![Vec::new(); models],
            total: 0,
            grain: Duration::ZERO,
        }
    }

    /// The model is so from now on.
    pub(super) fn mark(&mut self, model: usize, at: Duration, residency: Residency) {
        let Some(marks) = self.models.get_mut(model) else {
            return;
        };
        let before = marks.len();
        put(marks, Mark { at, residency }, self.grain);
        // It may have lost one.
        self.total = self.total + marks.len() - before;
        while self.total > MARKS_LIMIT {
            self.thin();
        }
    }

    fn thin(&mut self) {
        self.grain = (self.grain * 2).max(FIRST_GRAIN);
        for marks in &mut self.models {
            for mark in std::mem::take(marks) {
                put(marks, mark, self.grain);
            }
        }
        self.total = self.models.iter().map(Vec::len).sum();
    }

    /// The times in memory of each model, until the end.
    pub(super) fn intervals(&self, end: Duration) -> Vec<Vec<Interval>> {
        let models = self.models.iter();
        models.map(|marks| intervals(marks, end)).collect()
    }
}

/// Adds a mark, in place of one in the same grain; none, if nothing changes with it. A grain
/// of 0 is an instant.
fn put(marks: &mut Vec<Mark>, new: Mark, grain: Duration) {
    let cell = |at: Duration| at.as_nanos().checked_div(grain.as_nanos());
    let mut at = new.at;
    if let Some(last) = marks.last() {
        let same = last.at == at || !grain.is_zero() && cell(last.at) == cell(at);
        if same {
            at = last.at;
            marks.pop();
        }
    }
    let before = marks
        .last()
        .map_or(Residency::Absent, |mark| mark.residency);
    if before != new.residency {
        marks.push(Mark { at, ..new });
    }
}

fn intervals(marks: &[Mark], end: Duration) -> Vec<Interval> {
    let ends = marks.iter().skip(1).map(|mark| mark.at).chain([end]);
    let spans = marks.iter().zip(ends);
    spans
        .filter(|(mark, to)| mark.residency != Residency::Absent && mark.at < *to)
        .map(|(mark, to)| Interval {
            from: mark.at,
            to,
            residency: mark.residency,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_happens_within_an_instant_did_not_happen() {
        let mut lines = Timelines::new(1);
        lines.mark(0, s(1), Residency::Loading);
        lines.mark(0, s(3), Residency::Resident);
        lines.mark(0, s(5), Residency::Absent);
        lines.mark(0, s(5), Residency::Loading);
        lines.mark(0, s(6), Residency::Absent);
        lines.mark(0, s(7), Residency::Loading);
        lines.mark(0, s(7), Residency::Absent);
        let [line] = &lines.intervals(s(9))[..] else {
            panic!("one model")
        };
        let line: Vec<_> = line.iter().map(|i| (i.from, i.to, i.residency)).collect();
        let expected = [
            (s(1), s(3), Residency::Loading),
            (s(3), s(5), Residency::Resident),
            (s(5), s(6), Residency::Loading),
        ];
        assert_eq!(line, expected);
        assert_eq!(lines.total, 4);
    }

    #[test]
    fn very_many_changes_are_thinned() {
        let mut lines = Timelines::new(2);
        for n in 0..MARKS_LIMIT as u64 {
            lines.mark(1, Duration::from_millis(20 * n), Residency::Resident);
            lines.mark(1, Duration::from_millis(20 * n + 13), Residency::Absent);
        }
        assert!(lines.total <= MARKS_LIMIT);
        assert_eq!(
            lines.total,
            lines.models.iter().map(Vec::len).sum::<usize>()
        );
    }
}
