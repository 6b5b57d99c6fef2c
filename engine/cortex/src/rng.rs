//! SplitMix64 (Steele, Lea and Flood 2014): small, fast, and good for any seed, zero
//! too. Not for secrets.

#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `floor(next · n / 2⁶⁴)`: a number below `n`, or zero if `n` is. Any stretch of the
    /// numbers is hit with its share of the chances, to within 2⁻⁶³.
    pub(crate) fn below_u64(&mut self, n: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(n);
        // The high half of a product of two u64.
        (product >> 64) as u64
    }

    /// A number below `n`, which must not be zero.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        // Both ways without loss: `usize` has at most 64 bits, the result is below `n`.
        self.below_u64(n as u64) as usize
    }

    pub(crate) fn choose<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_published_algorithm() {
        let mut rng = Rng::new(1_234_567);
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!([rng.next(), rng.next(), rng.next()], published);
    }

    #[test]
    fn the_extreme_seeds_reach_every_choice() {
        for seed in [0, u64::MAX] {
            let mut rng = Rng::new(seed);
            let mut seen = [0; 8];
            for _ in 0..800 {
                seen[rng.below(8)] += 1;
            }
            assert!(seen.iter().all(|&n| n > 50), "{seen:?}");
        }
    }
}
