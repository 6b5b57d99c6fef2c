//! The kernels, written once for all instruction sets; only the product with Q8_0 has a form
//! of its own in each.

use super::lanes::Lanes;
use super::math::exp;
use super::quantized::QuantizedVector;
use super::{BLOCK, PANEL, Quantized, Sums, TOKENS};
use half::f16;

/// What one token's attention reads and writes.
pub(crate) struct Attention<'a> {
    /// Queries, `heads * head_width`, positions already rotated in.
    pub(crate) queries: &'a [f32],
    /// Keys in panels of [`PANEL`] positions, `kv_heads * head_width` lines each: line `c`
    /// has number `c` of each position's key.
    pub(crate) keys: &'a [[f32; PANEL]],
    /// Values, `kv_heads * head_width` numbers a position.
    pub(crate) values: &'a [f32],
    /// Positions to look at, from the first; keys beyond are ignored. At least 1.
    pub(crate) seen: usize,
    /// Width of a head.
    pub(crate) head_width: usize,
    /// Heads of keys and values.
    pub(crate) kv_heads: usize,
    /// Room for one number per position.
    pub(crate) scores: &'a mut Vec<[f32; PANEL]>,
    /// What the heads found, as long as the queries.
    pub(crate) out: &'a mut [f32],
}

#[inline(always)]
pub(super) fn multiply_f32<L: Lanes>(
    panels: &[[f32; PANEL]],
    columns: usize,
    x: &[f32],
    out: &mut [f32],
) {
    multiply_float::<_, L>(panels, columns, x, out, L::load);
}

#[inline(always)]
pub(super) fn multiply_f16<L: Lanes>(
    panels: &[[u16; PANEL]],
    columns: usize,
    x: &[f32],
    out: &mut [f32],
) {
    multiply_float::<_, L>(panels, columns, x, out, L::load_half);
}

#[inline(always)]
fn multiply_float<T, L: Lanes>(
    panels: &[[T; PANEL]],
    columns: usize,
    x: &[f32],
    out: &mut [f32],
    load: impl Fn(&[T; PANEL]) -> L + Copy,
) {
    let (tokens, rows) = (x.len() / columns, panels.len() / columns * PANEL);
    for (at, panel) in panels.chunks_exact(columns).enumerate() {
        let mut first = 0;
        // As many tokens at once as fit, so that each line is loaded once for them.
        while first < tokens {
            let x = &x[first * columns..];
            let mut sums: Sums = [[0.0; PANEL]; TOKENS];
            let n = (tokens - first).min(TOKENS);
            match n {
                1 => products::<1, T, L>(panel, x, &mut sums, load),
                2 => products::<2, T, L>(panel, x, &mut sums, load),
                3 => products::<3, T, L>(panel, x, &mut sums, load),
                _ => products::<TOKENS, T, L>(panel, x, &mut sums, load),
            }
            for (token, sums) in sums.iter().enumerate().take(n) {
                let to = (first + token) * rows + at * PANEL;
                out[to..to + PANEL].copy_from_slice(sums);
            }
            first += n;
        }
    }
}

#[inline(always)]
fn products<const N: usize, T, L: Lanes>(
    panel: &[[T; PANEL]],
    x: &[f32],
    sums: &mut Sums,
    load: impl Fn(&[T; PANEL]) -> L,
) {
    // A sum in four parts, so that one addition need not wait for the last.
    const CHAINS: usize = 4;
    let columns = panel.len();
    let x = &x[..N * columns];
    let mut chains = [[L::splat(0.0); N]; CHAINS];
    let mut column = 0;
    while column + CHAINS <= columns {
        for chain in 0..CHAINS {
            let line = load(&panel[column + chain]);
            for t in 0..N {
                let x = L::splat(x[t * columns + column + chain]);
                chains[chain][t] = line.mul_add(x, chains[chain][t]);
            }
        }
        column += CHAINS;
    }
    while column < columns {
        let line = load(&panel[column]);
        for t in 0..N {
            chains[0][t] = line.mul_add(L::splat(x[t * columns + column]), chains[0][t]);
        }
        column += 1;
    }
    let [a, b, c, d] = chains;
    for t in 0..N {
        a[t].add(b[t]).add(c[t].add(d[t])).store(&mut sums[t]);
    }
}

