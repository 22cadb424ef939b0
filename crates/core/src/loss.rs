//! Losses over what a batch really contains: padded and missing targets weigh nothing.
//!
//! Definitions are PyTorch's, `reduction="mean"`. Class weights, label smoothing and masks are all weights of the
//! targets, so they are folded into one tensor on the host, and the loss is one expression.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use emberloop_data::{Batch, BatchTargets, Dataset};

use crate::{
    config::{ClassWeights, LossConfig},
    dense::{DenseBackend, cross_entropy},
};
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

    /// How much the targets of a batch count together: rows, or with class weights the weights of the rows' classes.
    pub fn total(&self, batch: &Batch) -> f64 {
        match (self, &batch.targets) {
            (
                Loss::CrossEntropy { class_weights, .. },
                BatchTargets::Classes(classes) | BatchTargets::StepClasses(classes),
            ) => {
                let counted = classes.iter().zip(&batch.target_mask).filter(|(_, counts)| **counts > 0.0);
                counted.map(|(&class, _)| class_weights[class]).sum()
            }
            (_, BatchTargets::Values(_)) => counted(&batch.target_mask) * batch.outputs as f64,
            (_, BatchTargets::StepValues(_)) => counted(&batch.target_mask),
            (_, BatchTargets::Classes(_) | BatchTargets::StepClasses(_) | BatchTargets::Absent) => 0.0,
        }
    }

    /// The targets of a batch on the device, in the order of the network's output rows; `None` if nothing in the batch
    /// counts, or the data have no targets at all. `total` is that of this batch ([`total`](Self::total)), or of all
    /// batches together whose mean loss is wanted.
    pub fn target<B: Backend>(&self, batch: &Batch, total: f64, device: &B::Device) -> Option<Target<B>> {
        if self.total(batch) <= 0.0 {
            return None;
        }
        let columns = batch.outputs;
        let (values, weights) = match self {
            Loss::CrossEntropy { class_weights, label_smoothing } => {
                let (classes, mask) = classes(batch);
                (None, cross_entropy_weights(classes, mask, class_weights, *label_smoothing, total))
            }
            Loss::Mse | Loss::Mae | Loss::Huber { .. } => {
                let (values, mask) = target_values(batch);
                (Some(values), mask.into_iter().map(|weight| (f64::from(weight) / total) as f32).collect())
            }
        };
        let rows = weights.len() / columns;
        let tensor = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [rows, columns]), device);
        Some(Target { values: values.map(tensor), weights: tensor(weights) })
    }

    /// The mean loss over everything in the batch that counts.
    pub fn mean<B: DenseBackend>(&self, output: Tensor<B, 2>, target: &Target<B>) -> Tensor<B, 1> {
        let weights = target.weights.clone();
        let distance = |output| match &target.values {
            Some(values) => output - values.clone(),
            None => panic!("a regression loss was given the targets of another"),
        };
        let weighted = match self {
            Loss::CrossEntropy { .. } => return cross_entropy(output, weights),
            Loss::Mse => distance(output).square() * weights,
            Loss::Mae => distance(output).abs() * weights,
            Loss::Huber { delta } => {
                // With c = min(|d|, delta): c (|d| - c / 2) is d^2 / 2 inside and delta (|d| - delta / 2) outside.
                let distance = distance(output).abs();
                let inner = distance.clone().clamp_max(*delta);
                inner.clone() * (distance - inner.mul_scalar(0.5)) * weights
            }
        };
        weighted.sum()
    }
}

/// How many entries of a mask are 1.
fn counted(mask: &[f32]) -> f64 {
    mask.iter().map(|&counts| f64::from(counts)).sum()
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
    /// `[rows, outputs]`; none for a cross-entropy, whose weights know the classes.
    values: Option<Tensor<B, 2>>,
    /// `[rows, outputs]`: how much of each element's loss counts; over a whole total they sum to 1 (without class
    /// weights).
    weights: Tensor<B, 2>,
}

/// `n / (classes * count)`, as scikit-learn's `compute_class_weight("balanced")`; 0 for a class that never occurs.
fn balanced(counts: &[usize]) -> Vec<f64> {
    let n: usize = counts.iter().sum();
    counts.iter().map(|&count| if count == 0 { 0.0 } else { n as f64 / (counts.len() * count) as f64 }).collect()
}

/// PyTorch's `cross_entropy(weight=w, label_smoothing=e)`: each row counts
/// `-(1 - e) w[y] log p[y] - e / C * sum_c w[c] log p[c]`, and the sum over rows is divided by the sum of `w[y]`.
fn cross_entropy_weights(
    classes: &[usize],
    mask: &[f32],
    class_weights: &[f64],
    smoothing: f64,
    total: f64,
) -> Vec<f32> {
    let count = class_weights.len();
    let mut weights = vec![0.0; classes.len() * count];
    for ((row, &class), &counts) in weights.chunks_mut(count).zip(classes).zip(mask) {
        if counts > 0.0 {
            for (column, (weight, class_weight)) in row.iter_mut().zip(class_weights).enumerate() {
                let share = smoothing / count as f64 + if column == class { 1.0 - smoothing } else { 0.0 };
                *weight = (class_weight * share / total) as f32;
            }
        }
    }
    weights
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
