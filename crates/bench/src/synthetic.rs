//! Sequences without a meaning, and a configuration for them: what a step costs does not depend on what they say.

use emberloop_core::Config;
use emberloop_core::config::{ClipConfig, ModelConfig};
use emberloop_data::{DataConfig, Dataset, Inputs, Sequence, SequenceTarget, Splits, TargetPer, Targets};

use crate::protocol::{Case, LossOn};

/// The configuration of a case: one layer, Adam, the gradient's global norm clipped at 1.
pub fn config(case: &Case, epochs: usize) -> Config {
    let mut data = DataConfig::new("synthetic.npz");
    data.target_per = target_per(case);
    let mut config = Config::new(data);
    config.model = ModelConfig {
        cell: case.cell,
        reset_after: case.reset_after,
        hidden: vec![case.hidden],
        ..ModelConfig::default()
    };
    config.training.batch = case.batch;
    config.training.epochs = epochs;
    config.training.clip = Some(ClipConfig::Norm(1.0));
    config
}

/// All sequences in the training split; there is no other.
pub fn splits(case: &Case) -> Splits {
    let none = Dataset { sequences: Vec::new(), ..dataset(case, 1) };
    Splits { train: dataset(case, case.sequences), validation: none, test: None, notes: Vec::new() }
}

/// Samples of mean 0 and deviation 1, drawn classes.
fn dataset(case: &Case, sequences: usize) -> Dataset {
    let mut random = Random(1);
    let mut sequence = |index: usize| {
        let target = match case.loss {
            LossOn::Last => SequenceTarget::Class(random.below(case.classes)),
            LossOn::Every => SequenceTarget::Classes((0..case.steps).map(|_| random.below(case.classes)).collect()),
        };
        let values: Vec<f32> = (0..case.steps * case.inputs).map(|_| random.sample()).collect();
        Sequence { name: index.to_string(), steps: case.steps, values: values.into(), target, group: None }
    };
    let names = |count: usize| (0..count).map(|index| index.to_string()).collect();
    Dataset {
        sequences: (0..sequences).map(&mut sequence).collect(),
        inputs: Inputs::Channels(names(case.inputs)),
        targets: Targets::Classes { labels: names(case.classes) },
        target_per: target_per(case),
        hash: String::new(),
        path: "synthetic.npz".into(),
    }
}

fn target_per(case: &Case) -> TargetPer {
    match case.loss {
        LossOn::Last => TargetPer::Sequence,
        LossOn::Every => TargetPer::Step,
    }
}

/// Knuth's MMIX generator.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u64::from(self.next()) * limit as u64) >> 32) as usize
    }

    /// Mean 0, deviation 1, about normal: the sum of twelve evenly distributed numbers.
    pub fn sample(&mut self) -> f32 {
        let sum: f64 = (0..12).map(|_| f64::from(self.next()) / f64::from(u32::MAX)).sum();
        (sum - 6.0) as f32
    }
}
