//! On GPUs: burn's operations, but for the backward pass, whose sums over all rows `emberloop-gpu` splits over the device.

use burn::tensor::{DType, Shape, TensorMetadata};
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, kernel::into_contiguous, tensor::CubeTensor};

use super::{DenseBackend, DenseKernels};

impl<R: CubeRuntime, BT: BoolElement> DenseBackend for CubeBackend<R, f32, i32, BT> {}

impl<R: CubeRuntime, BT: BoolElement> DenseKernels for CubeBackend<R, f32, i32, BT> {
    fn dense_backward(values: CubeTensor<R>, weight: CubeTensor<R>, gradient: CubeTensor<R>) -> [CubeTensor<R>; 3] {
        let [values, weight, gradient] = [values, weight, gradient].map(into_contiguous);
        let (rows, inputs, outputs) = (values.shape()[0], weight.shape()[0], weight.shape()[1]);
        let found = emberloop_gpu::dense_backward(
            &values.client,
            [rows, inputs, outputs],
            &values.handle,
            &weight.handle,
            &gradient.handle,
        );
        let tensor = |handle, shape: Vec<usize>| {
            CubeTensor::new_contiguous(
                values.client.clone(),
                values.device.clone(),
                Shape::from(shape),
                handle,
                DType::F32,
            )
        };
        let [of_values, of_weight, of_bias] = found;
        [
            tensor(of_values, vec![rows, inputs]),
            tensor(of_weight, vec![inputs, outputs]),
            tensor(of_bias, vec![outputs]),
        ]
    }
}
