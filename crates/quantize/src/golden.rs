//! Golden vectors: inputs embedded in the image with the exact outputs that the engine computed here.

use emberloop_data::Dataset;
use emberloop_engine::{MISSING, Network, StepError};
use emberloop_image::{Image, MissingPolicy};

use crate::QuantizeError;
use crate::aligned::AlignedBytes;
use crate::integer_model::{GoldenSequence, IntegerInput, IntegerModel};
use crate::raw::RawConverter;

/// Real steps that are embedded at the least, whatever they cost.
const STEPS_MIN: usize = 3;
/// Real steps beyond which nothing new is proved.
const STEPS_MAX: usize = 24;

/// Gives a model its golden vectors: one sequence of extremes, then the beginnings of real sequences.
pub(crate) fn embed(mut model: IntegerModel, data: &Dataset, budget: usize) -> Result<IntegerModel, QuantizeError> {
    let bytes = AlignedBytes::new(&model.to_image()?);
    let image = Image::parse(&bytes)?;
    let width = model.raw_width();
    let mut inputs = vec![extremes(&model)];
    let step_bytes = 4 * (width + model.labels.len());
    let spent = inputs[0].len() / width * step_bytes;
    let mut steps = (budget.saturating_sub(spent) / step_bytes).clamp(STEPS_MIN, STEPS_MAX);

    let raw = RawConverter::new(&image);
    // From both ends and the middle of the data: files are often sorted by class.
    let count = data.sequences.len();
    let chosen = [0, count / 2, count.saturating_sub(1)];
    let chosen = &chosen[..count.min(if steps < 2 * STEPS_MIN { 1 } else { 3 })];
    for (at, &sequence) in chosen.iter().enumerate() {
        let sequence = &data.sequences[sequence];
        let take = sequence.steps.min(steps / (chosen.len() - at));
        inputs.push(raw.sequence(sequence)?[..take * width].to_vec());
        steps -= take;
    }
    inputs.retain(|samples| !samples.is_empty());
    model.golden = record(&image, inputs, width)?;
    Ok(model)
}

impl IntegerModel {
    /// The same model with these sequences of raw samples, `[steps, width]` each, as its golden vectors: the outputs are what
    /// the engine computes here.
    ///
    /// # Errors
    /// If the model is not valid, or the engine refuses a sample.
    pub fn with_golden(mut self, sequences: Vec<Vec<i32>>) -> Result<Self, QuantizeError> {
        self.golden.clear();
        let bytes = AlignedBytes::new(&self.to_image()?);
        self.golden = record(&Image::parse(&bytes)?, sequences, self.raw_width())?;
        Ok(self)
    }
}

fn record(image: &Image<'_>, sequences: Vec<Vec<i32>>, width: usize) -> Result<Vec<GoldenSequence>, QuantizeError> {
    let record = |samples: Vec<i32>| {
        let place = || "golden vectors".into();
        let outputs = run(image, &samples, width).map_err(|error| QuantizeError::Step { place: place(), error })?;
        Ok(GoldenSequence { samples, outputs })
    };
    sequences.into_iter().map(record).collect()
}

/// The outputs of every step of one sequence from a reset, `[steps, outputs]`.
fn run(image: &Image<'_>, samples: &[i32], width: usize) -> Result<Vec<i32>, StepError> {
    let mut network = Network::new(image, vec![0; image.memory().words()]).map_err(|_| StepError::Memory)?;
    let mut outputs = Vec::new();
    for sample in samples.chunks_exact(width) {
        outputs.extend_from_slice(network.step(sample)?.values());
    }
    Ok(outputs)
}

/// What a board is unlikely to meet in a short test and must get right: both ends of every range, values beyond them,
/// and missing ones where the policy allows them. Tokens: the first and the last.
fn extremes(model: &IntegerModel) -> Vec<i32> {
    match &model.input {
        IntegerInput::Features { missing, scalers, .. } => {
            let alternating = |first: bool| {
                let pick = move |at: usize| at.is_multiple_of(2) == first;
                scalers.iter().enumerate().map(move |(at, scaler)| if pick(at) { scaler.max } else { scaler.min })
            };
            let beyond =
                scalers.iter().enumerate().map(|(at, _)| if at.is_multiple_of(2) { i32::MAX } else { -i32::MAX });
            let mut samples: Vec<i32> = alternating(true).chain(alternating(false)).chain(beyond).collect();
            match missing {
                MissingPolicy::Error => {}
                MissingPolicy::HoldLast | MissingPolicy::Mean => {
                    samples.extend(scalers.iter().enumerate().map(|(at, scaler)| {
                        if at.is_multiple_of(2) { MISSING } else { scaler.offset >> scaler.pre_shift }
                    }));
                }
            }
            samples
        }
        IntegerInput::Tokens { table, .. } => vec![0, table.rows() as i32 - 1],
    }
}
