//! A model as plain numbers.

use crate::{Config, ConfigError};
use std::collections::BTreeMap;
use thiserror::Error;

/// Name and size of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its name, as GGUF files of architecture `llama` have it.
    pub name: String,
    /// Outputs; 1 for the weights of a norm.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
}

impl Shape {
    pub(crate) fn new(name: impl Into<String>, rows: usize, columns: usize) -> Self {
        Self {
            name: name.into(),
            rows,
            columns,
        }
    }
}

/// A tensor's numbers, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Rows: outputs.
    pub rows: usize,
    /// Columns: inputs.
    pub columns: usize,
    /// `rows * columns` numbers.
    pub data: Vec<f32>,
}

/// All numbers of a model: what training makes and files hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    config: Config,
    tensors: BTreeMap<String, Tensor>,
}

/// Tensors that make no model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The config is none that a model can have.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A tensor is not there.
    #[error("the tensor {name:?} is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor that this model does not have.
    #[error("the tensor {name:?} is none of this model's")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A tensor has another shape, or not as many numbers as its shape says.
    #[error(
        "the tensor {name:?} has {} rows, {} columns and {} numbers; the model needs {} rows \
         and {} columns",
        found.0, found.1, found.2, expected.0, expected.1
    )]
    WrongShape {
        /// The tensor.
        name: String,
        /// Rows, columns and numbers it has.
        found: (usize, usize, usize),
        /// Rows and columns it must have.
        expected: (usize, usize),
    },
}

impl Weights {
    /// Takes the tensors of [`Config::shapes`], no more and no fewer.
    pub fn new(config: Config, tensors: BTreeMap<String, Tensor>) -> Result<Self, WeightsError> {
        config.check()?;
        let shapes = config.shapes();
        for Shape {
            name,
            rows,
            columns,
        } in &shapes
        {
            let Some(tensor) = tensors.get(name) else {
                return Err(WeightsError::Missing { name: name.clone() });
            };
            if (tensor.rows, tensor.columns, tensor.data.len()) != (*rows, *columns, rows * columns)
            {
                return Err(WeightsError::WrongShape {
                    name: name.clone(),
                    found: (tensor.rows, tensor.columns, tensor.data.len()),
                    expected: (*rows, *columns),
                });
            }
        }
        let unknown = tensors
            .keys()
            .find(|name| shapes.iter().all(|shape| shape.name != **name));
        match unknown {
            Some(name) => Err(WeightsError::Unknown { name: name.clone() }),
            None => Ok(Self { config, tensors }),
        }
    }

    /// A model that has learnt nothing: norms of 1, everything else drawn from a uniform
    /// distribution of standard deviation 0.02, always the same for a seed.
    pub fn random(config: Config, seed: u64) -> Result<Self, WeightsError> {
        config.check()?;
        let mut rng = fastrand::Rng::with_seed(seed);
        let bound = 0.02 * 3_f32.sqrt();
        let tensors = config
            .shapes()
            .into_iter()
            .map(|shape| {
                let is_norm = shape.rows == 1;
                let number = |_| match is_norm {
                    true => 1.0,
                    false => (rng.f32() * 2.0 - 1.0) * bound,
                };
                let data = (0..shape.rows * shape.columns).map(number).collect();
                let tensor = Tensor {
                    rows: shape.rows,
                    columns: shape.columns,
                    data,
                };
                (shape.name, tensor)
            })
            .collect();
        Self::new(config, tensors)
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tensors, in the order of [`Config::shapes`].
    pub fn tensors(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let named = |shape: Shape| {
            let tensor = self.tensors.get(&shape.name)?;
            Some((shape.name, tensor))
        };
        self.config.shapes().into_iter().filter_map(named)
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Weights {
        Weights::random(Config::named("test-50k").unwrap(), 1).unwrap()
    }

    #[test]
    fn random_weights_are_the_same_for_a_seed_and_others_for_another() {
        assert_eq!(tiny(), tiny());
        let other = Weights::random(tiny().config().clone(), 2).unwrap();
        assert_ne!(tiny(), other);
    }

    #[test]
    fn tensors_that_make_no_model_are_named() {
        let (config, tensors) = (tiny().config().clone(), tiny().tensors);
        let mut missing = tensors.clone();
        missing.remove("blk.1.attn_k.weight");
        let error = Weights::new(config.clone(), missing).unwrap_err();
        assert!(error.to_string().contains("blk.1.attn_k.weight"), "{error}");

        let mut unknown = tensors.clone();
        unknown.insert("output.weight".into(), tensors["token_embd.weight"].clone());
        let error = Weights::new(config.clone(), unknown).unwrap_err();
        assert!(error.to_string().contains("\"output.weight\""), "{error}");

        let mut short = tensors;
        short.get_mut("output_norm.weight").unwrap().data.pop();
        let error = Weights::new(config, short).unwrap_err();
        assert!(error.to_string().contains("31 numbers"), "{error}");
    }
}
