//! What goes into the kernels and what comes out. All arrays are row-major and contiguous.

use std::fmt;

use emberloop_cells::CellKind;

use crate::plan::Plan;
use crate::pool::Buffer;

/// A recurrent layer in one direction. Equations: CELLS.md of `emberloop-cells`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Which cell; G is its number of gates.
    pub cell: CellKind,
    /// I
    pub inputs: usize,
    /// H, the number of units
    pub hidden: usize,
}

/// The parameters of a layer. Columns stand by gate, in the order of [`CellKind::gates`], then by unit: these matrices are the
/// transposes of PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// `[I, G * H]`
    pub input: &'a [f32],
    /// `[H, G * H]`
    pub recurrent: &'a [f32],
    /// `[G * H]`, added to the input product
    pub input_bias: &'a [f32],
    /// `[G * H]`, added to the recurrent product
    pub recurrent_bias: &'a [f32],
}

/// A padded batch.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    /// T
    pub steps: usize,
    /// B, the number of sequences
    pub batch: usize,
    /// `[T, B, I]`; what stands on padding is never read
    pub values: &'a [f32],
    /// `[B]`, each 1 to T: a sequence's own steps come first, padding after them. `None`: all have T steps.
    pub lengths: Option<&'a [usize]>,
    /// Each sequence is read from its own last step to its first. The output of step t stands at t all the same.
    pub reverse: bool,
    /// `[S, B, H]`: the states before the first step read, hidden state first, then the cell state of an LSTM. `None`: zeros.
    pub initial: Option<&'a [f32]>,
}

/// Which states are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The hidden state after every step.
    Every,
    /// The states after the last step read.
    Last,
    /// Both.
    Both,
}

impl Output {
    pub(crate) fn hidden(self) -> bool {
        matches!(self, Output::Every | Output::Both)
    }

    pub(crate) fn last(self) -> bool {
        matches!(self, Output::Last | Output::Both)
    }
}

/// The states of a layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct States {
    /// `[T, B, H]`, 0 on padding; empty unless asked for
    pub hidden: Vec<f32>,
    /// `[S, B, H]`: after each sequence's last own step in the order of reading (after step 0 if reversed); empty unless asked for
    pub last: Vec<f32>,
}

/// What a forward pass keeps for the backward pass: inputs, states and gates, not the weights. Its memory goes back to where the
/// next forward pass takes it from when it is used or dropped.
pub struct Tape {
    pub(crate) layer: Layer,
    pub(crate) plan: Plan,
    /// Of all chunks, one after the other.
    pub(crate) memory: Buffer,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("layer", &self.layer)
            .field("steps", &self.plan.steps)
            .field("batch", &self.plan.batch)
            .field("bytes", &self.bytes())
            .finish()
    }
}

impl Tape {
    /// Memory that it holds.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.memory[..])
    }
}

/// Gradients of a loss with respect to the states. What is `None` is zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct StateGradients<'a> {
    /// `[T, B, H]`; what stands on padding is never read
    pub hidden: Option<&'a [f32]>,
    /// `[S, B, H]`
    pub last: Option<&'a [f32]>,
}

/// Which gradients are wanted beside those of the weights and biases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of the input values.
    pub values: bool,
    /// Of the initial states, also where these were zeros.
    pub initial: bool,
}

/// Gradients of a loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gradients {
    /// `[I, G * H]`
    pub input: Vec<f32>,
    /// `[H, G * H]`
    pub recurrent: Vec<f32>,
    /// `[G * H]`
    pub input_bias: Vec<f32>,
    /// `[G * H]`
    pub recurrent_bias: Vec<f32>,
    /// `[T, B, I]`, 0 on padding
    pub values: Option<Vec<f32>>,
    /// `[S, B, H]`
    pub initial: Option<Vec<f32>>,
}

impl Layer {
    pub(crate) fn states(self) -> usize {
        if self.cell.has_cell_state() { 2 } else { 1 }
    }

    pub(crate) fn gates(self) -> usize {
        self.cell.gate_count()
    }

    /// # Panics
    /// If the layer has no inputs or units, or a slice is not as long as it has to be.
    pub(crate) fn check_weights(self, weights: &Weights<'_>) {
        assert!(
            self.inputs > 0 && self.hidden > 0,
            "a layer has inputs and units, found {} and {}",
            self.inputs,
            self.hidden
        );
        let columns = self.gates() * self.hidden;
        check("input weight", "[I, G*H]", weights.input, self.inputs * columns);
        check("recurrent weight", "[H, G*H]", weights.recurrent, self.hidden * columns);
        check("input bias", "[G*H]", weights.input_bias, columns);
        check("recurrent bias", "[G*H]", weights.recurrent_bias, columns);
    }

    /// # Panics
    /// If the batch is empty, a slice is not as long as it has to be, or a length is not 1 to T.
    pub(crate) fn check_sequences(self, sequences: &Sequences<'_>) {
        let (steps, batch) = (sequences.steps, sequences.batch);
        assert!(steps > 0 && batch > 0, "a batch has steps and sequences, found {steps} and {batch}");
        check("values", "[T, B, I]", sequences.values, steps * batch * self.inputs);
        if let Some(lengths) = sequences.lengths {
            assert!(lengths.len() == batch, "lengths: expected [B] = {batch} of them, found {}", lengths.len());
            for (sequence, &length) in lengths.iter().enumerate() {
                let fits = (1..=steps).contains(&length);
                assert!(fits, "length of sequence {sequence}: expected 1 to {steps}, found {length}");
            }
        }
        if let Some(initial) = sequences.initial {
            check("initial states", "[S, B, H]", initial, self.states() * batch * self.hidden);
        }
    }
}

impl Tape {
    /// # Panics
    /// If a slice is not as long as it has to be.
    pub(crate) fn check(&self, gradients: &StateGradients<'_>) {
        let states = self.plan.batch * self.layer.hidden;
        if let Some(hidden) = gradients.hidden {
            check("gradient of the hidden states", "[T, B, H]", hidden, self.plan.steps * states);
        }
        if let Some(last) = gradients.last {
            check("gradient of the last states", "[S, B, H]", last, self.layer.states() * states);
        }
    }
}

#[track_caller]
fn check(what: &str, shape: &str, slice: &[f32], expected: usize) {
    assert!(slice.len() == expected, "{what}: expected {shape} = {expected} numbers, found {}", slice.len());
}
