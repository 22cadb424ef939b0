//! Both GRUs: gates `r, z` from `p + U h + b`, then `h' = (1 - z) n + z h = n + z (h - n)`.
//!
//! Reset-after (PyTorch, cuDNN, Keras 2 and later): `n = tanh(p_n + r (U_n h + b_n))`.
//! Reset-before (the original paper): `n = tanh(p_n + U_n (r h) + b_n)`.

use super::{State, StepGradient, StepOf, gates, one_minus, sigmoid, sigmoid_gradient, tanh_gradient};
use burn::tensor::{Tensor, backend::Backend};

/// Reset and update gate side by side `[batch, 2 * hidden]`, the new value, and the recurrent product of its row block.
#[derive(Clone, Debug)]
pub(super) struct AfterStep<B: Backend> {
    reset_update: Tensor<B, 2>,
    new: Tensor<B, 2>,
    product: Tensor<B, 2>,
}

/// Reset and update gate side by side `[batch, 2 * hidden]`, the new value, and the hidden state behind the reset gate.
#[derive(Clone, Debug)]
pub(super) struct BeforeStep<B: Backend> {
    reset_update: Tensor<B, 2>,
    new: Tensor<B, 2>,
    reset_hidden: Tensor<B, 2>,
}

pub(super) fn forward_after<B: Backend>(
    input: Tensor<B, 2>,
    state: State<B>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 2>,
) -> (State<B>, StepOf<B>) {
    let [units, _] = weight.dims();
    let recurrent = state.hidden.clone().matmul(weight.clone()) + bias.clone();
    let reset_update = sigmoid(gates(&input, 0..2, units) + gates(&recurrent, 0..2, units));
    let product = gates(&recurrent, 2..3, units);
    let new = (gates(&input, 2..3, units) + gates(&reset_update, 0..1, units) * product.clone()).tanh();
    let hidden = blend(&reset_update, &new, state.hidden);
    (State { hidden, cell: None }, StepOf::GruResetAfter(AfterStep { reset_update, new, product }))
}

pub(super) fn backward_after<B: Backend>(
    step: AfterStep<B>,
    hidden: Tensor<B, 2>,
    gradient: State<B>,
    transposed: &Tensor<B, 2>,
) -> StepGradient<B> {
    let [_, units] = step.new.dims();
    let (reset, update) = (gates(&step.reset_update, 0..1, units), gates(&step.reset_update, 1..2, units));
    let new = tanh_gradient(&step.new, gradient.hidden.clone() * one_minus(&update));
    let into_update = gradient.hidden.clone() * (hidden.clone() - step.new);
    let into_gates = Tensor::cat(vec![new.clone() * step.product, into_update], 1);
    let reset_update = sigmoid_gradient(&step.reset_update, into_gates);
    let recurrent = Tensor::cat(vec![reset_update.clone(), new.clone() * reset], 1);
    StepGradient {
        projected: Tensor::cat(vec![reset_update, new], 1),
        bias: recurrent.clone(),
        state: State { hidden: gradient.hidden * update + recurrent.clone().matmul(transposed.clone()), cell: None },
        products: vec![(hidden, recurrent)],
    }
}

pub(super) fn forward_before<B: Backend>(
    input: Tensor<B, 2>,
    state: State<B>,
    weight: &Tensor<B, 2>,
    bias: &Tensor<B, 2>,
) -> (State<B>, StepOf<B>) {
    let [units, _] = weight.dims();
    let all = input + bias.clone();
    let recurrent = state.hidden.clone().matmul(gates(weight, 0..2, units));
    let reset_update = sigmoid(gates(&all, 0..2, units) + recurrent);
    let reset_hidden = gates(&reset_update, 0..1, units) * state.hidden.clone();
    let new = (gates(&all, 2..3, units) + reset_hidden.clone().matmul(gates(weight, 2..3, units))).tanh();
    let hidden = blend(&reset_update, &new, state.hidden);
    (State { hidden, cell: None }, StepOf::GruResetBefore(BeforeStep { reset_update, new, reset_hidden }))
}

pub(super) fn backward_before<B: Backend>(
    step: BeforeStep<B>,
    hidden: Tensor<B, 2>,
    gradient: State<B>,
    transposed: &Tensor<B, 2>,
) -> StepGradient<B> {
    let [_, units] = step.new.dims();
    let (reset, update) = (gates(&step.reset_update, 0..1, units), gates(&step.reset_update, 1..2, units));
    let transposed_rows = |from: usize, to: usize| transposed.clone().slice(from * units..to * units);
    let new = tanh_gradient(&step.new, gradient.hidden.clone() * one_minus(&update));
    let reset_hidden = new.clone().matmul(transposed_rows(2, 3));
    let into_update = gradient.hidden.clone() * (hidden.clone() - step.new);
    let into_gates = Tensor::cat(vec![reset_hidden.clone() * hidden.clone(), into_update], 1);
    let reset_update = sigmoid_gradient(&step.reset_update, into_gates);
    let all = Tensor::cat(vec![reset_update.clone(), new.clone()], 1);
    StepGradient {
        projected: all.clone(),
        bias: all,
        state: State {
            hidden: gradient.hidden * update
                + reset_hidden * reset
                + reset_update.clone().matmul(transposed_rows(0, 2)),
            cell: None,
        },
        products: vec![(hidden, reset_update), (step.reset_hidden, new)],
    }
}

/// `n + z (h - n)`, one product less than `(1 - z) n + z h`.
fn blend<B: Backend>(reset_update: &Tensor<B, 2>, new: &Tensor<B, 2>, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
    let [_, units] = new.dims();
    new.clone() + gates(reset_update, 1..2, units) * (hidden - new.clone())
}
