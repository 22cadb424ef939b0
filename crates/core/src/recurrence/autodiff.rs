//! The graph's node: six parents, one output.

use burn::{
    backend::{
        Autodiff,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
    },
    tensor::{TensorMetadata, backend::AutodiffBackend, ops::FloatTensor},
};

use super::{Call, OperandGradients, Operands, RecurrentBackend, RecurrentKernels, Wanted};

/// A layer in the graph.
#[derive(Debug)]
struct Layer;

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct State<B: RecurrentKernels> {
    call: Call,
    operands: Operands<FloatTensor<B>>,
    tape: B::Tape,
}

impl<B: RecurrentKernels> Backward<B, 6> for Layer {
    type State = State<B>;

    fn backward(self, ops: Ops<Self::State, 6>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let State { call, operands, tape } = ops.state;
        let wanted = Wanted { values: ops.parents[0].is_some(), initial: ops.parents[5].is_some() };
        let OperandGradients { values, input_weight, recurrent_weight, input_bias, recurrent_bias, initial } =
            B::backward(&call, &operands, tape, gradient, wanted);
        let of_weights = [input_weight, recurrent_weight, input_bias, recurrent_bias].map(Some);
        let [input_weight, recurrent_weight, input_bias, recurrent_bias] = of_weights;
        let all = [values, input_weight, recurrent_weight, input_bias, recurrent_bias, initial];
        for (node, gradient) in ops.parents.into_iter().zip(all) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: RecurrentKernels, C: CheckpointStrategy> RecurrentBackend for Autodiff<B, C> {
    fn layer(call: &Call, operands: Operands<FloatTensor<Self>>) -> FloatTensor<Self> {
        // A layer without an initial state has a parent in its place that nothing is learned from.
        let initial_node = match &operands.initial {
            Some(initial) => initial.node.clone(),
            None => Self::from_inner(operands.input_bias.primitive.clone()).node,
        };
        let nodes = [
            operands.values.node.clone(),
            operands.input_weight.node.clone(),
            operands.recurrent_weight.node.clone(),
            operands.input_bias.node.clone(),
            operands.recurrent_bias.node.clone(),
            initial_node,
        ];
        let operands = Operands {
            values: operands.values.primitive,
            input_weight: operands.input_weight.primitive,
            recurrent_weight: operands.recurrent_weight.primitive,
            input_bias: operands.input_bias.primitive,
            recurrent_bias: operands.recurrent_bias.primitive,
            initial: operands.initial.map(|initial| initial.primitive),
        };
        match Layer.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let (output, tape) = B::forward(call, &operands);
                debug_assert_eq!(output.shape().to_vec(), call.output_shape());
                node.finish(State { call: call.clone(), operands, tape }, output)
            }
            OpsKind::UnTracked(node) => node.finish(B::layer(call, operands)),
        }
    }
}
