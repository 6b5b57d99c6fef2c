//! Rotary positions.

use crate::Config;
use burn::tensor::{Device, Tensor, TensorData};

/// The rotation of rotary positions: pairs `(2i, 2i + 1)` of a head turn by
/// `position * base^(-2i / head width)`, as llama.cpp's `LLAMA_ROPE_TYPE_NORM` does it.
///
/// A vector `x` becomes `x * cos + (x * swap) * sin`, where `swap` takes a pair `(a, b)` to
/// `(-b, a)`: a product with a small matrix is faster here than taking every other number.
pub(crate) struct Rope {
    cos: Vec<f32>,
    sin: Vec<f32>,
    swap: Vec<f32>,
    width: usize,
}

impl Rope {
    /// The tables for a whole context.
    pub(crate) fn new(config: &Config) -> Self {
        let width = config.head_width();
        let base = f64::from(config.rope_base);
        let frequencies: Vec<f64> = (0..width)
            .map(|at| base.powf(-2.0 * (at / 2) as f64 / width as f64))
            .collect();
        let table = |function: fn(f64) -> f64| {
            (0..config.context * width)
                .map(|at| function((at / width) as f64 * frequencies[at % width]) as f32)
                .collect()
        };
        let mut swap = vec![0.0; width * width];
        for even in (0..width).step_by(2) {
            let odd = even + 1;
            swap[odd * width + even] = -1.0;
            swap[even * width + odd] = 1.0;
        }
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
            swap,
            width,
        }
    }

    /// Cosines and sines of the first positions, times `scale`: `[1, 1, positions, width]`.
    pub(crate) fn tables(&self, positions: usize, scale: f32, device: &Device) -> [Tensor<4>; 2] {
        [&self.cos, &self.sin].map(|table| {
            let table: Vec<f32> = table[..positions * self.width]
                .iter()
                .map(|value| value * scale)
                .collect();
            let shape = [1, 1, positions, self.width];
            Tensor::from_data(TensorData::new(table, shape), device)
        })
    }

    /// The matrix that takes each pair `(a, b)` to `(-b, a)`: `[1, 1, width, width]`.
    pub(crate) fn swap(&self, device: &Device) -> Tensor<4> {
        let shape = [1, 1, self.width, self.width];
        Tensor::from_data(TensorData::new(self.swap.clone(), shape), device)
    }
}
