//! The float model, step by step in f64: the float side of every comparison, and the source of calibration data.
//!
//! It computes CELLS.md as training does, but one sample at a time, as the device will.

mod layer;
mod load;

use emberloop_checkpoint::Pooling;

pub use layer::LayerStep;
pub(crate) use layer::resets_before;
use layer::{FloatLayer, LayerState, add_product};
pub(crate) use load::{embedding, exp2, head, input_fraction, recurrent};

/// A float network without its state; see [`FloatNetwork::state`].
#[derive(Clone, Debug)]
pub struct FloatNetwork {
    embedding: Option<Embedding>,
    layers: Vec<FloatLayer>,
    head: FloatHead,
    pooling: Pooling,
}

#[derive(Clone, Debug)]
struct Embedding {
    dimension: usize,
    /// `[vocabulary, dimension]`
    table: Vec<f64>,
}

#[derive(Clone, Debug)]
struct FloatHead {
    /// `[features, outputs]`: transposed, so that a product runs along its outputs.
    weights: Vec<f64>,
    bias: Vec<f64>,
}

/// The state of a [`FloatNetwork`].
#[derive(Clone, Debug)]
pub struct FloatState {
    embedded: Vec<f64>,
    layers: Vec<LayerState>,
    sums: Vec<f64>,
    features: Vec<f64>,
    steps: usize,
    outputs: Vec<f64>,
}

/// Looks on while a network runs.
pub trait Trace {
    /// After each layer's step.
    fn layer(&mut self, layer: usize, step: &LayerStep<'_>) {
        let _ = (layer, step);
    }

    /// After the head: what it saw, and what it said (logits, or values in raw units).
    fn head(&mut self, features: &[f64], outputs: &[f64]) {
        let _ = (features, outputs);
    }
}

/// Nobody looks on.
impl Trace for () {}

impl FloatNetwork {
    /// A state at rest.
    pub fn state(&self) -> FloatState {
        let features = self.layers.last().map_or(0, |layer| layer.hidden);
        FloatState {
            embedded: vec![0.0; self.embedding.as_ref().map_or(0, |embedding| embedding.dimension)],
            layers: self.layers.iter().map(FloatLayer::state).collect(),
            sums: vec![0.0; features],
            features: vec![0.0; features],
            steps: 0,
            outputs: vec![0.0; self.head.bias.len()],
        }
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.head.bias.len()
    }

    /// Number of recurrent layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Takes one scaled sample (or one token's id) and returns the outputs: logits, or values in raw units.
    ///
    /// # Panics
    /// If the sample has not the width of the model, the token is not in its vocabulary, or the state is another
    /// network's.
    pub fn step<'s>(&self, state: &'s mut FloatState, sample: &[f64], trace: &mut impl Trace) -> &'s [f64] {
        let FloatState { embedded, layers, sums, features, steps, outputs } = state;
        let mut below: &[f64] = match &self.embedding {
            None => sample,
            Some(Embedding { dimension, table }) => {
                let token = sample[0] as usize;
                embedded.copy_from_slice(&table[token * dimension..(token + 1) * dimension]);
                embedded
            }
        };
        for (index, (layer, state)) in self.layers.iter().zip(layers).enumerate() {
            layer.step(below, state);
            trace.layer(index, &state.observed(below));
            below = &state.hidden;
        }
        *steps += 1;
        match self.pooling {
            Pooling::Last | Pooling::Every => features.copy_from_slice(below),
            Pooling::Mean => {
                for ((feature, sum), hidden) in features.iter_mut().zip(sums).zip(below) {
                    *sum += hidden;
                    *feature = *sum / *steps as f64;
                }
            }
        }
        outputs.copy_from_slice(&self.head.bias);
        add_product(&self.head.weights, features, outputs);
        trace.head(features, outputs);
        outputs
    }

    /// Runs one whole sequence of scaled samples, `[steps, width]`, from rest; returns `[steps, outputs]`.
    pub fn run(&self, samples: &[f32], width: usize) -> Vec<f64> {
        let mut state = self.state();
        let mut wide = vec![0.0; width];
        let mut outputs = Vec::with_capacity(samples.len() / width * self.outputs());
        for sample in samples.chunks_exact(width) {
            widen(sample, &mut wide);
            outputs.extend_from_slice(self.step(&mut state, &wide, &mut ()));
        }
        outputs
    }
}

impl FloatState {
    /// The hidden state of a layer.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn hidden(&self, layer: usize) -> &[f64] {
        &self.layers[layer].hidden
    }
}

/// A sample in f64.
pub(crate) fn widen(sample: &[f32], wide: &mut [f64]) {
    for (wide, &value) in wide.iter_mut().zip(sample) {
        *wide = f64::from(value);
    }
}
