//! Losses over what a batch really contains: padded and missing targets weigh nothing.
//!
//! Definitions are PyTorch's, `reduction="mean"`. Class weights, label smoothing and masks are all weights of the
//! targets, so they are folded into one tensor on the host, and the loss is one expression.

use burn::tensor::{Tensor, TensorData, activation::log_softmax, backend::Backend};
use emberloop_data::{Batch, BatchTargets, Dataset};

use crate::config::{ClassWeights, LossConfig};
use emberloop_data::Task;

/// A loss ready to be computed: every default resolved.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// For classes.
    CrossEntropy {
        /// One per class.
        class_weights: Vec<f64>,
        /// Share of the target spread evenly over all classes.
        label_smoothing: f64,
    },
    /// Mean squared error.
    Mse,
    /// Mean absolute error.
    Mae,
    /// Squared near 0, absolute beyond.
    Huber {
        /// Where it turns.
        delta: f64,
    },
}

impl Loss {
    /// The loss that a configuration asks for on this training split.
    ///
    /// `Err` if a list of class weights does not fit the classes.
    pub fn new(config: Option<&LossConfig>, task: Task, train: &Dataset) -> Result<Self, WrongClassWeights> {
        let classes = train.targets.outputs();
        Ok(match config {
            None if task == Task::Classification => {
                Loss::CrossEntropy { class_weights: vec![1.0; classes], label_smoothing: 0.0 }
            }
            None => Loss::Mse,
            Some(LossConfig::CrossEntropy { class_weights, label_smoothing }) => {
                let class_weights = match class_weights {
                    None => vec![1.0; classes],
                    Some(ClassWeights::Named(_)) => balanced(&train.class_counts()),
                    Some(ClassWeights::List(weights)) if weights.len() == classes => weights.clone(),
                    Some(ClassWeights::List(weights)) => {
                        return Err(WrongClassWeights { classes, found: weights.len() });
                    }
                };
                Loss::CrossEntropy { class_weights, label_smoothing: *label_smoothing }
            }
            Some(LossConfig::Mse {}) => Loss::Mse,
            Some(LossConfig::Mae {}) => Loss::Mae,
            Some(LossConfig::Huber { delta }) => Loss::Huber { delta: *delta },
        })
    }

    /// The targets of a batch on the device, in the order of the network's output rows; `None` if nothing in the batch
    /// counts, or the data have no targets at all.
    pub fn target<B: Backend>(&self, batch: &Batch, device: &B::Device) -> Option<Target<B>> {
        if batch.targets == BatchTargets::Absent {
            return None;
        }
        let columns = batch.outputs;
        let (values, weights, total) = match self {
            Loss::CrossEntropy { class_weights, label_smoothing } => {
                let (classes, mask) = classes(batch);
                cross_entropy_target(classes, mask, class_weights, *label_smoothing)
            }
            Loss::Mse | Loss::Mae | Loss::Huber { .. } => {
                let (values, mask) = target_values(batch);
                let total = mask.iter().map(|&weight| f64::from(weight)).sum();
                (values, mask, total)
            }
        };
        if total <= 0.0 {
            return None;
        }
        let weights: Vec<f32> = weights.into_iter().map(|weight| (f64::from(weight) / total) as f32).collect();
        let rows = values.len() / columns;
        let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [rows, columns]), device);
        Some(Target { values: tensor(values), weights: tensor(weights), total })
    }

    /// The mean loss over everything in the batch that counts.
    pub fn mean<B: Backend>(&self, output: Tensor<B, 2>, target: &Target<B>) -> Tensor<B, 1> {
        let Target { values, weights, .. } = target;
        let weighted = match self {
            Loss::CrossEntropy { .. } => log_softmax(output, 1).neg() * weights.clone(),
            Loss::Mse => (output - values.clone()).square() * weights.clone(),
            Loss::Mae => (output - values.clone()).abs() * weights.clone(),
            Loss::Huber { delta } => {
                // With c = min(|d|, delta): c (|d| - c / 2) is d^2 / 2 inside and delta (|d| - delta / 2) outside.
                let distance = (output - values.clone()).abs();
                let inner = distance.clone().clamp_max(*delta);
                inner.clone() * (distance - inner.mul_scalar(0.5)) * weights.clone()
            }
        };
        weighted.sum()
    }
}

/// A list of class weights that does not fit the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongClassWeights {
    /// Weights needed.
    pub classes: usize,
    /// Weights given.
    pub found: usize,
}

/// A batch's targets on the device.
#[derive(Clone, Debug)]
pub struct Target<B: Backend> {
    /// `[rows, outputs]`; not used by cross-entropy.
    values: Tensor<B, 2>,
    /// `[rows, outputs]`: how much of each element's loss counts; sums to 1 (without class weights).
    weights: Tensor<B, 2>,
    /// What the weights were divided by: the batch's share in the mean over a dataset.
    pub total: f64,
}

/// `n / (classes * count)`, as scikit-learn's `compute_class_weight("balanced")`; 0 for a class that never occurs.
fn balanced(counts: &[usize]) -> Vec<f64> {
    let n: usize = counts.iter().sum();
    counts.iter().map(|&count| if count == 0 { 0.0 } else { n as f64 / (counts.len() * count) as f64 }).collect()
}

/// PyTorch's `cross_entropy(weight=w, label_smoothing=e)`: each row counts
/// `-(1 - e) w[y] log p[y] - e / C * sum_c w[c] log p[c]`, and the sum over rows is divided by the sum of `w[y]`.
fn cross_entropy_target(
    classes: &[usize],
    mask: &[f32],
    class_weights: &[f64],
    smoothing: f64,
) -> (Vec<f32>, Vec<f32>, f64) {
    let count = class_weights.len();
    let mut weights = vec![0.0; classes.len() * count];
    let mut total = 0.0;
    for ((row, &class), &counts) in weights.chunks_mut(count).zip(classes).zip(mask) {
        if counts > 0.0 {
            for (column, (weight, class_weight)) in row.iter_mut().zip(class_weights).enumerate() {
                let share = smoothing / count as f64 + if column == class { 1.0 - smoothing } else { 0.0 };
                *weight = (class_weight * share) as f32;
            }
            total += class_weights[class];
        }
    }
    (vec![0.0; weights.len()], weights, total)
}

/// The class of each of the network's output rows, and whether it counts.
fn classes(batch: &Batch) -> (&[usize], &[f32]) {
    match &batch.targets {
        BatchTargets::Classes(classes) | BatchTargets::StepClasses(classes) => (classes, &batch.target_mask),
        BatchTargets::Values(_) | BatchTargets::StepValues(_) | BatchTargets::Absent => {
            panic!("cross-entropy needs classes: the configuration was checked against the data")
        }
    }
}

/// The values of each of the network's output rows, `[rows, outputs]`, and which of them count.
fn target_values(batch: &Batch) -> (Vec<f32>, Vec<f32>) {
    match &batch.targets {
        BatchTargets::Values(values) => {
            // One mask entry per sequence.
            let mask = batch.target_mask.iter().flat_map(|&counts| std::iter::repeat_n(counts, batch.outputs));
            (values.clone(), mask.collect())
        }
        BatchTargets::StepValues(values) => (values.clone(), batch.target_mask.clone()),
        BatchTargets::Classes(_) | BatchTargets::StepClasses(_) | BatchTargets::Absent => {
            panic!("a regression loss needs values: the configuration was checked against the data")
        }
    }
}

#[cfg(test)]
mod tests;
