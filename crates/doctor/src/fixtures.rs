//! Small data for the tests of this crate.

use emberloop_core::Config;
use emberloop_data::{DataConfig, Dataset, Inputs, Sequence, SequenceTarget, Splits, TargetPer, Targets};

use crate::score::Score;
use crate::trial::Trial;
use crate::watch::{Step, Watch};

/// `count` sequences of three steps; their classes come in turn.
pub fn dataset(count: usize, classes: usize) -> Dataset {
    let sequence = |index: usize| Sequence {
        name: index.to_string(),
        steps: 3,
        values: vec![index as f32, 1.0, (index % classes) as f32].into(),
        target: SequenceTarget::Class(index % classes),
        group: None,
    };
    Dataset {
        inputs: Inputs::Channels(vec!["a".into()]),
        targets: Targets::Classes { labels: (0..classes).map(|class| class.to_string()).collect() },
        target_per: TargetPer::Sequence,
        sequences: (0..count).map(sequence).collect(),
        hash: String::new(),
        path: "memory".into(),
    }
}

pub fn splits(train: usize, validation: usize) -> Splits {
    Splits { train: dataset(train, 3), validation: dataset(validation, 3), test: None, notes: Vec::new() }
}

pub fn config() -> Config {
    Config::new(DataConfig::new("memory"))
}

/// A score of so much skill, known to a hundredth.
pub fn score(skill: f64) -> Score {
    Score { skill, error: 0.01, headline: skill, confusion: Vec::new(), n: 100 }
}

/// A training with these `(loss, norm)`.
pub fn trial(skill: f64, steps: impl IntoIterator<Item = (f64, f64)>) -> Trial {
    let steps: Vec<Step> = steps.into_iter().map(|(loss, norm)| Step { loss, norm }).collect();
    let watch = Watch::of_steps(steps);
    Trial { watch, checkpoint: None, train: score(skill), validation: score(skill), failure: None }
}
