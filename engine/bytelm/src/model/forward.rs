//! From tokens to logits.

use super::{Block, ByteModel, Cache};
use crate::kernels::{Attention, PANEL};
use crate::matrix::{Input, Matrix};
use crate::vocab::Token;

/// Vectors in the making, kept to be used again.
#[derive(Default)]
pub(super) struct Work {
    /// The residual stream, a vector a token.
    stream: Vec<f32>,
    input: Input,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// What a block adds to the stream.
    added: Vec<f32>,
    scores: Vec<[f32; PANEL]>,
    /// Sine and cosine of each pair's rotation, for each token.
    rotations: Vec<(f32, f32)>,
    logits: Vec<f32>,
}

/// Most tokens that are computed at once; more are cut into as many.
const CHUNK: usize = 64;

impl ByteModel {
    /// Reads tokens after those in the cache, and gives the logits of what follows the last
    /// of them: [`Config::vocab`](crate::Config::vocab) numbers. Of no tokens, none.
    ///
    /// A token outside the vocabulary counts as [`END_OF_TEXT`](crate::vocab::END_OF_TEXT).
    /// Nothing here knows how long a context the model was made for.
    pub fn forward<'a>(&self, cache: &'a mut Cache, tokens: &[Token]) -> &'a mut [f32] {
        self.prefill(cache, tokens);
        cache.work.logits.clear();
        if !tokens.is_empty() {
            let states = cache.work.stream.len() / self.config.width;
            self.logits(&mut cache.work, states - 1);
        }
        &mut cache.work.logits
    }

    /// Reads tokens after those in the cache.
    pub(crate) fn prefill(&self, cache: &mut Cache, tokens: &[Token]) {
        for chunk in tokens.chunks(CHUNK) {
            self.read_chunk(cache, chunk);
        }
    }

    /// Like [`ByteModel::forward`], but for the logits of what follows each of the tokens,
    /// one after the other.
    pub fn forward_all(&self, cache: &mut Cache, tokens: &[Token]) -> Vec<f32> {
        let mut all = Vec::with_capacity(tokens.len() * self.config.vocab);
        for chunk in tokens.chunks(CHUNK) {
            self.read_chunk(cache, chunk);
            self.logits(&mut cache.work, 0);
            all.append(&mut cache.work.logits);
        }
        all
    }

    /// The last hidden state of each token of a text read on its own, normed, their mean.
    pub(crate) fn mean_state(&self, tokens: &[Token]) -> Vec<f32> {
        let mut cache = Cache::new(self);
        let width = self.config.width;
        let mut mean = vec![0_f32; width];
        for chunk in tokens.chunks(CHUNK) {
            self.read_chunk(&mut cache, chunk);
            let mut normed = vec![0.0; width];
            for state in cache.work.stream.chunks_exact(width) {
                self.norm(state, &self.output_norm, &mut normed);
                for (mean, n) in mean.iter_mut().zip(&normed) {
                    *mean += n / tokens.len() as f32;
                }
            }
        }
        mean
    }

    /// Takes the tokens through all blocks; their hidden states are then the stream.
    fn read_chunk(&self, cache: &mut Cache, tokens: &[Token]) {
        let Cache {
            tokens: past,
            layers,
            work,
        } = cache;
        let (width, first) = (self.config.width, past.len());
        work.stream.resize(tokens.len() * width, 0.0);
        for (&token, state) in tokens.iter().zip(work.stream.chunks_exact_mut(width)) {
            let known = usize::from(token) < self.config.vocab;
            let token = if known {
                token
            } else {
                crate::vocab::END_OF_TEXT
            };
            self.embedding.row(token.into(), state);
        }
        work.rotations.clear();
        for position in first..first + tokens.len() {
            let angles = self.frequencies.iter().map(|f| position as f32 * f);
            work.rotations.extend(angles.map(f32::sin_cos));
        }
        for (block, layer) in self.blocks.iter().zip(layers) {
            self.attention(block, work, layer, first);
            self.feed_forward(block, work);
        }
        past.extend_from_slice(tokens);
    }

    fn attention(
        &self,
        block: &Block,
        work: &mut Work,
        layer: &mut super::cache::Layer,
        first: usize,
    ) {
        let (width, kv_width) = (self.config.width, self.config.kv_width());
        let tokens = work.stream.len() / width;
        self.norm_all(&work.stream, &block.attention_norm, &mut work.input);
        self.multiply(&block.query, &mut work.input, &mut work.queries);
        self.multiply(&block.key, &mut work.input, &mut work.keys);
        self.multiply(&block.value, &mut work.input, &mut work.values);
        self.rotate(&mut work.queries, width, &work.rotations);
        self.rotate(&mut work.keys, kv_width, &work.rotations);
        layer.push(first, &work.keys, &work.values, kv_width);

        let heads_out = work.input.begin(tokens, width);
        let queries = work.queries.chunks_exact(width);
        for (token, (queries, out)) in queries.zip(heads_out.chunks_exact_mut(width)).enumerate() {
            self.isa.attend(Attention {
                queries,
                keys: &layer.keys,
                values: &layer.values,
                seen: first + token + 1,
                head_width: self.config.head_width(),
                kv_heads: self.config.kv_heads,
                scores: &mut work.scores,
                out,
            });
        }
        self.multiply(&block.attention_output, &mut work.input, &mut work.added);
        add(&mut work.stream, &work.added);
    }

    fn feed_forward(&self, block: &Block, work: &mut Work) {
        self.norm_all(&work.stream, &block.feed_forward_norm, &mut work.input);
        self.multiply(&block.gate, &mut work.input, &mut work.gate);
        self.multiply(&block.up, &mut work.input, &mut work.up);
        self.isa.swiglu(&mut work.gate, &work.up);
        let tokens = work.gate.len() / self.config.feed_forward;
        let inner = work.input.begin(tokens, self.config.feed_forward);
        inner.copy_from_slice(&work.gate);
        self.multiply(&block.down, &mut work.input, &mut work.added);
        add(&mut work.stream, &work.added);
    }

    /// The logits after each token of the stream from the given one on.
    fn logits(&self, work: &mut Work, from: usize) {
        let states = &work.stream[from * self.config.width..];
        self.norm_all(states, &self.output_norm, &mut work.input);
        let output = self.output.as_ref().unwrap_or(&self.embedding);
        self.multiply(output, &mut work.input, &mut work.logits);
    }

    fn multiply(&self, matrix: &Matrix, input: &mut Input, out: &mut Vec<f32>) {
        out.resize(input.tokens() * matrix.rows(), 0.0);
        matrix.multiply(self.isa, self.crew.as_ref(), input, out);
    }

    fn norm_all(&self, states: &[f32], weights: &[f32], input: &mut Input) {
        let width = weights.len();
        let normed = input.begin(states.len() / width, width);
        for (state, normed) in states
            .chunks_exact(width)
            .zip(normed.chunks_exact_mut(width))
        {
            self.norm(state, weights, normed);
        }
    }

    /// RMSNorm: `x / sqrt(mean(x²) + ε) * weight` (Zhang and Sennrich, 2019).
    fn norm(&self, state: &[f32], weights: &[f32], normed: &mut [f32]) {
        let mut lanes = [0_f32; 16];
        // Widths are multiples of 16.
        for chunk in state.as_chunks::<16>().0 {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane += x * x;
            }
        }
        let mean = lanes.iter().sum::<f32>() / state.len() as f32;
        let scale = 1.0 / (mean + self.config.norm_epsilon).sqrt();
        for ((normed, x), weight) in normed.iter_mut().zip(state).zip(weights) {
            *normed = x * scale * weight;
        }
    }

    /// Rotary positions (Su et al., 2021), on neighbouring pairs.
    fn rotate(&self, vectors: &mut [f32], width: usize, rotations: &[(f32, f32)]) {
        let pairs = self.config.head_width() / 2;
        let tokens = vectors.chunks_exact_mut(width);
        for (vector, rotations) in tokens.zip(rotations.chunks_exact(pairs)) {
            for head in vector.chunks_exact_mut(2 * pairs) {
                for ([a, b], (sin, cos)) in head.as_chunks_mut::<2>().0.iter_mut().zip(rotations) {
                    (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                }
            }
        }
    }
}

fn add(stream: &mut [f32], added: &[f32]) {
    for (x, a) in stream.iter_mut().zip(added) {
        *x += a;
    }
}
