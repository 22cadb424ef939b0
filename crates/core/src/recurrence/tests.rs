//! The operation against a composition of plain tensor operations, differentiated by burn in f64.

use std::num::NonZeroUsize;

use burn::{
    backend::{Autodiff, NdArray},
    tensor::{Tensor, TensorData, activation::sigmoid, backend::AutodiffBackend},
};
use emberloop_cells::CellKind;

use super::*;
use crate::{model::values, rng::Rng};

type Ours = Autodiff<NdArray>;
type Reference = Autodiff<NdArray<f64>>;

/// A call with random operands, and weights for each element of its output: their weighted sum is differentiated.
struct Case {
    call: Call,
    operands: Vec<(Vec<f32>, Vec<usize>)>,
    has_initial: bool,
    output_weights: Vec<f32>,
}

impl Case {
    fn new(call: Call, has_initial: bool) -> Self {
        let mut rng = Rng::keyed(&[call.steps as u64, call.hidden as u64]);
        let Call { cell, steps, batch, inputs, hidden, .. } = call;
        let rows = cell.gate_count() * hidden;
        let shapes = [
            vec![steps * batch, inputs],
            vec![inputs, rows],
            vec![hidden, rows],
            vec![rows],
            vec![rows],
            vec![call.states(), batch, hidden],
        ];
        let mut random =
            |count: usize, scale: f64| (0..count).map(|_| (scale * rng.normal()) as f32).collect::<Vec<_>>();
        let operand = |(at, shape): (usize, Vec<usize>)| {
            let scale = if at == 0 { 1.0 } else { 0.5 };
            (random(shape.iter().product(), scale), shape)
        };
        let operands = shapes.into_iter().enumerate().map(operand).collect();
        let output_weights = random(call.output_shape().iter().product(), 1.0);
        Self { call, operands, has_initial, output_weights }
    }

    /// The output, and the gradients of all operands that take part.
    fn run<B: AutodiffBackend>(
        &self,
        layer: impl Fn(&Call, Operand<B, 2>, [Operand<B, 2>; 2], [Operand<B, 1>; 2], Option<Operand<B, 3>>) -> Operand<B, 3>,
    ) -> Vec<Vec<f32>> {
        let device = Default::default();
        let data = |at: usize| TensorData::new(self.operands[at].0.clone(), self.operands[at].1.clone());
        let two = |at| Tensor::<B, 2>::from_data(data(at), &device).require_grad();
        let one = |at| Tensor::<B, 1>::from_data(data(at), &device).require_grad();
        let (inputs, matrices, biases) = (two(0), [two(1), two(2)], [one(3), one(4)]);
        let initial = self.has_initial.then(|| Tensor::<B, 3>::from_data(data(5), &device).require_grad());
        let output = layer(&self.call, inputs.clone(), matrices.clone(), biases.clone(), initial.clone());
        let weights = TensorData::new(self.output_weights.clone(), self.call.output_shape());
        let gradients = (output.clone() * Tensor::from_data(weights, &device)).sum().backward();
        let mut all = vec![values(output)];
        all.push(values(inputs.grad(&gradients).unwrap()));
        all.extend(matrices.iter().map(|matrix| values(matrix.grad(&gradients).unwrap())));
        all.extend(biases.iter().map(|bias| values(bias.grad(&gradients).unwrap())));
        all.extend(initial.map(|initial| values(initial.grad(&gradients).unwrap())));
        all
    }
}

type Operand<B, const D: usize> = Tensor<B, D>;

