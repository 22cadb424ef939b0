//! Dropout from our own keyed generator.

use burn::tensor::{Tensor, TensorData, backend::Backend};

use crate::rng::Rng;

/// Zeroes features with a probability and scales the others up, in training only.
///
/// burn's `Dropout` draws from a generator shared by the whole process; a keyed one makes a resumed run, a second
/// training in the same process and another device draw the same masks.
pub struct Dropout {
    probability: f64,
    rng: Option<Rng>,
}

impl Dropout {
    /// For evaluation: changes nothing.
    pub fn off() -> Self {
        Self { probability: 0.0, rng: None }
    }

    /// For training.
    pub fn training(probability: f64, rng: Rng) -> Self {
        Self { probability, rng: Some(rng) }
    }

    /// Applies a fresh mask.
    pub fn apply<B: Backend>(&mut self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let Some(rng) = self.rng.as_mut().filter(|_| self.probability > 0.0) else {
            return features;
        };
        let [rows, columns] = features.dims();
        let kept = (1.0 / (1.0 - self.probability)) as f32;
        let mask: Vec<f32> =
            (0..rows * columns).map(|_| if rng.uniform() < self.probability { 0.0 } else { kept }).collect();
        features.clone() * Tensor::from_data(TensorData::new(mask, [rows, columns]), &features.device())
    }
}
