//! An image on data: metrics of what the board will say.

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
    /// Labels of the classes, or names of the targets.
    pub labels: Vec<String>,
    /// Raw numbers beyond the scaler's range, clipped to it.
    pub clipped: u64,
    /// Missing numbers, filled in by the model's policy.
    pub missing: u64,
}

/// Runs the engine over every sequence.
///
/// # Errors
/// If the dataset is not what the image was made for, or the engine refuses a sample.
pub fn evaluate_image(image: &Image<'_>, dataset: &Dataset) -> Result<Evaluation, QuantizeError> {
    check_dataset(image, dataset)?;
    let outputs = dataset.targets.outputs();
    let chunks = map_chunks(dataset.sequences.len(), |range| {
        let mut runner = FixedRunner::new(image, dataset)?;
        let mut predictions = Predictions::new(outputs);
        for sequence in &dataset.sequences[range] {
            let all = runner.run(sequence, |_| ())?;
            predictions.add(&sequence.target, answers(dataset, &all, outputs));
        }
        Ok::<_, QuantizeError>((predictions, runner.counters()))
    });
    let mut predictions = Predictions::new(outputs);
    let (mut clipped, mut missing) = (0, 0);
    for chunk in chunks {
        let (some, counters) = chunk?;
        predictions.append(some);
        clipped += u64::from(counters.clipped);
        missing += u64::from(counters.missing);
    }
    let labels = match &dataset.targets {
        Targets::Classes { labels } => labels.clone(),
        Targets::Values { names } => names.clone(),
    };
    let metrics = predictions.metrics(&dataset.targets);
    Ok(Evaluation { metrics, sequences: dataset.sequences.len(), labels, clipped, missing })
}
