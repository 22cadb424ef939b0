//! The network: embedding, stacked recurrent layers, pooling, head.
//!
//! All tensors run time-major: row `step * batch + sequence`. Padding comes after a sequence's own steps; each direction
//! reads own steps alone, and nothing that leaves the network depends on a padded one.

mod dropout;
mod init;
mod input;
mod tensors;

pub use dropout::Dropout;
pub use init::initial_tensors;
pub use input::Input;
pub use tensors::{Parameter, host, parameters, values};

use std::num::NonZeroUsize;

use burn::{
    module::Module,
    nn::{Embedding, Linear},
    tensor::{Tensor, backend::Backend},
};
use emberloop_checkpoint::{Architecture, Pooling};

use crate::dense::dense;
use crate::recurrence::{Call, Output, RecurrentBackend, layer};

/// The trained parameters.
#[derive(Module, Debug)]
pub struct Network<B: Backend> {
    /// For token inputs.
    pub embedding: Option<Embedding<B>>,
    /// The layer next to the input first.
    pub layers: Vec<Layer<B>>,
    /// From pooled features to logits or values.
    pub head: Linear<B>,
}

/// One recurrent layer.
#[derive(Module, Debug)]
pub struct Layer<B: Backend> {
    /// Reads first step to last.
    pub forward: Direction<B>,
    /// Reads last step to first.
    pub reverse: Option<Direction<B>>,
}

/// One direction of a layer: two affine maps into the gates, the first of the input, the second of the hidden state.
#[derive(Module, Debug)]
pub struct Direction<B: Backend> {
    /// `[inputs, gates * hidden]`
    pub input: Linear<B>,
    /// `[hidden, gates * hidden]`, applied inside the loop over time.
    pub recurrent: Linear<B>,
}

impl<B: RecurrentBackend> Network<B> {
    /// Logits or scaled values: `[batch, outputs]`, or `[steps * batch, outputs]` with a head on every step.
    pub fn forward(&self, architecture: &Architecture, input: &Input<B>, learning: &mut Learning) -> Tensor<B, 2> {
        let pooled = match architecture.pooling {
            Pooling::Last => self.hidden(architecture, input, learning, Output::Last),
            Pooling::Mean => input.mean(self.hidden(architecture, input, learning, Output::Every)),
            Pooling::Every => self.hidden(architecture, input, learning, Output::Every),
        };
        let bias = self.head.bias.as_ref().expect("the head has a bias").val();
        dense(learning.dropout.apply(pooled), self.head.weight.val(), bias)
    }

    /// Hidden states of the top layer, both directions side by side: of every step `[steps * batch, features]`, 0 behind a
    /// sequence's end, or each direction's last `[batch, features]`.
    pub fn hidden(
        &self,
        architecture: &Architecture,
        input: &Input<B>,
        learning: &mut Learning,
        output: Output,
    ) -> Tensor<B, 2> {
        let mut features = match (&self.embedding, &input.tokens) {
            (Some(embedding), Some(tokens)) => {
                let [rows] = tokens.dims();
                let embedded = embedding.forward(tokens.clone().reshape([1, rows]));
                embedded.reshape([rows, architecture.inputs])
            }
            _ => input.values.clone(),
        };
        let (top, below) = self.layers.split_last().expect("a network has a layer");
        for layer in below {
            let hidden = layer.hidden(architecture, input, features, Output::Every, learning.truncate);
            features = learning.dropout.apply(hidden);
        }
        top.hidden(architecture, input, features, output, learning.truncate)
    }
}

impl<B: RecurrentBackend> Layer<B> {
    fn hidden(
        &self,
        architecture: &Architecture,
        input: &Input<B>,
        features: Tensor<B, 2>,
        output: Output,
        truncate: Option<NonZeroUsize>,
    ) -> Tensor<B, 2> {
        let run = |direction: &Direction<B>, reverse| {
            let [inputs, _] = direction.input.weight.dims();
            let [hidden, _] = direction.recurrent.weight.dims();
            let call = Call {
                cell: architecture.cell,
                steps: input.steps,
                batch: input.batch,
                inputs,
                hidden,
                lengths: input.lengths.clone(),
                reverse,
                truncate,
                output,
            };
            direction.run(&call, features.clone())
        };
        join(run(&self.forward, false), self.reverse.as_ref().map(|direction| run(direction, true)))
    }
}

impl<B: RecurrentBackend> Direction<B> {
    /// The wanted hidden states, `[steps * batch, hidden]` or `[batch, hidden]`.
    fn run(&self, call: &Call, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let maps = [&self.input, &self.recurrent];
        let weights = maps.map(|map| map.weight.val());
        let biases = maps.map(|map| map.bias.as_ref().expect("every direction has two biases").val());
        let states = layer(call, features, weights, biases, None);
        match call.output {
            Output::Every => states.reshape([call.steps * call.batch, call.hidden]),
            // Of an LSTM's two states the hidden one comes first.
            Output::Last if call.states() > 1 => states.slice(0..1).reshape([call.batch, call.hidden]),
            Output::Last => states.reshape([call.batch, call.hidden]),
        }
    }
}

/// What a forward pass does only to learn.
pub struct Learning {
    /// Drops features between layers and before the head.
    pub dropout: Dropout,
    /// Truncated back-propagation: the steps that a gradient may pass.
    pub truncate: Option<NonZeroUsize>,
}

impl Learning {
    /// For evaluation: nothing.
    pub fn none() -> Self {
        Self { dropout: Dropout::off(), truncate: None }
    }
}

/// Both directions side by side, the forward half first.
pub fn join<B: Backend>(forward: Tensor<B, 2>, reverse: Option<Tensor<B, 2>>) -> Tensor<B, 2> {
    match reverse {
        Some(reverse) => Tensor::cat(vec![forward, reverse], 1),
        None => forward,
    }
}

#[cfg(test)]
mod tests;
