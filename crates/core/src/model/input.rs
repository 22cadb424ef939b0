//! A batch on the device, and the lengths that make padding invisible.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use emberloop_checkpoint::{Architecture, Pooling};
use emberloop_data::Batch;

/// The inputs of a batch, time-major: row `step * batch + sequence`.
#[derive(Clone, Debug)]
pub struct Input<B: Backend> {
    /// Steps of the longest sequence.
    pub steps: usize,
    /// Number of sequences.
    pub batch: usize,
    /// `[steps * batch, channels]`; unused with tokens.
    pub values: Tensor<B, 2>,
    /// `[steps * batch]`, for a network with an embedding.
    pub tokens: Option<Tensor<B, 1, Int>>,
    /// `[batch]`: each sequence's own steps; `None` if there is no padding.
    pub lengths: Option<Arc<[usize]>>,
    /// `[steps, batch, 1]`: 1 / length on own steps, 0 on padding; for mean pooling.
    mean_weights: Option<Tensor<B, 3>>,
}

impl<B: Backend> Input<B> {
    /// Moves a batch to the device.
    pub fn new(batch: &Batch, architecture: &Architecture, device: &B::Device) -> Self {
        let Batch { batch: count, steps, channels, ref lengths, .. } = *batch;
        let rows = steps * count;
        let tokens = architecture.embedding.map(|_| {
            let ids: Vec<i64> = batch.inputs.iter().map(|&id| id as i64).collect();
            Tensor::from_data(TensorData::new(ids, [rows]), device)
        });
        let padded = lengths.iter().any(|&length| length < steps);
        let mean = (architecture.pooling == Pooling::Mean).then(|| {
            let weight = |step, length| if step < length { 1.0 / length as f32 } else { 0.0 };
            let weights: Vec<f32> =
                (0..steps).flat_map(|step| lengths.iter().map(move |&length| weight(step, length))).collect();
            Tensor::from_data(TensorData::new(weights, [steps, count, 1]), device)
        });
        Self {
            steps,
            batch: count,
            values: Tensor::from_data(TensorData::new(batch.inputs.clone(), [rows, channels]), device),
            tokens,
            lengths: padded.then(|| lengths.as_slice().into()),
            mean_weights: mean,
        }
    }

    /// The mean over each sequence's own steps: `[steps * batch, features]` to `[batch, features]`.
    pub fn mean(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let [_, columns] = features.dims();
        let weights = self.mean_weights.clone().expect("prepared for mean pooling");
        let weighted = features.reshape([self.steps, self.batch, columns]) * weights;
        weighted.sum_dim(0).reshape([self.batch, columns])
    }
}
