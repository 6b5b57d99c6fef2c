//! The tokens still in the running.

use super::ranked::Ranked;

/// A token and its logit in one number, which is smaller the better it ranks: larger
/// logits first, and among equals lower ids. Zeros of both signs are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate(u64);

const SIGN: u32 = 1 << 31;

impl Candidate {
    /// The logit must not be NaN.
    fn new(logit: f32, id: u32) -> Self {
        // Adding zero makes 0 of -0. The bits of floats are in the order of the floats,
        // except that the negative ones stand on their heads and behind.
        let bits = (logit + 0.0).to_bits();
        let descending = if bits & SIGN == 0 {
            !(bits | SIGN)
        } else {
            bits
        };
        Self(u64::from(descending) << 32 | u64::from(id))
    }

    pub(super) fn logit(self) -> f32 {
        let descending = (self.0 >> 32) as u32;
        f32::from_bits(if descending & SIGN == 0 {
            !descending & !SIGN
        } else {
            descending
        })
    }

    pub(super) fn id(self) -> u32 {
        self.0 as u32 // the low half
    }
}

/// A set of tokens, likeliest first.
pub(super) type Candidates = Ranked<Candidate>;

impl Candidates {
    /// Takes the `keep` best of the logits over -inf, at least one. NaN is not over -inf.
    pub(super) fn gather(&mut self, logits: &[f32], keep: usize) {
        let keep = keep.max(1);
        let crowd = keep.saturating_mul(2);
        self.clear();
        self.reserve(crowd.min(logits.len()));
        let mut floor = f32::NEG_INFINITY;
        for (&logit, id) in logits.iter().zip(0..) {
            // Equals of the floor came too late: their ids are higher.
            if logit > floor {
                self.push(Candidate::new(logit, id));
                if self.len() == crowd {
                    floor = self.keep_best(keep).map_or(floor, Candidate::logit);
                }
            }
        }
        self.keep_best(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(candidates: &mut Candidates) -> Vec<u32> {
        let mut ids = Vec::new();
        candidates.find(|candidate| {
            ids.push(candidate.id());
            false
        });
        ids
    }

    #[test]
    fn a_candidate_ranks_by_its_logit_and_then_by_its_id() {
        let inf = f32::INFINITY;
        let ranking = [inf, f32::MAX, 1.0, 1e-45, 0.0, -1e-45, -1.0, f32::MIN, -inf];
        for pair in ranking.windows(2) {
            assert!(Candidate::new(pair[0], 9) < Candidate::new(pair[1], 1));
        }
        assert!(Candidate::new(2.0, 1) < Candidate::new(2.0, 9));
        assert!(Candidate::new(-0.0, 1) < Candidate::new(0.0, 9));
        assert!(Candidate::new(0.0, 1) < Candidate::new(-0.0, 9));
    }

    #[test]
    fn a_candidate_remembers() {
        for logit in [f32::INFINITY, 1.5, 0.0, -1e-45, -7.25, f32::NEG_INFINITY] {
            let candidate = Candidate::new(logit, u32::MAX - 1);
            assert_eq!((candidate.logit(), candidate.id()), (logit, u32::MAX - 1));
        }
    }

    #[test]
    fn what_is_not_over_minus_infinity_is_not_gathered() {
        let mut candidates = Candidates::default();
        candidates.gather(&[f32::NAN, 1.0, f32::NEG_INFINITY, f32::MIN], usize::MAX);
        assert_eq!(ids(&mut candidates), [1, 3]);
        candidates.gather(&[f32::NAN, -f32::NAN, f32::NEG_INFINITY], usize::MAX);
        assert_eq!(candidates.best(), None);
    }

    /// Ascending is the worst order there is: every token beats the floor.
    #[test]
    fn ascending_logits_are_gathered_within_the_memory_of_two_k() {
        let ascending: Vec<f32> = (0_u16..5_000).map(f32::from).collect();
        let mut candidates = Candidates::default();
        candidates.gather(&ascending, 3);
        assert_eq!(ids(&mut candidates), [4_999, 4_998, 4_997]);
        assert!(candidates.capacity() < 16);
    }

    proptest! {
        #[test]
        fn gathered_and_ranked_is_sorted_and_cut(
            logits in prop::collection::vec((-40_i16..40).prop_map(f32::from), 0..3_000),
            keep in prop_oneof![1..50_usize, 1..3_000_usize, Just(usize::MAX)],
        ) {
            let mut expected: Vec<u32> = (0..).take(logits.len()).collect();
            // Stable: equals stay in the order of their ids.
            expected.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
            expected.truncate(keep);
            let mut candidates = Candidates::default();
            candidates.gather(&logits, keep);
            prop_assert_eq!(candidates.best().map(Candidate::id), expected.first().copied());
            prop_assert_eq!(ids(&mut candidates), expected);
        }
    }
}
