//! What a layer is, and the buffers that go in and out.

use std::num::NonZeroUsize;

use cubecl::server::Handle;
use emberloop_cells::CellKind;

/// A recurrent layer in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The cell.
    pub cell: CellKind,
    /// I: numbers per step.
    pub inputs: usize,
    /// H: units.
    pub hidden: usize,
}

impl Layer {
    /// S: how many states the cell carries.
    pub const fn states(&self) -> usize {
        if self.cell.has_cell_state() { 2 } else { 1 }
    }

    /// G * H: numbers per step before the activation.
    pub const fn columns(&self) -> usize {
        self.cell.gate_count() * self.hidden
    }
}

/// The layer's parameters, f32, row-major. Column `gate * H + unit`, gates in the order of `CellKind::gates`.
#[derive(Clone, Debug)]
pub struct Weights {
    /// `[I, G * H]`
    pub input: Handle,
    /// `[H, G * H]`
    pub recurrent: Handle,
    /// `[G * H]`
    pub input_bias: Handle,
    /// `[G * H]`
    pub recurrent_bias: Handle,
}

/// A padded batch of sequences.
#[derive(Clone, Debug)]
pub struct Sequences<'a> {
    /// T: steps of the longest sequence.
    pub steps: usize,
    /// B: number of sequences.
    pub batch: usize,
    /// `[T, B, I]`, f32.
    pub values: Handle,
    /// `[B]`: each sequence's own steps, 1 to T; they come first. All have T if absent.
    pub lengths: Option<&'a [usize]>,
    /// Read from each sequence's last own step to its first.
    pub reverse: bool,
    /// `[S, B, H]`, f32: the state before the first step; zeros if absent.
    pub initial: Option<Handle>,
}

/// Which states are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The hidden state of every step.
    Every,
    /// The state after each sequence's last own step, in the order of reading.
    Last,
    /// Both.
    Both,
}

impl Output {
    pub(crate) const fn every(self) -> bool {
        matches!(self, Output::Every | Output::Both)
    }

    pub(crate) const fn last(self) -> bool {
        matches!(self, Output::Last | Output::Both)
    }
}

/// What leaves a layer.
#[derive(Clone, Debug)]
pub struct States {
    /// `[T, B, H]`, 0 on padding; if asked for.
    pub hidden: Option<Handle>,
    /// `[S, B, H]`: hidden, then cell; if asked for.
    pub last: Option<Handle>,
}

/// What the backward pass needs of the forward pass beside its arguments.
#[derive(Clone, Debug)]
pub struct Tape {
    /// `[T, B, G * H]`: the activated gates.
    pub(crate) gates: Handle,
    /// `[T, B, H]`: see [`crate::kernels::forward`]; a placeholder for the RNN.
    pub(crate) extra: Handle,
    /// `[T, B, H]`
    pub(crate) hidden: Handle,
}

/// The gradients that come in from above; absent ones are zero.
#[derive(Clone, Debug)]
pub struct StateGradients {
    /// `[T, B, H]`
    pub hidden: Option<Handle>,
    /// `[S, B, H]`
    pub last: Option<Handle>,
}

/// What the backward pass shall do beside the gradients of the parameters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Gradient of the values.
    pub values: bool,
    /// Gradient of the initial state.
    pub initial: bool,
    /// Truncated back-propagation: the gradient of the state is cut every so many steps, counted back from each sequence's
    /// last step as it is read.
    pub truncate: Option<NonZeroUsize>,
}

/// The gradients that leave the backward pass, each of the shape of what it belongs to.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// `[I, G * H]`
    pub input: Handle,
    /// `[H, G * H]`
    pub recurrent: Handle,
    /// `[G * H]`
    pub input_bias: Handle,
    /// `[G * H]`
    pub recurrent_bias: Handle,
    /// `[T, B, I]`, if wanted.
    pub values: Option<Handle>,
    /// `[S, B, H]`, if wanted.
    pub initial: Option<Handle>,
}