/// CELLS.md, one plain operation after the other.
fn composed<B: AutodiffBackend>(
    call: &Call,
    inputs: Tensor<B, 2>,
    [input_weight, recurrent_weight]: [Tensor<B, 2>; 2],
    [input_bias, recurrent_bias]: [Tensor<B, 1>; 2],
    initial: Option<Tensor<B, 3>>,
) -> Tensor<B, 3> {
    let Call { cell, steps, batch, hidden: units, .. } = *call;
    let device = inputs.device();
    let initial = initial.unwrap_or_else(|| Tensor::zeros([call.states(), batch, units], &device));
    let mut state: Vec<Tensor<B, 2>> =
        (0..call.states()).map(|at| initial.clone().slice(at..at + 1).reshape([batch, units])).collect();
    let whole = vec![steps; batch];
    let lengths = call.lengths.as_deref().unwrap_or(&whole);
    let column = |on: &dyn Fn(usize) -> bool| {
        let ones: Vec<f32> = lengths.iter().map(|&length| f32::from(u8::from(on(length)))).collect();
        Tensor::<B, 2>::from_data(TensorData::new(ones, [batch, 1]), &device).expand([batch, units])
    };
    let mut every: Vec<Option<Tensor<B, 2>>> = vec![None; steps];
    let in_order: Vec<usize> = if call.reverse { (0..steps).rev().collect() } else { (0..steps).collect() };
    for step in in_order {
        if let Some(block) = call.truncate {
            let cut = column(&|length| {
                let read = if call.reverse { (length - 1).wrapping_sub(step) } else { step };
                (1..length).contains(&read) && (length - read).is_multiple_of(block.get())
            });
            let cut_off = |state: Tensor<B, 2>| {
                let constant = Tensor::from_inner(state.clone().inner());
                state * (cut.clone().neg() + 1.0) + constant * cut.clone()
            };
            state = state.into_iter().map(cut_off).collect();
        }
        let input = inputs.clone().slice(step * batch..(step + 1) * batch);
        let from_input = input.matmul(input_weight.clone()) + input_bias.clone().unsqueeze();
        let product = |left: Tensor<B, 2>| left.matmul(recurrent_weight.clone()) + recurrent_bias.clone().unsqueeze();
        let from_state = product(state[0].clone());
        let gate = |rows: &Tensor<B, 2>, at: usize| rows.clone().slice([0..batch, at * units..(at + 1) * units]);
        let sum = |at| gate(&from_input, at) + gate(&from_state, at);
        let one_minus = |x: Tensor<B, 2>| x.neg() + 1.0;
        let after = match cell {
            CellKind::Rnn => vec![sum(0).tanh()],
            CellKind::Lstm => {
                let kept = sigmoid(sum(1)) * state[1].clone() + sigmoid(sum(0)) * sum(2).tanh();
                vec![sigmoid(sum(3)) * kept.clone().tanh(), kept]
            }
            CellKind::GruResetAfter => {
                let (reset, update) = (sigmoid(sum(0)), sigmoid(sum(1)));
                let new = (gate(&from_input, 2) + reset * gate(&from_state, 2)).tanh();
                vec![one_minus(update.clone()) * new + update * state[0].clone()]
            }
            CellKind::GruResetBefore => {
                let (reset, update) = (sigmoid(sum(0)), sigmoid(sum(1)));
                let new = (gate(&from_input, 2) + gate(&product(reset * state[0].clone()), 2)).tanh();
                vec![one_minus(update.clone()) * new + update * state[0].clone()]
            }
        };
        let own = column(&|length| step < length);
        let choose = |(new, old): (Tensor<B, 2>, Tensor<B, 2>)| new * own.clone() + old * one_minus(own.clone());
        state = after.into_iter().zip(state).map(choose).collect();
        every[step] = Some(state[0].clone() * own);
    }
    match call.output {
        Output::Every => Tensor::stack(every.into_iter().flatten().collect(), 0),
        Output::Last => Tensor::stack(state, 0),
    }
}

#[track_caller]
fn assert_equal(case: &Case) {
    assert_equal_on::<Ours>(case);
}

