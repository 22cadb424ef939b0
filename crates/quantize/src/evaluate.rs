//! An image on data: metrics of what the board will say.

use std::ops::Range;

use emberloop_data::metrics::Metrics;
use emberloop_data::{Dataset, Targets};
use emberloop_image::Image;
use serde::{Deserialize, Serialize};

use crate::QuantizeError;
use crate::fixed::{FixedRunner, check_dataset};
use crate::metrics::{Predictions, answers};
use crate::parallel::map_chunks;

/// What an image says about a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Counted over sequences, or over steps with a target per step.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Number of sequences.
    pub sequences: usize,
    /// Number of steps.
    pub steps: usize,
    /// Labels of the classes, or names of the targets.
    pub labels: Vec<String>,
    /// Raw numbers beyond the scaler's range, clipped to it.
    pub clipped: u64,
    /// Missing numbers, filled in by the model's policy.
    pub missing: u64,
}

/// A network of an image, for one thread; a clone of it for another. A dataset is evaluated in parts, on threads of the
/// caller's, in any order, and [`Evaluation::of_parts`] puts them together.
#[derive(Clone, Debug)]
pub struct EvaluationWorker<'a> {
    dataset: &'a Dataset,
    runner: FixedRunner<'a, 'a>,
}

/// What an image says about some of a dataset's sequences.
#[derive(Clone, Debug)]
pub struct EvaluationPart {
    predictions: Predictions,
    steps: usize,
    clipped: u64,
    missing: u64,
}

/// Runs the engine over every sequence, on all cores.
///
/// # Errors
/// If the dataset is not what the image was made for, or the engine refuses a sample.
pub fn evaluate_image(image: &Image<'_>, dataset: &Dataset) -> Result<Evaluation, QuantizeError> {
    let worker = EvaluationWorker::new(image, dataset)?;
    Evaluation::of_parts(dataset, map_chunks(dataset.sequences.len(), |range| worker.clone().run(range)))
}

impl Evaluation {
    /// The whole, of parts in the order of the dataset: the same to the last bit, however it was divided. Of several errors
    /// it is the first in that order.
    ///
    /// # Errors
    /// That of a part.
    pub fn of_parts(
        dataset: &Dataset,
        parts: impl IntoIterator<Item = Result<EvaluationPart, QuantizeError>>,
    ) -> Result<Self, QuantizeError> {
        let mut total = EvaluationPart::new(dataset);
        for part in parts {
            total.append(part?);
        }
        let labels = match &dataset.targets {
            Targets::Classes { labels } => labels.clone(),
            Targets::Values { names } => names.clone(),
        };
        Ok(Self {
            metrics: total.predictions.metrics(&dataset.targets),
            sequences: dataset.sequences.len(),
            steps: total.steps,
            labels,
            clipped: total.clipped,
            missing: total.missing,
        })
    }
}

impl<'a> EvaluationWorker<'a> {
    /// Of this image and this dataset.
    ///
    /// # Errors
    /// If the dataset is not what the image was made for.
    pub fn new(image: &'a Image<'a>, dataset: &'a Dataset) -> Result<Self, QuantizeError> {
        check_dataset(image, dataset)?;
        Ok(Self { dataset, runner: FixedRunner::new(image, dataset)? })
    }

    /// Runs these sequences, each from a reset.
    ///
    /// # Errors
    /// If the engine refuses a sample.
    pub fn run(&mut self, sequences: Range<usize>) -> Result<EvaluationPart, QuantizeError> {
        let mut part = EvaluationPart::new(self.dataset);
        let before = self.runner.counters();
        for sequence in &self.dataset.sequences[sequences] {
            let all = self.runner.run(sequence, |_| ())?;
            part.predictions.add(&sequence.target, answers(self.dataset, &all, self.dataset.targets.outputs()));
            part.steps += sequence.steps;
        }
        let after = self.runner.counters();
        part.clipped = u64::from(after.clipped - before.clipped);
        part.missing = u64::from(after.missing - before.missing);
        Ok(part)
    }
}

impl EvaluationPart {
    fn new(dataset: &Dataset) -> Self {
        Self { predictions: Predictions::new(dataset.targets.outputs()), steps: 0, clipped: 0, missing: 0 }
    }

    fn append(&mut self, other: Self) {
        self.predictions.append(other.predictions);
        self.steps += other.steps;
        self.clipped += other.clipped;
        self.missing += other.missing;
    }
}
