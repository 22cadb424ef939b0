//! What training tells whoever watches. An observer sees everything and changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An observer of a training; `Send`, as training runs in a pool of threads.
pub trait Progress: Send {
    /// Before the first epoch.
    fn on_start(&mut self, _start: &Start) {}

    /// After each step of the optimizer.
    fn on_batch(&mut self, _batch: &BatchReport) {}

    /// After each epoch.
    fn on_epoch(&mut self, _epoch: &EpochReport) {}
}

/// Watches nothing.
pub struct Silent;

impl Progress for Silent {}

/// What is about to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Epochs at most.
    pub epochs: usize,
    /// Epochs that an interrupted run had finished.
    pub finished: usize,
    /// Steps of the optimizer per epoch.
    pub batches: usize,
    /// Sequences in the training split.
    pub sequences: usize,
    /// Sequences in the validation split.
    pub validation_sequences: usize,
    /// Trained numbers, frozen ones included.
    pub parameters: usize,
    /// The devices' names, as in `cpu` or `cuda, cuda:1`.
    pub device: String,
    /// The metric that says which epoch is the best, such as `val_loss`.
    pub monitor: String,
}

/// One step of the optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Counted from 1.
    pub batch: usize,
    /// Batches in the epoch.
    pub batches: usize,
    /// Mean over the batch, without penalties.
    pub loss: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The rate of this step.
    pub learning_rate: f64,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// `loss`, `accuracy`, ... of the training split while it was learned (with dropout), `val_loss`, ... of the
    /// validation split afterwards. Losses are without penalties. All are finite: an epoch where one is not is an error.
    pub metrics: BTreeMap<String, f64>,
    /// The rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean over the epoch of the gradient's global norm before clipping.
    pub gradient_norm: f64,
    /// Wall time of the epoch, validation included.
    pub seconds: f64,
    /// Training sequences per second of training.
    pub sequences_per_second: f64,
    /// Whether this is the best epoch so far by the monitored metric.
    pub best: bool,
}
