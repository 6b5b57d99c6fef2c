use super::*;

fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| rng.f32() * 2.0 - 1.0).collect()
}

/// A job over random queries, keys and values, and what attention is by its definition.
fn attention(isa: Isa, positions: usize, heads: usize, kv_heads: usize, head_width: usize) {
    let queries = numbers(1, heads * head_width);
    let keys = numbers(2, positions * kv_heads * head_width);
    let kv_width = kv_heads * head_width;
    // Numbers that would be noticed where there is no position.
    let mut panels = vec![[1e9; PANEL]; positions.div_ceil(PANEL) * kv_width];
    for (position, key) in keys.chunks(kv_width).enumerate() {
        for (c, number) in key.iter().enumerate() {
            panels[position / PANEL * kv_width + c][position % PANEL] = *number;
        }
    }
    let values = numbers(3, positions * kv_heads * head_width);
    let mut out = vec![f32::NAN; queries.len()];
    isa.attend(Attention {
        queries: &queries,
        keys: &panels,
        values: &values,
        seen: positions,
        head_width,
        kv_heads,
        scores: &mut vec![[7.0; PANEL]; 3],
        out: &mut out,
    });
    for head in 0..heads {
        let at = |position: usize, i: usize| {
            (position * kv_heads + head * kv_heads / heads) * head_width + i
        };
        let score = |position: usize| {
            let products = (0..head_width)
                .map(|i| f64::from(queries[head * head_width + i] * keys[at(position, i)]));
            (products.sum::<f64>() / (head_width as f64).sqrt()).exp()
        };
        let total: f64 = (0..positions).map(score).sum();
        for i in 0..head_width {
            let weighted = |p: usize| score(p) / total * f64::from(values[at(p, i)]);
            let expected: f64 = (0..positions).map(weighted).sum();
            let found = f64::from(out[head * head_width + i]);
            assert!(
                (found - expected).abs() < 1e-5,
                "{isa:?}: {found} {expected}"
            );
        }
    }
}

#[test]
fn attention_is_its_definition_on_every_instruction_set() {
    for isa in Isa::available() {
        attention(isa, 1, 1, 1, 16);
        attention(isa, 37, 2, 2, 64);
        attention(isa, 50, 4, 2, 20);
    }
}

#[test]
fn swiglu_is_its_definition_on_every_instruction_set() {
    let up = numbers(5, 64);
    let gate: Vec<f32> = numbers(4, 64).iter().map(|g| g * 30.0).collect();
    for isa in Isa::available() {
        let mut found = gate.clone();
        isa.swiglu(&mut found, &up);
        for ((g, u), found) in gate.iter().zip(&up).zip(found) {
            let expected = g / (1.0 + (-g).exp()) * u;
            assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()));
        }
    }
}

#[test]
fn rounding_to_8_bits_keeps_each_number_within_half_a_step() {
    let x = numbers(6, 96);
    let mut quantized = Quantized::default();
    quantized.fill::<false>(&x, 96);
    let vector = quantized.vector(0);
    for (block, numbers) in x.as_chunks::<BLOCK>().0.iter().enumerate() {
        let sum: i32 = vector.quants[block].iter().map(|&q| i32::from(q)).sum();
        assert_eq!(vector.corrections[block], -128 * sum);
        for (n, &q) in numbers.iter().zip(&vector.quants[block]) {
            let step = vector.scales[block];
            assert!((f32::from(q) * step - n).abs() <= step * 0.501);
        }
    }
}

#[test]
fn rounding_numbers_that_are_none_does_not_panic() {
    let mut x = [0_f32; 64];
    let mut quantized = Quantized::default();
    quantized.fill::<false>(&x, 64);
    assert_eq!(quantized.vector(0).scales, [0.0, 0.0]);
    x[3] = f32::NAN;
    x[40] = f32::INFINITY;
    quantized.fill::<false>(&x, 64);
}

/// `e^x` of one number, as each instruction set computes it.
fn exps(x: f32) -> Vec<f32> {
    Isa::available()
        .into_iter()
        .map(|isa| {
            // Two positions, whose scores are 0 and x: the shares are 1 and e^x, over their sum.
            let mut keys = vec![[0.0; PANEL]; 16];
            keys[0][1] = x * 4.0;
            let mut values = vec![0.0; 32];
            values[16] = 1.0;
            let mut query = [0.0; 16];
            query[0] = 1.0;
            let mut out = [0.0; 16];
            isa.attend(Attention {
                queries: &query,
                keys: &keys,
                values: &values,
                seen: 2,
                head_width: 16,
                kv_heads: 1,
                scores: &mut Vec::new(),
                out: &mut out,
            });
            // share = e / (1 + e)
            out[0] / (1.0 - out[0])
        })
        .collect()
}

#[test]
fn exp_is_that_of_the_standard_library() {
    for i in 0..8_700 {
        let x = i as f32 / -100.0 - 0.001_7;
        let expected = f64::from(x).exp();
        for found in exps(x) {
            let error = (f64::from(found) / expected - 1.0).abs();
            // Beside exp's own 3e-7, the roundings of the way there.
            assert!(error < 3e-6, "exp({x}) = {found}, not {expected}");
        }
    }
}

#[test]
fn the_far_ends_of_exp() {
    for x in [-88.0, -1e30, f32::NEG_INFINITY] {
        assert!(exps(x).iter().all(|&found| found == 0.0), "{x}");
    }
}
