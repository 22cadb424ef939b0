//! What the float model does on the calibration data: moments of every product's activations, ranges of every state.

use emberloop_cells::CellKind;
use emberloop_checkpoint::{Architecture, Pooling};
use emberloop_data::Dataset;

use crate::float_network::{FloatNetwork, LayerStep, Trace, resets_before, widen};
use crate::moments::Moments;

/// Products beyond this many are not worth more calibration steps.
const WORK: usize = 4_000_000_000;

/// Weight of the steps before the last, where only the last one counts: they keep the head's covariance from resting on
/// too few sequences, and a device asks at other steps too.
const EARLIER_STEP: f64 = 0.05;

/// What was observed.
#[derive(Clone, Debug)]
pub(crate) struct Calibration {
    pub(crate) layers: Vec<LayerCalibration>,
    pub(crate) head: Moments,
    /// By output, over all steps.
    pub(crate) output_range: Vec<(f64, f64)>,
    /// Steps that were run.
    pub(crate) steps: usize,
    pooling: Pooling,
    last_step: bool,
}

/// What was observed of one layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerCalibration {
    /// Of `[x; h]`.
    pub(crate) joint: Moments,
    /// GRU with reset-before: of `[x; r∘h]`, which the new gate sees.
    pub(crate) reset: Option<Moments>,
    /// GRU with reset-after: the sum of each unit's squared reset gate.
    pub(crate) reset_squares: Vec<f64>,
    /// LSTM: largest magnitude of the cell state.
    pub(crate) cell_max: f64,
    steps: f64,
    cell: CellKind,
}

impl Calibration {
    /// Runs the model over sequences of scaled samples.
    pub(crate) fn run(network: &FloatNetwork, architecture: &Architecture, scaled: &Scaled<'_>, steps: usize) -> Self {
        let layers = architecture.hidden.iter().enumerate().map(|(layer, &hidden)| {
            let size = architecture.layer_inputs(layer) + hidden;
            LayerCalibration {
                joint: Moments::new(size),
                reset: resets_before(architecture.cell).then(|| Moments::new(size)),
                reset_squares: vec![0.0; hidden],
                cell_max: 0.0,
                steps: 0.0,
                cell: architecture.cell,
            }
        });
        let mut calibration = Self {
            layers: layers.collect(),
            head: Moments::new(architecture.head_inputs()),
            output_range: vec![(f64::INFINITY, f64::NEG_INFINITY); architecture.outputs],
            steps: 0,
            pooling: architecture.pooling,
            last_step: false,
        };
        let work: usize = calibration.layers.iter().map(|layer| layer.work()).sum();
        let steps = steps.min(WORK / work.max(1)).max(1);
        for samples in scaled.evenly(steps) {
            calibration.run_sequence(network, samples, scaled.width, steps);
        }
        calibration
    }

    fn run_sequence(&mut self, network: &FloatNetwork, samples: &[f32], width: usize, limit: usize) {
        let mut state = network.state();
        let mut wide = vec![0.0; width];
        let count = samples.len() / width;
        for (step, sample) in samples.chunks_exact(width).enumerate() {
            if self.steps >= limit {
                return;
            }
            self.last_step = step + 1 == count;
            widen(sample, &mut wide);
            network.step(&mut state, &wide, self);
            self.steps += 1;
        }
    }
}

impl LayerCalibration {
    fn work(&self) -> usize {
        let size = self.joint.size();
        size * size / if self.reset.is_some() { 1 } else { 2 }
    }

    /// GRU with reset-after: root mean square of a unit's reset gate, by which its recurrent product is scaled.
    pub(crate) fn reset_gain(&self, unit: usize) -> f64 {
        (self.reset_squares[unit] / self.steps.max(1.0)).sqrt()
    }
}

impl Trace for Calibration {
    fn layer(&mut self, layer: usize, step: &LayerStep<'_>) {
        let observed = &mut self.layers[layer];
        observed.joint.add(step.input, step.hidden_before, 1.0);
        observed.steps += 1.0;
        match observed.cell {
            CellKind::Rnn => {}
            CellKind::Lstm => {
                observed.cell_max = step.cell.iter().fold(observed.cell_max, |max, cell| max.max(cell.abs()));
            }
            CellKind::GruResetAfter => {
                for (squares, reset) in observed.reset_squares.iter_mut().zip(step.gates) {
                    *squares += reset * reset;
                }
            }
            CellKind::GruResetBefore => {
                if let Some(moments) = &mut observed.reset {
                    moments.add(step.input, step.reset_hidden, 1.0);
                }
            }
        }
    }

    fn head(&mut self, features: &[f64], outputs: &[f64]) {
        let weight = match self.pooling {
            Pooling::Last | Pooling::Mean => {
                if self.last_step {
                    1.0
                } else {
                    EARLIER_STEP
                }
            }
            Pooling::Every => 1.0,
        };
        self.head.add(features, &[], weight);
        for ((low, high), &output) in self.output_range.iter_mut().zip(outputs) {
            *low = low.min(output);
            *high = high.max(output);
        }
    }
}

/// A dataset after the float scaler, missing values filled.
#[derive(Clone, Debug)]
pub(crate) struct Scaled<'d> {
    pub(crate) dataset: &'d Dataset,
    pub(crate) width: usize,
    /// By sequence, `[steps, width]`.
    pub(crate) sequences: Vec<Vec<f32>>,
}

/// The raw values of a dataset that was loaded, or of which a sample was ([`Dataset::sample`]).
pub(crate) fn loaded(dataset: &Dataset) -> impl Iterator<Item = &[f32]> {
    dataset.sequences.iter().map(|sequence| sequence.values.loaded().expect("calibration data are in memory"))
}

impl Scaled<'_> {
    /// Sequences taken evenly from the first to the last, so that together they have about `steps` steps.
    fn evenly(&self, steps: usize) -> impl Iterator<Item = &[f32]> {
        let total: usize = self.sequences.iter().map(|sequence| sequence.len() / self.width).sum();
        let stride = total.div_ceil(steps.max(1)).max(1);
        self.sequences.iter().step_by(stride).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emberloop_data::{Inputs, TargetPer, Targets};

    /// Files are often sorted by class: a limit must not cut off the last ones.
    #[test]
    fn a_limited_number_of_steps_comes_from_the_whole_file() {
        let dataset = Dataset {
            inputs: Inputs::Channels(vec!["x".into()]),
            targets: Targets::Values { names: vec!["y".into()] },
            target_per: TargetPer::Sequence,
            sequences: Vec::new(),
            hash: String::new(),
            path: "x.csv".into(),
        };
        let sequences = (0..100).map(|index| vec![index as f32; 10]).collect();
        let scaled = Scaled { dataset: &dataset, width: 1, sequences };
        for steps in [10, 95, 500, 990, 999, 1000, 5000] {
            let taken: Vec<f32> = scaled.evenly(steps).map(|sequence| sequence[0]).collect();
            assert!(10 * taken.len() < steps + 10, "{steps}: {} sequences", taken.len());
            let last = taken.last().unwrap();
            assert!(*last >= 99.0 - 100.0 / taken.len() as f32, "{steps}: the last sequence taken is {last}");
        }
    }
}
