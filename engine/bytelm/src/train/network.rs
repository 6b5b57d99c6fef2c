//! The model in Burn: what turns tokens into logits, and a batch into a loss and gradients.

use super::batches::Batch;
use super::rope::Rope;
use crate::{Config, Tensor as Numbers, Weights};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use std::sync::Arc;

/// Added to the attention's scores of tokens that come later. `exp(-50)` is nothing beside 1
/// in an f32; a far lower number would underflow, where `exp` is several times slower.
const LATER: f32 = -50.0;

/// Tensors of a block, in the order of [`Config::shapes`].
const BLOCK: usize = 9;

/// A model's weights as Burn's tensors, each as [`Config::shapes`] has it: `[outputs,
/// inputs]`, norms as one row.
pub(crate) struct Network {
    config: Config,
    parameters: Vec<Tensor<2>>,
    rope: Arc<Rope>,
    device: Device,
}

/// What a batch says about the weights.
pub(crate) struct Gradients {
    /// Sum of the answers' losses, in nats, divided by what [`Network::gradients`] was given.
    pub(crate) loss: f32,
    /// A gradient for each tensor, in the order of [`Config::shapes`].
    pub(crate) tensors: Vec<Vec<f32>>,
}

/// What all blocks of a forward pass share.
struct Shared {
    rows: usize,
    length: usize,
    /// For the queries, with attention's `1 / sqrt(head width)` in it.
    query: [Tensor<4>; 2],
    key: [Tensor<4>; 2],
    swap: Tensor<4>,
    mask: Tensor<4>,
}

impl Network {
    /// The network of these weights; it finds gradients if `tracked`.
    pub(crate) fn from_weights(weights: &Weights, tracked: bool) -> Self {
        let tensors: Vec<&Numbers> = weights.tensors().map(|(_, tensor)| tensor).collect();
        let data: Vec<&[f32]> = tensors.iter().map(|t| t.data.as_slice()).collect();
        let rope = Arc::new(Rope::new(weights.config()));
        Self::new(weights.config(), &data, &rope, tracked)
    }

    /// As [`from_weights`](Self::from_weights), of tensors in the order of
    /// [`Config::shapes`].
    pub(crate) fn new(
        config: &Config,
        tensors: &[&[f32]],
        rope: &Arc<Rope>,
        tracked: bool,
    ) -> Self {
        let device = match tracked {
            true => Device::flex().autodiff(),
            false => Device::flex(),
        };
        let parameters = config
            .shapes()
            .into_iter()
            .zip(tensors)
            .map(|(shape, data)| {
                let data = TensorData::new(data.to_vec(), [shape.rows, shape.columns]);
                let tensor = Tensor::from_data(data, &device);
                match tracked {
                    true => tensor.require_grad(),
                    false => tensor,
                }
            })
            .collect();
        Self {
            config: config.clone(),
            parameters,
            rope: Arc::clone(rope),
            device,
        }
    }

    /// The network's numbers, in the order of [`Config::shapes`].
    #[cfg(test)]
    pub(crate) fn numbers(&self) -> Vec<Vec<f32>> {
        self.parameters.iter().cloned().map(numbers).collect()
    }

    /// Loss of a batch, divided by `divisor`, and its gradients.
    pub(crate) fn gradients(&self, batch: &Batch, divisor: f32) -> Gradients {
        let loss = self.loss(batch).div_scalar(divisor);
        let mut gradients = loss.backward();
        let tensors = self
            .parameters
            .iter()
            .map(|parameter| {
                let gradient = parameter.grad_remove(&mut gradients);
                let [rows, columns] = parameter.dims();
                gradient.map_or_else(|| vec![0.0; rows * columns], numbers)
            })
            .collect();
        Gradients {
            loss: loss.into_scalar(),
            tensors,
        }
    }

    /// Sum of a batch's losses, in nats: one for each token of an answer.
    pub(crate) fn loss(&self, batch: &Batch) -> Tensor<1> {
        let answers = self.ints(&batch.predicting);
        let count = batch.targets.len();
        let hidden = self.hidden(&batch.tokens, batch.rows).select(0, answers);
        let targets = self.ints(&batch.targets).reshape([count, 1]);
        activation::log_softmax(self.output(hidden), 1)
            .gather(1, targets)
            .sum()
            .neg()
    }

    /// Logits after each token: `vocab` numbers for the first, then for the second, …
    pub(crate) fn logits(&self, tokens: &[i32]) -> Vec<f32> {
        numbers(self.output(self.hidden(tokens, 1)))
    }

