//! Matrices as the kernels want them.

use crate::crew::Crew;
use crate::kernels::{BLOCK, BLOCK_BYTES, Isa, PANEL, Quantized};
use half::f16;
use rusty_genius_core::gguf::TensorType;
use std::ops::Range;
use std::sync::Mutex;

/// A line of a panel: 64 bytes, aligned to a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line<T>(T);

/// A matrix in panels of [`PANEL`] rows, which lie column after column, so that a column of
/// a panel is one vector. It takes as many bytes as in its file.
#[derive(Debug)]
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    F32(Vec<Line<[f32; PANEL]>>),
    F16(Vec<[u16; PANEL]>),
    Q8 {
        /// Four columns of 16 rows each, 128 added to each number.
        lines: Vec<Line<[u8; 64]>>,
        /// The rows' scales for each block of columns, f16.
        scales: Vec<[u16; PANEL]>,
    },
}

/// Vectors to multiply with, one per token.
#[derive(Debug, Default)]
pub(crate) struct Input {
    numbers: Vec<f32>,
    columns: usize,
    quantized: Quantized,
    is_quantized: bool,
}

impl Input {
    /// Room for vectors of `columns` numbers, to be filled in.
    pub(crate) fn begin(&mut self, tokens: usize, columns: usize) -> &mut [f32] {
        self.columns = columns;
        self.is_quantized = false;
        self.numbers.clear();
        self.numbers.resize(tokens * columns, 0.0);
        &mut self.numbers
    }

    /// Vectors there are.
    pub(crate) fn tokens(&self) -> usize {
        self.numbers.len() / self.columns.max(1)
    }
}

impl Matrix {
    /// Whether a matrix of this size can be laid out: whole panels, whole blocks.
    pub(crate) fn fits(rows: usize, columns: usize) -> bool {
        rows.is_multiple_of(PANEL) && columns.is_multiple_of(BLOCK)
    }

    /// An empty matrix of this type, to be filled with [`Matrix::push_panel`].
    ///
    /// Of what [`Matrix::fits`] refuses, and of another type than f32, f16 and Q8_0, there
    /// is none.
    pub(crate) fn new(rows: usize, columns: usize, ty: TensorType) -> Option<Self> {
        let panels = rows / PANEL;
        let numbers = match ty {
            TensorType::F32 => Numbers::F32(Vec::with_capacity(panels * columns)),
            TensorType::F16 => Numbers::F16(Vec::with_capacity(panels * columns)),
            TensorType::Q8_0 => Numbers::Q8 {
                lines: Vec::with_capacity(panels * columns / 4),
                scales: Vec::with_capacity(panels * columns / BLOCK),
            },
            _ => return None,
        };
        Self::fits(rows, columns).then_some(Self {
            rows,
            columns,
            numbers,
        })
    }

    /// Appends the next [`PANEL`] rows, given as they lie in a file. Whether all numbers, or
    /// their scales, are finite.
    pub(crate) fn push_panel(&mut self, rows: &[u8]) -> bool {
        let row_bytes = rows.len() / PANEL;
        let cell = |row: usize, at: usize| row * row_bytes + at;
        match &mut self.numbers {
            Numbers::F32(lines) => {
                let mut finite = true;
                for column in 0..self.columns {
                    let line = std::array::from_fn(|row| {
                        let at = cell(row, column * 4);
                        f32::from_le_bytes([rows[at], rows[at + 1], rows[at + 2], rows[at + 3]])
                    });
                    finite &= line.iter().all(|number: &f32| number.is_finite());
                    lines.push(Line(line));
                }
                finite
            }
            Numbers::F16(lines) => {
                let mut finite = true;
                for column in 0..self.columns {
                    let line = std::array::from_fn(|row| {
                        let at = cell(row, column * 2);
                        u16::from_le_bytes([rows[at], rows[at + 1]])
                    });
                    finite &= line.iter().all(|&bits| f16::from_bits(bits).is_finite());
                    lines.push(line);
                }
                finite
            }
            Numbers::Q8 { lines, scales } => {
                let mut finite = true;
                for block in 0..self.columns / BLOCK {
                    let scale = std::array::from_fn(|row| {
                        let at = cell(row, block * BLOCK_BYTES);
                        u16::from_le_bytes([rows[at], rows[at + 1]])
                    });
                    finite &= scale.iter().all(|&bits| f16::from_bits(bits).is_finite());
                    scales.push(scale);
                    for quad in 0..BLOCK / 4 {
                        let line = std::array::from_fn(|i| {
                            rows[cell(i / 4, block * BLOCK_BYTES + 2 + quad * 4 + i % 4)] ^ 0x80
                        });
                        lines.push(Line(line));
                    }
                }
                finite
            }
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let numbers = (self.rows * self.columns) as u64;
        match self.numbers {
            Numbers::F32(_) => numbers * 4,
            Numbers::F16(_) => numbers * 2,
            Numbers::Q8 { .. } => numbers / BLOCK as u64 * BLOCK_BYTES as u64,
        }
    }

    /// One row as floats.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let (panel, lane) = (row / PANEL, row % PANEL);
        let begin = panel * self.columns;
        match &self.numbers {
            Numbers::F32(lines) => {
                for (out, line) in out.iter_mut().zip(&lines[begin..]) {
                    *out = line.0[lane];
                }
            }
            Numbers::F16(lines) => {
                for (out, line) in out.iter_mut().zip(&lines[begin..]) {
                    *out = f16::from_bits(line[lane]).to_f32();
                }
            }
            Numbers::Q8 { lines, scales } => {
                for (column, out) in out.iter_mut().enumerate() {
                    let line = lines[begin / 4 + column / 4].0;
                    let quant = (line[lane * 4 + column % 4] ^ 0x80).cast_signed();
                    let scale = scales[begin / BLOCK + column / BLOCK][lane];
                    *out = f32::from(quant) * f16::from_bits(scale).to_f32();
                }
            }
        }
    }

