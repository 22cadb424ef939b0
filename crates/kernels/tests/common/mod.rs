//! Cases, and the plain f64 reference that the kernels are held against.
#![allow(dead_code)] // Each test file uses some of it.

pub mod reference;

use std::num::NonZeroUsize;

use emberloop_cells::CellKind;
use emberloop_kernels::{
    Gradients, Isa, Layer, Output, Sequences, StateGradients, States, Wanted, Weights, backward_with, forward_with,
};

/// A layer with weights, a batch, and gradients of its states.
#[derive(Clone, Debug)]
pub struct Case {
    pub layer: Layer,
    pub steps: usize,
    pub batch: usize,
    pub lengths: Option<Vec<usize>>,
    pub reverse: bool,
    pub output: Output,
    pub truncate: Option<NonZeroUsize>,
    pub input: Vec<f32>,
    pub recurrent: Vec<f32>,
    pub input_bias: Vec<f32>,
    pub recurrent_bias: Vec<f32>,
    pub values: Vec<f32>,
    pub initial: Option<Vec<f32>>,
    pub hidden_gradient: Vec<f32>,
    pub last_gradient: Vec<f32>,
}

/// What is not random of a case.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub cell: CellKind,
    pub inputs: usize,
    pub hidden: usize,
    pub steps: usize,
    pub batch: usize,
}

impl Case {
    /// Full lengths, forward, from zeros, every output, nothing truncated.
    pub fn new(sizes: Sizes, seed: u64) -> Self {
        let Sizes { cell, inputs, hidden, steps, batch } = sizes;
        let columns = cell.gate_count() * hidden;
        let states = if cell.has_cell_state() { 2 } else { 1 };
        // Larger weights saturate the RNN, and then 1 - h^2 has few digits in f32, whoever computes it.
        let bound = 1.5 / ((hidden + inputs) as f32).sqrt();
        let mut noise = Noise(seed);
        Self {
            layer: Layer { cell, inputs, hidden },
            steps,
            batch,
            lengths: None,
            reverse: false,
            output: Output::Both,
            truncate: None,
            input: noise.take(inputs * columns, bound),
            recurrent: noise.take(hidden * columns, bound),
            input_bias: noise.take(columns, bound),
            recurrent_bias: noise.take(columns, bound),
            values: noise.take(steps * batch * inputs, 1.5),
            initial: None,
            hidden_gradient: noise.take(steps * batch * hidden, 1.0),
            last_gradient: noise.take(states * batch * hidden, 1.0),
        }
    }

    /// Lengths from 1 to T, in no order; the first and the last sequence have all steps and one step where there is room.
    pub fn with_lengths(mut self, seed: u64) -> Self {
        let mut noise = Noise(seed);
        let mut lengths: Vec<usize> = (0..self.batch).map(|_| 1 + noise.next() as usize % self.steps).collect();
        lengths[self.batch / 2] = self.steps;
        if self.batch > 2 {
            lengths[0] = 1;
        }
        self.lengths = Some(lengths);
        self
    }

    pub fn with_initial(mut self, seed: u64) -> Self {
        self.initial = Some(Noise(seed).take(self.last_gradient.len(), 0.9));
        self
    }

    pub fn states(&self) -> usize {
        if self.layer.cell.has_cell_state() { 2 } else { 1 }
    }

    pub fn weights(&self) -> Weights<'_> {
        Weights {
            input: &self.input,
            recurrent: &self.recurrent,
            input_bias: &self.input_bias,
            recurrent_bias: &self.recurrent_bias,
        }
    }

    pub fn sequences(&self) -> Sequences<'_> {
        Sequences {
            steps: self.steps,
            batch: self.batch,
            values: &self.values,
            lengths: self.lengths.as_deref(),
            reverse: self.reverse,
            initial: self.initial.as_deref(),
        }
    }

    /// Those of the outputs that the case asks for.
    pub fn gradients(&self) -> StateGradients<'_> {
        StateGradients {
            hidden: matches!(self.output, Output::Every | Output::Both).then_some(&self.hidden_gradient),
            last: matches!(self.output, Output::Last | Output::Both).then_some(&self.last_gradient),
        }
    }

    /// Forward and backward.
    pub fn run(&self, isa: Isa) -> (States, Gradients) {
        let (states, tape) = forward_with(isa, self.layer, &self.weights(), &self.sequences(), self.output);
        let wanted = Wanted { values: true, initial: true };
        (states, backward_with(isa, tape, &self.weights(), &self.gradients(), wanted, self.truncate))
    }
}

/// Every array of a result with its name.
pub fn arrays<'a>(states: &'a States, gradients: &'a Gradients) -> [(&'static str, &'a [f32]); 8] {
    [
        ("hidden", &states.hidden),
        ("last", &states.last),
        ("gradient of the input weight", &gradients.input),
        ("gradient of the recurrent weight", &gradients.recurrent),
        ("gradient of the input bias", &gradients.input_bias),
        ("gradient of the recurrent bias", &gradients.recurrent_bias),
        ("gradient of the values", gradients.values.as_deref().unwrap_or_default()),
        ("gradient of the initial states", gradients.initial.as_deref().unwrap_or_default()),
    ]
}

/// Bits of every number of a result: what "the same" means where bits are promised.
pub fn bits(states: &States, gradients: &Gradients) -> Vec<Vec<u32>> {
    arrays(states, gradients).iter().map(|(_, array)| array.iter().map(|x| x.to_bits()).collect()).collect()
}

/// A small generator (splitmix64): the cases are the same on every machine.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `-bound..bound`.
    pub fn take(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| ((self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * bound).collect()
    }
}
