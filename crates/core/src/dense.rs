//! The dense layer at the head of a network and the cross-entropy behind it, each as one operation of the autodiff graph.
//!
//! With a target at every step they see as many rows as all recurrent layers together. burn's own composition copies a
//! transposed operand for each product and walks over the logits a dozen times: on the CPU that took as long as an LSTM.
//! `emberloop-kernels` does each in one pass; other backends compose burn's operations, with the gradient in closed form.

mod autodiff;
mod cpu;
#[cfg(any(feature = "cuda", feature = "vulkan"))]
mod gpu;
#[cfg(test)]
mod tests;

use burn::tensor::{
    Tensor, TensorPrimitive,
    activation::{log_softmax, softmax},
    backend::Backend,
    ops::FloatTensor,
};

/// A backend with the operations of a head.
pub trait DenseBackend: Backend {
    /// `values [N, I]`, `weight [I, O]` and `bias [O]` to `values weight + bias`, `[N, O]`.
    fn dense(values: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let (values, weight, bias) = (float::<Self, 2>(values), float::<Self, 2>(weight), float::<Self, 1>(bias));
        primitive(values.matmul(weight) + bias.unsqueeze())
    }

    /// `-sum weights * log softmax(logits)` of two `[N, C]`, `[1]`. The weights are constants.
    fn cross_entropy(logits: FloatTensor<Self>, weights: FloatTensor<Self>) -> FloatTensor<Self> {
        primitive((log_softmax(float::<Self, 2>(logits), 1).neg() * float(weights)).sum())
    }
}

/// A backend that can also run them backwards; `Autodiff` of it is a [`DenseBackend`] that learns.
pub trait DenseKernels: DenseBackend {
    /// The gradients of values, weight and bias of [`DenseBackend::dense`].
    fn dense_backward(
        values: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let (values, weight, gradient) =
            (float::<Self, 2>(values), float::<Self, 2>(weight), float::<Self, 2>(gradient));
        let of_bias: Tensor<Self, 1> = gradient.clone().sum_dim(0).squeeze_dim(0);
        let of_weight = values.transpose().matmul(gradient.clone());
        [primitive(gradient.matmul(weight.transpose())), primitive(of_weight), primitive(of_bias)]
    }

    /// [`DenseBackend::cross_entropy`] and its gradient by the logits.
    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let shares = softmax(float::<Self, 2>(logits.clone()), 1);
        let of_weights = float::<Self, 2>(weights.clone());
        let gradient = shares * of_weights.clone().sum_dim(1) - of_weights;
        (Self::cross_entropy(logits, weights), primitive(gradient))
    }
}

/// [`DenseBackend::dense`] on tensors.
pub fn dense<B: DenseBackend>(values: Tensor<B, 2>, weight: Tensor<B, 2>, bias: Tensor<B, 1>) -> Tensor<B, 2> {
    float(B::dense(primitive(values), primitive(weight), primitive(bias)))
}

/// [`DenseBackend::cross_entropy`] on tensors.
pub fn cross_entropy<B: DenseBackend>(logits: Tensor<B, 2>, weights: Tensor<B, 2>) -> Tensor<B, 1> {
    float(B::cross_entropy(primitive(logits), primitive(weights)))
}

fn float<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}
