//! Where inside the network the error arises: layer by layer, gate by gate.
//!
//! The engine shows its hidden and cell states. Its gates are not stored anywhere; they are compared by running a float
//! network with the image's rounded weights on the engine's own scaled inputs.

use emberloop_engine::Network;
use emberloop_image::{Image, LayerShape};

use crate::difference::{GateError, LayerError};
use crate::float_network::{FloatNetwork, FloatState, LayerStep, Trace, exp2, input_fraction, widen};

/// Sums of squared differences.
#[derive(Clone, Debug)]
pub(crate) struct LayerDifference {
    layers: Vec<LayerSums>,
    steps: f64,
}

#[derive(Clone, Debug)]
struct LayerSums {
    hidden: f64,
    cell: f64,
    gates: Vec<f64>,
    units: usize,
}

/// One sequence under observation.
pub(crate) struct Look<'a> {
    sums: &'a mut LayerDifference,
    float: (&'a FloatNetwork, FloatState),
    rounded: (&'a FloatNetwork, FloatState),
    samples: std::slice::ChunksExact<'a, f32>,
    wide: Vec<f64>,
    /// What the float model said, `[steps, outputs]`.
    pub(crate) outputs: Vec<f64>,
}

impl LayerDifference {
    pub(crate) fn new(image: &Image<'_>) -> Self {
        let layers = image.header().layers.iter().map(|layer| LayerSums {
            hidden: 0.0,
            cell: 0.0,
            gates: vec![0.0; layer.cell.gate_count()],
            units: usize::from(layer.hidden),
        });
        Self { layers: layers.collect(), steps: 0.0 }
    }

    /// Starts to look at a sequence of scaled samples.
    pub(crate) fn look<'a>(
        &'a mut self,
        float: &'a FloatNetwork,
        rounded: &'a FloatNetwork,
        scaled: &'a [f32],
        width: usize,
    ) -> Look<'a> {
        Look {
            sums: self,
            float: (float, float.state()),
            rounded: (rounded, rounded.state()),
            samples: scaled.chunks_exact(width),
            wide: vec![0.0; width],
            outputs: Vec::new(),
        }
    }

    pub(crate) fn append(&mut self, other: &LayerDifference) {
        self.steps += other.steps;
        for (sums, other) in self.layers.iter_mut().zip(&other.layers) {
            sums.hidden += other.hidden;
            sums.cell += other.cell;
            for (sum, other) in sums.gates.iter_mut().zip(&other.gates) {
                *sum += other;
            }
        }
    }

    pub(crate) fn errors(&self, image: &Image<'_>) -> Vec<LayerError> {
        let error = |(index, (sums, layer)): (usize, (&LayerSums, &LayerShape))| {
            let count = (self.steps * sums.units as f64).max(1.0);
            let root = |sum: f64| (sum / count).sqrt();
            let gates = layer.cell.gates().iter().zip(&sums.gates);
            LayerError {
                layer: index,
                hidden: root(sums.hidden),
                cell: layer.cell.has_cell_state().then(|| root(sums.cell)),
                gates: gates.map(|(gate, &sum)| GateError { gate: gate.name().into(), error: root(sum) }).collect(),
            }
        };
        self.layers.iter().zip(&image.header().layers).enumerate().map(error).collect()
    }
}

impl Look<'_> {
    /// Takes the float models through the step that the engine has just made.
    pub(crate) fn step<M: AsRef<[i32]> + AsMut<[i32]>>(&mut self, network: &Network<'_, M>) {
        let Some(sample) = self.samples.next() else { return };
        widen(sample, &mut self.wide);
        let mut gates = Gates::default();
        let (float, state) = (self.float.0, &mut self.float.1);
        self.outputs.extend_from_slice(float.step(state, &self.wide, &mut gates));
        let mut rounded_gates = Gates::default();
        self.rounded.0.step(&mut self.rounded.1, &scaled_input(network), &mut rounded_gates);

        self.sums.steps += 1.0;
        for (index, sums) in self.sums.layers.iter_mut().enumerate() {
            let Some((hidden, cell)) = network.layer_state(index) else { continue };
            sums.hidden += squares(hidden.iter().map(|&h| f64::from(h) * exp2(-15)), &gates.hidden[index]);
            let fraction = i32::from(network.image().header().layers[index].cell_fraction);
            sums.cell += squares(cell.iter().map(|&c| f64::from(c) * exp2(-fraction)), &gates.cells[index]);
            let (float, rounded) = (&gates.gates[index], &rounded_gates.gates[index]);
            let blocks = float.chunks_exact(sums.units).zip(rounded.chunks_exact(sums.units));
            for (sum, (float, rounded)) in sums.gates.iter_mut().zip(blocks) {
                *sum += squares(float.iter().copied(), rounded);
            }
        }
    }
}

/// What the engine's first layer has just read: the first words of its state (FORMAT §5).
fn scaled_input<M: AsRef<[i32]> + AsMut<[i32]>>(network: &Network<'_, M>) -> Vec<f64> {
    let image = network.image();
    let width = image.header().input_width();
    let unit = exp2(-input_fraction(image));
    let halves = bytemuck::cast_slice::<i32, i16>(network.save());
    halves.iter().take(width).map(|&value| f64::from(value) * unit).collect()
}

fn squares(a: impl Iterator<Item = f64>, b: &[f64]) -> f64 {
    a.zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Keeps what every layer did in one step.
#[derive(Default)]
struct Gates {
    gates: Vec<Vec<f64>>,
    hidden: Vec<Vec<f64>>,
    cells: Vec<Vec<f64>>,
}

impl Trace for Gates {
    fn layer(&mut self, _layer: usize, step: &LayerStep<'_>) {
        self.gates.push(step.gates.to_vec());
        self.hidden.push(step.hidden.to_vec());
        self.cells.push(step.cell.to_vec());
    }
}
