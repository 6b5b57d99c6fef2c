//! Queue, generations and memory over time.

use std::time::Duration;

/// Most points of the series in an [`Outcome`](super::Outcome).
pub const POINTS_LIMIT: usize = 2000;

/// What there was at most, from its time to that of the next point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// When it begins.
    pub at: Duration,
    /// Requests that wait.
    pub queue: u32,
    /// Generations that run.
    pub running: u32,
    /// Bytes of models in memory, or on their way in or out.
    pub memory: u64,
}

impl Point {
    fn max(self, other: Self) -> Self {
        Self {
            at: self.at.min(other.at),
            queue: self.queue.max(other.queue),
            running: self.running.max(other.running),
            memory: self.memory.max(other.memory),
        }
    }
}

/// Points of equal width; twice the width whenever there are too many.
pub(super) struct Series {
    points: Vec<Point>,
    /// Milliseconds.
    width: u64,
    last: Point,
}

impl Series {
    pub(super) fn new() -> Self {
        Self {
            points: vec![Point::default()],
            width: 1,
            last: Point::default(),
        }
    }

    /// From now on it is so. Times do not go back.
    pub(super) fn record(&mut self, point: Point) {
        let ms = u64::try_from(point.at.as_millis()).unwrap_or(u64::MAX);
        while ms / self.width >= POINTS_LIMIT as u64 {
            self.widen();
        }
        let place = (ms / self.width) as usize;
        while self.points.len() <= place {
            let at = Duration::from_millis(self.width * self.points.len() as u64);
            self.points.push(Point { at, ..self.last });
        }
        if let Some(last) = self.points.last_mut() {
            *last = last.max(point);
        }
        self.last = point;
    }

    fn widen(&mut self) {
        let pairs = self.points.chunks(2);
        self.points = pairs
            .filter_map(|pair| pair.iter().copied().reduce(Point::max))
            .collect();
        self.width = self.width.saturating_mul(2);
    }

    pub(super) fn points(self) -> Vec<Point> {
        self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_has_the_most_there_was_while_it_lasted() {
        let mut series = Series::new();
        let at = Duration::from_millis;
        let point = |ms, queue| Point {
            at: at(ms),
            queue,
            ..Point::default()
        };
        series.record(point(0, 1));
        series.record(point(1, 7));
        series.record(point(1, 2));
        series.record(point(3, 0));
        let queues: Vec<u32> = series.points.iter().map(|p| p.queue).collect();
        assert_eq!(queues, [1, 7, 2, 2]);
        series.record(point(3999, 5));
        let points = series.points();
        assert_eq!(points.len(), POINTS_LIMIT);
        assert_eq!(points[0], point(0, 7));
        assert_eq!(points[1], point(2, 2));
        assert_eq!(points[1000], point(2000, 0));
        assert_eq!(points[1999], point(3998, 5));
    }
}
