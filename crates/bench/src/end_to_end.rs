//! A training from files, as a user runs it.

use std::path::Path;
use std::time::Instant;

use emberloop_core::{BatchReport, Config, EpochReport, Options, Progress, Start, train};
use serde_json::{Value, json};

use crate::Result;

/// Loads the data of a configuration, trains so many epochs, and says where the time went.
pub fn run(path: &Path, epochs: usize, options: &Options) -> Result<Value> {
    let began = Instant::now();
    let mut config = Config::load(path)?;
    config.training.epochs = epochs;
    config.training.early_stopping = None;
    let splits = emberloop_data::load(&config.data, config.folder(), config.training.seed)?;
    let load = milliseconds(began);
    // As the command line does, so that writing the state after an epoch is part of it.
    let folder = tempfile::tempdir()?;
    let options = Options { resume_dir: Some(folder.path().into()), ..options.clone() };
    let mut watch = Watch { began: Instant::now(), step: Instant::now(), ..Watch::new() };
    train(&config, &splits, &options, &mut watch)?;
    Ok(json!({
        "load_ms": load,
        "prepare_ms": watch.prepare,
        "epoch_ms": watch.epochs,
        "batches_ms": watch.batches,
        "sequences": watch.sequences,
        "batches": watch.batch_count,
    }))
}

/// Milliseconds of each epoch, and of the batches in it.
struct Watch {
    began: Instant,
    step: Instant,
    prepare: f64,
    epochs: Vec<f64>,
    batches: Vec<f64>,
    sum: f64,
    sequences: usize,
    batch_count: usize,
}

impl Watch {
    fn new() -> Self {
        let now = Instant::now();
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
        self.prepare = milliseconds(self.began);
        (self.sequences, self.batch_count) = (start.sequences, start.batches);
        (self.began, self.step) = (Instant::now(), Instant::now());
    }

    fn on_batch(&mut self, _batch: &BatchReport) {
        self.sum += milliseconds(self.step);
        self.step = Instant::now();
    }

    fn on_epoch(&mut self, _epoch: &EpochReport) {
        // What happens between the epochs is part of the one before.
        self.epochs.push(milliseconds(self.began));
        self.batches.push(std::mem::take(&mut self.sum));
        (self.began, self.step) = (Instant::now(), Instant::now());
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
