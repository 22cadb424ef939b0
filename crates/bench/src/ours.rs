//! Our trainer and our inference.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use emberloop_core::{Device, Options, Silent, forward, train};
use emberloop_data::Sequence;
use serde_json::Value;

use crate::protocol::{Case, Pass, Prepared, Worker};
use crate::trainer::Training;
use crate::{Result, clock, end_to_end, synthetic};

/// Steps before anything is timed.
const WARM_UP: usize = 4;

/// Our contender.
pub struct Ours {
    device: Device,
    options: Options,
    prepared: Option<Ready>,
}

enum Ready {
    Train(Training),
    Infer { checkpoint: Box<emberloop_checkpoint::Checkpoint>, sequences: Vec<Sequence> },
}

impl Ours {
    /// Computes on this device, on this many threads.
    pub fn new(threads: NonZeroUsize, device: Device) -> Self {
        let options = Options { devices: vec![device], threads: Some(threads), ..Options::default() };
        Self { device, options, prepared: None }
    }
}

impl Worker for Ours {
    fn prepare(&mut self, case: &Case) -> Result<Prepared> {
        self.prepared = None;
        let ready = match case.pass {
            Pass::Train => Ready::Train(Training::start(case, self.options.clone())),
            Pass::Infer => {
                let brief = Case { sequences: case.batch, ..case.clone() };
                let outcome =
                    train(&synthetic::config(&brief, 1), &synthetic::splits(&brief), &self.options, &mut Silent)?;
                let sequences = synthetic::splits(case).train.sequences;
                Ready::Infer { checkpoint: Box::new(outcome.checkpoint), sequences }
            }
        };
        self.prepared = Some(ready);
        let times = self.run(WARM_UP)?;
        Ok(Prepared { ms: times.into_iter().fold(f64::INFINITY, f64::min), variant: String::new() })
    }

    fn run(&mut self, count: usize) -> Result<Vec<f64>> {
        match self.prepared.as_mut().ok_or("nothing is prepared")? {
            Ready::Train(training) => training.run(count),
            Ready::Infer { checkpoint, sequences } => (0..count)
                .map(|_| {
                    let began = clock::now();
                    let outputs = forward(checkpoint, sequences, self.device)?;
                    let time = clock::since(began);
                    // The outputs are needed: nothing of them may be left out.
                    std::hint::black_box(outputs);
                    Ok(time)
                })
                .collect(),
        }
    }

    fn end_to_end(&mut self, config: PathBuf, epochs: usize) -> Result<Value> {
        self.prepared = None;
        end_to_end::run(&config, epochs, &self.options)
    }
}
