//! Activations as whole numbers.

use super::BLOCK;

/// 1.5 * 2^23.
const ROUND: f32 = 12_582_912.0;

/// Vectors rounded to 8 bits, a scale for each [`BLOCK`] numbers, as Q8_0 rounds weights.
#[derive(Debug, Default)]
pub(crate) struct Quantized {
    /// Numbers of one vector.
    columns: usize,
    quants: Vec<[i8; BLOCK]>,
    /// The same at 16 bits, for instruction sets that multiply these.
    wide: Vec<[i16; BLOCK]>,
    scales: Vec<f32>,
    /// -128 times the sum of the block's quants: takes back what was added to the weights.
    corrections: Vec<i32>,
}

/// One vector of a [`Quantized`], block by block.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct QuantizedVector<'a> {
    pub(super) quants: &'a [[i8; BLOCK]],
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "for AVX2"))]
    pub(super) wide: &'a [[i16; BLOCK]],
    pub(super) scales: &'a [f32],
    pub(super) corrections: &'a [i32],
}

impl Quantized {
    /// Rounds the vectors in `x`, each of `columns` numbers, a multiple of [`BLOCK`]; at 16
    /// bits too if `WIDE`.
    #[inline(always)]
    pub(super) fn fill<const WIDE: bool>(&mut self, x: &[f32], columns: usize) {
        let blocks = x.as_chunks::<BLOCK>().0;
        self.columns = columns;
        self.quants.resize(blocks.len(), [0; BLOCK]);
        self.wide
            .resize(if WIDE { blocks.len() } else { 0 }, [0; BLOCK]);
        self.scales.resize(blocks.len(), 0.0);
        self.corrections.resize(blocks.len(), 0);
        for (at, block) in blocks.iter().enumerate() {
            let mut largest = 0_f32;
            for number in block {
                largest = largest.max(number.abs());
            }
            let scale = largest / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let quants = &mut self.quants[at];
            let mut sum = 0;
            for i in 0..BLOCK {
                // Adding 1.5 * 2^23 leaves the nearest whole number in the low bits.
                // Infinities and what is no number become something; the scale shows them.
                let shifted = block[i] * inverse + ROUND;
                let quant = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i8;
                quants[i] = quant;
                if WIDE {
                    self.wide[at][i] = i16::from(quant);
                }
                sum += i32::from(quant);
            }
            self.scales[at] = scale;
            self.corrections[at] = -128 * sum;
        }
    }

    /// How many vectors there are.
    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.scales.len() / self.blocks()
    }

    /// Blocks of one vector, at least 1.
    #[inline(always)]
    pub(super) fn blocks(&self) -> usize {
        (self.columns / BLOCK).max(1)
    }

    #[inline(always)]
    pub(super) fn vector(&self, at: usize) -> QuantizedVector<'_> {
        let blocks = self.blocks();
        let range = at * blocks..(at + 1) * blocks;
        QuantizedVector {
            quants: &self.quants[range.clone()],
            wide: self.wide.get(range.clone()).unwrap_or_default(),
            scales: &self.scales[range.clone()],
            corrections: &self.corrections[range],
        }
    }
}
