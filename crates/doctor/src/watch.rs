//! What is written down while a training runs.

use std::collections::BTreeMap;

use emberloop_checkpoint::Tensor;
use emberloop_core::{BatchReport, EpochReport, Progress, Weights};

/// Looks at every step, and at the weights of some.
#[derive(Default)]
pub struct Watch {
    /// Loss, norm of the gradient and rate of each step.
    pub steps: Vec<Step>,
    /// Epochs.
    pub epochs: Vec<EpochReport>,
    /// By how much a step changes the weights, in relation to them: of single steps early in each looked-at epoch.
    pub updates: Vec<Update>,
    /// Whether `steps` are means of epochs, as a log has them, and not steps of the optimizer.
    pub is_logged: bool,
    /// Before the step whose update is being measured.
    before: BTreeMap<String, Tensor>,
}

impl Watch {
    /// Of these steps, for tests.
    #[cfg(test)]
    pub fn of_steps(steps: Vec<Step>) -> Watch {
        Watch { steps, ..Watch::default() }
    }

    /// Of a training that nobody watched, by its log: an epoch stands for each of its steps.
    pub fn of_log(history: &[EpochReport]) -> Watch {
        let step = |epoch: &EpochReport| Step {
            loss: epoch.metrics.get("loss").copied().unwrap_or(f64::NAN),
            norm: epoch.gradient_norm,
        };
        Watch {
            steps: history.iter().map(step).collect(),
            epochs: history.to_vec(),
            is_logged: true,
            ..Watch::default()
        }
    }
}

/// One step of the optimizer.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Mean loss of its sequences.
    pub loss: f64,
    /// The gradient's global norm before clipping.
    pub norm: f64,
}

/// How far one step moved the weights.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The norm of the change of all weight matrices over the norm of the matrices.
    pub ratio: f64,
}

/// Whether an epoch is looked at closely: the first ones, then ever fewer.
fn looked_at(epoch: usize) -> bool {
    epoch.is_power_of_two()
}

impl Progress for Watch {
    fn on_batch(&mut self, batch: &BatchReport) {
        self.steps.push(Step { loss: batch.loss, norm: batch.gradient_norm });
    }

    fn on_epoch(&mut self, epoch: &EpochReport) {
        self.epochs.push(epoch.clone());
    }

    fn wants_weights(&self, epoch: usize, batch: usize) -> bool {
        looked_at(epoch) && batch <= 1
    }

    fn on_weights(&mut self, weights: &Weights<'_>) {
        if weights.batch == 0 {
            self.before = weights.tensors.clone();
            return;
        }
        let matrices = || weights.tensors.iter().filter(|(name, _)| name.contains("weight"));
        let change: f64 = matrices().map(|(name, tensor)| distance(tensor, &self.before[name])).sum();
        let size: f64 = matrices().map(|(_, tensor)| squares(&tensor.values)).sum();
        if size > 0.0 {
            self.updates.push(Update { epoch: weights.epoch, ratio: (change / size).sqrt() });
        }
    }
}

fn distance(left: &Tensor, right: &Tensor) -> f64 {
    left.values.iter().zip(&right.values).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

fn squares(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum()
}

/// The value below which the share `q` of the numbers lies; 0 of none.
pub fn quantile(values: impl IntoIterator<Item = f64>, q: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n => values[((n - 1) as f64 * q).round() as usize],
    }
}
