//! One training from start to checkpoint, whatever its weights start from.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::PathBuf,
};

use emberloop_checkpoint::{
    Architecture, Checkpoint, EmbeddingShape, FORMAT, Metadata, Pooling, Provenance, Task as ModelTask, Tensor,
};
use emberloop_data::{DataError, Dataset, Inputs, Prepared, Scaler, Splits, TargetPer, TargetScaler, Targets, Task};

use super::{Ended, Options, Outcome, epoch::Trainer, part::Lesson, resume, stopping::Stopping, team::Team};
use crate::{
    backend::{self, Device, DeviceError},
    config::{Config, ScheduleConfig},
    evaluate,
    loss::Loss,
    metrics::{Metrics, by_name},
    monitor::Metric,
    progress::{EpochReport, Progress, Start},
    recurrence::TrainBackend,
    schedule::Schedule,
};

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The data cannot be scaled.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Configuration, data and parent model do not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Mismatch {
        /// The key or the part.
        what: String,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The loss, its gradient or a metric is no number.
    #[error("epoch {epoch}{}: the {what} is {value} at learning rate {learning_rate}; {advice}", of_batch(batch))]
    NonFinite {
        /// Counted from 1.
        epoch: usize,
        /// Counted from 1; `None` for what was computed when the epoch was over.
        batch: Option<usize>,
        /// Loss or gradient, or which split's metric.
        what: String,
        /// NaN or infinite.
        value: f64,
        /// The rate of the last step.
        learning_rate: f64,
        /// What to change.
        advice: String,
    },
    /// A device has ceased to answer.
    #[error(
        "epoch {epoch}: device number {device} of those that share the training has failed (the lines above say why); every finished epoch that was saved can be gone on from with --resume"
    )]
    DeviceLost {
        /// Counted from 1.
        epoch: usize,
        /// Its place in the list of devices, counted from 1.
        device: usize,
    },
    /// Stopped from outside.
    #[error("training interrupted in epoch {epoch}; {}", kept(resume))]
    Interrupted {
        /// Counted from 1; it was not finished.
        epoch: usize,
        /// The resume file, if there is one.
        resume: Option<PathBuf>,
    },
    /// The resume state cannot be used.
    #[error("{}: {reason}", path.display())]
    Resume {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The resume state cannot be written.
    #[error("{}: cannot be written (what was there is unchanged): {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

fn of_batch(batch: &Option<usize>) -> String {
    batch.map(|batch| format!(", batch {batch}")).unwrap_or_default()
}

fn kept(resume: &Option<PathBuf>) -> String {
    match resume {
        Some(path) => format!("every finished epoch is in {}: go on with --resume", path.display()),
        None => "nothing was kept".into(),
    }
}

/// Everything that decides the result.
pub(crate) struct Job<'a> {
    pub config: &'a Config,
    pub splits: &'a Splits,
    pub architecture: Architecture,
    pub scaler: Scaler,
    pub target_scaler: Option<TargetScaler>,
    /// The weights to start from.
    pub tensors: BTreeMap<String, Tensor>,
    /// The names of weights that stay as they are.
    pub frozen: BTreeSet<String>,
    /// The hash of the checkpoint that `tensors` come from.
    pub parent: Option<String>,
}

/// The network that a configuration and its data ask for.
pub fn architecture(config: &Config, train: &Dataset) -> Architecture {
    let embedding = match &train.inputs {
        Inputs::Channels(_) => None,
        Inputs::Tokens { vocabulary, .. } => {
            Some(EmbeddingShape { vocabulary: vocabulary.len(), dimension: config.model.embedding.dimension })
        }
    };
    Architecture {
        cell: config.model.cell_kind(),
        inputs: embedding.map_or(train.channels(), |embedding| embedding.dimension),
        embedding,
        hidden: config.model.hidden.clone(),
        bidirectional: config.model.bidirectional,
        pooling: config.model.pooling(train.target_per),
        outputs: train.targets.outputs(),
        task: match config.data.task {
            Task::Classification => ModelTask::Classification,
            Task::Regression => ModelTask::Regression,
        },
        dropout: config.model.dropout,
    }
}