#[track_caller]
fn assert_equal_on<B: AutodiffBackend + RecurrentBackend>(case: &Case) {
    let found = case.run::<B>(layer);
    let expected = case.run::<Reference>(composed);
    let names = ["output", "values", "input weight", "recurrent weight", "input bias", "recurrent bias", "initial"];
    assert_eq!(found.len(), expected.len());
    for ((name, found), expected) in names.iter().zip(found).zip(expected) {
        let largest = expected.iter().fold(1e-6f32, |largest, value| largest.max(value.abs()));
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs() / largest;
            assert!(error < 1e-5, "{name}[{at}]: {found} against {expected}: {:?}", case.call);
        }
    }
}

fn call(cell: CellKind) -> Call {
    Call {
        cell,
        steps: 9,
        batch: 5,
        inputs: 3,
        hidden: 6,
        lengths: None,
        reverse: false,
        truncate: None,
        output: Output::Every,
    }
}

#[test]
fn every_cell_and_option_equals_the_composition() {
    let lengths: Arc<[usize]> = [4, 9, 1, 6, 9].into();
    for cell in CellKind::ALL {
        for option in 0..32 {
            let on = |bit: u32| option >> bit & 1 == 1;
            let call = Call {
                lengths: on(0).then(|| lengths.clone()),
                reverse: on(1),
                output: if on(2) { Output::Last } else { Output::Every },
                truncate: on(3).then(|| NonZeroUsize::new(3).unwrap()),
                ..call(cell)
            };
            assert_equal(&Case::new(call, on(4)));
        }
    }
}

/// The kernels have tests of their own in `emberloop-gpu`; this is about the way there and back.
#[cfg(feature = "vulkan")]
#[test]
fn a_vulkan_device_equals_the_composition() {
    if let Err(reason) = crate::check_device(crate::Device::Vulkan(0)) {
        assert!(std::env::var_os("EMBERLOOP_REQUIRE_VULKAN").is_none_or(|value| value != "1"), "{reason}");
        eprintln!("skipped: {reason}");
        return;
    }
    let lengths: Arc<[usize]> = [4, 9, 1, 6, 9].into();
    for cell in CellKind::ALL {
        for everything in [false, true] {
            let call = Call {
                lengths: everything.then(|| lengths.clone()),
                reverse: everything,
                output: if everything { Output::Last } else { Output::Every },
                truncate: everything.then(|| NonZeroUsize::new(3).unwrap()),
                ..call(cell)
            };
            assert_equal_on::<Autodiff<burn::backend::Vulkan>>(&Case::new(call, everything));
        }
    }
}

#[test]
fn sizes_beyond_a_tile_equal_the_composition() {
    for cell in CellKind::ALL {
        for (steps, batch, inputs, hidden) in [(3, 70, 20, 33), (40, 1, 1, 1), (1, 2, 7, 16)] {
            assert_equal(&Case::new(Call { steps, batch, inputs, hidden, ..call(cell) }, false));
        }
    }
}

#[test]
fn a_gradient_that_vanishes_ends_at_zero() {
    const STEPS: usize = 500;
    for cell in CellKind::ALL {
        let gates = cell.gate_count();
        let call = Call { steps: STEPS, batch: 1, inputs: 1, hidden: 1, output: Output::Last, ..call(cell) };
        let device = Default::default();
        // Gates half open and tanh without slope: each step leaves about half of the gradient.
        let inputs = Tensor::<Ours, 2>::zeros([STEPS, 1], &device).require_grad();
        let recurrent = Tensor::full([1, gates], if gates == 1 { 0.6 } else { 0.1 }, &device);
        let biases = [Tensor::zeros([gates], &device), Tensor::zeros([gates], &device)];
        let output = layer(&call, inputs.clone(), [Tensor::ones([1, gates], &device), recurrent], biases, None);
        let found = values(inputs.grad(&output.slice(0..1).sum().backward()).unwrap());
        assert!(found[STEPS - 50..].iter().any(|value| *value != 0.0), "{cell:?}: it is there at first");
        assert!(found.iter().all(|value| *value == 0.0 || value.is_normal()), "{cell:?}: {found:?}");
        assert_eq!(found[0], 0.0, "{cell:?}");
    }
}
