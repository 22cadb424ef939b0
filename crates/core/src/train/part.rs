//! Forward and backward over a part of a step's sequences, on one device.

use std::num::NonZeroUsize;

use burn::{
    optim::GradientsParams,
    tensor::{ElementConversion, Tensor},
};
use emberloop_checkpoint::Architecture;
use emberloop_data::Batch;

use crate::{
    config::TrainingConfig,
    loss::Loss,
    model::{Dropout, Input, Learning, Network, values},
    recurrence::TrainBackend,
    rng::{Purpose, Rng},
};

/// What every part is learned by, the same on all devices.
pub(super) struct Lesson<'a> {
    pub architecture: &'a Architecture,
    pub training: &'a TrainingConfig,
    pub loss: Loss,
}

/// Some of the sequences of a step: one of the batches whose gradients it accumulates, or one device's share of it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub batch: Batch,
    /// Counted from 0.
    pub epoch: usize,
    /// The step within the epoch, counted from 0.
    pub step: usize,
    /// The part within the step, counted from 0.
    pub part: usize,
    /// What the losses of the whole step are divided by ([`Loss::total`]), so that gradients of parts add up.
    pub total: f64,
}

/// What a part adds to its step.
pub(super) struct Learned {
    pub gradients: GradientsParams,
    /// The part's share in the step's mean loss, without penalties.
    pub loss: f64,
    /// The network's outputs, `[rows, outputs]`.
    pub outputs: Vec<f32>,
}

impl Lesson<'_> {
    /// `None` if no target in the part counts.
    pub(super) fn learn<B: TrainBackend>(
        &self,
        network: &Network<B>,
        part: &Part,
        device: &B::Device,
    ) -> Option<Learned> {
        let training = self.training;
        let target = self.loss.target::<B>(&part.batch, part.total, device)?;
        let input = Input::new(&part.batch, self.architecture, device);
        let mut key = vec![Purpose::Dropout as u64, training.seed, part.epoch as u64, part.step as u64];
        key.extend((part.part > 0).then_some(part.part as u64));
        let dropout = Dropout::training(self.architecture.dropout, Rng::keyed(&key));
        let mut learning = Learning { dropout, truncate: training.truncate.and_then(NonZeroUsize::new) };
        let output = network.forward(self.architecture, &input, &mut learning);
        let loss = self.loss.mean(output.clone(), &target);
        // Once for the whole step, whatever the number of its parts.
        let objective = match penalty(network, training.l1, training.l2).filter(|_| part.part == 0) {
            Some(penalty) => loss.clone() + penalty,
            None => loss.clone(),
        };
        let gradients = GradientsParams::from_grads(objective.backward(), network);
        // Read when everything is under way: a GPU is waited for once.
        let outputs = values(output.inner());
        Some(Learned { gradients, loss: loss.inner().into_scalar().elem(), outputs })
    }
}

/// `l1 * sum |w| + l2 * sum w^2` over all weight matrices; nothing if both are 0.
fn penalty<B: TrainBackend>(network: &Network<B>, l1: f64, l2: f64) -> Option<Tensor<B, 1>> {
    if l1 == 0.0 && l2 == 0.0 {
        return None;
    }
    let directions =
        network.layers.iter().flat_map(|layer| std::iter::once(&layer.forward).chain(layer.reverse.as_ref()));
    let weights = directions
        .flat_map(|direction| [&direction.input.weight, &direction.recurrent.weight])
        .chain(network.embedding.as_ref().map(|embedding| &embedding.weight))
        .chain(std::iter::once(&network.head.weight));
    weights
        .map(|weight| {
            let weight = weight.val();
            weight.clone().abs().sum().mul_scalar(l1) + weight.square().sum().mul_scalar(l2)
        })
        .reduce(|sum, part| sum + part)
}
