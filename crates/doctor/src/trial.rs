//! One short training, watched and judged.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use emberloop_checkpoint::Checkpoint;
use emberloop_core::{Config, Options, TrainError, train};
use emberloop_data::{Dataset, Splits};

use crate::score::Score;
use crate::study::sample;
use crate::watch::Watch;

/// Training sequences that a model is judged on: enough to know whether it learned them.
const JUDGED: usize = 600;

/// What a training came to.
pub struct Trial {
    /// What was seen on the way.
    pub watch: Watch,
    /// The model; `None` if a number was not finite.
    pub checkpoint: Option<Checkpoint>,
    /// How good it is on training data.
    pub train: Score,
    /// How good it is on validation data; of the training data where there are none.
    pub validation: Score,
    /// Why there is no model.
    pub failure: Option<String>,
}

/// Trains and judges.
///
/// # Errors
/// If the training cannot run at all: a training that ran into numbers that are not finite is a result.
pub fn run(config: &Config, splits: &Splits, cancel: Option<Arc<AtomicBool>>) -> Result<Trial, TrainError> {
    let options = Options { threads: NonZeroUsize::new(1), cancel, ..Options::default() };
    let mut watch = Watch::default();
    let outcome = match train(config, splits, &options, &mut watch) {
        Ok(outcome) => outcome,
        Err(error @ TrainError::NonFinite { .. }) => {
            let failure = Some(error.to_string());
            return Ok(Trial { watch, checkpoint: None, train: Score::none(), validation: Score::none(), failure });
        }
        Err(error) => return Err(error),
    };
    let judge = |dataset: &Dataset| {
        Score::of(&outcome.checkpoint, dataset).map_err(|error| TrainError::Mismatch {
            what: "examined split".into(),
            expected: "what the model was trained on".into(),
            found: error.to_string(),
        })
    };
    let train = judge(&sample(&splits.train, JUDGED))?;
    let validation = if splits.validation.sequences.is_empty() { train.clone() } else { judge(&splits.validation)? };
    Ok(Trial { watch, checkpoint: Some(outcome.checkpoint), train, validation, failure: None })
}

/// Runs tasks on so many threads; the results are in the order of the tasks.
pub fn in_parallel<T: Sync, R: Send>(threads: usize, tasks: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(place) else { return done };
            done.push((place, run(task)));
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads.min(tasks.len())).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for worker in workers {
            all.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, result)| result).collect()
}
