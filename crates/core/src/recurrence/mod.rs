//! A recurrent layer as *one* operation of the autodiff graph.
//!
//! burn's own recurrent modules record every gate of every step in the graph; the backward pass of their slices then
//! builds a tensor of the whole sequence per step, so that their time grows with the square of the steps. Here the graph
//! sees one node per layer and direction, and a kernel of the backend runs it over all steps, forward and backward:
//! `emberloop-kernels` on the CPU (`cpu`), `emberloop-gpu` on GPUs (`gpu`).
//!
//! T steps, B sequences, I inputs, H units, G gates, S states (1; LSTM 2: hidden, then cell). The equations stand in
//! `CELLS.md` of `emberloop-cells`.

mod autodiff;
mod cpu;
#[cfg(any(feature = "cuda", feature = "vulkan"))]
mod gpu;
#[cfg(test)]
mod tests;

use std::{fmt::Debug, num::NonZeroUsize, sync::Arc};

use burn::tensor::{
    Tensor, TensorPrimitive,
    backend::{AutodiffBackend, Backend},
    ops::FloatTensor,
};
use emberloop_cells::CellKind;

use crate::dense::{DenseBackend, DenseKernels};

/// What a layer does, beside its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The cell.
    pub cell: CellKind,
    /// T: steps of the longest sequence.
    pub steps: usize,
    /// B: number of sequences.
    pub batch: usize,
    /// I: numbers per step.
    pub inputs: usize,
    /// H: units.
    pub hidden: usize,
    /// `[B]`: each sequence's own steps, which come first, 1 to T; `None` if all have T.
    pub lengths: Option<Arc<[usize]>>,
    /// Whether each sequence is read from its last own step to its first.
    pub reverse: bool,
    /// Truncated back-propagation through time: gradients do not pass the borders of blocks of this many steps, counted
    /// back from each sequence's last own step as it is read.
    pub truncate: Option<NonZeroUsize>,
    /// Which states are wanted.
    pub output: Output,
}

/// The states that leave a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The hidden state of every step, `[T, B, H]`, 0 on padding.
    Every,
    /// The state after the last own step of each sequence as it is read, `[S, B, H]`.
    Last,
}

impl Call {
    /// S: how many states the cell carries.
    pub fn states(&self) -> usize {
        if self.cell.has_cell_state() { 2 } else { 1 }
    }

    /// The shape of what the layer puts out.
    pub fn output_shape(&self) -> [usize; 3] {
        match self.output {
            Output::Every => [self.steps, self.batch, self.hidden],
            Output::Last => [self.states(), self.batch, self.hidden],
        }
    }
}

/// A layer's tensors, as primitives of a backend.
#[derive(Clone, Debug)]
pub struct Operands<T> {
    /// `[T, B, I]`, or the same rows in two dimensions.
    pub values: T,
    /// `[I, G * H]`
    pub input_weight: T,
    /// `[H, G * H]`
    pub recurrent_weight: T,
    /// `[G * H]`
    pub input_bias: T,
    /// `[G * H]`
    pub recurrent_bias: T,
    /// `[S, B, H]`: the state before the first step; zero if `None`.
    pub initial: Option<T>,
}

/// Which gradients are wanted besides those of weights and biases.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Of the values.
    pub values: bool,
    /// Of the initial state.
    pub initial: bool,
}

/// A backend that can run a recurrent network: its layers here, its head in [`DenseBackend`].
pub trait RecurrentBackend: DenseBackend {
    /// The states of a layer, of [`Call::output_shape`].
    fn layer(call: &Call, operands: Operands<FloatTensor<Self>>) -> FloatTensor<Self>;
}

/// A backend with kernels for both directions; `Autodiff` of it is a [`RecurrentBackend`] that learns.
pub trait RecurrentKernels: RecurrentBackend + DenseKernels {
    /// What the backward pass needs of the forward pass.
    type Tape: Clone + Debug + Send + 'static;

    /// As [`RecurrentBackend::layer`], with what [`backward`](Self::backward) needs.
    fn forward(call: &Call, operands: &Operands<FloatTensor<Self>>) -> (FloatTensor<Self>, Self::Tape);

    /// The gradients of all operands from the gradient of the output.
    fn backward(
        call: &Call,
        operands: &Operands<FloatTensor<Self>>,
        tape: Self::Tape,
        gradient: FloatTensor<Self>,
        wanted: Wanted,
    ) -> OperandGradients<FloatTensor<Self>>;
}

/// The gradients of a layer's operands.
#[derive(Clone, Debug)]
pub struct OperandGradients<T> {
    /// Of the values, if wanted.
    pub values: Option<T>,
    /// `[I, G * H]`
    pub input_weight: T,
    /// `[H, G * H]`
    pub recurrent_weight: T,
    /// `[G * H]`
    pub input_bias: T,
    /// `[G * H]`
    pub recurrent_bias: T,
    /// Of the initial state, if wanted.
    pub initial: Option<T>,
}

/// A backend that can train: it differentiates, and its inner backend evaluates.
pub trait TrainBackend: AutodiffBackend<InnerBackend: RecurrentBackend> + RecurrentBackend {}
impl<B: AutodiffBackend<InnerBackend: RecurrentBackend> + RecurrentBackend> TrainBackend for B {}

/// Runs a layer on tensors: the operands `values [T * B, I]`, weights and biases as in [`Operands`].
pub fn layer<B: RecurrentBackend>(
    call: &Call,
    values: Tensor<B, 2>,
    weights: [Tensor<B, 2>; 2],
    biases: [Tensor<B, 1>; 2],
    initial: Option<Tensor<B, 3>>,
) -> Tensor<B, 3> {
    let [input_weight, recurrent_weight] = weights.map(primitive);
    let [input_bias, recurrent_bias] = biases.map(primitive);
    let operands = Operands {
        values: primitive(values),
        input_weight,
        recurrent_weight,
        input_bias,
        recurrent_bias,
        initial: initial.map(primitive),
    };
    Tensor::from_primitive(TensorPrimitive::Float(B::layer(call, operands)))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}
