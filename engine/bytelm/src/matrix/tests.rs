use super::*;
use crate::gguf::numbers::encode;
use proptest::prelude::*;

const TYPES: [TensorType; 3] = [TensorType::F32, TensorType::F16, TensorType::Q8_0];

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| rng.f32() * 2.0 - 1.0).collect()
}

fn matrix(bytes: &[u8], rows: usize, columns: usize, ty: TensorType) -> Matrix {
    let mut matrix = Matrix::new(rows, columns, ty).unwrap();
    for panel in bytes.chunks_exact(bytes.len() / rows * PANEL) {
        assert!(matrix.push_panel(panel));
    }
    matrix
}

fn input(x: &[f32], columns: usize) -> Input {
    let mut input = Input::default();
    let tokens = x.len() / columns;
    input.begin(tokens, columns).copy_from_slice(x);
    input
}

fn product(matrix: &Matrix, isa: Isa, x: &[f32]) -> Vec<f32> {
    product_of(matrix, isa, None, x)
}

fn product_of(matrix: &Matrix, isa: Isa, crew: Option<&Crew>, x: &[f32]) -> Vec<f32> {
    let mut input = input(x, matrix.columns);
    let mut out = vec![f32::NAN; input.tokens() * matrix.rows];
    matrix.multiply(isa, crew, &mut input, &mut out);
    out
}

/// Rows as they are stored, times vectors rounded as they are for this type.
fn expected(matrix: &Matrix, x: &[f32]) -> Vec<f64> {
    let rounded: Vec<f32> = match matrix.numbers {
        Numbers::Q8 { .. } => x
            .as_chunks::<BLOCK>()
            .0
            .iter()
            .flat_map(|block| {
                let step = block.iter().fold(0_f32, |m, v| m.max(v.abs())) / 127.0;
                block.map(|v| {
                    if step > 0.0 {
                        (v / step).round_ties_even() * step
                    } else {
                        0.0
                    }
                })
            })
            .collect(),
        _ => x.to_vec(),
    };
    let mut row = vec![0.0; matrix.columns];
    let mut out = Vec::new();
    for x in rounded.chunks_exact(matrix.columns) {
        for r in 0..matrix.rows {
            matrix.row(r, &mut row);
            let products = row
                .iter()
                .zip(x)
                .map(|(a, b)| f64::from(*a) * f64::from(*b));
            out.push(products.sum());
        }
    }
    out
}

#[test]
fn rows_come_back_as_they_were_stored() {
    let numbers = numbers(1, 32 * 64);
    for (ty, close) in TYPES.into_iter().zip([0.0, 5e-4, 5e-3]) {
        let bytes = encode(&numbers, 64, ty).unwrap();
        let matrix = matrix(&bytes, 32, 64, ty);
        assert_eq!(matrix.bytes(), bytes.len() as u64);
        let mut row = [0.0; 64];
        for (r, expected) in numbers.chunks_exact(64).enumerate() {
            matrix.row(r, &mut row);
            for (found, expected) in row.iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= close,
                    "{ty}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn the_product_is_that_of_the_definition_on_every_instruction_set() {
    for isa in Isa::available() {
        for (ty, tokens) in TYPES
            .into_iter()
            .flat_map(|ty| [1, 2, 3, 4, 5, 9].map(|n| (ty, n)))
        {
            let bytes = encode(&numbers(2, 48 * 96), 96, ty).unwrap();
            let matrix = matrix(&bytes, 48, 96, ty);
            let x = numbers(3, tokens * 96);
            let found = product(&matrix, isa, &x);
            for (found, expected) in found.iter().zip(expected(&matrix, &x)) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error < 1e-4,
                    "{} {ty} {tokens}: {found} {expected}",
                    isa.name()
                );
            }
        }
    }
}

#[test]
fn a_crew_of_any_size_finds_the_same_numbers() {
    for ty in TYPES {
        let bytes = encode(&numbers(7, 112 * 64), 64, ty).unwrap();
        let matrix = matrix(&bytes, 112, 64, ty);
        for tokens in [1, 6] {
            let x = numbers(8, tokens * 64);
            let alone = product(&matrix, Isa::detect(), &x);
            // 7 panels, and more hands than panels too.
            for size in [2, 3, 9] {
                let crew = Crew::new(size);
                let found = product_of(&matrix, Isa::detect(), crew.as_ref(), &x);
                assert_eq!(found, alone, "{ty} {tokens} {size}");
            }
        }
    }
}

#[test]
fn the_smallest_quant_is_a_number_like_any_other() {
    // -128, which a careless sign change turns into itself.
    let mut bytes = Vec::new();
    for _ in 0..16 {
        bytes.extend(f16::ONE.to_le_bytes());
        bytes.extend([0x80; 32]);
    }
    let matrix = matrix(&bytes, 16, 32, TensorType::Q8_0);
    for isa in Isa::available() {
        for x in [1.0, -1.0] {
            let found = product(&matrix, isa, &[x; 32]);
            let error = (found[0] - x * -128.0 * 32.0).abs();
            assert!(error < 1e-2, "{}: {}", isa.name(), found[0]);
        }
    }
}

#[test]
fn what_does_not_fill_panels_and_blocks_has_no_matrix() {
    assert!(Matrix::new(16, 32, TensorType::Q8_0).is_some());
    assert!(Matrix::new(17, 32, TensorType::Q8_0).is_none());
    assert!(Matrix::new(16, 33, TensorType::F32).is_none());
    assert!(Matrix::new(16, 32, TensorType::Q4_0).is_none());
}

#[test]
fn numbers_that_are_none_are_noticed() {
    for (ty, bits) in [
        (TensorType::F32, f32::NAN.to_le_bytes().to_vec()),
        (TensorType::F16, f16::INFINITY.to_le_bytes().to_vec()),
        (TensorType::Q8_0, f16::NAN.to_le_bytes().to_vec()),
    ] {
        let mut bytes = encode(&numbers(4, 16 * 32), 32, ty).unwrap();
        bytes[..bits.len()].copy_from_slice(&bits);
        assert!(!Matrix::new(16, 32, ty).unwrap().push_panel(&bytes));
    }
}

proptest! {
    #[test]
    fn a_token_gets_the_same_numbers_alone_and_among_others(
        seed in any::<u64>(), tokens in 1_usize..12,
    ) {
        for ty in TYPES {
            let bytes = encode(&numbers(seed, 32 * 64), 64, ty).unwrap();
            let matrix = matrix(&bytes, 32, 64, ty);
            let x = numbers(seed ^ 1, tokens * 64);
            for isa in Isa::available() {
                let together = product(&matrix, isa, &x);
                let alone: Vec<f32> =
                    x.chunks_exact(64).flat_map(|x| product(&matrix, isa, x)).collect();
                prop_assert_eq!(&together, &alone);
            }
        }
    }
}
