//! Some sequences side by side, padded to the longest of them.

use crate::error::DataError;
use crate::prepared::{FlatTargets, Prepared};

/// The targets of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchTargets {
    /// `[batch]`.
    Classes(Vec<usize>),
    /// `[steps, batch]`, 0 where padded.
    StepClasses(Vec<usize>),
    /// `[batch, outputs]`, scaled.
    Values(Vec<f32>),
    /// `[steps, batch, outputs]`, scaled; 0 where padded or missing.
    StepValues(Vec<f32>),
    /// The data has no targets.
    Absent,
}

/// Some sequences, padded with 0 to the longest of them. Everything that belongs to steps is time-major, as recurrent layers
/// read and write it: all sequences' first steps, then all second ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[steps, batch, channels]` row-major, padded with 0 at the end. For tokens: ids.
    pub inputs: Vec<f32>,
    /// The true number of steps of each sequence, `[batch]`.
    pub lengths: Vec<usize>,
    /// Which sequence of the dataset each column is, `[batch]`.
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
    /// 1 where a target counts, 0 where it is padding or missing, in the order of `targets`: `[steps, batch, outputs]` for
    /// [`BatchTargets::StepValues`], `[steps, batch]` for [`BatchTargets::StepClasses`], otherwise `[batch]`: all 1, or all 0
    /// without targets.
    pub target_mask: Vec<f32>,
}

/// The iterator that [`batches`] returns.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    prepared: &'a Prepared,
    order: std::slice::Chunks<'a, usize>,
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Result<Batch, DataError>> {
        self.order.next().map(|indices| self.prepared.batch(indices))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.order.size_hint()
    }
}

impl ExactSizeIterator for Batches<'_> {}

/// Writes `own`, `[own steps, width]`, into column `column` of `all`, `[steps, batch, width]`.
fn write_column<T: Copy>(all: &mut [T], own: &[T], column: usize, batch: usize, width: usize) {
    if width == 1 {
        let column = all[column..].iter_mut().step_by(batch);
        return column.zip(own).for_each(|(place, &value)| *place = value);
    }
    for (step, own) in own.chunks_exact(width).enumerate() {
        all[(step * batch + column) * width..][..width].copy_from_slice(own);
    }
}

impl Prepared {
    /// The sequences of `indices` as one batch.
    ///
    /// # Errors
    /// If a streamed sequence cannot be read any more, or its file has been written to since it was opened; loaded ones give
    /// none.
    ///
    /// # Panics
    /// If `indices` names a sequence that is not there.
    pub fn batch(&self, indices: &[usize]) -> Result<Batch, DataError> {
        let (batch, channels) = (indices.len(), self.channels());
        let lengths: Vec<usize> = indices.iter().map(|&index| self.steps(index)).collect();
        let steps = lengths.iter().copied().max().unwrap_or(0);
        let mut inputs = vec![0.0; steps * batch * channels];
        for (column, &index) in indices.iter().enumerate() {
            self.show(index, |values| write_column(&mut inputs, values, column, batch, channels))?;
        }
        let (targets, target_mask) = self.batch_targets(indices, steps);
        Ok(Batch {
            inputs,
            indices: indices.to_vec(),
            batch,
            steps,
            channels,
            outputs: self.outputs(),
            lengths,
            targets,
            target_mask,
        })
    }

    fn batch_targets(&self, indices: &[usize], steps: usize) -> (BatchTargets, Vec<f32>) {
        let (batch, outputs) = (indices.len(), self.outputs());
        let own_steps = |index: usize| self.starts[index]..self.starts[index + 1];
        match &self.targets {
            FlatTargets::Classes(all) => {
                (BatchTargets::Classes(indices.iter().map(|&index| all[index]).collect()), vec![1.0; batch])
            }
            FlatTargets::StepClasses(all) => {
                let (mut classes, mut valid) = (vec![0; steps * batch], vec![0.0; steps * batch]);
                for (column, &index) in indices.iter().enumerate() {
                    write_column(&mut classes, &all[own_steps(index)], column, batch, 1);
                    valid[column..].iter_mut().step_by(batch).take(self.steps(index)).for_each(|valid| *valid = 1.0);
                }
                (BatchTargets::StepClasses(classes), valid)
            }
            FlatTargets::Values(all) => {
                let values = indices.iter().flat_map(|&index| &all[index * outputs..][..outputs]).copied().collect();
                (BatchTargets::Values(values), vec![1.0; batch])
            }
            FlatTargets::StepValues(all) => {
                let mut values = vec![f32::NAN; steps * batch * outputs];
                for (column, &index) in indices.iter().enumerate() {
                    let own = own_steps(index);
                    write_column(&mut values, &all[own.start * outputs..own.end * outputs], column, batch, outputs);
                }
                let valid = values.iter().map(|value| if value.is_nan() { 0.0 } else { 1.0 }).collect();
                values.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = 0.0);
                (BatchTargets::StepValues(values), valid)
            }
            FlatTargets::Absent => (BatchTargets::Absent, vec![0.0; batch]),
        }
    }
}

/// Cuts the sequences named by `order` into batches of `batch_size`, the last one perhaps smaller.
///
/// # Panics
/// If `batch_size` is 0, or `order` names a sequence that is not there.
pub fn batches<'a>(prepared: &'a Prepared, order: &'a [usize], batch_size: usize) -> Batches<'a> {
    Batches { prepared, order: order.chunks(batch_size) }
}
