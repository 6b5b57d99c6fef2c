//! Numbers as a file stores them.

use crate::kernels::{BLOCK, BLOCK_BYTES};
use half::f16;
use rusty_genius_core::gguf::TensorType;

/// Encodes rows of `columns` numbers, or says what is wrong with them.
pub(crate) fn encode(
    numbers: &[f32],
    columns: usize,
    ty: TensorType,
) -> Result<Vec<u8>, &'static str> {
    let in_f16 = |number: f32| number.is_finite() && f16::from_f32(number).is_finite();
    let fits = match ty {
        TensorType::F16 => numbers.iter().all(|&n| in_f16(n)),
        TensorType::Q8_0 => numbers.iter().all(|&n| in_f16(n / 127.0)),
        _ => numbers.iter().all(|n| n.is_finite()),
    };
    if !fits {
        return Err("has a number that is not finite or too large for the type");
    }
    Ok(match ty {
        TensorType::F16 => numbers
            .iter()
            .flat_map(|&n| f16::from_f32(n).to_le_bytes())
            .collect(),
        TensorType::Q8_0 if !columns.is_multiple_of(BLOCK) => {
            return Err("has rows that are no multiple of 32 numbers");
        }
        TensorType::Q8_0 => {
            let mut bytes = Vec::with_capacity(numbers.len() / BLOCK * BLOCK_BYTES);
            for block in numbers.as_chunks::<BLOCK>().0 {
                let largest = block.iter().fold(0_f32, |max, n| max.max(n.abs()));
                let scale = largest / 127.0;
                let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                bytes.extend(f16::from_f32(scale).to_le_bytes());
                bytes.extend(block.map(|n| (n * inverse).round() as i8 as u8));
            }
            bytes
        }
        _ => numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
    })
}

/// Decodes numbers, if the type is one that [`encode`] writes.
pub(crate) fn decode(bytes: &[u8], ty: TensorType) -> Option<Vec<f32>> {
    match ty {
        TensorType::F32 => Some(floats(bytes)),
        TensorType::F16 => {
            let halves = bytes.as_chunks::<2>().0;
            let wide = halves.iter().map(|&b| f16::from_le_bytes(b).to_f32());
            Some(wide.collect())
        }
        TensorType::Q8_0 => {
            let mut numbers = Vec::with_capacity(bytes.len() / BLOCK_BYTES * BLOCK);
            for block in bytes.as_chunks::<BLOCK_BYTES>().0 {
                let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
                numbers.extend(block[2..].iter().map(|&q| f32::from(q as i8) * scale));
            }
            Some(numbers)
        }
        _ => None,
    }
}

/// Decodes f32.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    let quads = bytes.as_chunks::<4>().0;
    quads.iter().map(|&b| f32::from_le_bytes(b)).collect()
}
