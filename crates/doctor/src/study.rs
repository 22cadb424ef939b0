//! What is trained on to find out: the configuration's own splits, or a part of them that fits the time.

use std::borrow::Cow;

use emberloop_core::{Config, architecture, config::ScheduleConfig};
use emberloop_data::{Dataset, SequenceTarget, Splits};

/// What a training may cost, in seconds of one core by [`seconds`]: an estimate, so that a slow machine examines the same.
const BUDGET: f64 = 5.0;
/// Epochs that are worth more than data.
const EPOCHS: usize = 12;
/// Sequences that are worth more than epochs.
const SEQUENCES: usize = 1000;

/// What the examination trains on.
pub struct Study {
    /// With as many epochs as can be afforded.
    pub config: Config,
    /// With as many sequences as can be afforded.
    pub splits: Splits,
    /// The share of the training sequences that was taken.
    pub share: f64,
    /// Epochs that the configuration asks for.
    pub epochs: usize,
}

impl Study {
    /// As much of a configuration and its splits as the budget allows.
    ///
    /// # Errors
    /// If streamed data cannot be read any more.
    pub fn new(config: &Config, splits: &Splits) -> Result<Study, emberloop_data::DataError> {
        let epochs = config.training.epochs;
        let all = splits.train.sequences.len();
        let full = seconds(config, &splits.train, epochs);
        let (mut sequences, mut budgeted) = (all, epochs);
        if full > BUDGET {
            let per_epoch = full / epochs as f64;
            budgeted = epochs.min(EPOCHS.max((BUDGET / per_epoch) as usize));
            let share = (BUDGET / (per_epoch * budgeted as f64)).min(1.0);
            sequences = ((all as f64 * share) as usize).max(SEQUENCES.min(all)).max(config.training.batch.min(all));
            let left = seconds(config, &splits.train, 1) * sequences as f64 / all as f64;
            budgeted = budgeted.min(((2.0 * BUDGET / left) as usize).max(2));
        }
        let splits = Splits {
            train: take(&splits.train, sequences)?,
            validation: take(&splits.validation, (sequences / 2).max(SEQUENCES))?,
            test: None,
            notes: Vec::new(),
        };
        let mut config = config.clone();
        config.training.epochs = budgeted;
        if config.training.schedule.warmup_epochs() >= budgeted {
            config.training.schedule = ScheduleConfig::default();
        }
        let share = sequences as f64 / all.max(1) as f64;
        Ok(Study { config, splits, share, epochs })
    }

    /// How many epochs of these data can be afforded, at most.
    pub fn affordable_epochs(&self) -> usize {
        let one = seconds(&self.config, &self.splits.train, 1);
        ((BUDGET / one) as usize).max(self.config.training.epochs)
    }

    /// Whether everything was trained on that the configuration names.
    pub fn is_whole(&self) -> bool {
        self.share >= 1.0 && self.config.training.epochs == self.epochs
    }
}

/// At most `count` sequences, in memory.
fn take(dataset: &Dataset, count: usize) -> Result<Dataset, emberloop_data::DataError> {
    let all = dataset.sequences.len();
    let dataset = match dataset.is_streamed() {
        // At most what an examination can look at.
        true => dataset.sample(1 << 24)?,
        false => Cow::Borrowed(dataset),
    };
    let found = dataset.sequences.len();
    if count.min(found) == all {
        return Ok(dataset.into_owned());
    }
    Ok(sample(&dataset, count))
}

/// `count` sequences of a dataset, as many of each class as their shares say, in their order.
pub fn sample(dataset: &Dataset, count: usize) -> Dataset {
    let found = dataset.sequences.len();
    let count = count.min(found);
    // By class, so that a rare one does not fall through.
    let mut order: Vec<usize> = (0..found).collect();
    order.sort_by_key(|&place| match &dataset.sequences[place].target {
        SequenceTarget::Class(class) => *class,
        SequenceTarget::Classes(classes) => classes.first().copied().unwrap_or(0),
        SequenceTarget::Values(_) | SequenceTarget::StepValues(_) | SequenceTarget::Absent => 0,
    });
    let mut chosen: Vec<usize> = (0..count).map(|place| order[place * found / count]).collect();
    chosen.sort_unstable();
    let sequences = chosen.into_iter().map(|place| dataset.sequences[place].clone()).collect();
    let Dataset { inputs, targets, target_per, hash, path, .. } = dataset;
    Dataset {
        inputs: inputs.clone(),
        targets: targets.clone(),
        target_per: *target_per,
        sequences,
        hash: hash.clone(),
        path: path.clone(),
    }
}

/// An estimate of what so many epochs cost on one core, from the number of multiplications and of steps.
fn seconds(config: &Config, train: &Dataset, epochs: usize) -> f64 {
    /// Floating point operations per second of the fused kernels, on a modest machine.
    const SPEED: f64 = 3e10;
    /// Of a step of the optimizer, beside its kernels.
    const STEP: f64 = 3e-4;
    let steps: usize = train.sequences.iter().map(|sequence| sequence.steps).sum();
    let batches = train.sequences.len().div_ceil(config.training.batch.max(1));
    let operations = 6.0 * steps as f64 * architecture(config, train).parameters() as f64;
    epochs as f64 * (operations / SPEED + batches as f64 * STEP)
}