/// Checks that the splits are what the configuration says they are, and that there is something to learn from.
pub(crate) fn check_targets(config: &Config, splits: &Splits) -> Result<(), TrainError> {
    let mismatch = |what: &str, expected: &str, found: &str| {
        Err(TrainError::Mismatch { what: what.into(), expected: expected.into(), found: found.into() })
    };
    if splits.train.sequences.is_empty() {
        return mismatch("training split", "at least one sequence", "none");
    }
    match (&splits.train.targets, config.data.task) {
        (Targets::Classes { .. }, Task::Classification) | (Targets::Values { .. }, Task::Regression) => (),
        (Targets::Classes { .. }, Task::Regression) => return mismatch("data.task", "values", "classes"),
        (Targets::Values { .. }, Task::Classification) => return mismatch("data.task", "classes", "values"),
    }
    let every = config.model.pooling(splits.train.target_per) == Pooling::Every;
    if every != (splits.train.target_per == TargetPer::Step) {
        return mismatch("model.head", "\"every\" exactly where targets are per step", "otherwise");
    }
    if splits.validation.sequences.is_empty() {
        let stopping = config.training.early_stopping.as_ref().and_then(|stopping| stopping.monitor);
        let plateau = match &config.training.schedule {
            ScheduleConfig::Plateau { monitor, .. } => *monitor,
            ScheduleConfig::Step { .. } | ScheduleConfig::Cosine { .. } | ScheduleConfig::None { .. } => None,
        };
        if let Some(monitor) = [stopping, plateau].into_iter().flatten().find(|monitor| monitor.validation) {
            let found = monitor.to_string();
            return mismatch("monitor", "a metric of the training split, as there is no validation split", &found);
        }
    }
    Ok(())
}

/// Runs a job on its devices.
pub(crate) fn run(job: Job<'_>, options: &Options, progress: &mut dyn Progress) -> Result<Outcome, TrainError> {
    // Before a thread is started, and before data that may be large are scaled.
    backend::check_devices(&options.devices)?;
    let threads = options.threads.map_or_else(rayon::current_num_threads, NonZeroUsize::get);
    // Each device computes in a pool of its own: a thread that waits for another device must not hold up that device's work.
    let of_each = (threads / options.devices.len()).max(1);
    let pool = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(of_each).build();
        pool.map_err(|error| TrainError::Mismatch {
            what: "threads".into(),
            expected: "a number that the system can start".into(),
            found: format!("{threads} ({error})"),
        })
    };
    let own = pool()?;
    let pools = options.devices[1..].iter().map(|_| pool()).collect::<Result<_, _>>()?;
    own.install(|| backend::dispatch_all(&options.devices, Running { job, options, pools, progress }))?
}

struct Running<'a> {
    job: Job<'a>,
    options: &'a Options,
    /// Of the devices after the first.
    pools: Vec<rayon::ThreadPool>,
    progress: &'a mut dyn Progress,
}

impl backend::Task for Running<'_> {
    type Output = Result<Outcome, TrainError>;

    fn run<B: TrainBackend>(self, devices: &[B::Device]) -> Self::Output {
        let Running { job, options, pools, progress } = self;
        let (config, splits) = (job.config, job.splits);
        let prepare = |dataset| Prepared::new(dataset, &job.scaler, job.target_scaler.as_ref());
        let (train, validation) = (prepare(&splits.train)?, prepare(&splits.validation)?);
        // A test split that cannot be scaled is refused here, not when the model is there and would be lost.
        splits.test.as_ref().map(prepare).transpose()?;
        let has_validation = !validation.is_empty();
        let training = &config.training;
        let loss = Loss::new(training.loss.as_ref(), config.data.task, &splits.train).map_err(|wrong| {
            TrainError::Mismatch {
                what: "training.loss.class_weights".into(),
                expected: format!("one weight for each of the {} classes", wrong.classes),
                found: wrong.found.to_string(),
            }
        })?;
        let base = training.optimizer.learning_rate();
        let mut state = resume::State {
            epoch: 0,
            schedule: Schedule::new(&training.schedule, base, training.epochs, has_validation),
            stopping: Stopping::new(config, has_validation),
            kept: job.tensors.clone(),
            kept_epoch: 0,
            history: Vec::new(),
            ended: None,
        };
        let lesson = Lesson { architecture: &job.architecture, training, loss };
        std::thread::scope(|scope| {
            let team = Team::start(&devices[1..], &lesson, pools, scope);
            let mut trainer = Trainer::<B>::new(&job, &train, &validation, &lesson, team, devices[0].clone());
            let folder = options.resume_dir.as_ref();
            let mut saver = folder.map(|folder| resume::Saver::new(folder.join(super::RESUME_FILE), options, &job));
            if let Some(saver) = saver.as_mut().filter(|_| options.resume) {
                saver.read(&mut state, &mut trainer)?;
            }
            progress.on_start(&Start {
                epochs: training.epochs,
                finished: state.epoch,
                batches: train.len().div_ceil(training.batch).div_ceil(training.accumulate),
                sequences: train.len(),
                validation_sequences: validation.len(),
                parameters: job.architecture.parameters(),
                device: names(&options.devices),
                monitor: state.stopping.monitor().to_string(),
            });
            while state.ended.is_none() {
                let epoch = state.epoch;
                let result = trainer.epoch(epoch, &state.schedule, options.cancel.as_deref(), progress)?;
                let Some(mut report) = result else {
                    let resume = saver.map(|saver| saver.interrupted(&state)).transpose()?.flatten();
                    return Err(TrainError::Interrupted { epoch: epoch + 1, resume });
                };
                let value = |name: String| report.metrics.get(&name).copied().unwrap_or(f64::NAN);
                if let Some(monitor) = state.schedule.monitor() {
                    state.schedule.epoch_ended(epoch, value(monitor.to_string()));
                }
                let verdict = state.stopping.epoch_ended(value(state.stopping.monitor().to_string()));
                report.best = verdict.best;
                state.epoch += 1;
                if verdict.keep {
                    state.kept = trainer.network.to_tensors();
                    state.kept_epoch = state.epoch;
                }
                state.ended = if verdict.stop {
                    Some(Ended::EarlyStopped)
                } else {
                    (state.epoch == training.epochs).then_some(Ended::Completed)
                };
                state.history.push(report.clone());
                if let Some(saver) = &mut saver {
                    saver.epoch_ended(&state, &trainer)?;
                }
                progress.on_epoch(&report);
            }
            finish(&job, state, options)
        })
    }
}

