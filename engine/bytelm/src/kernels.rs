//! The arithmetic of decoding, for the processor it runs on.
//!
//! [`Isa`] is a set of instructions that this machine was found to have; its methods are the
//! kernels. Matrices lie in panels of [`PANEL`] rows (see [`Matrix`](crate::matrix::Matrix)),
//! so that one vector holds the same column of 16 rows and nothing is ever summed across a
//! vector.
//!
//! Whatever number of tokens is computed at once, each gets the same operations in the same
//! order: a prompt read in one piece, in chunks or byte by byte gives the same numbers.
//! Another instruction set may round otherwise in the last bits of a sum.

mod generic;
mod lanes;
mod math;
mod portable;
mod quantized;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use generic::Attention;
pub(crate) use quantized::Quantized;

/// Rows that lie side by side.
pub(crate) const PANEL: usize = 16;
/// Columns that share a scale in Q8_0.
pub(crate) const BLOCK: usize = 32;
/// Bytes of such a block: the scale as f16, and a byte for each number.
pub(crate) const BLOCK_BYTES: usize = 2 + BLOCK;
/// Most tokens a kernel takes at once.
const TOKENS: usize = 4;

/// Numbers of one panel's rows, by token.
type Sums = [[f32; PANEL]; TOKENS];

/// Instructions the kernels may use on this machine. Made only by looking for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Isa(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What every processor of the target has.
    Portable,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// All there are here, the best first.
    pub(crate) fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni");
            if avx512 {
                found.push(Self(Kind::Avx512));
            }
            if avx2 {
                found.push(Self(Kind::Avx2));
            }
        }
        found.push(Self(Kind::Portable));
        found
    }

    /// The best there is here.
    pub(crate) fn detect() -> Self {
        Self::available()[0]
    }

    /// Its name: `avx512`, `avx2` or `portable`.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }
}

/// Defines the methods of `Isa` that choose among the implementations of a kernel.
macro_rules! dispatch {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?);)*) => {
        impl Isa {
            $(
                $(#[$doc])*
                pub(crate) fn $name(self, $($arg: $ty),*) {
                    match self.0 {
                        Kind::Portable => portable::$name($($arg),*),
                        // SAFETY: an `Isa` of this kind exists only where the features
                        // that the function asks for were detected.
                        #[cfg(target_arch = "x86_64")]
                        Kind::Avx2 => unsafe { x86::avx2::$name($($arg),*) },
                        // SAFETY: as above.
                        #[cfg(target_arch = "x86_64")]
                        Kind::Avx512 => unsafe { x86::avx512::$name($($arg),*) },
                    }
                }
            )*
        }
    };
}

dispatch! {
    /// Multiplies a matrix of f32, panel after panel of `columns` lines, with the vectors in
    /// `x`, each of `columns` numbers; `out` gets as many numbers for each as there are rows.
    fn multiply_f32(panels: &[[f32; PANEL]], columns: usize, x: &[f32], out: &mut [f32]);
    /// Likewise a matrix of f16, given as bits.
    fn multiply_f16(panels: &[[u16; PANEL]], columns: usize, x: &[f32], out: &mut [f32]);
    /// Likewise a matrix of Q8_0: for each block of columns 8 lines of 4 columns of 16 rows,
    /// 128 added to each number, and a line of scales, f16 bits.
    fn multiply_q8(lines: &[[u8; 64]], scales: &[[u16; PANEL]], x: &Quantized, out: &mut [f32]);
    /// Rounds the vectors in `x`, each of `columns` numbers, a multiple of [`BLOCK`].
    fn quantize(quantized: &mut Quantized, x: &[f32], columns: usize);
    /// Attention of one token: see [`Attention`].
    fn attend(job: Attention<'_>);
    /// `gate[i] = silu(gate[i]) * up[i]`.
    fn swiglu(gate: &mut [f32], up: &[f32]);
}
