//! The same model written down as its definition, in f64 and with no cache: slow, and plain
//! enough to be checked by reading.

use crate::Weights;
use crate::vocab::Token;

type Vector = Vec<f64>;

/// The logits after each token.
pub(super) fn logits(weights: &Weights, tokens: &[Token]) -> Vec<f32> {
    let config = weights.config();
    let mut stream: Vec<Vector> = tokens
        .iter()
        .map(|&token| row(weights, "token_embd", token.into()))
        .collect();
    for layer in 0..config.layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let normed: Vec<Vector> = stream
            .iter()
            .map(|x| norm(weights, &name("attn_norm"), x))
            .collect();
        let project = |part: &str| -> Vec<Vector> {
            normed
                .iter()
                .map(|x| times(weights, &name(part), x))
                .collect()
        };
        let (mut queries, mut keys) = (project("attn_q"), project("attn_k"));
        let values = project("attn_v");
        for position in 0..tokens.len() {
            rotate(weights, &mut queries[position], position);
            rotate(weights, &mut keys[position], position);
        }
        for position in 0..tokens.len() {
            let out = attend(weights, &queries[position], &keys[..=position], &values);
            let added = times(weights, &name("attn_output"), &out);
            add(&mut stream[position], &added);
        }
        for x in &mut stream {
            let normed = norm(weights, &name("ffn_norm"), x);
            let gate = times(weights, &name("ffn_gate"), &normed);
            let up = times(weights, &name("ffn_up"), &normed);
            let silu = gate.iter().map(|g| g / (1.0 + (-g).exp()));
            let inner: Vector = silu.zip(&up).map(|(g, u)| g * u).collect();
            let added = times(weights, &name("ffn_down"), &inner);
            add(x, &added);
        }
    }
    let output = if config.tied { "token_embd" } else { "output" };
    let last = |x: &Vector| times(weights, output, &norm(weights, "output_norm", x));
    stream.iter().flat_map(last).map(|x| x as f32).collect()
}

fn row(weights: &Weights, name: &str, row: usize) -> Vector {
    let tensor = weights.tensor(&format!("{name}.weight")).unwrap();
    let numbers = &tensor.data[row * tensor.columns..(row + 1) * tensor.columns];
    numbers.iter().map(|&n| n.into()).collect()
}

fn times(weights: &Weights, name: &str, x: &[f64]) -> Vector {
    let rows = weights.tensor(&format!("{name}.weight")).unwrap().rows;
    (0..rows)
        .map(|r| {
            row(weights, name, r)
                .iter()
                .zip(x)
                .map(|(w, x)| w * x)
                .sum()
        })
        .collect()
}

fn norm(weights: &Weights, name: &str, x: &[f64]) -> Vector {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    let root = (mean + f64::from(weights.config().norm_epsilon)).sqrt();
    row(weights, name, 0)
        .iter()
        .zip(x)
        .map(|(w, x)| w * x / root)
        .collect()
}

fn rotate(weights: &Weights, x: &mut [f64], position: usize) {
    let width = weights.config().head_width();
    for (i, pair) in x.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let i = i % (width / 2);
        let base = f64::from(weights.config().rope_base);
        let angle = position as f64 * base.powf(-2.0 * i as f64 / width as f64);
        let [a, b] = *pair;
        *pair = [
            a * angle.cos() - b * angle.sin(),
            a * angle.sin() + b * angle.cos(),
        ];
    }
}

fn attend(weights: &Weights, query: &[f64], keys: &[Vector], values: &[Vector]) -> Vector {
    let config = weights.config();
    let width = config.head_width();
    let mut out = Vec::new();
    for head in 0..config.heads {
        let shared = head / (config.heads / config.kv_heads);
        let part = |x: &[f64], head: usize| x[head * width..(head + 1) * width].to_vec();
        let query = part(query, head);
        let scores: Vector = keys
            .iter()
            .map(|key| {
                let products = query.iter().zip(part(key, shared)).map(|(q, k)| q * k);
                (products.sum::<f64>() / (width as f64).sqrt()).exp()
            })
            .collect();
        let total: f64 = scores.iter().sum();
        for i in 0..width {
            let weighted = scores
                .iter()
                .zip(values)
                .map(|(s, v)| s / total * v[shared * width + i]);
            out.push(weighted.sum());
        }
    }
    out
}

fn add(x: &mut [f64], added: &[f64]) {
    for (x, a) in x.iter_mut().zip(added) {
        *x += a;
    }
}
