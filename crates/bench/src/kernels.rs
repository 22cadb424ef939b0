//! The recurrent layer alone: what a trainer without any costs of its own would take.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use emberloop_cells::CellKind;
use emberloop_core::config::ModelConfig;
use emberloop_kernels::{self as kernels, Output, Sequences, StateGradients, Wanted, Weights};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::Value;

use crate::protocol::{Case, LossOn, Pass, Prepared, Worker};
use crate::synthetic::Random;
use crate::{Result, clock};

/// What the kernels see of a model.
#[derive(Clone, Copy)]
pub struct Shape {
    pub cell: CellKind,
    pub hidden: usize,
    pub inputs: usize,
    pub steps: usize,
    /// Whether every step's state is asked for, or the last one's.
    pub every: bool,
}

/// A layer with numbers to work on.
pub struct Layer {
    shape: Shape,
    batch: usize,
    values: Vec<f32>,
    weights: [Vec<f32>; 4],
    gradient: Vec<f32>,
}

/// So many threads, or as many as there are cores.
pub fn pool(threads: Option<NonZeroUsize>) -> Result<ThreadPool> {
    Ok(ThreadPoolBuilder::new().num_threads(threads.map_or(0, NonZeroUsize::get)).build()?)
}

impl Layer {
    /// With drawn numbers.
    pub fn new(shape: Shape, batch: usize) -> Self {
        let mut random = Random(1);
        let bound = 1.0 / (shape.hidden as f32).sqrt();
        let mut numbers = |count: usize, scale: f32| (0..count).map(|_| scale * random.sample()).collect::<Vec<f32>>();
        let columns = shape.cell.gate_count() * shape.hidden;
        let states = batch * shape.hidden;
        let gradients = match (shape.every, shape.cell.has_cell_state()) {
            (true, _) => shape.steps * states,
            (false, true) => 2 * states,
            (false, false) => states,
        };
        Self {
            values: numbers(shape.steps * batch * shape.inputs, 1.0),
            weights: [shape.inputs * columns, shape.hidden * columns, columns, columns]
                .map(|count| numbers(count, 0.5 * bound)),
            // As small as a mean over the batch makes them.
            gradient: numbers(gradients, 1e-3),
            shape,
            batch,
        }
    }

    /// Milliseconds of a forward and a backward pass, or of one that nothing is learned from.
    pub fn time(&self, train: bool) -> f64 {
        let Shape { cell, hidden, inputs, steps, every } = self.shape;
        let layer = kernels::Layer { cell, inputs, hidden };
        let [input, recurrent, input_bias, recurrent_bias] = &self.weights;
        let weights = Weights { input, recurrent, input_bias, recurrent_bias };
        let sequences =
            Sequences { steps, batch: self.batch, values: &self.values, lengths: None, reverse: false, initial: None };
        let output = if every { Output::Every } else { Output::Last };
        let began = clock::now();
        if train {
            let (states, tape) = kernels::forward(layer, &weights, &sequences, output);
            let gradient = self.gradient.as_slice();
            let gradients = match every {
                true => StateGradients { hidden: Some(gradient), last: None },
                false => StateGradients { hidden: None, last: Some(gradient) },
            };
            std::hint::black_box(kernels::backward(tape, &weights, &gradients, Wanted::default(), None));
            std::hint::black_box(states);
        } else {
            std::hint::black_box(kernels::infer(layer, &weights, &sequences, output));
        }
        clock::since(began)
    }
}

/// The kernels as a contender.
pub struct Kernels {
    pool: ThreadPool,
    prepared: Option<Ready>,
}

struct Ready {
    layer: Layer,
    pass: Pass,
    /// Passes of one repetition.
    count: usize,
}

impl Kernels {
    /// On so many threads.
    pub fn new(threads: NonZeroUsize) -> Result<Self> {
        Ok(Self { pool: pool(Some(threads))?, prepared: None })
    }
}

/// What `emberloop_core` evaluates with.
pub const EVALUATION_BATCH: usize = 128;

impl Worker for Kernels {
    fn prepare(&mut self, case: &Case) -> Result<Prepared> {
        let model = ModelConfig { cell: case.cell, reset_after: case.reset_after, ..ModelConfig::default() };
        let Case { hidden, inputs, steps, .. } = *case;
        let shape = Shape { cell: model.cell_kind(), hidden, inputs, steps, every: case.loss == LossOn::Every };
        let (batch, count) = match case.pass {
            Pass::Train => (case.batch, 1),
            Pass::Infer => (EVALUATION_BATCH, case.sequences.div_ceil(EVALUATION_BATCH)),
        };
        self.prepared = Some(Ready { layer: Layer::new(shape, batch), pass: case.pass, count });
        let times = self.run(4)?;
        Ok(Prepared { ms: times.into_iter().fold(f64::INFINITY, f64::min), variant: String::new() })
    }

    fn run(&mut self, count: usize) -> Result<Vec<f64>> {
        let Ready { layer, pass, count: passes } = self.prepared.as_ref().ok_or("nothing is prepared")?;
        let repetition = || (0..*passes).map(|_| layer.time(*pass == Pass::Train)).sum();
        Ok(self.pool.install(|| (0..count).map(|_| repetition()).collect()))
    }

    fn end_to_end(&mut self, _config: PathBuf, _epochs: usize) -> Result<Value> {
        Err("the kernels have no trainer of files".into())
    }
}
