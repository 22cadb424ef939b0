//! A training from files, as a user runs it.

use std::path::Path;

use emberloop_core::{BatchReport, Config, Device, EpochReport, Options, Progress, Start, train};
use emberloop_data::{Splits, TargetPer};
use serde_json::{Value, json};

use crate::kernels::{self, EVALUATION_BATCH, Layer, Shape};
use crate::{Result, clock};

/// Loads the data of a configuration, trains so many epochs, and says where the time went.
pub fn run(path: &Path, epochs: usize, options: &Options) -> Result<Value> {
    let began = clock::now();
    let mut config = Config::load(path)?;
    config.training.epochs = epochs;
    config.training.early_stopping = None;
    let splits = emberloop_data::load(&config.data, config.folder(), config.training.seed)?;
    let load = clock::since(began);
    // As the command line does, so that writing the state after an epoch is part of it.
    let folder = tempfile::tempdir()?;
    let options = Options { resume_dir: Some(folder.path().into()), ..options.clone() };
    let mut watch = Watch { began: clock::now(), step: clock::now(), ..Watch::new() };
    train(&config, &splits, &options, &mut watch)?;
    let kernels = match options.devices[..] {
        [Device::Cpu] => Some(in_kernels(&config, &splits, &options)?),
        _ => None,
    };
    Ok(json!({
        "kernels_ms": kernels,
        "load_ms": load,
        "prepare_ms": watch.prepare,
        "epoch_ms": watch.epochs,
        "batches_ms": watch.batches,
        "sequences": watch.sequences,
        "batches": watch.batch_count,
    }))
}

/// Milliseconds that the recurrent layers of an epoch take by themselves: the same shapes, as often as in an epoch.
fn in_kernels(config: &Config, splits: &Splits, options: &Options) -> Result<f64> {
    let [hidden] = config.model.hidden[..] else {
        return Err(format!(
            "{}: model.hidden: expected one layer, found {:?}",
            config.path.display(),
            config.model.hidden
        )
        .into());
    };
    let shape = Shape {
        cell: config.model.cell_kind(),
        hidden,
        inputs: splits.train.channels(),
        steps: splits.train.sequences.iter().map(|sequence| sequence.steps).max().unwrap_or(0),
        every: splits.train.target_per == TargetPer::Step,
    };
    let pool = kernels::pool(options.threads)?;
    let mut sum = 0.0;
    for (sequences, batch, train) in [
        (splits.train.sequences.len(), config.training.batch, true),
        (splits.validation.sequences.len(), EVALUATION_BATCH, false),
    ] {
        for (batch, count) in
            [(batch, sequences / batch), (sequences % batch, 1)].into_iter().filter(|(batch, _)| *batch > 0)
        {
            let layer = Layer::new(shape, batch);
            let mut times: Vec<f64> = pool.install(|| (0..REPETITIONS).map(|_| layer.time(train)).collect());
            times.sort_by(f64::total_cmp);
            sum += count as f64 * times[REPETITIONS / 2];
        }
    }
    Ok(sum)
}

const REPETITIONS: usize = 51;

/// Milliseconds of each epoch, and of the batches in it.
struct Watch {
    began: f64,
    step: f64,
    prepare: f64,
    epochs: Vec<f64>,
    batches: Vec<f64>,
    sum: f64,
    sequences: usize,
    batch_count: usize,
}

impl Watch {
    fn new() -> Self {
        let now = clock::now();
        Self {
            began: now,
            step: now,
            prepare: 0.0,
            epochs: Vec::new(),
            batches: Vec::new(),
            sum: 0.0,
            sequences: 0,
            batch_count: 0,
        }
    }
}

impl Progress for Watch {
    fn on_start(&mut self, start: &Start) {
        self.prepare = clock::since(self.began);
        (self.sequences, self.batch_count) = (start.sequences, start.batches);
        (self.began, self.step) = (clock::now(), clock::now());
    }

    fn on_batch(&mut self, _batch: &BatchReport) {
        self.sum += clock::since(self.step);
        self.step = clock::now();
    }

    fn on_epoch(&mut self, _epoch: &EpochReport) {
        // What happens between the epochs is part of the one before.
        self.epochs.push(clock::since(self.began));
        self.batches.push(std::mem::take(&mut self.sum));
        (self.began, self.step) = (clock::now(), clock::now());
    }
}
