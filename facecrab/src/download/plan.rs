//! Which bytes of a file are here, which are on their way, and which come next.

use std::ops::Range;

/// A set of bytes: ranges in order, none empty, none touching another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intervals(Vec<Range<u64>>);

impl Intervals {
    /// The first `len` bytes.
    pub(super) fn prefix(len: u64) -> Self {
        let mut set = Self::default();
        set.insert(0..len);
        set
    }

    /// Ranges read from somewhere, if they are in order and end at `size` at most.
    pub(super) fn checked(ranges: &[(u64, u64)], size: u64) -> Option<Self> {
        let mut end = 0;
        for (i, range) in ranges.iter().enumerate() {
            // The first may begin at 0; the others leave a gap before them.
            if range.0 >= range.1 || range.0 < end || (i > 0 && range.0 == end) {
                return None;
            }
            end = range.1;
        }
        (end <= size).then(|| Self(ranges.iter().map(|r| r.0..r.1).collect()))
    }

    pub(super) fn pairs(&self) -> Vec<(u64, u64)> {
        self.0.iter().map(|r| (r.start, r.end)).collect()
    }

    pub(super) fn insert(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // All that touch it become one with it.
        let first = self.0.partition_point(|r| r.end < range.start);
        let after = self.0.partition_point(|r| r.start <= range.end);
        if first < after {
            range.start = range.start.min(self.0[first].start);
            range.end = range.end.max(self.0[after - 1].end);
        }
        self.0.splice(first..after, [range]);
    }

    /// Bytes in all.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|r| r.end - r.start).sum()
    }

    /// The end of what is here from the very start on.
    pub(super) fn frontier(&self) -> u64 {
        self.0.first().filter(|r| r.start == 0).map_or(0, |r| r.end)
    }

    /// The end of the last range.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |r| r.end)
    }

    /// The first bytes below `size` that are not here.
    fn first_gap(&self, size: u64) -> Option<Range<u64>> {
        let start = self.frontier();
        let next = usize::from(start > 0);
        let end = self.0.get(next).map_or(size, |r| r.start.min(size));
        (start < end).then_some(start..end)
    }
}

/// What is left of a download, and who fetches it.
#[derive(Debug)]
pub(super) struct Plan {
    size: u64,
    done: Intervals,
    /// What each connection is to fetch; done parts may be among it.
    claims: Vec<(usize, Range<u64>)>,
}

