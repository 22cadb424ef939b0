//! On burn-ndarray: `emberloop-kernels` on the tensors' own memory.

use burn::{
    backend::{NdArray, ndarray::NdArrayTensor},
    tensor::TensorMetadata,
};
use emberloop_kernels::{Dense, cross_entropy};

use super::{DenseBackend, DenseKernels};
use crate::memory::{slice, tensor};

impl DenseBackend for NdArray {
    fn dense(values: NdArrayTensor, weight: NdArrayTensor, bias: NdArrayTensor) -> NdArrayTensor {
        let found = shape(&weight).forward(&slice(&values), &slice(&weight), &slice(&bias));
        tensor(found, &[values.shape()[0], shape(&weight).outputs])
    }

    fn cross_entropy(logits: NdArrayTensor, weights: NdArrayTensor) -> NdArrayTensor {
        Self::cross_entropy_forward(logits, weights).0
    }
}

impl DenseKernels for NdArray {
    fn dense_backward(values: NdArrayTensor, weight: NdArrayTensor, gradient: NdArrayTensor) -> [NdArrayTensor; 3] {
        let dense = shape(&weight);
        let found = dense.backward(&slice(&values), &slice(&weight), &slice(&gradient));
        [
            tensor(found.values, &[values.shape()[0], dense.inputs]),
            tensor(found.weight, &[dense.inputs, dense.outputs]),
            tensor(found.bias, &[dense.outputs]),
        ]
    }

    fn cross_entropy_forward(logits: NdArrayTensor, weights: NdArrayTensor) -> (NdArrayTensor, NdArrayTensor) {
        let [rows, classes] = [logits.shape()[0], logits.shape()[1]];
        let (loss, gradient) = cross_entropy(&slice(&logits), &slice(&weights), classes);
        (tensor(vec![loss as f32], &[1]), tensor(gradient, &[rows, classes]))
    }
}

fn shape(weight: &NdArrayTensor) -> Dense {
    Dense { inputs: weight.shape()[0], outputs: weight.shape()[1] }
}
