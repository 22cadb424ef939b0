//! Float against fixed point, sequence by sequence.

use emberloop_checkpoint::Checkpoint;
use emberloop_data::metrics::Metrics;
use emberloop_data::{Dataset, Targets};
use emberloop_image::Image;
use serde::{Deserialize, Serialize};

use crate::QuantizeError;
use crate::aligned::AlignedBytes;
use crate::difference::{CurvePoint, Difference, LayerError};
use crate::fixed::{FixedRunner, check_dataset};
use crate::float_network::FloatNetwork;
use crate::layer_error::LayerDifference;
use crate::metrics::{Predictions, answers, argmax};
use crate::parallel::map_chunks;
use crate::quantize::{apply_scaler, check_inputs};

/// Sequences whose layers and gates are compared too; the outputs of all are.
const LAYER_SEQUENCES: usize = 512;

/// What differs between a checkpoint and an image on a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Number of sequences.
    pub sequences: usize,
    /// Number of steps.
    pub steps: usize,
    /// The float model's metrics.
    pub float: Metrics,
    /// The engine's.
    pub fixed: Metrics,
    /// Classification: share of sequences (or of steps, with a target per step) whose predicted class differs.
    pub disagreement: Option<f64>,
    /// Root of the mean squared difference of the outputs, over the standard deviation of the float outputs; of those
    /// outputs that answer a target.
    pub logit_error: f64,
    /// The same by step of the sequence.
    pub error_curve: Vec<CurvePoint>,
    /// By layer and gate, on a part of the sequences.
    pub layers: Vec<LayerError>,
    /// Raw numbers beyond the scaler's range, clipped to it.
    pub clipped: u64,
    /// Missing numbers, filled in by the model's policy.
    pub missing: u64,
    /// Length of the image.
    pub image_bytes: usize,
    /// RAM that a network of it needs.
    pub ram_bytes: usize,
}

/// Options of [`compare`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompareOptions {
    /// Compare also with an image that was made from another checkpoint.
    pub another_checkpoint: bool,
}

/// Runs both over every sequence.
///
/// # Errors
/// If the image is damaged or made from another checkpoint, or the data are not what the model was made for.
pub fn compare(
    checkpoint: &Checkpoint,
    image: &[u8],
    dataset: &Dataset,
    options: CompareOptions,
) -> Result<Comparison, QuantizeError> {
    let bytes = AlignedBytes::new(image);
    let image = Image::parse(&bytes)?;
    let expected = checkpoint.hash()?;
    let found = image.header().checkpoint;
    if found != expected && !options.another_checkpoint {
        return Err(QuantizeError::AnotherCheckpoint { expected, found: found.into() });
    }
    check_inputs(checkpoint, dataset)?;
    check_dataset(&image, dataset)?;
    let float = FloatNetwork::new(checkpoint)?;
    let run = Run { checkpoint, image: &image, dataset, float: &float, rounded: &FloatNetwork::of_image(&image) };
    let mut total = Part::new(&run);
    for part in map_chunks(dataset.sequences.len(), |range| run.part(range)) {
        total.append(part?);
    }
    let judged = matches!(dataset.targets, Targets::Classes { .. });
    let answers = total.answers.max(1) as f64;
    let error_curve = total.difference.curve();
    Ok(Comparison {
        sequences: dataset.sequences.len(),
        steps: total.steps,
        float: total.float.metrics(&dataset.targets),
        fixed: total.fixed.metrics(&dataset.targets),
        disagreement: judged.then(|| total.disagreements as f64 / answers),
        logit_error: total.difference.relative(),
        error_curve,
        layers: total.layers.errors(&image),
        clipped: total.clipped,
        missing: total.missing,
        image_bytes: image.len_bytes(),
        ram_bytes: image.ram_bytes(),
    })
}

struct Run<'a> {
    checkpoint: &'a Checkpoint,
    image: &'a Image<'a>,
    dataset: &'a Dataset,
    float: &'a FloatNetwork,
    rounded: &'a FloatNetwork,
}

/// Sums over some sequences.
struct Part {
    float: Predictions,
    fixed: Predictions,
    difference: Difference,
    layers: LayerDifference,
    answers: usize,
    disagreements: usize,
    steps: usize,
    clipped: u64,
    missing: u64,
}

impl Run<'_> {
    fn part(&self, range: std::ops::Range<usize>) -> Result<Part, QuantizeError> {
        let mut part = Part::new(self);
        let mut runner = FixedRunner::new(self.image, self.dataset)?;
        let stride = self.dataset.sequences.len().div_ceil(LAYER_SEQUENCES).max(1);
        let (width, outputs) = (self.dataset.channels(), self.float.outputs());
        for index in range {
            let sequence = &self.dataset.sequences[index];
            let scaled = apply_scaler(self.dataset, &self.checkpoint.metadata.scaler, sequence)?;
            let (float, fixed) = if index % stride == 0 {
                let mut look = part.layers.look(self.float, self.rounded, &scaled, width);
                let fixed = runner.run(sequence, |network| look.step(network))?;
                (look.outputs, fixed)
            } else {
                (self.float.run(&scaled, width), runner.run(sequence, |_| ())?)
            };
            part.add(self.dataset, index, &float, &fixed, outputs);
        }
        let counters = runner.counters();
        part.clipped = u64::from(counters.clipped);
        part.missing = u64::from(counters.missing);
        Ok(part)
    }
}

impl Part {
    fn new(run: &Run<'_>) -> Self {
        let outputs = run.float.outputs();
        let longest = run.dataset.sequences.iter().map(|sequence| sequence.steps).max().unwrap_or(0);
        let pooled = matches!(run.dataset.targets, Targets::Classes { .. });
        Self {
            float: Predictions::new(outputs),
            fixed: Predictions::new(outputs),
            difference: Difference::new(outputs, longest, pooled),
            layers: LayerDifference::new(run.image),
            answers: 0,
            disagreements: 0,
            steps: 0,
            clipped: 0,
            missing: 0,
        }
    }

    fn add(&mut self, dataset: &Dataset, sequence: usize, float: &[f64], fixed: &[f64], outputs: usize) {
        self.steps += dataset.sequences[sequence].steps;
        self.difference.add_steps(float, fixed);
        let (float, fixed) = (answers(dataset, float, outputs), answers(dataset, fixed, outputs));
        self.difference.add_answers(float, fixed);
        for (float, fixed) in float.chunks_exact(outputs).zip(fixed.chunks_exact(outputs)) {
            self.answers += 1;
            self.disagreements += usize::from(argmax(float) != argmax(fixed));
        }
        let target = &dataset.sequences[sequence].target;
        self.float.add(target, float);
        self.fixed.add(target, fixed);
    }

    fn append(&mut self, other: Part) {
        self.float.append(other.float);
        self.fixed.append(other.fixed);
        self.difference.append(&other.difference);
        self.layers.append(&other.layers);
        self.answers += other.answers;
        self.disagreements += other.disagreements;
        self.steps += other.steps;
        self.clipped += other.clipped;
        self.missing += other.missing;
    }
}