impl Plan {
    pub(super) fn new(size: u64, done: Intervals) -> Self {
        Self {
            size,
            done,
            claims: Vec::new(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn done(&self) -> u64 {
        self.done.total()
    }

    pub(super) fn missing(&self) -> u64 {
        self.size - self.done()
    }

    /// The next piece, of at most `limit` bytes, for connection `id`: the first bytes
    /// that are neither here nor on their way.
    pub(super) fn claim(&mut self, id: usize, limit: u64) -> Option<Range<u64>> {
        let mut taken = self.done.clone();
        for (_, claim) in &self.claims {
            taken.insert(claim.clone());
        }
        let mut piece = taken.first_gap(self.size)?;
        piece.end = piece.end.min(piece.start.saturating_add(limit));
        self.claims.push((id, piece.clone()));
        Some(piece)
    }

    /// Ends the claim of connection `id` at `at`, if it goes further.
    pub(super) fn cut(&mut self, id: usize, at: u64) {
        if let Some((_, claim)) = self.claims.iter_mut().find(|(i, _)| *i == id) {
            claim.end = claim.end.min(at.max(claim.start));
        }
    }

    /// Connection `id` ended; what it did not fetch is open again.
    pub(super) fn release(&mut self, id: usize) {
        self.claims.retain(|(i, _)| *i != id);
    }

    pub(super) fn wrote(&mut self, range: Range<u64>) {
        self.done.insert(range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_come_in_order_and_never_twice() {
        let mut plan = Plan::new(100, Intervals::prefix(10));
        assert_eq!(plan.claim(0, 40), Some(10..50));
        assert_eq!(plan.claim(1, 40), Some(50..90));
        assert_eq!(plan.claim(2, 40), Some(90..100));
        assert_eq!(plan.claim(3, 40), None);
        plan.wrote(10..20);
        plan.release(0);
        assert_eq!(plan.claim(4, 100), Some(20..50));
        assert_eq!((plan.done(), plan.missing()), (20, 80));
    }

    #[test]
    fn a_claim_can_be_cut_for_another_connection() {
        let mut plan = Plan::new(100, Intervals::default());
        assert_eq!(plan.claim(0, u64::MAX), Some(0..100));
        assert_eq!(plan.claim(1, 10), None);
        plan.wrote(0..30);
        plan.cut(0, 40);
        assert_eq!(plan.claim(1, 10), Some(40..50));
        plan.release(0);
        assert_eq!(plan.claim(2, u64::MAX), Some(30..40));
    }

    #[test]
    fn an_empty_file_has_no_pieces() {
        assert_eq!(Plan::new(0, Intervals::default()).claim(0, 1), None);
    }

    #[test]
    fn only_ranges_in_order_are_taken() {
        let checked = |ranges| Intervals::checked(ranges, 100);
        assert_eq!(checked(&[]), Some(Intervals::default()));
        assert_eq!(
            checked(&[(0, 5), (7, 100)]).unwrap().pairs(),
            [(0, 5), (7, 100)]
        );
        for bad in [
            &[(5, 5)][..],
            &[(7, 5)],
            &[(0, 5), (5, 9)],
            &[(0, 5), (3, 9)],
            &[(0, 101)],
        ] {
            assert_eq!(checked(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn the_set_is_what_was_put_in(ranges in prop::collection::vec((0u64..64, 0u64..64), 0..12)) {
            let mut set = Intervals::default();
            let mut bits = [false; 64];
            for (start, end) in ranges {
                set.insert(start..end);
                for bit in bits.iter_mut().take(end as usize).skip(start as usize) {
                    *bit = true;
                }
            }
            let count = bits.iter().filter(|b| **b).count() as u64;
            prop_assert_eq!(set.total(), count);
            let frontier = bits.iter().take_while(|b| **b).count() as u64;
            prop_assert_eq!(set.frontier(), frontier);
            prop_assert_eq!(Intervals::checked(&set.pairs(), 64), Some(set));
        }

        /// However connections come, go and break, every byte is fetched and none twice
        /// at a time.
        #[test]
        fn every_byte_is_fetched(size in 1u64..300, steps in prop::collection::vec((0usize..4, 1u64..80, 0u64..80), 0..60)) {
            let mut plan = Plan::new(size, Intervals::default());
            let mut running: Vec<(usize, Range<u64>)> = Vec::new();
            let mut id = 0;
            for (action, limit, bytes) in steps {
                match action {
                    0 => if let Some(piece) = plan.claim(id, limit) {
                        prop_assert!(!piece.is_empty() && piece.end <= size);
                        prop_assert!(running.iter().all(|(_, r)| r.end <= piece.start || piece.end <= r.start));
                        running.push((id, piece));
                        id += 1;
                    },
                    1 => if let Some((_, r)) = running.first_mut() {
                        let end = r.end.min(r.start + bytes);
                        plan.wrote(r.start..end);
                        r.start = end;
                    },
                    2 => if let Some((id, r)) = running.last_mut() {
                        let at = r.start + bytes;
                        plan.cut(*id, at);
                        r.end = r.end.min(at);
                    },
                    _ => if let Some((id, _)) = running.pop() {
                        plan.release(id);
                    },
                }
            }
            for (id, _) in running {
                plan.release(id);
            }
            while let Some(piece) = plan.claim(id, 50) {
                plan.wrote(piece);
                plan.release(id);
            }
            prop_assert_eq!(plan.missing(), 0);
        }
    }
}
