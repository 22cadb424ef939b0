//! The loop over time as *one* operation of the autodiff graph.
//!
//! burn's own recurrent modules record every gate of every step in the graph; the backward pass of their slices then
//! builds a tensor of the whole sequence per step, so that their time grows with the square of the steps. Here the graph
//! sees one node per layer and direction: linear in the steps, and one place where a fused kernel can take over.
//!
//! The input product of all steps is a plain matrix product outside of this operation ([`crate::model`]); what is left is
//! the recurrence: from the projected inputs `[steps, batch, gates * hidden]`, the recurrent weight
//! `[hidden, gates * hidden]` and the recurrent bias `[gates * hidden]` to the hidden states `[steps, batch, hidden]`.
//! The state before the first step is zero. The equations stand in `CELLS.md` of `emberloop-cells`.

mod gru;
mod lstm;
mod rnn;

use burn::{
    backend::{
        Autodiff,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
    },
    tensor::{
        Tensor, TensorPrimitive,
        backend::{AutodiffBackend, Backend},
        ops::FloatTensor,
    },
};
use emberloop_cells::CellKind;

/// A backend that can run a recurrent layer. A backend with a kernel of its own overrides [`recurrence`](Self::recurrence).
pub trait RecurrentBackend: Backend {
    /// Hidden states of every step; shapes in the [module documentation](self).
    fn recurrence(
        cell: CellKind,
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (hidden, _) = forward::<Self>(cell, float(projected), float(weight), float(bias));
        primitive(hidden)
    }
}

/// A backend that can train: it differentiates, and its inner backend evaluates.
pub trait TrainBackend: AutodiffBackend<InnerBackend: RecurrentBackend> + RecurrentBackend {}
impl<B: AutodiffBackend<InnerBackend: RecurrentBackend> + RecurrentBackend> TrainBackend for B {}

/// Runs a recurrent layer: [`RecurrentBackend::recurrence`] on tensors.
pub fn recurrence<B: RecurrentBackend>(
    cell: CellKind,
    projected: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
) -> Tensor<B, 3> {
    float(B::recurrence(cell, primitive(projected), primitive(weight), primitive(bias)))
}

/// What the backward pass needs of the forward pass.
#[derive(Clone, Debug)]
struct Trace<B: Backend> {
    cell: CellKind,
    weight: Tensor<B, 2>,
    steps: Vec<Step<B>>,
}

/// What one step keeps: the hidden state before it, and the cell's own intermediates.
#[derive(Clone, Debug)]
struct Step<B: Backend> {
    hidden: Tensor<B, 2>,
    cell: StepOf<B>,
}

/// The intermediates of one step, all `[batch, hidden]`.
#[derive(Clone, Debug)]
enum StepOf<B: Backend> {
    Rnn(rnn::Step<B>),
    Lstm(lstm::Step<B>),
    GruResetAfter(gru::AfterStep<B>),
    GruResetBefore(gru::BeforeStep<B>),
}

/// The state that walks along the sequence, or its gradient. Only the LSTM has a cell state.
#[derive(Clone, Debug)]
struct State<B: Backend> {
    hidden: Tensor<B, 2>,
    cell: Option<Tensor<B, 2>>,
}

/// The gradients of one step with respect to the layer's operands.
struct StepGradient<B: Backend> {
    /// `[batch, gates * hidden]`
    projected: Tensor<B, 2>,
    /// The left operand of the recurrent product and its gradient, for each block of columns of the recurrent weight
    /// that shares one left operand (reset-before has two, all others one).
    products: Vec<(Tensor<B, 2>, Tensor<B, 2>)>,
    /// `[batch, gates * hidden]`
    bias: Tensor<B, 2>,
    /// Gradient of the state before the step.
    state: State<B>,
}

/// The recurrence on plain tensor operations, the definition for every backend.
fn forward<B: Backend>(
    cell: CellKind,
    projected: Tensor<B, 3>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
) -> (Tensor<B, 3>, Trace<B>) {
    let [steps, batch, rows] = projected.dims();
    let units = rows / cell.gate_count();
    let zeros = || Tensor::<B, 2>::zeros([batch, units], &projected.device());
    let mut state = State { hidden: zeros(), cell: cell.has_cell_state().then(zeros) };
    let bias = bias.unsqueeze::<2>();
    let mut trace = Vec::with_capacity(steps);
    let mut outputs = Vec::with_capacity(steps);
    for step in 0..steps {
        let input = projected.clone().slice(step..step + 1).reshape([batch, rows]);
        let before = state.hidden.clone();
        let (after, kept) = match cell {
            CellKind::Rnn => rnn::forward(input, state, &weight, &bias),
            CellKind::Lstm => lstm::forward(input, state, &weight, &bias),
            CellKind::GruResetAfter => gru::forward_after(input, state, &weight, &bias),
            CellKind::GruResetBefore => gru::forward_before(input, state, &weight, &bias),
        };
        state = after;
        outputs.push(state.hidden.clone());
        trace.push(Step { hidden: before, cell: kept });
    }
    (Tensor::stack(outputs, 0), Trace { cell, weight, steps: trace })
}

