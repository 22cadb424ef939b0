//! The graph's nodes.

use burn::{
    backend::{
        Autodiff,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
    },
    tensor::ops::FloatTensor,
};

use super::{DenseBackend, DenseKernels, float, primitive};

/// A dense layer: values, weight, bias.
#[derive(Debug)]
struct Dense;

impl<B: DenseKernels> Backward<B, 3> for Dense {
    /// Values and weight.
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [values, weight] = ops.state;
        let found = B::dense_backward(values, weight, gradient);
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// A cross-entropy, whose gradient is there as soon as its value is.
#[derive(Debug)]
struct CrossEntropy;

impl<B: DenseKernels> Backward<B, 1> for CrossEntropy {
    /// The gradient by the logits.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let outer = float::<B, 1>(grads.consume::<B>(&ops.node));
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, primitive(float::<B, 2>(ops.state) * outer.unsqueeze()));
        }
    }
}

impl<B: DenseKernels, C: CheckpointStrategy> DenseBackend for Autodiff<B, C> {
    fn dense(values: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [values.node.clone(), weight.node.clone(), bias.node.clone()];
        let (values, weight, bias) = (values.primitive, weight.primitive, bias.primitive);
        match Dense.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let state = [values.clone(), weight.clone()];
                node.finish(state, B::dense(values, weight, bias))
            }
            OpsKind::UnTracked(node) => node.finish(B::dense(values, weight, bias)),
        }
    }

    fn cross_entropy(logits: FloatTensor<Self>, weights: FloatTensor<Self>) -> FloatTensor<Self> {
        let weights = weights.primitive;
        match CrossEntropy.prepare::<C>([logits.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let (loss, gradient) = B::cross_entropy_forward(logits.primitive, weights);
                node.finish(gradient, loss)
            }
            OpsKind::UnTracked(node) => node.finish(B::cross_entropy(logits.primitive, weights)),
        }
    }
}