    /// The vectors after the last block, one for each token of each row.
    fn hidden(&self, tokens: &[i32], rows: usize) -> Tensor<2> {
        let length = tokens.len() / rows;
        let width = self.config.head_width();
        let mask: Vec<f32> = (0..length * length)
            .map(|at| match at % length > at / length {
                true => LATER,
                false => 0.0,
            })
            .collect();
        let shared = Shared {
            rows,
            length,
            query: self
                .rope
                .tables(length, (width as f32).sqrt().recip(), &self.device),
            key: self.rope.tables(length, 1.0, &self.device),
            swap: self.rope.swap(&self.device),
            mask: Tensor::from_data(TensorData::new(mask, [1, 1, length, length]), &self.device),
        };
        let embedded = self.parameters[0].clone().select(0, self.ints(tokens));
        self.parameters[1..]
            .chunks_exact(BLOCK)
            .take(self.config.layers)
            .fold(embedded, |x, block| self.block(x, block, &shared))
    }

    fn block(&self, x: Tensor<2>, block: &[Tensor<2>], shared: &Shared) -> Tensor<2> {
        let [
            attention_norm,
            query,
            key,
            value,
            output,
            forward_norm,
            gate,
            up,
            down,
        ] = block
        else {
            return x;
        };
        let inner = self.norm(x.clone(), attention_norm);
        let heads = |weights, heads| self.heads(product(inner.clone(), weights), heads, shared);
        let attended = self.attention(
            heads(query, self.config.heads),
            heads(key, self.config.kv_heads),
            heads(value, self.config.kv_heads),
            shared,
        );
        let x = x + product(attended, output);
        let inner = self.norm(x.clone(), forward_norm);
        let gated = activation::silu(product(inner.clone(), gate)) * product(inner, up);
        x + product(gated, down)
    }

    /// `[rows * length, heads * width]` as `[rows, heads, length, width]`.
    fn heads(&self, x: Tensor<2>, heads: usize, shared: &Shared) -> Tensor<4> {
        x.reshape([shared.rows, shared.length, heads, self.config.head_width()])
            .swap_dims(1, 2)
    }

    fn attention(
        &self,
        query: Tensor<4>,
        key: Tensor<4>,
        value: Tensor<4>,
        shared: &Shared,
    ) -> Tensor<2> {
        let rotate = |x: Tensor<4>, [cos, sin]: &[Tensor<4>; 2]| {
            x.clone() * cos.clone() + x.matmul(shared.swap.clone()) * sin.clone()
        };
        let query = rotate(query, &shared.query);
        let key = self.repeat(rotate(key, &shared.key));
        let value = self.repeat(value);
        let scores = query.matmul(key.transpose()) + shared.mask.clone();
        // Softmax with its division after the product with the values, where the numbers
        // are fewer.
        let highest = scores.clone().detach().max_dim(3);
        let exponentials = (scores - highest).exp();
        let sums = exponentials.clone().sum_dim(3);
        (exponentials.matmul(value) / sums)
            .swap_dims(1, 2)
            .reshape([shared.rows * shared.length, self.config.width])
    }

    /// Each head of keys or values as often as it serves queries.
    fn repeat(&self, x: Tensor<4>) -> Tensor<4> {
        let times = self.config.heads / self.config.kv_heads;
        if times == 1 {
            return x;
        }
        let [rows, heads, length, width] = x.dims();
        x.reshape([rows, heads, 1, length * width])
            .repeat_dim(2, times)
            .reshape([rows, heads * times, length, width])
    }

    fn output(&self, hidden: Tensor<2>) -> Tensor<2> {
        let norm = &self.parameters[1 + BLOCK * self.config.layers];
        // Last is the output's matrix, where it has one; else the embedding is.
        let output = match self.config.tied {
            true => &self.parameters[0],
            false => &self.parameters[2 + BLOCK * self.config.layers],
        };
        product(self.norm(hidden, norm), output)
    }

    fn norm(&self, x: Tensor<2>, weights: &Tensor<2>) -> Tensor<2> {
        let square = x.clone().square().mean_dim(1);
        let scale = square.add_scalar(self.config.norm_epsilon).sqrt().recip();
        x * scale * weights.clone()
    }

    fn ints(&self, ints: &[i32]) -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(ints.to_vec(), [ints.len()]), &self.device)
    }
}

/// `x` through a layer of weights `[outputs, inputs]`.
fn product(x: Tensor<2>, weights: &Tensor<2>) -> Tensor<2> {
    x.matmul(weights.clone().transpose())
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    let [rows, columns] = tensor.dims();
    let data = tensor.try_into_data().ok();
    data.and_then(|data| data.try_into_vec().ok())
        // Not reached: a Flex tensor of f32 is numbers in this process' memory.
        .unwrap_or_else(|| vec![f32::NAN; rows * columns])
}
