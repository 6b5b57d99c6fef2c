//! A ranking that is worked out only as far as somebody looks.

/// How many are ranked at first; each later step ranks four times as many as there were.
const FIRST_RANKED: usize = 256;

/// A set, the smallest ranking first: the best of 150,000 are found without sorting the
/// rest.
#[derive(Debug, Clone)]
pub(super) struct Ranked<T> {
    all: Vec<T>,
    /// So many of `all` are the best, in order; the others follow in any order.
    ranked: usize,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            ranked: 0,
        }
    }
}

impl<T: Copy + Ord> Ranked<T> {
    pub(super) fn reserve(&mut self, more: usize) {
        self.all.reserve(more);
    }

    pub(super) fn push(&mut self, item: T) {
        self.all.push(item);
        // The newcomer may belong among those that were in order.
        self.ranked = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn best(&self) -> Option<T> {
        self.all.iter().min().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        self.all.iter().copied()
    }

    /// Asks one by one, best first; yields the rank, from 0, of the first that says yes,
    /// and who it was.
    pub(super) fn find(&mut self, mut says_yes: impl FnMut(T) -> bool) -> Option<(usize, T)> {
        for rank in 0..self.all.len() {
            if rank == self.ranked {
                self.rank_more();
            }
            if says_yes(self.all[rank]) {
                return Some((rank, self.all[rank]));
            }
        }
        None
    }

    fn rank_more(&mut self) {
        let rest = &mut self.all[self.ranked..];
        let more = FIRST_RANKED.max(self.ranked.saturating_mul(4));
        let next = if more < rest.len() {
            rest.select_nth_unstable(more);
            &mut rest[..more]
        } else {
            rest
        };
        next.sort_unstable();
        self.ranked += next.len();
    }

    /// Drops all but the `count` best, at least one. If that dropped any, yields the
    /// worst one kept.
    pub(super) fn keep_best(&mut self, count: usize) -> Option<T> {
        let count = count.max(1);
        if count >= self.all.len() {
            return None;
        }
        if count > self.ranked {
            let last = count - 1 - self.ranked;
            self.all[self.ranked..].select_nth_unstable(last);
        }
        self.all.truncate(count);
        self.ranked = self.ranked.min(count);
        self.all.last().copied()
    }

    /// Keeps of the best as few as together have at least `share`, in units of `one`, of
    /// the weight of all.
    pub(super) fn keep_share(&mut self, share: u64, one: u64, weigh: impl Fn(T) -> u64) {
        let total: u64 = self.iter().map(&weigh).sum();
        let enough = u128::from(total) * u128::from(share);
        let mut sum = 0_u64;
        let crossing = self.find(|item| {
            sum += weigh(item);
            u128::from(sum) * u128::from(one) >= enough
        });
        if let Some((rank, _)) = crossing {
            self.keep_best(rank + 1);
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(T) -> bool) {
        let all_ranked = self.ranked == self.all.len();
        self.all.retain(|&item| keep(item));
        self.ranked = if all_ranked { self.all.len() } else { 0 };
    }

    /// Keeps the memory.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.ranked = 0;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.all.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_order(ranked: &mut Ranked<u32>) -> Vec<u32> {
        let mut order = Vec::new();
        ranked.find(|item| {
            order.push(item);
            false
        });
        order
    }

    #[test]
    fn one_is_always_kept() {
        let mut ranked = Ranked::default();
        assert_eq!(ranked.keep_best(0), None);
        for item in [3, 1, 2] {
            ranked.push(item);
        }
        assert_eq!(ranked.keep_best(0), Some(1));
        assert_eq!(in_order(&mut ranked), [1]);
        ranked.keep_share(0, 10, |_| 1);
        assert_eq!(in_order(&mut ranked), [1]);
    }

    proptest! {
        /// However far it was ranked before.
        #[test]
        fn what_is_kept_is_the_best(
            mut items in prop::collection::vec(0..5_000_u32, 1..3_000),
            looked in 0..3_000_usize,
            keep in 1..3_000_usize,
        ) {
            let mut ranked = Ranked::default();
            items.iter().for_each(|&item| ranked.push(item));
            let mut asked = 0;
            ranked.find(|_| { asked += 1; asked > looked });
            let dropped = keep < items.len();
            let worst = ranked.keep_best(keep);
            items.sort_unstable();
            items.truncate(keep);
            prop_assert_eq!(worst, items.last().copied().filter(|_| dropped));
            prop_assert_eq!(in_order(&mut ranked), items);
        }
    }
}