/// Goes through a matrix of Q8_0 as [`multiply_float`] does; `one` computes a panel for
/// [`TOKENS`] vectors or fewer.
#[inline(always)]
pub(super) fn multiply_q8(
    lines: &[[u8; 64]],
    scales: &[[u16; PANEL]],
    x: &Quantized,
    out: &mut [f32],
    one: impl Fn(&[[u8; 64]], &[[u16; PANEL]], &[QuantizedVector<'_>], &mut Sums),
) {
    let (tokens, blocks) = (x.count(), x.blocks());
    let rows = scales.len() / blocks * PANEL;
    let mut first = 0;
    while first < tokens {
        let n = (tokens - first).min(TOKENS);
        let mut vectors = [QuantizedVector::default(); TOKENS];
        for (token, vector) in vectors.iter_mut().enumerate().take(n) {
            *vector = x.vector(first + token);
        }
        let panels = lines
            .chunks_exact(blocks * BLOCK / 4)
            .zip(scales.chunks_exact(blocks));
        for (at, (lines, scales)) in panels.enumerate() {
            let mut sums: Sums = [[0.0; PANEL]; TOKENS];
            one(lines, scales, &vectors[..n], &mut sums);
            for (token, sums) in sums.iter().enumerate().take(n) {
                let to = (first + token) * rows + at * PANEL;
                out[to..to + PANEL].copy_from_slice(sums);
            }
        }
        first += n;
    }
}

/// A panel of Q8_0 for one instruction set: any.
#[inline(always)]
pub(super) fn panel_q8(
    lines: &[[u8; 64]],
    scales: &[[u16; PANEL]],
    vectors: &[QuantizedVector<'_>],
    sums: &mut Sums,
) {
    for (x, totals) in vectors.iter().zip(sums) {
        for (block, weights) in lines.as_chunks::<{ BLOCK / 4 }>().0.iter().enumerate() {
            let mut dots = [x.corrections[block]; PANEL];
            for (line, x) in weights.iter().zip(x.quants[block].as_chunks::<4>().0) {
                for (dot, w) in dots.iter_mut().zip(line.as_chunks::<4>().0) {
                    for (w, x) in w.iter().zip(x) {
                        *dot += i32::from(*w) * i32::from(*x);
                    }
                }
            }
            for ((total, dot), scale) in totals.iter_mut().zip(&dots).zip(&scales[block]) {
                *total += *dot as f32 * (f16::from_bits(*scale).to_f32() * x.scales[block]);
            }
        }
    }
}

/// Scaled dot-product attention over the cache, heads one after the other:
/// `softmax(q·k / sqrt(head_width)) · v`.
#[inline(always)]
pub(super) fn attend<L: Lanes>(job: Attention<'_>) {
    let Attention {
        queries,
        keys,
        values,
        seen,
        head_width,
        kv_heads,
        scores,
        out,
    } = job;
    let kv_width = head_width * kv_heads;
    let heads = queries.len() / head_width;
    let scale = 1.0 / (head_width as f32).sqrt();
    let panels = seen.div_ceil(PANEL);
    scores.resize(panels, [0.0; PANEL]);
    for head in 0..heads {
        let at = head * kv_heads / heads * head_width;
        let query = &queries[head * head_width..(head + 1) * head_width];
        let out = &mut out[head * head_width..(head + 1) * head_width];
        let mut sums: Sums = [[0.0; PANEL]; TOKENS];
        for (panel, score) in scores.iter_mut().enumerate() {
            let begin = panel * kv_width + at;
            products::<1, f32, L>(&keys[begin..begin + head_width], query, &mut sums, L::load);
            *score = sums[0];
        }
        for score in &mut scores[panels - 1][(seen - 1) % PANEL + 1..] {
            *score = f32::NEG_INFINITY;
        }
        let total = softmax::<L>(scores, scale);
        let shares = &scores.as_flattened()[..seen];
        let mut done = 0;
        while done + 4 * PANEL <= head_width {
            weighted_sum::<4, L>(
                &values[at + done..],
                kv_width,
                shares,
                total,
                &mut out[done..],
            );
            done += 4 * PANEL;
        }
        while done + PANEL <= head_width {
            weighted_sum::<1, L>(
                &values[at + done..],
                kv_width,
                shares,
                total,
                &mut out[done..],
            );
            done += PANEL;
        }
        for i in done..head_width {
            let mut sum = 0.0;
            for (position, share) in shares.iter().enumerate() {
                sum += share * values[position * kv_width + at + i];
            }
            out[i] = sum / total;
        }
    }
}

/// Makes `e^(scale * (score - largest))` of each score, and gives their sum.
#[inline(always)]
fn softmax<L: Lanes>(scores: &mut [[f32; PANEL]], scale: f32) -> f32 {
    let mut lanes = L::splat(f32::NEG_INFINITY);
    for panel in scores.iter() {
        lanes = lanes.max(L::load(panel));
    }
    let mut largest = f32::NEG_INFINITY;
    for lane in lanes.numbers() {
        largest = largest.max(lane);
    }
    let (largest, scale) = (L::splat(largest), L::splat(scale));
    let mut sums = L::splat(0.0);
    for panel in scores {
        let weights = exp(L::load(panel).sub(largest).mul(scale));
        weights.store(panel);
        sums = sums.add(weights);
    }
    let mut total = 0.0;
    for lane in sums.numbers() {
        total += lane;
    }
    total
}

/// `sum(share * value) / total` for the first `N` times [`PANEL`] numbers of each value,
/// which lie `stride` apart.
#[inline(always)]
fn weighted_sum<const N: usize, L: Lanes>(
    values: &[f32],
    stride: usize,
    shares: &[f32],
    total: f32,
    out: &mut [f32],
) {
    let mut sums = [L::splat(0.0); N];
    for (position, share) in shares.iter().enumerate() {
        let value = &values[position * stride..position * stride + N * PANEL];
        let (share, value) = (L::splat(*share), value.as_chunks::<PANEL>().0);
        for i in 0..N {
            sums[i] = share.mul_add(L::load(&value[i]), sums[i]);
        }
    }
    let out = out.as_chunks_mut::<PANEL>().0;
    for i in 0..N {
        sums[i].div(L::splat(total)).store(&mut out[i]);
    }
}

#[inline(always)]
pub(super) fn swiglu<L: Lanes>(gate: &mut [f32], up: &[f32]) {
    let one = L::splat(1.0);
    // Widths are multiples of 16; what is left of another is lost in nobody's model.
    let gate = gate.as_chunks_mut::<PANEL>().0;
    for (gate, up) in gate.iter_mut().zip(up.as_chunks::<PANEL>().0) {
        let g = L::load(gate);
        let sigmoid = one.div(one.add(exp(L::splat(0.0).sub(g))));
        g.mul(sigmoid).mul(L::load(up)).store(gate);
    }
}
