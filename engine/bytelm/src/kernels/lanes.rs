//! Sixteen numbers at once, for each instruction set.
//!
//! The kernels are written once, over [`Lanes`]. Left to itself, the compiler keeps sums in
//! single registers or in memory as often as in vectors.

use super::PANEL;
use half::f16;

/// [`PANEL`] floats that are computed with together.
///
/// All methods are inlined always, so that they are compiled for the instruction set of the
/// function that uses them. The implementations for more than the portable set are therefore
/// named only in functions that enable it.
pub(super) trait Lanes: Copy {
    fn splat(number: f32) -> Self;
    fn load(numbers: &[f32; PANEL]) -> Self;
    /// Widens f16, given as bits.
    fn load_half(bits: &[u16; PANEL]) -> Self;
    fn store(self, to: &mut [f32; PANEL]);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once where that is one instruction.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// `2^n`, n being the low bits of the float's bits, -126 to 127.
    fn power(self) -> Self;
    /// 0 where `of` is below the limit.
    fn zero_where_below(self, of: Self, limit: f32) -> Self;

    /// The lanes one by one.
    #[inline(always)]
    fn numbers(self) -> [f32; PANEL] {
        let mut numbers = [0.0; PANEL];
        self.store(&mut numbers);
        numbers
    }
}

/// Plain arrays.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; PANEL]);

impl Portable {
    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a = f(*a, *b);
        }
        self
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn splat(number: f32) -> Self {
        Self([number; PANEL])
    }

    #[inline(always)]
    fn load(numbers: &[f32; PANEL]) -> Self {
        Self(*numbers)
    }

    #[inline(always)]
    fn load_half(bits: &[u16; PANEL]) -> Self {
        Self(bits.map(|bits| f16::from_bits(bits).to_f32()))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; PANEL]) {
        *to = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // Without the instruction, a fused one would be a call.
        if cfg!(target_arch = "aarch64") {
            let mut sums = addend;
            for ((sum, a), b) in sums.0.iter_mut().zip(&self.0).zip(&factor.0) {
                *sum = a.mul_add(*b, *sum);
            }
            sums
        } else {
            self.mul(factor).add(addend)
        }
    }

    #[inline(always)]
    fn power(self) -> Self {
        Self(
            self.0
                .map(|n| f32::from_bits(n.to_bits().wrapping_add(127) << 23)),
        )
    }

    #[inline(always)]
    fn zero_where_below(self, of: Self, limit: f32) -> Self {
        self.zip(of, |a, of| if of < limit { 0.0 } else { a })
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, PANEL};
    use std::arch::x86_64::*;

    /// Two vectors of 8.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256, __m256);

    /// One vector of 16.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512);

    macro_rules! avx2 {
        ($(fn $name:ident = $intrinsic:ident;)*) => {
            $(
                #[inline(always)]
                fn $name(self, other: Self) -> Self {
                    // SAFETY: used only where AVX2 is enabled; see `Lanes`.
                    unsafe { Self($intrinsic(self.0, other.0), $intrinsic(self.1, other.1)) }
                }
            )*
        };
    }

    // SAFETY of all of these: used only where AVX2, FMA and F16C are enabled; see `Lanes`.
    // Each pointer is to an array of the size that is read or written.
    impl Lanes for Avx2 {
        avx2! {
            fn add = _mm256_add_ps;
            fn sub = _mm256_sub_ps;
            fn mul = _mm256_mul_ps;
            fn div = _mm256_div_ps;
            fn min = _mm256_min_ps;
            fn max = _mm256_max_ps;
        }

        #[inline(always)]
        fn splat(number: f32) -> Self {
            // SAFETY: as above.
            let lanes = unsafe { _mm256_set1_ps(number) };
            Self(lanes, lanes)
        }

        #[inline(always)]
        fn load(numbers: &[f32; PANEL]) -> Self {
            let numbers = numbers.as_ptr();
            // SAFETY: as above.
            unsafe { Self(_mm256_loadu_ps(numbers), _mm256_loadu_ps(numbers.add(8))) }
        }

        #[inline(always)]
        fn load_half(bits: &[u16; PANEL]) -> Self {
            let bits = bits.as_ptr().cast::<__m128i>();
            // SAFETY: as above.
            unsafe {
                let (low, high) = (_mm_loadu_si128(bits), _mm_loadu_si128(bits.add(1)));
                Self(_mm256_cvtph_ps(low), _mm256_cvtph_ps(high))
            }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; PANEL]) {
            let to = to.as_mut_ptr();
            // SAFETY: as above.
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                Self(
                    _mm256_fmadd_ps(self.0, factor.0, addend.0),
                    _mm256_fmadd_ps(self.1, factor.1, addend.1),
                )
            }
        }

        #[inline(always)]
        fn power(self) -> Self {
            // SAFETY: as above.
            let power = |lanes| unsafe {
                let bits = _mm256_add_epi32(_mm256_castps_si256(lanes), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(bits))
            };
            Self(power(self.0), power(self.1))
        }

        #[inline(always)]
        fn zero_where_below(self, of: Self, limit: f32) -> Self {
            // SAFETY: as above.
            unsafe {
                let limit = _mm256_set1_ps(limit);
                let (low, high) = (
                    _mm256_cmp_ps::<_CMP_LT_OQ>(of.0, limit),
                    _mm256_cmp_ps::<_CMP_LT_OQ>(of.1, limit),
                );
                Self(
                    _mm256_andnot_ps(low, self.0),
                    _mm256_andnot_ps(high, self.1),
                )
            }
        }
    }

    macro_rules! avx512 {
        ($(fn $name:ident = $intrinsic:ident;)*) => {
            $(
                #[inline(always)]
                fn $name(self, other: Self) -> Self {
                    // SAFETY: used only where AVX-512 is enabled; see `Lanes`.
                    unsafe { Self($intrinsic(self.0, other.0)) }
                }
            )*
        };
    }

    // SAFETY of all of these: used only where AVX-512 F is enabled; see `Lanes`. Each
    // pointer is to an array of the size that is read or written.
    impl Lanes for Avx512 {
        avx512! {
            fn add = _mm512_add_ps;
            fn sub = _mm512_sub_ps;
            fn mul = _mm512_mul_ps;
            fn div = _mm512_div_ps;
            fn min = _mm512_min_ps;
            fn max = _mm512_max_ps;
        }

        #[inline(always)]
        fn splat(number: f32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_set1_ps(number) })
        }

        #[inline(always)]
        fn load(numbers: &[f32; PANEL]) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_loadu_ps(numbers.as_ptr()) })
        }

        #[inline(always)]
        fn load_half(bits: &[u16; PANEL]) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(bits.as_ptr().cast())) })
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; PANEL]) {
            // SAFETY: as above.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) };
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
        }

        #[inline(always)]
        fn power(self) -> Self {
            // SAFETY: as above.
            Self(unsafe {
                let bits = _mm512_add_epi32(_mm512_castps_si512(self.0), _mm512_set1_epi32(127));
                _mm512_castsi512_ps(_mm512_slli_epi32::<23>(bits))
            })
        }

        #[inline(always)]
        fn zero_where_below(self, of: Self, limit: f32) -> Self {
            // SAFETY: as above.
            Self(unsafe {
                let kept = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(of.0, _mm512_set1_ps(limit));
                _mm512_maskz_mov_ps(kept, self.0)
            })
        }
    }
}
