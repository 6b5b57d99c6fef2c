//! The kernels for x86-64.

use super::lanes::{Avx2, Avx512};
use super::quantized::QuantizedVector;
use super::{Attention, BLOCK, PANEL, Quantized, Sums, generic};
use std::arch::x86_64::*;

/// The kernels that are the same on all instruction sets, compiled for one.
macro_rules! compile {
    ($lanes:ident, $features:literal, wide: $wide:literal) => {
        #[target_feature(enable = $features)]
        pub(in super::super) fn multiply_f32(
            panels: &[[f32; PANEL]],
            columns: usize,
            x: &[f32],
            out: &mut [f32],
        ) {
            generic::multiply_f32::<$lanes>(panels, columns, x, out);
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn multiply_f16(
            panels: &[[u16; PANEL]],
            columns: usize,
            x: &[f32],
            out: &mut [f32],
        ) {
            generic::multiply_f16::<$lanes>(panels, columns, x, out);
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn multiply_q8(
            lines: &[[u8; 64]],
            scales: &[[u16; PANEL]],
            x: &Quantized,
            out: &mut [f32],
        ) {
            generic::multiply_q8(lines, scales, x, out, |lines, scales, vectors, sums| {
                panel_q8(lines, scales, vectors, sums);
            });
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn quantize(quantized: &mut Quantized, x: &[f32], columns: usize) {
            quantized.fill::<$wide>(x, columns);
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn attend(job: Attention<'_>) {
            generic::attend::<$lanes>(job);
        }

        #[target_feature(enable = $features)]
        pub(in super::super) fn swiglu(gate: &mut [f32], up: &[f32]) {
            generic::swiglu::<$lanes>(gate, up);
        }
    };
}

/// With AVX2, FMA and F16C.
pub(super) mod avx2 {
    use super::*;

    compile!(Avx2, "avx2,fma,f16c", wide: true);

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn panel_q8(
        lines: &[[u8; 64]],
        scales: &[[u16; PANEL]],
        vectors: &[QuantizedVector<'_>],
        sums: &mut Sums,
    ) {
        for (x, sums) in vectors.iter().zip(sums) {
            let mut totals = [_mm256_setzero_ps(); 2];
            let blocks = lines.as_chunks::<{ BLOCK / 4 }>().0;
            for (block, weights) in blocks.iter().enumerate() {
                // Each holds 4 rows, two partial sums a row.
                let mut dots = [_mm256_setzero_si256(); 4];
                for (line, x) in weights.iter().zip(x.wide[block].as_chunks::<4>().0) {
                    // SAFETY: `x` has 8 bytes, and `line` four times 16.
                    unsafe {
                        let x = _mm256_set1_epi64x(x.as_ptr().cast::<i64>().read_unaligned());
                        for (quarter, dot) in dots.iter_mut().enumerate() {
                            let bytes = line.as_ptr().cast::<__m128i>().add(quarter);
                            let w = _mm256_cvtepu8_epi16(_mm_loadu_si128(bytes));
                            *dot = _mm256_add_epi32(*dot, _mm256_madd_epi16(w, x));
                        }
                    }
                }
                let correction = _mm256_set1_epi32(x.corrections[block]);
                let x_scale = _mm256_set1_ps(x.scales[block]);
                for (half, total) in totals.iter_mut().enumerate() {
                    // Rows 0 1 4 5 | 2 3 6 7, then in order.
                    let rows = _mm256_hadd_epi32(dots[2 * half], dots[2 * half + 1]);
                    let rows = _mm256_permute4x64_epi64::<0b11_01_10_00>(rows);
                    let rows = _mm256_cvtepi32_ps(_mm256_add_epi32(rows, correction));
                    // SAFETY: a line of scales has 32 bytes, and `half` is 0 or 1.
                    let scale = unsafe {
                        let bits = scales[block].as_ptr().cast::<__m128i>().add(half);
                        _mm256_mul_ps(_mm256_cvtph_ps(_mm_loadu_si128(bits)), x_scale)
                    };
                    *total = _mm256_fmadd_ps(rows, scale, *total);
                }
            }
            // SAFETY: `sums` has 64 bytes.
            unsafe {
                _mm256_storeu_ps(sums.as_mut_ptr(), totals[0]);
                _mm256_storeu_ps(sums.as_mut_ptr().add(8), totals[1]);
            }
        }
    }
}

/// With AVX-512 F, BW and VNNI.
pub(super) mod avx512 {
    use super::*;

    compile!(Avx512, "avx512f,avx512bw,avx512vnni,avx2,fma,f16c", wide: false);

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
    fn panel_q8(
        lines: &[[u8; 64]],
        scales: &[[u16; PANEL]],
        vectors: &[QuantizedVector<'_>],
        sums: &mut Sums,
    ) {
        match *vectors {
            [a] => q8(lines, scales, [a], sums),
            [a, b] => q8(lines, scales, [a, b], sums),
            [a, b, c] => q8(lines, scales, [a, b, c], sums),
            [a, b, c, d, ..] => q8(lines, scales, [a, b, c, d], sums),
            [] => {}
        }
    }

    /// All vectors at once, so that each line is loaded once.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
    fn q8<const N: usize>(
        lines: &[[u8; 64]],
        scales: &[[u16; PANEL]],
        vectors: [QuantizedVector<'_>; N],
        sums: &mut Sums,
    ) {
        let mut totals = [_mm512_setzero_ps(); N];
        let blocks = lines.as_chunks::<{ BLOCK / 4 }>().0;
        // Loops over indices: what goes through a function that is compiled without these
        // instructions, a closure's caller say, goes through memory.
        for (block, (weights, scales)) in blocks.iter().zip(scales).enumerate() {
            let mut dots = [_mm512_setzero_si512(); N];
            for t in 0..N {
                dots[t] = _mm512_set1_epi32(vectors[t].corrections[block]);
            }
            for (quad, line) in weights.iter().enumerate() {
                // SAFETY: `line` has 64 bytes, a block of quants 8 times 4.
                unsafe {
                    let w = _mm512_loadu_si512(line.as_ptr().cast());
                    for t in 0..N {
                        let x = vectors[t].quants[block].as_ptr().cast::<i32>().add(quad);
                        let x = _mm512_set1_epi32(x.read_unaligned());
                        dots[t] = _mm512_dpbusd_epi32(dots[t], w, x);
                    }
                }
            }
            // SAFETY: a line of scales has 32 bytes.
            let scale = unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(scales.as_ptr().cast())) };
            for t in 0..N {
                let scale = _mm512_mul_ps(scale, _mm512_set1_ps(vectors[t].scales[block]));
                totals[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), scale, totals[t]);
            }
        }
        for t in 0..N {
            // SAFETY: a token's sums have 64 bytes.
            unsafe { _mm512_storeu_ps(sums[t].as_mut_ptr(), totals[t]) };
        }
    }
}
