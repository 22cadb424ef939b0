//! A checkpoint on data: outputs and metrics.

use emberloop_checkpoint::{Architecture, Checkpoint, Pooling};
use emberloop_data::{
    DataError, Dataset, Inputs, Prepared, Sequence, SequenceTarget, TargetPer, TargetScaler, Targets, batches,
};
use serde::{Deserialize, Serialize};

use crate::{
    backend::{self, Device, DeviceError},
    loss::Loss,
    metrics::{ClassMetrics, Metrics, ValueMetrics},
    model::{Input, Learning, Network, values},
    recurrence::{RecurrentBackend, TrainBackend},
};

/// Sequences per batch when nothing is learned; bounded so that long sequences fit in memory.
const EVALUATION_BATCH: usize = 128;

/// Why a checkpoint could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The data cannot be scaled.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The data are not what the model was made for.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// What does not fit.
        what: String,
        /// What the model asks for.
        expected: String,
        /// What the data have.
        found: String,
    },
}

/// What a model says about a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean cross-entropy (unweighted), or mean squared error in scaled units.
    pub loss: f64,
    /// Counted over sequences, or over steps with a target per step.
    pub metrics: Metrics,
    /// Names of the classes or of the values.
    pub names: Vec<String>,
    /// One entry per sequence, in the dataset's order.
    pub predictions: Vec<Prediction>,
}

/// What a model says about one sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The sequence's name.
    pub sequence: String,
    /// `[outputs]`, or `[steps, outputs]` row-major with a head on every step: logits, or values in raw units.
    pub outputs: Vec<f32>,
    /// The class with the largest logit, one per row of `outputs`; empty for a regression.
    pub classes: Vec<usize>,
}

/// Evaluates a checkpoint on a dataset read in its terms (`emberloop_data::load_one`).
pub fn evaluate(checkpoint: &Checkpoint, dataset: &Dataset, device: Device) -> Result<Evaluation, EvaluateError> {
    let metadata = &checkpoint.metadata;
    check_schema(checkpoint, dataset)?;
    let prepared = Prepared::new(dataset, &metadata.scaler, metadata.target_scaler.as_ref())?;
    let loss = plain_loss(&dataset.targets);
    let (outputs, loss) = backend::dispatch(device, Run { checkpoint, prepared: &prepared, loss: Some(&loss) })??;
    let metrics = metrics(dataset, metadata.target_scaler.as_ref(), &outputs);
    let count = metadata.architecture.outputs;
    let names = match &dataset.targets {
        Targets::Classes { labels } => labels.clone(),
        Targets::Values { names } => names.clone(),
    };
    let predictions = dataset.sequences.iter().zip(outputs).map(|(sequence, outputs)| {
        let (outputs, classes) = match &metadata.target_scaler {
            Some(scaler) => (raw_units(scaler, &outputs), Vec::new()),
            None if matches!(dataset.targets, Targets::Values { .. }) => (outputs, Vec::new()),
            None => {
                let classes = outputs.chunks(count).map(argmax).collect();
                (outputs, classes)
            }
        };
        Prediction { sequence: sequence.name.clone(), outputs, classes }
    });
    Ok(Evaluation { loss: loss.unwrap_or(0.0), metrics, names, predictions: predictions.collect() })
}

/// The network's raw outputs for sequences in raw units: logits, or *scaled* values; `[outputs]` for each sequence, or
/// `[steps, outputs]` with a head on every step.
pub fn forward(
    checkpoint: &Checkpoint,
    sequences: &[Sequence],
    device: Device,
) -> Result<Vec<Vec<f32>>, EvaluateError> {
    let schema = &checkpoint.metadata.schema;
    let sequences = sequences.iter().cloned().map(|sequence| Sequence { target: SequenceTarget::Absent, ..sequence });
    let dataset = Dataset {
        inputs: schema.inputs.clone(),
        targets: schema.targets.clone(),
        target_per: schema.target_per,
        sequences: sequences.collect(),
        hash: String::new(),
        path: "memory".into(),
    };
    let prepared = Prepared::new(&dataset, &checkpoint.metadata.scaler, None)?;
    Ok(backend::dispatch(device, Run { checkpoint, prepared: &prepared, loss: None })??.0)
}

struct Run<'a> {
    checkpoint: &'a Checkpoint,
    prepared: &'a Prepared,
    loss: Option<&'a Loss>,
}

