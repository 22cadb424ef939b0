//! Layers on burn-ndarray: `emberloop-kernels` on the tensors' own memory, nothing copied at the border.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
};

use burn::{
    backend::{NdArray, ndarray::NdArrayTensor},
    tensor::TensorMetadata,
};
use emberloop_kernels as kernels;

use crate::memory::{slice, tensor};

use super::{Call, OperandGradients, Operands, Output, RecurrentBackend, RecurrentKernels, Wanted};

/// A tape that is taken once: burn asks states of the graph to be `Clone`, and runs each backward pass once.
#[derive(Clone, Debug)]
pub struct Tape(Arc<Mutex<Option<kernels::Tape>>>);

impl RecurrentBackend for NdArray {
    fn layer(call: &Call, operands: Operands<NdArrayTensor>) -> NdArrayTensor {
        let slices = Slices::new(&operands);
        let states = kernels::infer(layer(call), &slices.weights(), &slices.sequences(call), output(call));
        tensor(pick(call, states), &call.output_shape())
    }
}

impl RecurrentKernels for NdArray {
    type Tape = Tape;

    fn forward(call: &Call, operands: &Operands<NdArrayTensor>) -> (NdArrayTensor, Tape) {
        let slices = Slices::new(operands);
        let (states, tape) = kernels::forward(layer(call), &slices.weights(), &slices.sequences(call), output(call));
        (tensor(pick(call, states), &call.output_shape()), Tape(Arc::new(Mutex::new(Some(tape)))))
    }

    fn backward(
        call: &Call,
        operands: &Operands<NdArrayTensor>,
        tape: Tape,
        gradient: NdArrayTensor,
        wanted: Wanted,
    ) -> OperandGradients<NdArrayTensor> {
        let tape = tape.0.lock().ok().and_then(|mut tape| tape.take()).expect("a graph runs backwards once");
        let slices = Slices::new(operands);
        let gradient = slice(&gradient);
        let gradients = match call.output {
            Output::Every => kernels::StateGradients { hidden: Some(&gradient), last: None },
            Output::Last => kernels::StateGradients { hidden: None, last: Some(&gradient) },
        };
        let wanted = kernels::Wanted { values: wanted.values, initial: wanted.initial };
        let found = kernels::backward(tape, &slices.weights(), &gradients, wanted, call.truncate);
        let like = |values: Vec<f32>, operand: &NdArrayTensor| tensor(values, &operand.shape().to_vec());
        OperandGradients {
            values: found.values.map(|values| like(values, &operands.values)),
            input_weight: like(found.input, &operands.input_weight),
            recurrent_weight: like(found.recurrent, &operands.recurrent_weight),
            input_bias: like(found.input_bias, &operands.input_bias),
            recurrent_bias: like(found.recurrent_bias, &operands.recurrent_bias),
            initial: found.initial.map(|values| tensor(values, &[call.states(), call.batch, call.hidden])),
        }
    }
}

fn layer(call: &Call) -> kernels::Layer {
    kernels::Layer { cell: call.cell, inputs: call.inputs, hidden: call.hidden }
}

fn output(call: &Call) -> kernels::Output {
    match call.output {
        Output::Every => kernels::Output::Every,
        Output::Last => kernels::Output::Last,
    }
}

fn pick(call: &Call, states: kernels::States) -> Vec<f32> {
    match call.output {
        Output::Every => states.hidden,
        Output::Last => states.last,
    }
}

/// The operands' numbers, row-major.
struct Slices<'a> {
    values: Cow<'a, [f32]>,
    input_weight: Cow<'a, [f32]>,
    recurrent_weight: Cow<'a, [f32]>,
    input_bias: Cow<'a, [f32]>,
    recurrent_bias: Cow<'a, [f32]>,
    initial: Option<Cow<'a, [f32]>>,
}

impl<'a> Slices<'a> {
    fn new(operands: &'a Operands<NdArrayTensor>) -> Self {
        Self {
            values: slice(&operands.values),
            input_weight: slice(&operands.input_weight),
            recurrent_weight: slice(&operands.recurrent_weight),
            input_bias: slice(&operands.input_bias),
            recurrent_bias: slice(&operands.recurrent_bias),
            initial: operands.initial.as_ref().map(slice),
        }
    }

    fn weights(&self) -> kernels::Weights<'_> {
        kernels::Weights {
            input: &self.input_weight,
            recurrent: &self.recurrent_weight,
            input_bias: &self.input_bias,
            recurrent_bias: &self.recurrent_bias,
        }
    }

    fn sequences<'s>(&'s self, call: &'s Call) -> kernels::Sequences<'s> {
        kernels::Sequences {
            steps: call.steps,
            batch: call.batch,
            values: &self.values,
            lengths: call.lengths.as_deref(),
            reverse: call.reverse,
            initial: self.initial.as_deref(),
        }
    }
}
