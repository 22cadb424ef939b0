//! What is trained on to find out: the configuration's own splits, or a part of them that fits the time.

use std::borrow::Cow;

use emberloop_core::{Config, architecture, config::ScheduleConfig};
use emberloop_data::{Dataset, SequenceTarget, Splits};

/// What a training may cost, in seconds of one core by [`seconds`]: an estimate, so that a slow machine examines the same.
const BUDGET: f64 = 5.0;
/// Epochs that are worth more than data.
const EPOCHS: usize = 12;
/// Steps of the optimizer that an epoch of a part of the data has at least.
const STEPS: usize = 20;
/// So many training sequences can spare some to judge by.
const HELD_OUT_FROM: usize = 10;
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
    /// Training sequences that there are.
    pub sequences: usize,
    /// Whether validation sequences were held out of the training split, for want of any.
    pub held_out: bool,
}

impl Study {
    /// As much of a configuration and its splits as the budget allows.
    ///
    /// # Errors
    /// If streamed data cannot be read any more.
    pub fn new(config: &Config, splits: &Splits) -> Result<Study, emberloop_data::DataError> {
        let owned;
        let held_out = splits.validation.sequences.is_empty() && splits.train.sequences.len() >= HELD_OUT_FROM;
        let splits = if held_out {
            owned = hold_out(splits);
            &owned
        } else {
            splits
        };
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
        // Fewer sequences must not mean fewer steps of the optimizer than learning takes.
        if sequences < all {
            config.training.batch = config.training.batch.min((sequences / STEPS).max(8));
        }
        let share = sequences as f64 / all.max(1) as f64;
        Ok(Study { config, splits, share, epochs, sequences: all, held_out })
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

/// Every fifth training sequence of each class, in the place of a validation split.
fn hold_out(splits: &Splits) -> Splits {
    let order = by_class(&splits.train);
    let mut sides = [Vec::new(), Vec::new()];
    order.iter().enumerate().for_each(|(at, &place)| sides[usize::from(at % 5 == 2)].push(place));
    let [train, validation] = sides.map(|mut places| {
        places.sort_unstable();
        with(&splits.train, &places)
    });
    Splits { train, validation, test: None, notes: Vec::new() }
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
    let order = by_class(dataset);
    let mut chosen: Vec<usize> = (0..count).map(|place| order[place * found / count]).collect();
    chosen.sort_unstable();
    with(dataset, &chosen)
}

/// The places of all sequences, class by class, so that an even choice of them lets no rare one fall through.
fn by_class(dataset: &Dataset) -> Vec<usize> {
    let mut order: Vec<usize> = (0..dataset.sequences.len()).collect();
    order.sort_by_key(|&place| match &dataset.sequences[place].target {
        SequenceTarget::Class(class) => *class,
        SequenceTarget::Classes(classes) => classes.first().copied().unwrap_or(0),
        SequenceTarget::Values(_) | SequenceTarget::StepValues(_) | SequenceTarget::Absent => 0,
    });
    order
}

/// A dataset of some of the sequences.
fn with(dataset: &Dataset, places: &[usize]) -> Dataset {
    let Dataset { inputs, targets, target_per, hash, path, .. } = dataset;
    Dataset {
        inputs: inputs.clone(),
        targets: targets.clone(),
        target_per: *target_per,
        sequences: places.iter().map(|&place| dataset.sequences[place].clone()).collect(),
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
    let architecture = architecture(config, train);
    // A table is looked up, not multiplied with.
    let table = architecture.embedding.map_or(0, |embedding| embedding.vocabulary * embedding.dimension);
    let operations = 6.0 * steps as f64 * (architecture.parameters() - table) as f64;
    epochs as f64 * (operations / SPEED + batches as f64 * STEP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{config, splits};

    fn classes(dataset: &Dataset) -> Vec<usize> {
        dataset.class_counts()
    }

    #[test]
    fn what_is_held_out_is_not_trained_on() {
        let study = Study::new(&config(), &splits(60, 0)).unwrap();
        assert!(study.held_out);
        assert_eq!(classes(&study.splits.train), [16, 16, 16]);
        assert_eq!(classes(&study.splits.validation), [4, 4, 4]);
        let names = |dataset: &Dataset| dataset.sequences.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        let (train, validation) = (names(&study.splits.train), names(&study.splits.validation));
        assert!(validation.iter().all(|name| !train.contains(name)));
        assert!(!Study::new(&config(), &splits(60, 9)).unwrap().held_out);
        assert!(!Study::new(&config(), &splits(6, 0)).unwrap().held_out, "too few to spare any");
    }

    #[test]
    fn small_data_are_taken_whole_and_large_ones_in_part() {
        let small = Study::new(&config(), &splits(60, 9)).unwrap();
        assert!(small.is_whole() && small.config == config());
        let mut large = config();
        large.model.hidden = vec![256];
        large.training.batch = 512;
        let part = Study::new(&large, &splits(40_000, 999)).unwrap();
        assert!(!part.is_whole() && part.sequences == 40_000);
        let taken = classes(&part.splits.train);
        assert!(taken.iter().all(|&count| count * 3 >= part.splits.train.sequences.len() - 3), "{taken:?}");
        let steps = part.splits.train.sequences.len().div_ceil(part.config.training.batch);
        assert!(steps >= STEPS, "{steps} steps of an epoch");
    }

    #[test]
    fn a_sample_has_every_class_by_its_share() {
        let some = sample(&splits(300, 0).train, 30);
        assert_eq!(classes(&some), [10, 10, 10]);
        assert_eq!(sample(&splits(5, 0).train, 30).sequences.len(), 5);
    }
}