impl backend::Task for Run<'_> {
    type Output = Result<Outputs, DataError>;

    fn run<B: TrainBackend>(self, devices: &[B::Device]) -> Self::Output {
        let architecture = &self.checkpoint.metadata.architecture;
        let tensors = &self.checkpoint.tensors;
        let network = Network::<B::InnerBackend>::from_tensors(architecture, tensors, &Default::default(), &devices[0]);
        outputs(&network, architecture, self.prepared, self.loss, &devices[0])
    }
}

/// Outputs of every sequence, and the mean loss over the whole dataset.
pub(crate) type Outputs = (Vec<Vec<f32>>, Option<f64>);

/// Runs a network over a dataset.
///
/// Sequences of similar length share a batch, so that little is computed on padding.
pub(crate) fn outputs<B: RecurrentBackend>(
    network: &Network<B>,
    architecture: &Architecture,
    prepared: &Prepared,
    loss: Option<&Loss>,
    device: &B::Device,
) -> Result<Outputs, DataError> {
    let order = prepared.by_length();
    let mut all = vec![Vec::new(); prepared.len()];
    let (mut sum, mut total) = (0.0, 0.0);
    for batch in batches(prepared, &order, EVALUATION_BATCH) {
        let batch = batch?;
        let input = Input::new(&batch, architecture, device);
        let output = network.forward(architecture, &input, &mut Learning::none());
        if let Some(loss) = loss {
            let of_batch = loss.total(&batch);
            if let Some(target) = loss.target(&batch, of_batch, device) {
                sum += f64::from(values(loss.mean(output.clone(), &target))[0]) * of_batch;
                total += of_batch;
            }
        }
        let rows = values(output);
        for (row, (&index, &length)) in batch.indices.iter().zip(&batch.lengths).enumerate() {
            all[index] = own_rows(&rows, architecture, row, batch.batch, length);
        }
    }
    Ok((all, (total > 0.0).then(|| sum / total)))
}

/// The rows of one sequence out of a batch's time-major output.
pub(crate) fn own_rows(
    rows: &[f32],
    architecture: &Architecture,
    sequence: usize,
    batch: usize,
    length: usize,
) -> Vec<f32> {
    let width = architecture.outputs;
    let row = |at: usize| &rows[at * width..(at + 1) * width];
    match architecture.pooling {
        Pooling::Last | Pooling::Mean => row(sequence).to_vec(),
        Pooling::Every => (0..length).flat_map(|step| row(step * batch + sequence)).copied().collect(),
    }
}

/// Metrics of `outputs`, in the order of the dataset.
pub(crate) fn metrics(dataset: &Dataset, scaler: Option<&TargetScaler>, outputs: &[Vec<f32>]) -> Metrics {
    let count = dataset.targets.outputs();
    match &dataset.targets {
        Targets::Classes { .. } => {
            let pairs = dataset.sequences.iter().zip(outputs).flat_map(|(sequence, outputs)| {
                let truths = match &sequence.target {
                    SequenceTarget::Class(class) => std::slice::from_ref(class),
                    SequenceTarget::Classes(classes) => classes,
                    SequenceTarget::Values(_) | SequenceTarget::StepValues(_) | SequenceTarget::Absent => &[],
                };
                truths.iter().copied().zip(outputs.chunks(count).map(argmax))
            });
            Metrics::Classes(ClassMetrics::new(count, pairs))
        }
        Targets::Values { .. } => {
            let mut pairs = vec![Vec::new(); count];
            for (sequence, outputs) in dataset.sequences.iter().zip(outputs) {
                let truths = match &sequence.target {
                    SequenceTarget::Values(values) | SequenceTarget::StepValues(values) => values.as_slice(),
                    SequenceTarget::Class(_) | SequenceTarget::Classes(_) | SequenceTarget::Absent => &[],
                };
                let raw = scaler.map_or_else(|| outputs.clone(), |scaler| raw_units(scaler, outputs));
                for (at, (&truth, &prediction)) in truths.iter().zip(&raw).enumerate() {
                    if !truth.is_nan() {
                        pairs[at % count].push((f64::from(truth), f64::from(prediction)));
                    }
                }
            }
            Metrics::Values(ValueMetrics::new(&pairs))
        }
    }
}

fn raw_units(scaler: &TargetScaler, outputs: &[f32]) -> Vec<f32> {
    let count = scaler.features.len();
    outputs.iter().enumerate().map(|(at, &scaled)| scaler.inverse(at % count, scaled)).collect()
}

/// The first of the largest, as the device decides.
fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = class;
        }
    }
    best
}

