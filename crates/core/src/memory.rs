//! Tensors of burn-ndarray as plain slices: how kernels of the CPU reach them without a copy.

use std::borrow::Cow;

use burn::{
    backend::ndarray::NdArrayTensor,
    tensor::{TensorData, TensorMetadata},
};

/// A tensor's memory, row-major; a copy only of one that is not, such as a transposed view.
pub fn slice(tensor: &NdArrayTensor) -> Cow<'_, [f32]> {
    let NdArrayTensor::F32(storage) = tensor else { panic!("networks are of f32, found {:?}", tensor.dtype()) };
    let view = storage.view();
    match view.to_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(view.iter().copied().collect()),
    }
}

/// A tensor that takes the vector's memory.
pub fn tensor(values: Vec<f32>, shape: &[usize]) -> NdArrayTensor {
    NdArrayTensor::from_data(TensorData::new(values, shape.to_vec()))
}
