//! A dataset ready for training: scaled, in memory or streamed, its targets held flat.

use crate::dataset::{Dataset, SequenceTarget, TargetPer, Targets};
use crate::error::DataError;
use crate::scaler::{Scaler, TargetScaler};
use crate::stream::{Locality, Stream};

/// A dataset after its scaler: held flat in memory, or read and scaled when it is wanted (streamed data).
#[derive(Debug)]
pub struct Prepared {
    channels: usize,
    outputs: usize,
    /// First step of each sequence, and one past the last.
    pub(crate) starts: Vec<usize>,
    inputs: PreparedInputs,
    pub(crate) targets: FlatTargets,
}

#[derive(Debug)]
enum PreparedInputs {
    /// `[all steps, channels]`.
    Loaded(Vec<f32>),
    Streamed(Stream),
}

/// The targets of every sequence, one after the other.
#[derive(Debug)]
pub(crate) enum FlatTargets {
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
    /// Scales every sequence and, for regression, every target. Streamed sequences are looked through where that is needed to
    /// know that they can be scaled.
    ///
    /// # Errors
    /// If a value is missing and must not be, or is not finite after scaling; if a file cannot be read any more.
    ///
    /// # Panics
    /// If the scalers were fitted on another number of channels or outputs.
    pub fn new(dataset: &Dataset, scaler: &Scaler, targets: Option<&TargetScaler>) -> Result<Prepared, DataError> {
        let channels = dataset.channels();
        let mut starts = Vec::with_capacity(dataset.sequences.len() + 1);
        starts.push(0);
        let mut end = 0;
        for sequence in &dataset.sequences {
            end += sequence.steps;
            starts.push(end);
        }
        let inputs = match dataset.is_streamed() {
            true => PreparedInputs::Streamed(Stream::new(dataset, scaler)?),
            false => PreparedInputs::Loaded(scaled(dataset, scaler, end * channels)?),
        };
        let targets = FlatTargets::new(dataset, targets)?;
        Ok(Prepared { channels, outputs: dataset.targets.outputs(), starts, inputs, targets })
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

    /// Calls `look` with the scaled values of a sequence, `[steps, channels]` row-major.
    ///
    /// # Errors
    /// If they are in a file that cannot be read any more, or has been written to since it was opened.
    ///
    /// # Panics
    /// If there is no such sequence.
    pub fn show<R>(&self, sequence: usize, look: impl FnOnce(&[f32]) -> R) -> Result<R, DataError> {
        let (first, end) = (self.starts[sequence], self.starts[sequence + 1]);
        match &self.inputs {
            PreparedInputs::Loaded(values) => Ok(look(&values[first * self.channels..end * self.channels])),
            PreparedInputs::Streamed(stream) => stream.show(sequence, &self.starts, look),
        }
    }

    /// For streamed data, in which order sequences are best read; `None` where any order is as good.
    pub fn locality(&self) -> Option<Locality> {
        match &self.inputs {
            PreparedInputs::Loaded(_) => None,
            PreparedInputs::Streamed(stream) => Some(stream.locality),
        }
    }

    /// Every sequence once, such that those of a batch are of similar length and little is computed on padding: the shortest
    /// first; of streamed data the shortest of each window of neighbours.
    pub fn by_length(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        let window = self.locality().map_or(usize::MAX, |Locality { block, window }| block.saturating_mul(window));
        for window in order.chunks_mut(window) {
            window.sort_by_key(|&sequence| self.steps(sequence));
        }
        order
    }
}

/// The scaled values of a dataset in memory, `total` numbers.
fn scaled(dataset: &Dataset, scaler: &Scaler, total: usize) -> Result<Vec<f32>, DataError> {
    let mut all = Vec::with_capacity(total);
    dataset.each(|sequence, values| {
        let first = all.len();
        all.extend_from_slice(values);
        scaler.apply_in_place(sequence.steps, &mut all[first..]).map_err(|fault| {
            let channel = dataset.channel_name(fault.channel());
            fault.into_error(&dataset.path, &sequence.name, channel)
        })
    })?;
    Ok(all)
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
