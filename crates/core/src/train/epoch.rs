//! One epoch: batches in a keyed order, gradients of all parts, clip, step; then validation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use burn::module::AutodiffModule;
use emberloop_checkpoint::Architecture;
use emberloop_data::{Batch, DataError, Prepared};

use super::{
    job::{Job, TrainError, named},
    order,
    part::{Lesson, Part},
    team::{Team, add},
};
use crate::{
    clip::clip,
    config::ClipConfig,
    evaluate,
    model::Network,
    optim::Optimizer,
    progress::{BatchReport, EpochReport, Progress, Weights},
    recurrence::TrainBackend,
    schedule::Schedule,
};

/// What changes while training, and what it is trained on.
pub(super) struct Trainer<'a, B: TrainBackend> {
    job: &'a Job<'a>,
    train: &'a Prepared,
    validation: &'a Prepared,
    lesson: &'a Lesson<'a>,
    team: Team<B>,
    pub(super) device: B::Device,
    pub(super) network: Network<B>,
    pub(super) optimizer: Optimizer<B>,
}

/// What one step of the optimizer yields.
struct StepResult {
    loss: f64,
    gradient_norm: f64,
    /// The share of this step in the mean over the epoch.
    total: f64,
}

impl<'a, B: TrainBackend> Trainer<'a, B> {
    pub(super) fn new(
        job: &'a Job<'a>,
        train: &'a Prepared,
        validation: &'a Prepared,
        lesson: &'a Lesson<'a>,
        team: Team<B>,
        device: B::Device,
    ) -> Self {
        let network = Network::from_tensors(&job.architecture, &job.tensors, &job.frozen, &device);
        let optimizer = Optimizer::new(&job.config.training.optimizer);
        Self { job, train, validation, lesson, team, device, network, optimizer }
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
        let steps = groups.chunks(self.job.config.training.accumulate);
        let batches = steps.len();
        let mut outputs = vec![Vec::new(); self.train.len()];
        let (mut sum, mut total, mut norms, mut learning_rate) = (0.0, 0.0, 0.0, 0.0);
        self.show_weights(epoch, 0, progress);
        for (index, group) in steps.enumerate() {
            if cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                return Ok(None);
            }
            learning_rate = schedule.learning_rate(epoch, index, batches);
            let Some(step) = self.step(self.parts(group, epoch, index)?, learning_rate, &mut outputs)? else {
                continue;
            };
            sum += step.loss * step.total;
            total += step.total;
            norms += step.gradient_norm;
            progress.on_batch(&BatchReport {
                epoch: epoch + 1,
                batch: index + 1,
                batches,
                loss: step.loss,
                gradient_norm: step.gradient_norm,
                learning_rate,
            });
            self.show_weights(epoch, index + 1, progress);
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
            gradient_norm: norms / batches as f64,
            seconds: began.elapsed().as_secs_f64(),
            sequences_per_second: self.train.len() as f64 / trained.max(CLOCK_TICK),
            best: false,
        }))
    }

    /// Lets an observer that asked for them see the weights after `batch` batches.
    fn show_weights(&self, epoch: usize, batch: usize, progress: &mut dyn Progress) {
        let epoch = epoch + 1;
        if progress.wants_weights(epoch, batch) {
            let (architecture, tensors) = (&self.job.architecture, &self.network.to_tensors());
            progress.on_weights(&Weights { epoch, batch, architecture, tensors });
        }
    }

    /// The parts of a step: its batches, each divided among the devices.
    fn parts(&self, batches: &[Vec<usize>], epoch: usize, step: usize) -> Result<Vec<Part>, DataError> {
        let shares = batches.iter().flat_map(|batch| batch.chunks(batch.len().div_ceil(self.team.size())));
        let batches: Vec<Batch> = shares.map(|sequences| self.train.batch(sequences)).collect::<Result<_, _>>()?;
        // A part without a target that counts teaches nothing; and what is counted once for a step is the first part's.
        let counted = batches.into_iter().map(|batch| (self.lesson.loss.total(&batch), batch));
        let counted: Vec<_> = counted.filter(|(total, _)| *total > 0.0).collect();
        let total = counted.iter().map(|(total, _)| total).sum();
        let parts = counted.into_iter().enumerate();
        Ok(parts.map(|(part, (_, batch))| Part { batch, epoch, step, part, total }).collect())
    }

    /// One step of the optimizer, which also fills in the outputs of its sequences; `None` if none of their targets counts.
    fn step(
        &mut self,
        parts: Vec<Part>,
        learning_rate: f64,
        outputs: &mut [Vec<f32>],
    ) -> Result<Option<StepResult>, TrainError> {
        let Some(&Part { epoch, step, total, .. }) = parts.first() else { return Ok(None) };
        let (mut loss, mut gradients) = (0.0, None);
        for round in parts.chunks(self.team.size()) {
            let learned = self
                .team
                .learn(self.lesson, &self.network, round, &self.device)
                .map_err(|device| TrainError::DeviceLost { epoch: epoch + 1, device: device + 1 })?;
            for (part, learned) in round.iter().zip(learned) {
                let Some(learned) = learned else { continue };
                loss += learned.loss;
                let batch = &part.batch;
                for (row, (&sequence, &length)) in batch.indices.iter().zip(&batch.lengths).enumerate() {
                    outputs[sequence] =
                        evaluate::own_rows(&learned.outputs, &self.job.architecture, row, batch.batch, length);
                }
                match &mut gradients {
                    None => gradients = Some(learned.gradients),
                    Some(sum) => add(sum, learned.gradients, &self.network),
                }
            }
        }
        let Some(mut gradients) = gradients else { return Ok(None) };
        let clipping = self.job.config.training.clip;
        let failed = |what: &str, value: f64| TrainError::NonFinite {
            epoch: epoch + 1,
            batch: Some(step + 1),
            what: what.into(),
            value,
            learning_rate,
            advice: advice(clipping, "data"),
        };
        if !loss.is_finite() {
            return Err(failed("loss", loss));
        }
        let gradient_norm = clip(&mut gradients, &self.network, clipping);
        if !gradient_norm.is_finite() {
            return Err(failed("gradient's norm", gradient_norm));
        }
        self.network = self.optimizer.step(learning_rate, self.network.clone(), gradients);
        Ok(Some(StepResult { loss, gradient_norm, total }))
    }

    /// Loss and metrics of the validation split by name; nothing without one.
    fn validate(&self) -> Result<BTreeMap<String, f64>, DataError> {
        if self.validation.is_empty() {
            return Ok(BTreeMap::new());
        }
        let network = self.network.valid();
        let architecture = &self.job.architecture;
        let (outputs, loss) =
            evaluate::outputs(&network, architecture, self.validation, Some(&self.lesson.loss), &self.device)?;
        let metrics = evaluate::metrics(&self.job.splits.validation, self.job.target_scaler.as_ref(), &outputs);
        Ok(named("val_", loss.unwrap_or(0.0), &metrics))
    }
}

/// The shortest time that is believed, in seconds: a rate stays finite even by a clock that has not moved.
const CLOCK_TICK: f64 = 1e-9;

fn advice(clip: Option<ClipConfig>, data: &str) -> String {
    let first = match clip {
        None => "set training.clip = { norm = 1.0 }",
        Some(ClipConfig::Norm(_) | ClipConfig::Value(_)) => "lower training.clip",
    };
    format!("{first}, lower training.optimizer.learning_rate, or look for extreme values in the {data}")
}
