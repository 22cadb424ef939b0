//! Training: from a configuration and splits to a checkpoint.

mod epoch;
mod job;
mod order;
mod part;
mod resume;
mod stopping;
mod team;

pub(crate) use job::{Job, check_targets, run};
pub use job::{TrainError, architecture};
pub use resume::RESUME_FILE;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use emberloop_checkpoint::Checkpoint;
use emberloop_data::{Scaler, Splits, TargetScaler};
use serde::{Deserialize, Serialize};

use crate::{
    backend::Device,
    config::Config,
    model::initial_tensors,
    progress::{EpochReport, Progress},
};

/// How to run, as opposed to what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to compute. Several devices of one kind share each batch between them (data-parallel training): each has a
    /// part of its sequences, and their gradients are added up before every step.
    pub devices: Vec<Device>,
    /// Threads of the CPU that the recurrent layers run on; as many as there are cores if `None`. The result does not
    /// depend on it.
    pub threads: Option<NonZeroUsize>,
    /// Where the resume state goes, as [`RESUME_FILE`]; nowhere if `None`. It is written after the first epoch, then when
    /// an epoch ends so long after the last writing as `save_interval` says, and at the end.
    pub resume_dir: Option<PathBuf>,
    /// What a kill costs at most, beside the epoch that it stops; by default two seconds. To wait for the disk after every
    /// short epoch would cost more.
    pub save_interval: Duration,
    /// Go on from the state in `resume_dir`. If an earlier run left none (it ended before its first epoch did), start
    /// from the beginning: either way the result is that of an uninterrupted run.
    pub resume: bool,
    /// Set to stop before the next batch, with the last finished epoch on disk.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            devices: vec![Device::default()],
            threads: None,
            resume_dir: None,
            save_interval: Duration::from_secs(2),
            resume: false,
            cancel: None,
        }
    }
}

/// What training yields.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The model.
    pub checkpoint: Checkpoint,
    /// Every epoch, resumed ones included.
    pub history: Vec<EpochReport>,
    /// `val_...` and, where there is a test split, `test_...` are of the kept weights. The training split's (without a
    /// prefix) are running means of the epoch that led to them, with dropout and weights that still moved.
    pub metrics: BTreeMap<String, f64>,
    /// What a person should know, such as a metric of the test split that is no number.
    pub notes: Vec<String>,
    /// The epoch whose weights were kept, counted from 1.
    pub kept_epoch: usize,
    /// Why training ended.
    pub ended: Ended,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All epochs ran.
    Completed,
    /// The monitored metric had stopped getting better.
    EarlyStopped,
}

/// Trains a fresh model.
///
/// On the CPU the result depends on configuration and data alone: neither on the observer, nor on interruptions, nor on
/// what else runs in the process.
pub fn train(
    config: &Config,
    splits: &Splits,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Outcome, TrainError> {
    check_targets(config, splits)?;
    let scaler = Scaler::fit(&splits.train, config.scaler.kind, config.scaler.missing)?;
    let target_scaler = TargetScaler::fit(&splits.train, config.scaler.target)?;
    let architecture = architecture(config, &splits.train);
    let tensors = initial_tensors(&architecture, config.training.seed);
    let job =
        Job { config, splits, architecture, scaler, target_scaler, tensors, frozen: BTreeSet::new(), parent: None };
    run(job, options, progress)
}

#[cfg(test)]
mod streamed;
#[cfg(test)]
mod tests;
