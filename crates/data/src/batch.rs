//! A dataset scaled once and held flat, and the padded batches cut out of it.

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::scaler::{Scaler, TargetScaler};

/// A dataset after its scaler, held flat in memory once.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    channels: usize,
    outputs: usize,
    /// First step of each sequence in `values`, and one past the last.
    starts: Vec<usize>,
    values: Vec<f32>,
}

impl Prepared {
    /// Scales every sequence and, for regression, every target.
    pub fn new(dataset: &Dataset, scaler: &Scaler, targets: Option<&TargetScaler>) -> Result<Prepared, DataError> {
        let _ = (dataset, scaler, targets);
        todo!("being written")
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers per step.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Classes or values that a model for these targets puts out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Number of steps of a sequence.
    pub fn steps(&self, sequence: usize) -> usize {
        self.starts[sequence + 1] - self.starts[sequence]
    }

    /// The scaled values of a sequence, `[steps, channels]` row-major.
    pub fn values(&self, sequence: usize) -> &[f32] {
        &self.values[self.starts[sequence] * self.channels..self.starts[sequence + 1] * self.channels]
    }
}

/// The targets of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchTargets {
    /// `[batch]`.
    Classes(Vec<usize>),
    /// `[batch, steps]`, 0 where padded.
    StepClasses(Vec<usize>),
    /// `[batch, outputs]`, scaled.
    Values(Vec<f32>),
    /// `[batch, steps, outputs]`, scaled; 0 where padded or missing.
    StepValues(Vec<f32>),
    /// The data has no targets.
    Absent,
}

/// Some sequences, padded with 0 to the longest of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[batch, steps, channels]` row-major, padded with 0 at the end. For tokens: ids.
    pub inputs: Vec<f32>,
    /// The true number of steps of each sequence, `[batch]`.
    pub lengths: Vec<usize>,
    /// Which sequence of the dataset each row is, `[batch]`.
    pub indices: Vec<usize>,
    /// Number of sequences.
    pub batch: usize,
    /// Steps of the longest sequence.
    pub steps: usize,
    /// Numbers per step.
    pub channels: usize,
    /// Classes or values per target.
    pub outputs: usize,
    /// The targets.
    pub targets: BatchTargets,
    /// `[batch, steps]`: 1 on a sequence's own steps, 0 on padding.
    pub mask: Vec<f32>,
    /// 1 where a target counts, 0 where it is padding or missing: `[batch, steps, outputs]` for [`BatchTargets::StepValues`],
    /// otherwise equal to `mask` (targets per step) or all 1, `[batch]` (targets per sequence).
    pub target_mask: Vec<f32>,
}

/// The iterator that [`batches`] returns.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    prepared: &'a Prepared,
    order: std::slice::Chunks<'a, usize>,
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let _ = (self.prepared, &mut self.order);
        todo!("being written")
    }
}

/// Cuts the sequences named by `order` into batches of `batch_size`, the last one perhaps smaller.
///
/// # Panics
/// If `batch_size` is 0, or `order` names a sequence that is not there.
pub fn batches<'a>(prepared: &'a Prepared, order: &'a [usize], batch_size: usize) -> Batches<'a> {
    Batches { prepared, order: order.chunks(batch_size) }
}
