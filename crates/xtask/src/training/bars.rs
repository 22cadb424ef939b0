//! What the figures are held against: shares of PyTorch's time in the same run.

use super::plan::{Case, Cell, Isa, STEPS};

/// At most this share, and the share that would be better still.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    pub share: f64,
    pub moonshot: Option<f64>,
}

/// Of a training step.
pub fn step(case: &Case) -> Option<Bar> {
    let share = match case.threads {
        1 => Bar { share: 0.43, moonshot: Some(0.33) },
        2 => Bar { share: 0.33, moonshot: Some(0.25) },
        _ => return None,
    };
    (is_measured_by_them(case) && case.isa == Isa::Avx512 && case.steps == STEPS).then_some(share)
}

/// Of the outputs of sequences, on any host.
pub fn inference(case: &Case) -> Option<Bar> {
    (is_measured_by_them(case) && case.steps == STEPS).then_some(Bar { share: 0.33, moonshot: None })
}

fn is_measured_by_them(case: &Case) -> bool {
    matches!(case.cell, Cell::Lstm | Cell::Gru) && [32, 64, 128].contains(&case.hidden)
}

/// Of the peak memory.
pub const MEMORY: Bar = Bar { share: 1.0, moonshot: None };

/// The time of a step of the sequence in the longest sequences, to that in those of [`STEPS`]: linear, but for noise.
pub const LINEAR: f64 = 1.1;

/// What the trainer may lose to anything but the kernels, of an epoch.
pub const LOST: f64 = 0.10;