    /// `out = matrix * x` for each vector of the input; `out` has `rows` numbers for each.
    /// The same numbers with a crew and without.
    pub(crate) fn multiply(
        &self,
        isa: Isa,
        crew: Option<&Crew>,
        input: &mut Input,
        out: &mut [f32],
    ) {
        if let Numbers::Q8 { .. } = self.numbers
            && !input.is_quantized
        {
            isa.quantize(&mut input.quantized, &input.numbers, self.columns);
            input.is_quantized = true;
        }
        let panels = self.rows / PANEL;
        let Some(crew) = crew else {
            return self.multiply_panels(isa, 0..panels, input, out);
        };
        let tokens = input.tokens();
        if tokens == 1 {
            return self.multiply_shared(isa, crew, input, out);
        }
        let mut room = vec![0.0; out.len()];
        self.multiply_shared(isa, crew, input, &mut room);
        let mut rest = &room[..];
        for part in 0..crew.size() {
            let panels = part_of(panels, part, crew.size());
            let (from, rows) = (panels.start * PANEL, panels.len() * PANEL);
            for token in 0..tokens {
                let (numbers, others) = rest.split_at(rows);
                let to = token * self.rows + from;
                out[to..to + rows].copy_from_slice(numbers);
                rest = others;
            }
        }
    }

    /// The products by a crew, of which each part has a range of panels: `out` gets the first
    /// part's rows for all vectors, then the second's.
    fn multiply_shared(&self, isa: Isa, crew: &Crew, input: &Input, out: &mut [f32]) {
        let panels = |part| part_of(self.rows / PANEL, part, crew.size());
        let mut rest = out;
        let mut places = Vec::with_capacity(crew.size());
        for part in 0..crew.size() {
            let numbers = panels(part).len() * PANEL * input.tokens();
            let (own, others) = rest.split_at_mut(numbers);
            places.push(Mutex::new(own));
            rest = others;
        }
        crew.share(&|part| {
            // Nobody else has this place.
            if let Ok(mut place) = places[part].lock() {
                self.multiply_panels(isa, panels(part), input, &mut place);
            }
        });
    }

    /// The products of some panels; `out` has their rows for each vector.
    fn multiply_panels(&self, isa: Isa, panels: Range<usize>, input: &Input, out: &mut [f32]) {
        let (columns, x) = (self.columns, &input.numbers);
        let lines = panels.start * columns..panels.end * columns;
        match &self.numbers {
            Numbers::F32(all) => isa.multiply_f32(as_lines(&all[lines]), columns, x, out),
            Numbers::F16(all) => isa.multiply_f16(&all[lines], columns, x, out),
            Numbers::Q8 { lines: all, scales } => isa.multiply_q8(
                as_lines(&all[lines.start / 4..lines.end / 4]),
                &scales[lines.start / BLOCK..lines.end / BLOCK],
                &input.quantized,
                out,
            ),
        }
    }
}

/// The part of so many panels that falls to one of a crew.
fn part_of(panels: usize, part: usize, parts: usize) -> Range<usize> {
    part * panels / parts..(part + 1) * panels / parts
}

/// The lines without their alignment, which only says where they begin.
fn as_lines<T>(lines: &[Line<T>]) -> &[T] {
    const { assert!(size_of::<Line<T>>() == size_of::<T>()) };
    // SAFETY: `Line` is `repr(C)` around one `T`, of the same size as asserted above, and at
    // least as aligned.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len()) }
}

#[cfg(test)]
mod tests;
