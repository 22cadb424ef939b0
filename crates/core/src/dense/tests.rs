//! Each operation against plain ones, differentiated by burn in f64.

use burn::{
    backend::{Autodiff, NdArray},
    tensor::{TensorData, backend::AutodiffBackend},
};

use super::*;
use crate::{model::values, rng::Rng};

const ROWS: usize = 37;
const INPUTS: usize = 9;
const OUTPUTS: usize = 4;

fn random(count: usize, key: u64) -> Vec<f32> {
    let mut rng = Rng::keyed(&[key]);
    (0..count).map(|_| rng.normal() as f32).collect()
}

/// Loss, and the gradients of values, weight and bias.
fn run<B: AutodiffBackend>(
    dense: impl Fn(Tensor<B, 2>, Tensor<B, 2>, Tensor<B, 1>) -> Tensor<B, 2>,
    loss: impl Fn(Tensor<B, 2>, Tensor<B, 2>) -> Tensor<B, 1>,
) -> Vec<Vec<f32>> {
    let device = Default::default();
    let matrix = |rows, columns, key| {
        Tensor::<B, 2>::from_data(TensorData::new(random(rows * columns, key), [rows, columns]), &device)
    };
    let (inputs, weight) = (matrix(ROWS, INPUTS, 1).require_grad(), matrix(INPUTS, OUTPUTS, 2).require_grad());
    let bias = Tensor::<B, 1>::from_data(TensorData::new(random(OUTPUTS, 3), [OUTPUTS]), &device).require_grad();
    // Something behind it, so that the gradient that comes in is not 1.
    let loss = loss(dense(inputs.clone(), weight.clone(), bias.clone()), matrix(ROWS, OUTPUTS, 4).abs()) * 0.3;
    let gradients = loss.backward();
    let of_matrices = [inputs, weight].map(|matrix| values(matrix.grad(&gradients).unwrap()));
    let of_bias = values(bias.grad(&gradients).unwrap());
    [values(loss)].into_iter().chain(of_matrices).chain([of_bias]).collect()
}

#[track_caller]
fn assert_equal(found: &[Vec<f32>], expected: &[Vec<f32>]) {
    for (found, expected) in found.iter().zip(expected) {
        let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5 * largest, "{found} against {expected}");
        }
    }
}

fn reference() -> Vec<Vec<f32>> {
    run::<Autodiff<NdArray<f64>>>(
        |values, weight, bias| values.matmul(weight) + bias.unsqueeze(),
        |logits, weights| (log_softmax(logits, 1).neg() * weights).sum(),
    )
}

#[test]
fn the_kernels_equal_plain_operations() {
    assert_equal(&run::<Autodiff<NdArray>>(dense, cross_entropy), &reference());
}

/// A backend with nothing of its own, as GPUs have.
impl DenseBackend for NdArray<f64> {}
impl DenseKernels for NdArray<f64> {}

#[test]
fn what_other_backends_compose_equals_plain_operations() {
    assert_equal(&run::<Autodiff<NdArray<f64>>>(dense, cross_entropy), &reference());
}