fn plain_loss(targets: &Targets) -> Loss {
    match targets {
        Targets::Classes { labels } => {
            Loss::CrossEntropy { class_weights: vec![1.0; labels.len()], label_smoothing: 0.0 }
        }
        Targets::Values { .. } => Loss::Mse,
    }
}

fn check_schema(checkpoint: &Checkpoint, dataset: &Dataset) -> Result<(), EvaluateError> {
    let (model, data) = (&checkpoint.metadata.schema, dataset.schema());
    let mismatch = |part: &str, expected: String, found: String| {
        let what = format!("{}: {part}", dataset.path.display());
        Err(EvaluateError::Mismatch { what, expected, found })
    };
    if model.inputs != data.inputs {
        return mismatch("inputs", describe_inputs(&model.inputs), describe_inputs(&data.inputs));
    }
    if model.targets != data.targets {
        return mismatch("targets", describe_targets(&model.targets), describe_targets(&data.targets));
    }
    if model.target_per != data.target_per {
        let name = |per| if per == TargetPer::Step { "one per step" } else { "one per sequence" };
        return mismatch("targets", name(model.target_per).into(), name(data.target_per).into());
    }
    Ok(())
}

fn describe_inputs(inputs: &Inputs) -> String {
    match inputs {
        Inputs::Channels(names) => format!("the channels {}", names.join(", ")),
        Inputs::Tokens { column, vocabulary } => format!("tokens of {column} with {} known ones", vocabulary.len()),
    }
}

fn describe_targets(targets: &Targets) -> String {
    match targets {
        Targets::Classes { labels } => format!("the classes {}", labels.join(", ")),
        Targets::Values { names } => format!("the values {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Options, Silent,
        fixtures::{Kind, config, dataset, splits},
        train,
    };

    fn model(kind: Kind) -> Checkpoint {
        train(&config(kind), &splits(kind), &Options::default(), &mut Silent).unwrap().checkpoint
    }

    #[test]
    fn data_without_targets_are_predicted_and_not_judged() {
        let checkpoint = model(Kind::Class);
        let mut data = dataset(Kind::Class, 5, 3);
        let judged = evaluate(&checkpoint, &data, Device::Cpu).unwrap();
        data.sequences.iter_mut().for_each(|sequence| sequence.target = SequenceTarget::Absent);
        let blind = evaluate(&checkpoint, &data, Device::Cpu).unwrap();
        assert_eq!(blind.predictions, judged.predictions);
        assert_eq!((blind.metrics.n(), judged.metrics.n()), (0, 5));
    }

    #[test]
    fn predictions_are_named_and_agree_with_the_confusion_matrix() {
        let (checkpoint, data) = (model(Kind::Class), dataset(Kind::Class, 40, 3));
        let evaluation = evaluate(&checkpoint, &data, Device::Cpu).unwrap();
        assert_eq!(evaluation.names, ["no", "yes"]);
        assert_eq!(evaluation.predictions[7].sequence, "s7");
        let Metrics::Classes(metrics) = &evaluation.metrics else { panic!("a classification") };
        let said_yes = evaluation.predictions.iter().filter(|prediction| prediction.classes == [1]).count();
        assert_eq!(metrics.confusion[0][1] + metrics.confusion[1][1], said_yes);
        assert_eq!(metrics.n, 40);
    }

    #[test]
    fn a_step_model_answers_at_every_own_step() {
        let (checkpoint, data) = (model(Kind::StepClass), dataset(Kind::StepClass, 6, 3));
        let evaluation = evaluate(&checkpoint, &data, Device::Cpu).unwrap();
        for (sequence, prediction) in data.sequences.iter().zip(&evaluation.predictions) {
            assert_eq!(prediction.classes.len(), sequence.steps);
            assert_eq!(prediction.outputs.len(), 2 * sequence.steps);
        }
        assert_eq!(evaluation.metrics.n(), data.sequences.iter().map(|sequence| sequence.steps).sum::<usize>());
    }

    #[test]
    fn other_channels_or_classes_are_refused_by_name() {
        let (checkpoint, mut data) = (model(Kind::Class), dataset(Kind::Class, 5, 3));
        data.inputs = Inputs::Channels(vec!["left".into(), "up".into()]);
        let error = evaluate(&checkpoint, &data, Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "fixture.csv: inputs: expected the channels left, right, found the channels left, up");
        let error = evaluate(&checkpoint, &dataset(Kind::Value, 5, 3), Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "fixture.csv: targets: expected the classes no, yes, found the values sum");
    }
}
