//! One epoch: batches in a keyed order, forward, backward, clip, step; then validation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use burn::{
    module::AutodiffModule,
    optim::GradientsParams,
    tensor::{ElementConversion, Tensor},
};
use emberloop_checkpoint::Architecture;
use emberloop_data::{Batch, DataError, Prepared};

use super::{
    job::{Job, TrainError, named},
    order,
};
use crate::{
    clip::clip,
    config::ClipConfig,
    evaluate,
    loss::Loss,
    model::{Dropout, Input, Network, values},
    optim::Optimizer,
    progress::{BatchReport, EpochReport, Progress},
    recurrence::TrainBackend,
    rng::{Purpose, Rng},
    schedule::Schedule,
};

/// What changes while training, and what it is trained on.
pub(super) struct Trainer<'a, B: TrainBackend> {
    job: &'a Job<'a>,
    train: &'a Prepared,
    validation: &'a Prepared,
    loss: Loss,
    pub(super) device: B::Device,
    pub(super) network: Network<B>,
    pub(super) optimizer: Optimizer<B>,
}

/// What one step of the optimizer yields.
struct StepResult {
    loss: f64,
    gradient_norm: f64,
    /// The share of this batch in the mean over the epoch.
    total: f64,
    /// The network's outputs, `[rows, outputs]`.
    outputs: Vec<f32>,
}

impl<'a, B: TrainBackend> Trainer<'a, B> {
    pub(super) fn new(
        job: &'a Job<'a>,
        train: &'a Prepared,
        validation: &'a Prepared,
        loss: Loss,
        device: B::Device,
    ) -> Self {
        let network = Network::from_tensors(&job.architecture, &job.tensors, &job.frozen, &device);
        let optimizer = Optimizer::new(&job.config.training.optimizer);
        Self { job, train, validation, loss, device, network, optimizer }
    }

    pub(super) fn architecture(&self) -> &'a Architecture {
        &self.job.architecture
    }

    pub(super) fn frozen(&self) -> &'a BTreeSet<String> {
        &self.job.frozen
    }

    /// Runs epoch `epoch`, counted from 0; `None` if it was cancelled.
    pub(super) fn epoch(
        &mut self,
        epoch: usize,
        schedule: &Schedule,
        cancel: Option<&AtomicBool>,
        progress: &mut dyn Progress,
    ) -> Result<Option<EpochReport>, TrainError> {
        let began = Instant::now();
        let groups = order::groups(self.train, &self.job.config.training, epoch);
        let mut outputs = vec![Vec::new(); self.train.len()];
        let (mut sum, mut total, mut norms, mut learning_rate) = (0.0, 0.0, 0.0, 0.0);
        for (index, group) in groups.iter().enumerate() {
            if cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                return Ok(None);
            }
            let batch = self.train.batch(group)?;
            learning_rate = schedule.learning_rate(epoch, index, groups.len());
            let Some(step) = self.step(&batch, epoch, index, learning_rate)? else { continue };
            sum += step.loss * step.total;
            total += step.total;
            norms += step.gradient_norm;
            for (row, (&sequence, &length)) in batch.indices.iter().zip(&batch.lengths).enumerate() {
                outputs[sequence] = evaluate::own_rows(&step.outputs, &self.job.architecture, row, batch.batch, length);
            }
            progress.on_batch(&BatchReport {
                epoch: epoch + 1,
                batch: index + 1,
                batches: groups.len(),
                loss: step.loss,
                gradient_norm: step.gradient_norm,
                learning_rate,
            });
        }
        let trained = began.elapsed().as_secs_f64();
        let seen = evaluate::metrics(&self.job.splits.train, self.job.target_scaler.as_ref(), &outputs);
        let mut metrics = named("", if total > 0.0 { sum / total } else { 0.0 }, &seen);
        metrics.extend(self.validate()?);
        // Before anything of this epoch is kept: neither a checkpoint nor a resume state can hold such a number.
        if let Some((name, &value)) = metrics.iter().find(|(_, value)| !value.is_finite()) {
            let (split, metric) = match name.strip_prefix("val_") {
                Some(metric) => ("validation split", metric),
                None => ("training split", name.as_str()),
            };
            return Err(TrainError::NonFinite {
                epoch: epoch + 1,
                batch: None,
                what: format!("{split}'s {metric}"),
                value,
                learning_rate,
                advice: advice(self.job.config.training.clip, split),
            });
        }
        Ok(Some(EpochReport {
            epoch: epoch + 1,
            epochs: self.job.config.training.epochs,
            metrics,
            learning_rate,
            gradient_norm: norms / groups.len() as f64,
            seconds: began.elapsed().as_secs_f64(),
            sequences_per_second: self.train.len() as f64 / trained.max(CLOCK_TICK),
            best: false,
        }))
    }

    /// One step of the optimizer; `None` if no target in the batch counts.
    fn step(
        &mut self,
        batch: &Batch,
        epoch: usize,
        index: usize,
        learning_rate: f64,
    ) -> Result<Option<StepResult>, TrainError> {
        let Some(target) = self.loss.target::<B>(batch, &self.device) else { return Ok(None) };
        let training = &self.job.config.training;
        let architecture = &self.job.architecture;
        let input = Input::new(batch, architecture, &self.device);
        let key = [Purpose::Dropout as u64, training.seed, epoch as u64, index as u64];
        let mut dropout = Dropout::training(architecture.dropout, Rng::keyed(&key));
        let output = self.network.forward(architecture, &input, &mut dropout);
        let outputs = values(output.clone().inner());
        let loss = self.loss.mean(output, &target);
        let value = loss.clone().into_scalar().elem::<f64>();
        let failed = |what: &str, value: f64| TrainError::NonFinite {
            epoch: epoch + 1,
            batch: Some(index + 1),
            what: what.into(),
            value,
            learning_rate,
            advice: advice(training.clip, "data"),
        };
        if !value.is_finite() {
            return Err(failed("loss", value));
        }
        let objective = match penalty(&self.network, training.l1, training.l2) {
            Some(penalty) => loss + penalty,
            None => loss,
        };
        let mut gradients = GradientsParams::from_grads(objective.backward(), &self.network);
        let norm = clip(&mut gradients, &self.network, training.clip);
        if !norm.is_finite() {
            return Err(failed("gradient's norm", norm));
        }
        self.network = self.optimizer.step(learning_rate, self.network.clone(), gradients);
        Ok(Some(StepResult { loss: value, gradient_norm: norm, total: target.total, outputs }))
    }

    /// Loss and metrics of the validation split by name; nothing without one.
    fn validate(&self) -> Result<BTreeMap<String, f64>, DataError> {
        if self.validation.is_empty() {
            return Ok(BTreeMap::new());
        }
        let network = self.network.valid();
        let architecture = &self.job.architecture;
        let (outputs, loss) =
            evaluate::outputs(&network, architecture, self.validation, Some(&self.loss), &self.device)?;
        let metrics = evaluate::metrics(&self.job.splits.validation, self.job.target_scaler.as_ref(), &outputs);
        Ok(named("val_", loss.unwrap_or(0.0), &metrics))
    }
}

/// The shortest time that is believed, in seconds: a rate stays finite even by a clock that has not moved.
const CLOCK_TICK: f64 = 1e-9;

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

fn advice(clip: Option<ClipConfig>, data: &str) -> String {
    let first = match clip {
        None => "set training.clip = { norm = 1.0 }",
        Some(ClipConfig::Norm(_) | ClipConfig::Value(_)) => "lower training.clip",
    };
    format!("{first}, lower training.optimizer.learning_rate, or look for extreme values in the {data}")
}
