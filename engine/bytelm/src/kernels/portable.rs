//! The kernels for every processor.

use super::lanes::Portable;
use super::{Attention, PANEL, Quantized, generic};

pub(super) fn multiply_f32(panels: &[[f32; PANEL]], columns: usize, x: &[f32], out: &mut [f32]) {
    generic::multiply_f32::<Portable>(panels, columns, x, out);
}

pub(super) fn multiply_f16(panels: &[[u16; PANEL]], columns: usize, x: &[f32], out: &mut [f32]) {
    generic::multiply_f16::<Portable>(panels, columns, x, out);
}

pub(super) fn multiply_q8(
    lines: &[[u8; 64]],
    scales: &[[u16; PANEL]],
    x: &Quantized,
    out: &mut [f32],
) {
    generic::multiply_q8(lines, scales, x, out, generic::panel_q8);
}

pub(super) fn quantize(quantized: &mut Quantized, x: &[f32], columns: usize) {
    quantized.fill::<false>(x, columns);
}

pub(super) fn attend(job: Attention<'_>) {
    generic::attend::<Portable>(job);
}

pub(super) fn swiglu(gate: &mut [f32], up: &[f32]) {
    generic::swiglu::<Portable>(gate, up);
}
