//! A dataset scaled once and held flat, and the padded batches cut out of it.

use crate::dataset::{Dataset, SequenceTarget, TargetPer, Targets};
use crate::error::DataError;
use crate::scaler::{Scaler, TargetScaler};

/// A dataset after its scaler, held flat in memory once.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    channels: usize,
    outputs: usize,
    /// First step of each sequence in `values`, and one past the last.
    starts: Vec<usize>,
    /// `[all steps, channels]`.
    values: Vec<f32>,
    targets: FlatTargets,
}

/// The targets of every sequence, one after the other.
#[derive(Clone, Debug, PartialEq)]
enum FlatTargets {
    /// `[sequences]`.
    Classes(Vec<usize>),
    /// `[all steps]`.
    StepClasses(Vec<usize>),
    /// `[sequences, outputs]`.
    Values(Vec<f32>),
    /// `[all steps, outputs]`, NaN where missing.
    StepValues(Vec<f32>),
    Absent,
}

impl Prepared {
    /// Scales every sequence and, for regression, every target.
    ///
    /// # Panics
    /// If the scalers were fitted on another number of channels or outputs.
    pub fn new(dataset: &Dataset, scaler: &Scaler, targets: Option<&TargetScaler>) -> Result<Prepared, DataError> {
        let channels = dataset.channels();
        let total: usize = dataset.sequences.iter().map(|sequence| sequence.steps).sum();
        let mut starts = Vec::with_capacity(dataset.sequences.len() + 1);
        let mut values = Vec::with_capacity(total * channels);
        starts.push(0);
        let mut end = 0;
        for sequence in &dataset.sequences {
            let first = values.len();
            values.extend_from_slice(&sequence.values);
            scaler.apply_in_place(sequence.steps, &mut values[first..]).map_err(|fault| {
                let channel = dataset.channel_name(fault.channel());
                fault.into_error(&dataset.path, sequence, channel)
            })?;
            end += sequence.steps;
            starts.push(end);
        }
        let targets = FlatTargets::new(dataset, targets)?;
        Ok(Prepared { channels, outputs: dataset.targets.outputs(), starts, values, targets })
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

impl FlatTargets {
    fn new(dataset: &Dataset, scaler: Option<&TargetScaler>) -> Result<FlatTargets, DataError> {
        let outputs = dataset.targets.outputs();
        let scale = |raw: &[f32], into: &mut Vec<f32>| match scaler {
            None => into.extend_from_slice(raw),
            Some(scaler) => into.extend(raw.iter().enumerate().map(|(i, &raw)| scaler.apply(i % outputs, raw))),
        };
        let absent = dataset.sequences.first().is_some_and(|sequence| sequence.target == SequenceTarget::Absent);
        let mut flat = match (&dataset.targets, dataset.target_per) {
            _ if absent => FlatTargets::Absent,
            (Targets::Classes { .. }, TargetPer::Sequence) => FlatTargets::Classes(Vec::new()),
            (Targets::Classes { .. }, TargetPer::Step) => FlatTargets::StepClasses(Vec::new()),
            (Targets::Values { .. }, TargetPer::Sequence) => FlatTargets::Values(Vec::new()),
            (Targets::Values { .. }, TargetPer::Step) => FlatTargets::StepValues(Vec::new()),
        };
        for sequence in &dataset.sequences {
            match (&mut flat, &sequence.target) {
                (FlatTargets::Classes(all), SequenceTarget::Class(class)) => all.push(*class),
                (FlatTargets::StepClasses(all), SequenceTarget::Classes(classes))
                    if classes.len() == sequence.steps =>
                {
                    all.extend_from_slice(classes);
                }
                (FlatTargets::Values(all), SequenceTarget::Values(values)) if values.len() == outputs => {
                    scale(values, all);
                }
                (FlatTargets::StepValues(all), SequenceTarget::StepValues(values))
                    if values.len() == sequence.steps * outputs =>
                {
                    scale(values, all);
                }
                (FlatTargets::Absent, SequenceTarget::Absent) => {}
                (flat, found) => {
                    return Err(DataError::Content {
                        path: dataset.path.clone(),
                        place: format!("target of sequence {}", sequence.name),
                        expected: flat.describe(sequence.steps, outputs),
                        found: describe(found),
                    });
                }
            }
        }
        Ok(flat)
    }

    fn describe(&self, steps: usize, outputs: usize) -> String {
        match self {
            FlatTargets::Classes(_) => "a class".into(),
            FlatTargets::StepClasses(_) => format!("a class for each of {steps} steps"),
            FlatTargets::Values(_) => format!("{outputs} values"),
            FlatTargets::StepValues(_) => format!("{outputs} values for each of {steps} steps"),
            FlatTargets::Absent => "no target, as for the first sequence".into(),
        }
    }
}

fn describe(target: &SequenceTarget) -> String {
    match target {
        SequenceTarget::Class(_) => "a class".into(),
        SequenceTarget::Classes(classes) => format!("classes of {} steps", classes.len()),
        SequenceTarget::Values(values) => format!("{} values", values.len()),
        SequenceTarget::StepValues(values) => format!("{} values over the steps", values.len()),
        SequenceTarget::Absent => "no target".into(),
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
    /// otherwise equal to `mask` (targets per step), or `[batch]`: all 1 (targets per sequence), all 0 (no targets).
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
        self.order.next().map(|indices| self.prepared.batch(indices))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.order.size_hint()
    }
}

impl ExactSizeIterator for Batches<'_> {}

impl Prepared {
    /// The sequences of `indices` as one batch.
    ///
    /// # Panics
    /// If `indices` names a sequence that is not there.
    pub fn batch(&self, indices: &[usize]) -> Batch {
        let lengths: Vec<usize> = indices.iter().map(|&index| self.steps(index)).collect();
        let steps = lengths.iter().copied().max().unwrap_or(0);
        let mut inputs = vec![0.0; indices.len() * steps * self.channels];
        let mut mask = vec![0.0; indices.len() * steps];
        for (row, &index) in indices.iter().enumerate() {
            let values = self.values(index);
            inputs[row * steps * self.channels..][..values.len()].copy_from_slice(values);
            mask[row * steps..][..lengths[row]].fill(1.0);
        }
        let (targets, target_mask) = self.batch_targets(indices, steps, &mask);
        Batch {
            inputs,
            indices: indices.to_vec(),
            batch: indices.len(),
            steps,
            channels: self.channels,
            outputs: self.outputs,
            lengths,
            targets,
            mask,
            target_mask,
        }
    }

    fn batch_targets(&self, indices: &[usize], steps: usize, mask: &[f32]) -> (BatchTargets, Vec<f32>) {
        let outputs = self.outputs;
        match &self.targets {
            FlatTargets::Classes(all) => {
                (BatchTargets::Classes(indices.iter().map(|&index| all[index]).collect()), vec![1.0; indices.len()])
            }
            FlatTargets::StepClasses(all) => {
                let mut classes = vec![0; indices.len() * steps];
                for (row, &index) in indices.iter().enumerate() {
                    let own = &all[self.starts[index]..self.starts[index + 1]];
                    classes[row * steps..][..own.len()].copy_from_slice(own);
                }
                (BatchTargets::StepClasses(classes), mask.to_vec())
            }
            FlatTargets::Values(all) => {
                let values = indices.iter().flat_map(|&index| &all[index * outputs..][..outputs]).copied().collect();
                (BatchTargets::Values(values), vec![1.0; indices.len()])
            }
            FlatTargets::StepValues(all) => {
                let mut values = vec![0.0; indices.len() * steps * outputs];
                let mut valid = vec![0.0; values.len()];
                for (row, &index) in indices.iter().enumerate() {
                    let own = &all[self.starts[index] * outputs..self.starts[index + 1] * outputs];
                    let first = row * steps * outputs;
                    for (place, &value) in (first..).zip(own).filter(|(_, value)| !value.is_nan()) {
                        values[place] = value;
                        valid[place] = 1.0;
                    }
                }
                (BatchTargets::StepValues(values), valid)
            }
            FlatTargets::Absent => (BatchTargets::Absent, vec![0.0; indices.len()]),
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
