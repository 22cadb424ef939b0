//! Small synthetic data for the tests of this crate.

use emberloop_data::{
    DataConfig, Dataset, Inputs, Sequence, SequenceTarget, Splits, TargetPer, Targets, Task, UNKNOWN_TOKEN,
};

use crate::{
    config::{Config, ModelConfig},
    rng::Rng,
};

/// What the sequences of a fixture are labelled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The class of a sequence: which of two channels is larger on average.
    Class,
    /// The class of each step: whether the first channel is above 0.
    StepClass,
    /// The sum of the first channel, in large raw units.
    Value,
    /// The first channel of each step, doubled; the first step's is missing.
    StepValue,
    /// The class of a sequence of tokens: whether "b" occurs.
    Token,
}

/// `count` sequences of 1 to 9 steps.
pub fn dataset(kind: Kind, count: usize, seed: u64) -> Dataset {
    let mut rng = Rng::keyed(&[seed]);
    let sequences = (0..count)
        .map(|index| {
            let steps = 1 + rng.below(9);
            let values: Vec<f32> = match kind {
                Kind::Token => (0..steps).map(|_| rng.below(4) as f32).collect(),
                Kind::Class | Kind::StepClass | Kind::Value | Kind::StepValue => {
                    (0..2 * steps).map(|_| (10.0 * rng.normal()) as f32).collect()
                }
            };
            let first: Vec<f32> = values.iter().step_by(2).copied().collect();
            let difference: f32 = values.chunks(2).map(|step| step[0] - step[step.len() - 1]).sum();
            let target = match kind {
                Kind::Class => SequenceTarget::Class(usize::from(difference > 0.0)),
                Kind::StepClass => {
                    SequenceTarget::Classes(first.iter().map(|&value| usize::from(value > 0.0)).collect())
                }
                Kind::Value => SequenceTarget::Values(vec![1000.0 + first.iter().sum::<f32>()]),
                Kind::StepValue => SequenceTarget::StepValues(
                    first.iter().enumerate().map(|(at, value)| if at == 0 { f32::NAN } else { 2.0 * value }).collect(),
                ),
                Kind::Token => SequenceTarget::Class(usize::from(values.contains(&2.0))),
            };
            Sequence { name: format!("s{index}"), steps, values: values.into(), target, group: None }
        })
        .collect();
    let labels = || Targets::Classes { labels: vec!["no".into(), "yes".into()] };
    Dataset {
        inputs: match kind {
            Kind::Token => Inputs::Tokens {
                column: "char".into(),
                vocabulary: [UNKNOWN_TOKEN, "a", "b", "c"].map(String::from).into(),
            },
            Kind::Class | Kind::StepClass | Kind::Value | Kind::StepValue => {
                Inputs::Channels(vec!["left".into(), "right".into()])
            }
        },
        targets: match kind {
            Kind::Class | Kind::StepClass | Kind::Token => labels(),
            Kind::Value | Kind::StepValue => Targets::Values { names: vec!["sum".into()] },
        },
        target_per: match kind {
            Kind::Class | Kind::Value | Kind::Token => TargetPer::Sequence,
            Kind::StepClass | Kind::StepValue => TargetPer::Step,
        },
        sequences,
        hash: format!("{kind:?} {count} {seed}"),
        path: "fixture.csv".into(),
    }
}

/// 24 sequences to train on, 8 to validate on.
pub fn splits(kind: Kind) -> Splits {
    Splits { train: dataset(kind, 24, 1), validation: dataset(kind, 8, 2), test: None, notes: Vec::new() }
}

/// A small network for a fixture, three epochs.
pub fn config(kind: Kind) -> Config {
    let mut data = DataConfig::new("fixture.csv");
    data.task = match kind {
        Kind::Class | Kind::StepClass | Kind::Token => Task::Classification,
        Kind::Value | Kind::StepValue => Task::Regression,
    };
    data.target_per = dataset(kind, 1, 1).target_per;
    let mut config = Config::new(data);
    config.model = ModelConfig { hidden: vec![5], ..ModelConfig::default() };
    config.training.epochs = 3;
    config.training.batch = 10;
    config
}
