//! Elman network: `h' = tanh(p + U h + b)`, `p` the projected input.

use super::{State, StepGradient, StepOf, tanh_gradient};
use burn::tensor::{Tensor, backend::Backend};

/// The new hidden state.
#[derive(Clone, Debug)]
pub(super) struct Step<B: Backend> {
    output: Tensor<B, 2>,
}

pub(super) fn forward<B: Backend>(
    input: Tensor<B, 2>,
    state: State<B>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 2>,
) -> (State<B>, StepOf<B>) {
    let output = (input + state.hidden.matmul(weight.clone()) + bias.clone()).tanh();
    (State { hidden: output.clone(), cell: None }, StepOf::Rnn(Step { output }))
}

pub(super) fn backward<B: Backend>(
    step: Step<B>,
    hidden: Tensor<B, 2>,
    gradient: State<B>,
    transposed: &Tensor<B, 2>,
) -> StepGradient<B> {
    let gates = tanh_gradient(&step.output, gradient.hidden);
    StepGradient {
        projected: gates.clone(),
        bias: gates.clone(),
        state: State { hidden: gates.clone().matmul(transposed.clone()), cell: None },
        products: vec![(hidden, gates)],
    }
}
