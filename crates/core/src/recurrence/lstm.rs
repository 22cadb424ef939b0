//! LSTM: gates `i, f, g, o` from `p + U h + b`; `c' = f c + i g`, `h' = o tanh(c')`.

use super::{State, StepGradient, StepOf, gates, one_minus, sigmoid, sigmoid_gradient, tanh_gradient};
use burn::tensor::{Tensor, backend::Backend};

/// The gates after their activations, the cell state before the step and the squashed one after it.
#[derive(Clone, Debug)]
pub(super) struct Step<B: Backend> {
    /// Input and forget gate side by side, `[batch, 2 * hidden]`: they share one activation.
    input_forget: Tensor<B, 2>,
    candidate: Tensor<B, 2>,
    output: Tensor<B, 2>,
    cell: Tensor<B, 2>,
    squashed: Tensor<B, 2>,
}

pub(super) fn forward<B: Backend>(
    input: Tensor<B, 2>,
    state: State<B>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 2>,
) -> (State<B>, StepOf<B>) {
    let [units, _] = weight.dims();
    let all = input + state.hidden.matmul(weight.clone()) + bias.clone();
    let input_forget = sigmoid(gates(&all, 0..2, units));
    let candidate = gates(&all, 2..3, units).tanh();
    let output = sigmoid(gates(&all, 3..4, units));
    let before = state.cell.expect("an LSTM carries a cell state");
    let cell =
        gates(&input_forget, 1..2, units) * before.clone() + gates(&input_forget, 0..1, units) * candidate.clone();
    let squashed = cell.clone().tanh();
    let hidden = output.clone() * squashed.clone();
    let kept = Step { input_forget, candidate, output, cell: before, squashed };
    (State { hidden, cell: Some(cell) }, StepOf::Lstm(kept))
}

pub(super) fn backward<B: Backend>(
    step: Step<B>,
    hidden: Tensor<B, 2>,
    gradient: State<B>,
    transposed: &Tensor<B, 2>,
) -> StepGradient<B> {
    let [_, units] = step.candidate.dims();
    let output = sigmoid_gradient(&step.output, gradient.hidden.clone() * step.squashed.clone());
    let through_output = tanh_gradient(&step.squashed, gradient.hidden * step.output);
    let cell = gradient.cell.expect("an LSTM carries a cell state") + through_output;
    let (input_gate, forget_gate) = (gates(&step.input_forget, 0..1, units), gates(&step.input_forget, 1..2, units));
    let into_gates = Tensor::cat(vec![cell.clone() * step.candidate.clone(), cell.clone() * step.cell], 1);
    let input_forget = into_gates * step.input_forget.clone() * one_minus(&step.input_forget);
    let candidate = tanh_gradient(&step.candidate, cell.clone() * input_gate);
    let all = Tensor::cat(vec![input_forget, candidate, output], 1);
    StepGradient {
        projected: all.clone(),
        bias: all.clone(),
        state: State { hidden: all.clone().matmul(transposed.clone()), cell: Some(cell * forget_gate) },
        products: vec![(hidden, all)],
    }
}