fn names(devices: &[Device]) -> String {
    devices.iter().map(Device::to_string).collect::<Vec<_>>().join(", ")
}

/// The checkpoint of the kept weights, with its metrics on every split.
fn finish(job: &Job<'_>, state: resume::State, options: &Options) -> Result<Outcome, TrainError> {
    let mut metrics = kept_metrics(&state.history, state.kept_epoch);
    let mut notes = Vec::new();
    let mut checkpoint = Checkpoint {
        metadata: Metadata {
            format: FORMAT,
            architecture: job.architecture.clone(),
            schema: job.splits.train.schema(),
            scaler: job.scaler.clone(),
            target_scaler: job.target_scaler.clone(),
            config: serde_json::to_value(job.config).expect("a configuration is plain data"),
            metrics: BTreeMap::new(),
            provenance: Provenance {
                emberloop: env!("CARGO_PKG_VERSION").into(),
                seed: job.config.training.seed,
                data_hash: job.splits.train.hash.clone(),
                epochs: state.kept_epoch as u64,
                parent: job.parent.clone(),
                versions: BTreeMap::from([("burn".into(), BURN_VERSION.into())]),
            },
        },
        tensors: state.kept,
    };
    if let Some(test) = job.splits.test.as_ref().filter(|test| !test.sequences.is_empty()) {
        let evaluated = evaluate::evaluate(&checkpoint, test, options.devices[0]).map_err(|error| match error {
            evaluate::EvaluateError::Device(error) => TrainError::Device(error),
            evaluate::EvaluateError::Data(error) => TrainError::Data(error),
            evaluate::EvaluateError::Mismatch { what, expected, found } => {
                TrainError::Mismatch { what, expected, found }
            }
        })?;
        // The model is worth more than its test: a number that no checkpoint can hold is left out, and said.
        for (name, value) in named("test_", evaluated.loss, &evaluated.metrics) {
            if value.is_finite() {
                metrics.insert(name, value);
            } else {
                notes.push(format!("{name} is {value} and left out; look for extreme values in the test split"));
            }
        }
    }
    checkpoint.metadata.metrics = metrics.clone();
    let ended = state.ended.expect("training has ended");
    Ok(Outcome { checkpoint, history: state.history, metrics, notes, kept_epoch: state.kept_epoch, ended })
}

/// The workspace pins burn to this version.
const BURN_VERSION: &str = "0.21.0";

fn kept_metrics(history: &[EpochReport], epoch: usize) -> BTreeMap<String, f64> {
    history.iter().find(|report| report.epoch == epoch).map(|report| report.metrics.clone()).unwrap_or_default()
}

/// Loss and metrics by name, behind a prefix such as `val_`.
pub(super) fn named(prefix: &str, loss: f64, metrics: &Metrics) -> BTreeMap<String, f64> {
    let mut all = by_name(metrics);
    all.insert(Metric::Loss, loss);
    all.into_iter().map(|(metric, value)| (format!("{prefix}{}", metric.name()), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_burn_is_the_one_that_is_locked() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
        let lock: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let packages = lock["package"].as_array().unwrap();
        let burn: Vec<_> = packages.iter().filter(|package| package["name"].as_str() == Some("burn")).collect();
        assert_eq!(burn.iter().map(|burn| burn["version"].as_str()).collect::<Vec<_>>(), [Some(BURN_VERSION)]);
    }
}
