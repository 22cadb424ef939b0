//! One batch through a network, with everything in view: the gradient at every step, every gate, every unit.

use std::collections::BTreeMap;

use emberloop_cells::{Direction, Gate, RecurrentTensor, TensorName};
use emberloop_checkpoint::{Architecture, Checkpoint, Pooling, Tensor};
use emberloop_data::{Batch, BatchTargets, DataError, Dataset, Prepared, Sequence, SequenceTarget};
use emberloop_kernels::{self as kernels, Layer, Output, Sequences, StateGradients, Tape, Wanted, Weights};

use crate::study::sample;

/// Sequences in the batch.
const SEQUENCES: usize = 32;
/// Steps of each, the last ones.
const STEPS: usize = 256;
/// Bins of a histogram of gates, between 0 and 1.
pub const BINS: usize = 20;
/// A gate beyond these is as good as shut or open.
const SHUT: f32 = 0.02;
const OPEN: f32 = 0.98;
/// A unit whose standard deviation over all steps is below this says nothing.
const DEAD: f64 = 1e-3;

/// What one batch shows of a network.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The layer next to the input first; both directions of one are two entries.
    pub layers: Vec<LayerProbe>,
}

/// What one batch shows of one layer in one direction.
#[derive(Clone, Debug)]
pub struct LayerProbe {
    /// As in `layer 1` or `layer 1, reverse`.
    pub name: String,
    /// The gradient of the loss with respect to what the layer reads, k steps before the end of the sequence: root of the
    /// mean over the sequences of its squared norm.
    pub gradient: Vec<f64>,
    /// Every gate with a sigmoid; a plain RNN has none.
    pub gates: Vec<GateProbe>,
    /// The share of units that never change.
    pub dead: f64,
}

/// The values of one gate over all steps, sequences and units.
#[derive(Clone, Debug)]
pub struct GateProbe {
    /// As in `forget`.
    pub gate: &'static str,
    /// How many values lie in each bin.
    pub bins: Vec<u64>,
    /// The share below 0.02.
    pub low: f64,
    /// The share beyond 0.98.
    pub high: f64,
}

impl Probe {
    /// Looks at a checkpoint with some sequences of a dataset. The loss is cross-entropy without class weights and smoothing, or
    /// the mean squared error.
    ///
    /// # Errors
    /// If the data cannot be scaled.
    pub fn of(checkpoint: &Checkpoint, dataset: &Dataset) -> Result<Probe, DataError> {
        let metadata = &checkpoint.metadata;
        let mut some = sample(dataset, SEQUENCES);
        for sequence in &mut some.sequences {
            keep_end(sequence, dataset.channels(), dataset.targets.outputs())?;
        }
        let prepared = Prepared::new(&some, &metadata.scaler, metadata.target_scaler.as_ref())?;
        let batch = prepared.batch(&(0..prepared.len()).collect::<Vec<_>>())?;
        Ok(probe(&metadata.architecture, &checkpoint.tensors, &batch))
    }

