//! Layers on GPUs: `emberloop-gpu` on the buffers of burn's tensors, nothing copied at the border.

use burn::tensor::{DType, Shape};
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, kernel::into_contiguous, tensor::CubeTensor};
use emberloop_gpu as gpu;

use super::{Call, OperandGradients, Operands, Output, RecurrentBackend, RecurrentKernels, Wanted};

impl<R: CubeRuntime, BT: BoolElement> RecurrentBackend for CubeBackend<R, f32, i32, BT> {
    fn layer(call: &Call, operands: Operands<CubeTensor<R>>) -> CubeTensor<R> {
        let operands = contiguous(&operands);
        let states = gpu::infer(
            &operands.values.client,
            layer(call),
            &weights(&operands),
            &sequences(call, &operands),
            output(call),
            &gpu::Tuning::default(),
        );
        picked(call, &operands.values, states)
    }
}

impl<R: CubeRuntime, BT: BoolElement> RecurrentKernels for CubeBackend<R, f32, i32, BT> {
    type Tape = gpu::Tape;

    fn forward(call: &Call, operands: &Operands<CubeTensor<R>>) -> (CubeTensor<R>, gpu::Tape) {
        let operands = contiguous(operands);
        let (states, tape) = gpu::forward(
            &operands.values.client,
            layer(call),
            &weights(&operands),
            &sequences(call, &operands),
            output(call),
            &gpu::Tuning::default(),
        );
        (picked(call, &operands.values, states), tape)
    }

    fn backward(
        call: &Call,
        operands: &Operands<CubeTensor<R>>,
        tape: gpu::Tape,
        gradient: CubeTensor<R>,
        wanted: Wanted,
    ) -> OperandGradients<CubeTensor<R>> {
        let operands = contiguous(operands);
        let gradient = into_contiguous(gradient).handle;
        let above = match call.output {
            Output::Every => gpu::StateGradients { hidden: Some(gradient), last: None },
            Output::Last => gpu::StateGradients { hidden: None, last: Some(gradient) },
        };
        let found = gpu::backward(
            &operands.values.client,
            layer(call),
            &weights(&operands),
            &sequences(call, &operands),
            &tape,
            &above,
            gpu::Wanted { values: wanted.values, initial: wanted.initial, truncate: call.truncate },
            &gpu::Tuning::default(),
        );
        let like = |handle: gpu::Handle, operand: &CubeTensor<R>| tensor(operand, handle, operand.meta.shape().clone());
        OperandGradients {
            values: found.values.map(|handle| like(handle, &operands.values)),
            input_weight: like(found.input, &operands.input_weight),
            recurrent_weight: like(found.recurrent, &operands.recurrent_weight),
            input_bias: like(found.input_bias, &operands.input_bias),
            recurrent_bias: like(found.recurrent_bias, &operands.recurrent_bias),
            initial: found.initial.map(|handle| {
                tensor(&operands.values, handle, Shape::from(vec![call.states(), call.batch, call.hidden]))
            }),
        }
    }
}

fn layer(call: &Call) -> gpu::Layer {
    gpu::Layer { cell: call.cell, inputs: call.inputs, hidden: call.hidden }
}

fn output(call: &Call) -> gpu::Output {
    match call.output {
        Output::Every => gpu::Output::Every,
        Output::Last => gpu::Output::Last,
    }
}

/// The operands row-major; a copy only of one that is not, such as a transposed view.
fn contiguous<R: CubeRuntime>(operands: &Operands<CubeTensor<R>>) -> Operands<CubeTensor<R>> {
    let contiguous = |tensor: &CubeTensor<R>| {
        assert!(tensor.dtype == DType::F32, "networks are of f32, found {:?}", tensor.dtype);
        into_contiguous(tensor.clone())
    };
    Operands {
        values: contiguous(&operands.values),
        input_weight: contiguous(&operands.input_weight),
        recurrent_weight: contiguous(&operands.recurrent_weight),
        input_bias: contiguous(&operands.input_bias),
        recurrent_bias: contiguous(&operands.recurrent_bias),
        initial: operands.initial.as_ref().map(contiguous),
    }
}

fn weights<R: CubeRuntime>(operands: &Operands<CubeTensor<R>>) -> gpu::Weights {
    gpu::Weights {
        input: operands.input_weight.handle.clone(),
        recurrent: operands.recurrent_weight.handle.clone(),
        input_bias: operands.input_bias.handle.clone(),
        recurrent_bias: operands.recurrent_bias.handle.clone(),
    }
}

fn sequences<'a, R: CubeRuntime>(call: &'a Call, operands: &Operands<CubeTensor<R>>) -> gpu::Sequences<'a> {
    gpu::Sequences {
        steps: call.steps,
        batch: call.batch,
        values: operands.values.handle.clone(),
        lengths: call.lengths.as_deref(),
        reverse: call.reverse,
        initial: operands.initial.as_ref().map(|initial| initial.handle.clone()),
    }
}

fn picked<R: CubeRuntime>(call: &Call, near: &CubeTensor<R>, states: gpu::States) -> CubeTensor<R> {
    let handle = match call.output {
        Output::Every => states.hidden,
        Output::Last => states.last,
    };
    tensor(near, handle.expect("it was asked for"), Shape::from(call.output_shape()))
}

/// A tensor of a buffer, on the device of another tensor.
fn tensor<R: CubeRuntime>(near: &CubeTensor<R>, handle: gpu::Handle, shape: Shape) -> CubeTensor<R> {
    CubeTensor::new_contiguous(near.client.clone(), near.device.clone(), shape, handle, DType::F32)
}
