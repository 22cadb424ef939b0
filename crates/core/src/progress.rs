//! What training tells whoever watches. An observer sees everything and changes nothing.

use std::collections::BTreeMap;

use emberloop_checkpoint::{Architecture, Tensor};
use serde::{Deserialize, Serialize};

/// An observer of a training; `Send`, as training runs in a pool of threads.
pub trait Progress: Send {
    /// Before the first epoch.
    fn on_start(&mut self, _start: &Start) {}

    /// After each step of the optimizer.
    fn on_batch(&mut self, _batch: &BatchReport) {}

    /// After each epoch.
    fn on_epoch(&mut self, _epoch: &EpochReport) {}

    /// Whether [`on_weights`](Self::on_weights) is to be called after this batch, both counted from 1; batch 0 stands
    /// for the moment before an epoch's first.
    fn wants_weights(&self, _epoch: usize, _batch: usize) -> bool {
        false
    }

    /// The weights as they are, where [`wants_weights`](Self::wants_weights) asked for them: they are copied from the
    /// device.
    fn on_weights(&mut self, _weights: &Weights<'_>) {}
}

/// The weights at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Counted from 1.
    pub epoch: usize,
    /// The batch that was just learned, counted from 1; 0 before the first.
    pub batch: usize,
    /// What the tensors form together.
    pub architecture: &'a Architecture,
    /// By their names in a checkpoint, in PyTorch's layout.
    pub tensors: &'a BTreeMap<String, Tensor>,
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