    /// The largest share of a gate beyond 0.02 and 0.98, with its name.
    pub fn most_saturated(&self) -> Option<(String, f64)> {
        let gates = self.layers.iter().flat_map(|layer| layer.gates.iter().map(|gate| (&layer.name, gate)));
        let shares = gates.map(|(layer, gate)| (format!("{} gate of {layer}", gate.gate), gate.low + gate.high));
        shares.max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// The last steps of a sequence: what a tape of all of them would take is no matter of a look.
fn keep_end(sequence: &mut Sequence, channels: usize, outputs: usize) -> Result<(), DataError> {
    let Some(beyond) = sequence.steps.checked_sub(STEPS).filter(|beyond| *beyond > 0) else { return Ok(()) };
    sequence.values.to_mut()?.drain(..beyond * channels);
    sequence.steps = STEPS;
    match &mut sequence.target {
        SequenceTarget::Classes(classes) => drop(classes.drain(..beyond)),
        SequenceTarget::StepValues(values) => drop(values.drain(..beyond * outputs)),
        SequenceTarget::Class(_) | SequenceTarget::Values(_) | SequenceTarget::Absent => {}
    }
    Ok(())
}

/// A layer in one direction, after its forward pass.
struct Pass {
    direction: Direction,
    weights: Owned,
    layer: Layer,
    tape: Tape,
    hidden: Vec<f32>,
}

/// A direction's parameters as the kernels read them.
struct Owned {
    input: Vec<f32>,
    recurrent: Vec<f32>,
    input_bias: Vec<f32>,
    recurrent_bias: Vec<f32>,
}

impl Owned {
    fn new(tensors: &BTreeMap<String, Tensor>, layer: usize, direction: Direction) -> Owned {
        let tensor = |tensor| &tensors[&TensorName { layer, direction, tensor }.to_string()];
        Owned {
            input: transposed(tensor(RecurrentTensor::InputWeight)),
            recurrent: transposed(tensor(RecurrentTensor::RecurrentWeight)),
            input_bias: tensor(RecurrentTensor::InputBias).values.clone(),
            recurrent_bias: tensor(RecurrentTensor::RecurrentBias).values.clone(),
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights {
            input: &self.input,
            recurrent: &self.recurrent,
            input_bias: &self.input_bias,
            recurrent_bias: &self.recurrent_bias,
        }
    }
}

fn transposed(tensor: &Tensor) -> Vec<f32> {
    let (rows, columns) = (tensor.shape[0], tensor.shape[1]);
    (0..columns).flat_map(|column| (0..rows).map(move |row| tensor.values[row * columns + column])).collect()
}

fn probe(architecture: &Architecture, tensors: &BTreeMap<String, Tensor>, batch: &Batch) -> Probe {
    let rows = batch.steps * batch.batch;
    let mut features = match architecture.embedding {
        None => batch.inputs.clone(),
        Some(embedding) => {
            let table = &tensors[Architecture::EMBEDDING_WEIGHT].values;
            let row = |token: &f32| &table[*token as usize * embedding.dimension..][..embedding.dimension];
            batch.inputs.iter().flat_map(row).copied().collect()
        }
    };
    let mut layers = Vec::new();
    for (index, &hidden) in architecture.hidden.iter().enumerate() {
        let inputs = architecture.layer_inputs(index);
        let passes: Vec<Pass> = architecture
            .directions()
            .iter()
            .map(|&direction| {
                let weights = Owned::new(tensors, index, direction);
                let layer = Layer { cell: architecture.cell, inputs, hidden };
                let sequences = sequences(batch, &features, direction);
                let (states, tape) = kernels::forward(layer, &weights.weights(), &sequences, Output::Every);
                Pass { direction, weights, layer, tape, hidden: states.hidden }
            })
            .collect();
        let joined =
            (0..rows).flat_map(|row| passes.iter().flat_map(move |pass| &pass.hidden[row * hidden..][..hidden]));
        let joined = joined.copied().collect();
        layers.push((passes, std::mem::replace(&mut features, joined)));
    }
    let mut gradient = head_gradient(architecture, tensors, batch, &features);
    let mut probes = Vec::new();
    for (index, (passes, read)) in layers.into_iter().enumerate().rev() {
        let (width, inputs) = (architecture.hidden[index], architecture.layer_inputs(index));
        let mut below = vec![0.0; rows * inputs];
        let count = passes.len();
        // Backwards here as well: everything is turned round in the end.
        for (place, pass) in passes.into_iter().enumerate().rev() {
            let own = (0..rows).flat_map(|row| &gradient[(row * count + place) * width..][..width]);
            let own: Vec<f32> = own.copied().collect();
            let (gates, dead) = (gates(&pass, batch, &read), dead(&pass.hidden, batch, width));
            let wanted = Wanted { values: true, initial: false };
            let states = StateGradients { hidden: Some(&own), last: None };
            let found = kernels::backward(pass.tape, &pass.weights.weights(), &states, wanted, None);
            let values = found.values.unwrap_or_default();
            below.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
            let reverse = if pass.direction == Direction::Reverse { ", reverse" } else { "" };
            let name = format!("layer {}{reverse}", index + 1);
            probes.push(LayerProbe { name, gradient: by_distance(&values, batch, inputs), gates, dead });
        }
        gradient = below;
    }
    probes.reverse();
    Probe { layers: probes }
}

fn sequences<'a>(batch: &'a Batch, values: &'a [f32], direction: Direction) -> Sequences<'a> {
    Sequences {
        steps: batch.steps,
        batch: batch.batch,
        values,
        lengths: Some(&batch.lengths),
        reverse: direction == Direction::Reverse,
        initial: None,
    }
}

/// Where a sequence's outputs are taken from, as `(step, share)`.
fn read_by_head(pooling: Pooling, length: usize, reverse_half: bool) -> Vec<(usize, f32)> {
    match pooling {
        // The reverse direction ends at the first step.
        Pooling::Last => vec![(if reverse_half { 0 } else { length - 1 }, 1.0)],
        Pooling::Mean => (0..length).map(|step| (step, 1.0 / length as f32)).collect(),
        Pooling::Every => (0..length).map(|step| (step, 1.0)).collect(),
    }
}

/// The gradient of the mean loss with respect to the top layer's states, `[T, B, features]`.
fn head_gradient(
    architecture: &Architecture,
    tensors: &BTreeMap<String, Tensor>,
    batch: &Batch,
    states: &[f32],
) -> Vec<f32> {
    let (weight, bias) = (&tensors[Architecture::HEAD_WEIGHT].values, &tensors[Architecture::HEAD_BIAS].values);
    let (width, outputs) = (architecture.head_inputs(), architecture.outputs);
    let mut gradient = vec![0.0; states.len()];
    let every = architecture.pooling == Pooling::Every;
    for (column, &length) in batch.lengths.iter().enumerate() {
        let row = |step: usize| (step * batch.batch + column) * width;
        let single = width / architecture.directions().len();
        let places = |feature: usize| read_by_head(architecture.pooling, length, feature >= single);
        let reads = if every { length } else { 1 };
        for read in 0..reads {
            let of = |feature: usize| match every {
                true => vec![(read, 1.0)],
                false => places(feature),
            };
            let pooled: Vec<f32> = (0..width)
                .map(|feature| of(feature).iter().map(|(step, share)| share * states[row(*step) + feature]).sum())
                .collect();
            let logits: Vec<f32> = (0..outputs)
                .map(|output| bias[output] + (0..width).map(|i| weight[output * width + i] * pooled[i]).sum::<f32>())
                .collect();
            let Some(error) = error(batch, column, read, &logits) else { continue };
            for feature in 0..width {
                let back: f32 = (0..outputs).map(|output| error[output] * weight[output * width + feature]).sum();
                for (step, share) in of(feature) {
                    gradient[row(step) + feature] += back * share / (batch.batch * reads) as f32;
                }
            }
        }
    }
    gradient
}

/// The loss's gradient with respect to the outputs; `None` where no target counts.
fn error(batch: &Batch, column: usize, step: usize, logits: &[f32]) -> Option<Vec<f32>> {
    let place = step * batch.batch + column;
    let softmax = |class: usize| {
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let share =
            |(output, logit): (usize, &f32)| (logit - largest).exp() / sum - if output == class { 1.0 } else { 0.0 };
        logits.iter().enumerate().map(share).collect()
    };
    let outputs = logits.len();
    let distance = |values: &[f32], at: usize| {
        logits.iter().zip(&values[at * outputs..]).map(|(a, b)| 2.0 * (a - b) / outputs as f32).collect()
    };
    match &batch.targets {
        BatchTargets::Classes(classes) => Some(softmax(classes[column])),
        BatchTargets::StepClasses(classes) => Some(softmax(classes[place])),
        BatchTargets::Values(values) => Some(distance(values, column)),
        BatchTargets::StepValues(values) => {
            let counts = batch.target_mask[place * outputs..][..outputs].iter().all(|counts| *counts > 0.0);
            counts.then(|| distance(values, place))
        }
        BatchTargets::Absent => None,
    }
}

/// Root of the mean square, over the sequences that are long enough, of the norm k steps before a sequence's end.
fn by_distance(values: &[f32], batch: &Batch, width: usize) -> Vec<f64> {
    let squares = |step: usize, column: usize| -> f64 {
        let own = &values[(step * batch.batch + column) * width..][..width];
        own.iter().map(|&value| f64::from(value).powi(2)).sum()
    };
    let at = |distance: usize| {
        let long = batch.lengths.iter().enumerate().filter(|(_, length)| **length > distance);
        let all: Vec<f64> = long.map(|(column, length)| squares(length - 1 - distance, column)).collect();
        (all.iter().sum::<f64>() / all.len().max(1) as f64).sqrt()
    };
    (0..batch.steps).map(at).collect()
}

/// Histograms of the gates that a sigmoid bounds.
fn gates(pass: &Pass, batch: &Batch, read: &[f32]) -> Vec<GateProbe> {
    let Layer { cell, inputs, hidden } = pass.layer;
    let all = cell.gates();
    let bounded: Vec<usize> = (0..all.len()).filter(|&gate| is_bounded(all[gate])).collect();
    let columns = all.len() * hidden;
    let mut bins = vec![vec![0u64; BINS]; all.len()];
    let mut ends = vec![[0u64; 2]; all.len()];
    let zeros = vec![0.0; hidden];
    for (column, &length) in batch.lengths.iter().enumerate() {
        for step in 0..length {
            let before = match pass.direction {
                Direction::Forward => step.checked_sub(1),
                Direction::Reverse => (step + 1 < length).then_some(step + 1),
            };
            let row = |step: usize| step * batch.batch + column;
            let x = &read[row(step) * inputs..][..inputs];
            let h = before.map_or(&zeros[..], |before| &pass.hidden[row(before) * hidden..][..hidden]);
            let mut sums: Vec<f32> =
                pass.weights.input_bias.iter().zip(&pass.weights.recurrent_bias).map(|(a, b)| a + b).collect();
            for (values, matrix) in [(x, &pass.weights.input), (h, &pass.weights.recurrent)] {
                for (value, row) in values.iter().zip(matrix.chunks_exact(columns)) {
                    sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
                }
            }
            for &gate in &bounded {
                for sum in &sums[gate * hidden..][..hidden] {
                    let value = 1.0 / (1.0 + (-sum).exp());
                    bins[gate][((value * BINS as f32) as usize).min(BINS - 1)] += 1;
                    ends[gate][0] += u64::from(value < SHUT);
                    ends[gate][1] += u64::from(value > OPEN);
                }
            }
        }
    }
    let share = |gate: usize, end: usize| ends[gate][end] as f64 / bins[gate].iter().sum::<u64>().max(1) as f64;
    let probe = |gate: usize| GateProbe {
        gate: all[gate].name(),
        bins: bins[gate].clone(),
        low: share(gate, 0),
        high: share(gate, 1),
    };
    bounded.into_iter().map(probe).collect()
}

fn is_bounded(gate: Gate) -> bool {
    match gate {
        Gate::Input | Gate::Forget | Gate::Output | Gate::Reset | Gate::Update => true,
        Gate::Hidden | Gate::Candidate | Gate::New => false,
    }
}

/// The share of units that are the same at all steps of all sequences.
fn dead(hidden: &[f32], batch: &Batch, width: usize) -> f64 {
    let mut sums = vec![(0.0f64, 0.0f64); width];
    let mut n = 0.0;
    for (column, &length) in batch.lengths.iter().enumerate() {
        for step in 0..length {
            let own = &hidden[(step * batch.batch + column) * width..][..width];
            for (sum, &value) in sums.iter_mut().zip(own) {
                sum.0 += f64::from(value);
                sum.1 += f64::from(value).powi(2);
            }
            n += 1.0;
        }
    }
    let still = sums.iter().filter(|(sum, squares)| (squares / n - (sum / n).powi(2)).max(0.0).sqrt() < DEAD);
    still.count() as f64 / width.max(1) as f64
}
