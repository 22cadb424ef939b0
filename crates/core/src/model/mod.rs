//! The network: embedding, stacked recurrent layers, pooling, head.
//!
//! All tensors run time-major: row `step * batch + sequence`. Padding comes after a sequence's own steps and, read
//! backwards, too: the reverse direction sees each sequence reversed by its own length. Nothing that leaves the network
//! depends on a padded step.

mod dropout;
mod init;
mod input;
mod tensors;

pub use dropout::Dropout;
pub use init::initial_tensors;
pub use input::Input;
pub use tensors::{Parameter, host, parameters, values};

use burn::{
    module::Module,
    nn::{Embedding, Linear},
    tensor::{Tensor, backend::Backend},
};
use emberloop_checkpoint::{Architecture, Pooling};

use crate::recurrence::{RecurrentBackend, recurrence};

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
    pub fn forward(&self, architecture: &Architecture, input: &Input<B>, dropout: &mut Dropout) -> Tensor<B, 2> {
        let (forward, reverse) = self.hidden(architecture, input, dropout);
        let pooled = match architecture.pooling {
            // The reverse direction ends at the first step.
            Pooling::Last => {
                let first_rows = |reverse: Tensor<B, 2>| reverse.slice(0..input.batch);
                join(forward.select(0, input.last_rows.clone()), reverse.map(first_rows))
            }
            Pooling::Mean => input.mean(join(forward, reverse)),
            Pooling::Every => join(forward, reverse),
        };
        self.head.forward(dropout.apply(pooled))
    }

    /// Hidden states of the top layer, each direction `[steps * batch, hidden]`.
    pub fn hidden(
        &self,
        architecture: &Architecture,
        input: &Input<B>,
        dropout: &mut Dropout,
    ) -> (Tensor<B, 2>, Option<Tensor<B, 2>>) {
        let mut features = match (&self.embedding, &input.tokens) {
            (Some(embedding), Some(tokens)) => {
                let [rows] = tokens.dims();
                let embedded = embedding.forward(tokens.clone().reshape([1, rows]));
                embedded.reshape([rows, architecture.inputs])
            }
            _ => input.values.clone(),
        };
        let top = self.layers.len() - 1;
        for layer in &self.layers[..top] {
            let (forward, reverse) = layer.outputs(architecture, input, features);
            features = dropout.apply(join(forward, reverse));
        }
        self.layers[top].outputs(architecture, input, features)
    }
}

impl<B: RecurrentBackend> Layer<B> {
    /// Hidden states of both directions, each `[steps * batch, hidden]` in the order of the input.
    fn outputs(
        &self,
        architecture: &Architecture,
        input: &Input<B>,
        features: Tensor<B, 2>,
    ) -> (Tensor<B, 2>, Option<Tensor<B, 2>>) {
        let reverse = self.reverse.as_ref().map(|reverse| {
            let rows = input.reversed_rows.clone().expect("prepared for a bidirectional network");
            let backwards = features.clone().select(0, rows.clone());
            // Reversing twice restores the order.
            reverse.hidden(architecture, input, backwards).select(0, rows)
        });
        (self.forward.hidden(architecture, input, features), reverse)
    }
}

impl<B: RecurrentBackend> Direction<B> {
    fn hidden(&self, architecture: &Architecture, input: &Input<B>, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let [units, gates] = self.recurrent.weight.dims();
        let projected = self.input.forward(features).reshape([input.steps, input.batch, gates]);
        let bias = self.recurrent.bias.as_ref().expect("every direction has two biases").val();
        let hidden = recurrence(architecture.cell, projected, self.recurrent.weight.val(), bias);
        hidden.reshape([input.steps * input.batch, units])
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