/// Gradients of projected input, recurrent weight and recurrent bias from the gradient of the hidden states.
fn backward<B: Backend>(trace: Trace<B>, gradient: Tensor<B, 3>) -> (Tensor<B, 3>, Tensor<B, 2>, Tensor<B, 1>) {
    let [_, batch, units] = gradient.dims();
    let zeros = || Tensor::<B, 2>::zeros([batch, units], &gradient.device());
    let mut state = State { hidden: zeros(), cell: trace.cell.has_cell_state().then(zeros) };
    let transposed = trace.weight.transpose();
    let (mut projected, mut bias, mut left, mut right) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, step) in trace.steps.into_iter().enumerate().rev() {
        let output = gradient.clone().slice(index..index + 1).reshape([batch, units]);
        state = State { hidden: faded(state.hidden + output), cell: state.cell.map(faded) };
        let of = match step.cell {
            StepOf::Rnn(kept) => rnn::backward(kept, step.hidden, state, &transposed),
            StepOf::Lstm(kept) => lstm::backward(kept, step.hidden, state, &transposed),
            StepOf::GruResetAfter(kept) => gru::backward_after(kept, step.hidden, state, &transposed),
            StepOf::GruResetBefore(kept) => gru::backward_before(kept, step.hidden, state, &transposed),
        };
        projected.push(of.projected);
        bias.push(of.bias);
        for (block, (operand, product)) in of.products.into_iter().enumerate() {
            if left.len() == block {
                left.push(Vec::new());
                right.push(Vec::new());
            }
            left[block].push(operand);
            right[block].push(product);
        }
        state = of.state;
    }
    // One product over all steps and sequences in place of one per step.
    let blocks = left.into_iter().zip(right);
    let weight = blocks.map(|(left, right)| Tensor::cat(left, 0).transpose().matmul(Tensor::cat(right, 0))).collect();
    projected.reverse();
    (Tensor::stack(projected, 0), Tensor::cat(weight, 1), Tensor::cat(bias, 0).sum_dim(0).squeeze_dim(0))
}

/// Takes numbers that are nothing as 0. A gradient that vanishes along a sequence ends among the denormal numbers, where
/// the smallest times anything above a half is itself again: it would stay there for all earlier steps, and a CPU takes
/// some twenty times as long for each product with it.
fn faded<B: Backend>(gradient: Tensor<B, 2>) -> Tensor<B, 2> {
    let nothing = gradient.clone().abs().lower_elem(NOTHING);
    gradient.mask_fill(nothing, 0.0)
}

/// Far below what a sum with any other gradient would notice, far enough above the denormal numbers (1.2e-38) for the
/// products of a step.
const NOTHING: f32 = 1e-30;

/// The graph's node: three parents, one output.
#[derive(Debug)]
struct Recurrence;

impl<B: Backend> Backward<B, 3> for Recurrence {
    type State = Trace<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = float(grads.consume::<B>(&ops.node));
        let (projected, weight, bias) = backward(ops.state, gradient);
        let [projected_node, weight_node, bias_node] = ops.parents;
        for (node, gradient) in
            [(projected_node, primitive(projected)), (weight_node, primitive(weight)), (bias_node, primitive(bias))]
        {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: RecurrentBackend, C: CheckpointStrategy> RecurrentBackend for Autodiff<B, C> {
    fn recurrence(
        cell: CellKind,
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [projected.node.clone(), weight.node.clone(), bias.node.clone()];
        let (projected, weight, bias) = (projected.primitive, weight.primitive, bias.primitive);
        match Recurrence.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let (hidden, trace) = forward::<B>(cell, float(projected), float(weight), float(bias));
                node.finish(trace, primitive(hidden))
            }
            OpsKind::UnTracked(node) => node.finish(B::recurrence(cell, projected, weight, bias)),
        }
    }
}

/// Columns `range` of a `[batch, gates * hidden]` tensor, counted in blocks of `units`.
fn gates<B: Backend>(rows: &Tensor<B, 2>, range: std::ops::Range<usize>, units: usize) -> Tensor<B, 2> {
    let [batch, _] = rows.dims();
    rows.clone().slice([0..batch, range.start * units..range.end * units])
}

/// `1 / (1 + exp(-x))`; burn's own goes through a logarithm and a second exponential.
fn sigmoid<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    x.neg().exp().add_scalar(1.0).recip()
}

/// Gradient through a sigmoid, from its output.
fn sigmoid_gradient<B: Backend>(output: &Tensor<B, 2>, gradient: Tensor<B, 2>) -> Tensor<B, 2> {
    gradient * output.clone() * one_minus(output)
}

/// Gradient through a tanh, from its output.
fn tanh_gradient<B: Backend>(output: &Tensor<B, 2>, gradient: Tensor<B, 2>) -> Tensor<B, 2> {
    gradient * one_minus(&(output.clone() * output.clone()))
}

fn one_minus<B: Backend>(x: &Tensor<B, 2>) -> Tensor<B, 2> {
    x.clone().neg().add_scalar(1.0)
}

fn float<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;

    use super::*;

    #[test]
    fn a_gradient_that_vanishes_ends_at_zero() {
        const STEPS: usize = 500;
        for cell in [CellKind::Rnn, CellKind::Lstm, CellKind::GruResetAfter, CellKind::GruResetBefore] {
            let gates = cell.gate_count();
            let device = Default::default();
            // Gates half open and tanh without slope: each step leaves about half of the gradient.
            let projected = Tensor::<NdArray, 3>::zeros([STEPS, 1, gates], &device);
            let weight = Tensor::full([1, gates], if gates == 1 { 0.6 } else { 0.1 }, &device);
            let (hidden, trace) = forward(cell, projected, weight, Tensor::zeros([gates], &device));
            let mut last = vec![0.0f32; STEPS];
            last[STEPS - 1] = 1.0;
            let gradient = Tensor::from_data(burn::tensor::TensorData::new(last, hidden.dims()), &device);
            let (projected, ..) = backward(trace, gradient);
            let values = projected.into_data().to_vec::<f32>().unwrap();
            assert!(values[(STEPS - 50) * gates..].iter().any(|value| *value != 0.0), "{cell:?}: it is there at first");
            assert!(values.iter().all(|value| *value == 0.0 || value.is_normal()), "{cell:?}: {values:?}");
            assert_eq!(values[..gates], vec![0.0; gates], "{cell:?}");
        }
    }
}
