//! AdamW, and the clipping of gradients before it.
//!
//! Burn's own keeps its state in tensors, each with an id that is another one after a restart,
//! and clips each tensor alone. Here the state is plain numbers, as a checkpoint has them, and
//! the length is that of all gradients together.

use super::TrainOptions;

/// What AdamW remembers of each weight, in the order of [`Config::shapes`](crate::Config).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AdamW {
    /// Decaying mean of the gradients.
    pub(crate) mean: Vec<Vec<f32>>,
    /// Decaying mean of their squares.
    pub(crate) square: Vec<Vec<f32>>,
}

impl AdamW {
    /// Before the first step, for tensors of these lengths.
    pub(crate) fn new(lengths: impl Iterator<Item = usize>) -> Self {
        let mean: Vec<Vec<f32>> = lengths.map(|length| vec![0.0; length]).collect();
        Self {
            square: mean.clone(),
            mean,
        }
    }

    /// Changes the tensor number `at` by its gradient; `step` is 1 for the first.
    pub(crate) fn update(
        &mut self,
        at: usize,
        weights: &mut [f32],
        gradient: &[f32],
        decays: bool,
        step: &Step<'_>,
    ) {
        let Step {
            options,
            rate,
            scale,
            number,
        } = *step;
        let power = i32::try_from(number).unwrap_or(i32::MAX);
        let (beta1, beta2) = (options.beta1 as f32, options.beta2 as f32);
        let unbias1 = (1.0 / (1.0 - options.beta1.powi(power))) as f32;
        let unbias2 = (1.0 / (1.0 - options.beta2.powi(power))) as f32;
        let keep = match decays {
            true => (1.0 - rate * options.weight_decay) as f32,
            false => 1.0,
        };
        let (rate, epsilon) = (rate as f32, options.epsilon as f32);
        let states = self.mean[at].iter_mut().zip(&mut self.square[at]);
        for ((weight, gradient), (mean, square)) in weights.iter_mut().zip(gradient).zip(states) {
            let gradient = gradient * scale;
            *mean = beta1 * *mean + (1.0 - beta1) * gradient;
            *square = beta2 * *square + (1.0 - beta2) * gradient * gradient;
            let step = *mean * unbias1 / ((*square * unbias2).sqrt() + epsilon);
            *weight = *weight * keep - rate * step;
        }
    }
}

/// What all tensors of a step share.
pub(crate) struct Step<'a> {
    /// The options.
    pub(crate) options: &'a TrainOptions,
    /// The learning rate.
    pub(crate) rate: f64,
    /// What gradients are multiplied with: [`clip`]'s.
    pub(crate) scale: f32,
    /// The step's number, from 1.
    pub(crate) number: u64,
}

/// What to multiply the gradients with so that they are together no longer than `limit`.
pub(crate) fn clip(gradients: &[Vec<f32>], limit: f64) -> f32 {
    let square: f64 = gradients
        .iter()
        .flatten()
        .map(|&number| f64::from(number) * f64::from(number))
        .sum();
    let length = square.sqrt();
    match length > limit {
        true => (limit / length) as f32,
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{Module, Param};
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::{Device, Tensor, TensorData};

    #[derive(Module, Debug)]
    struct One {
        weight: Param<Tensor<1>>,
    }

    #[test]
    fn it_does_what_burns_does() {
        let device = Device::flex().autodiff();
        let options = TrainOptions::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut draw = || (0..20).map(|_| rng.f32() - 0.5).collect::<Vec<f32>>();
        let mut weights = draw();
        let data = TensorData::new(weights.clone(), [20]);
        let mut module = One {
            weight: Param::from_tensor(Tensor::from_data(data, &device)),
        };
        let mut theirs = AdamWConfig::new()
            .with_beta_2(0.98)
            .with_epsilon(1e-8)
            .with_weight_decay(0.01)
            .init();
        let mut ours = AdamW::new([20].into_iter());
        for number in 1..=10 {
            let gradient = draw();
            let factor = Tensor::<1>::from_data(TensorData::new(gradient.clone(), [20]), &device);
            let loss = (module.weight.val() * factor).sum();
            let gradients = GradientsParams::from_grads(loss.backward(), &module);
            module = theirs.step(options.rate, module, gradients);
            let step = Step {
                options: &options,
                rate: options.rate,
                scale: 1.0,
                number,
            };
            ours.update(0, &mut weights, &gradient, true, &step);
        }
        let theirs: Vec<f32> = module.weight.val().into_data().try_into_vec().unwrap();
        for (ours, theirs) in weights.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
        }
    }

    #[test]
    fn norms_do_not_decay() {
        let options = TrainOptions::default();
        let mut adamw = AdamW::new([1].into_iter());
        let step = Step {
            options: &options,
            rate: 0.1,
            scale: 1.0,
            number: 1,
        };
        let mut weights = [1.0];
        adamw.update(0, &mut weights, &[0.0], false, &step);
        assert_eq!(weights, [1.0]);
        adamw.update(0, &mut weights, &[0.0], true, &step);
        assert!(weights[0] < 1.0);
    }

    #[test]
    fn long_gradients_are_shortened_together() {
        assert_eq!(clip(&[vec![3.0], vec![4.0]], 1.0), 0.2);
        assert_eq!(clip(&[vec![0.3], vec![0.4]], 1.0), 1.0);
    }
}
