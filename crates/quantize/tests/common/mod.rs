//! Seeded models and data: nothing is trained here, but weights and signals have the sizes of trained ones.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;

use emberloop_cells::CellKind;
use emberloop_checkpoint::{
    Architecture, Checkpoint, EmbeddingShape, FORMAT, Metadata, Pooling, Provenance, Task, Tensor,
};
use emberloop_data::{
    Dataset, FeatureScale, Inputs, MissingPolicy, Scaler, ScalerKind, Schema, Sequence, SequenceTarget, TargetPer,
    TargetScaler, Targets, UNKNOWN_TOKEN,
};

/// xorshift64*: good enough to scatter weights, the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in [-1, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        bits as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn below(&mut self, count: usize) -> usize {
        ((self.uniform() + 1.0) / 2.0 * count as f64) as usize
    }
}

/// What a test may vary.
#[derive(Clone)]
pub struct Recipe {
    pub cell: CellKind,
    pub channels: usize,
    pub hidden: Vec<usize>,
    pub pooling: Pooling,
    pub task: Task,
    pub outputs: usize,
    pub vocabulary: Option<usize>,
    pub missing: MissingPolicy,
    pub seed: u64,
}

impl Recipe {
    pub fn new(cell: CellKind) -> Self {
        Self {
            cell,
            channels: 3,
            hidden: vec![8],
            pooling: Pooling::Last,
            task: Task::Classification,
            outputs: 4,
            vocabulary: None,
            missing: MissingPolicy::Error,
            seed: 1,
        }
    }

    pub fn schema(&self) -> Schema {
        let names = |stem: &str, count: usize| (0..count).map(|index| format!("{stem} {index}")).collect::<Vec<_>>();
        let inputs = match self.vocabulary {
            None => Inputs::Channels(names("channel", self.channels)),
            Some(count) => {
                let tokens = [UNKNOWN_TOKEN.to_string()].into_iter().chain(names("token", count - 1));
                Inputs::Tokens { column: "word".into(), vocabulary: tokens.collect() }
            }
        };
        let targets = match self.task {
            Task::Classification => Targets::Classes { labels: names("label", self.outputs) },
            Task::Regression => Targets::Values { names: names("target", self.outputs) },
        };
        let target_per = if self.pooling == Pooling::Every { TargetPer::Step } else { TargetPer::Sequence };
        Schema { inputs, targets, target_per }
    }

    /// A model whose weights fill the ranges that training uses.
    pub fn checkpoint(&self) -> Checkpoint {
        let architecture = Architecture {
            cell: self.cell,
            inputs: self.channels,
            embedding: self.vocabulary.map(|vocabulary| EmbeddingShape { vocabulary, dimension: self.channels }),
            hidden: self.hidden.clone(),
            bidirectional: false,
            pooling: self.pooling,
            outputs: self.outputs,
            task: self.task,
            dropout: 0.0,
        };
        let mut random = Random::new(self.seed);
        let tensors = architecture.tensors().into_iter().map(|wanted| {
            let size: usize = wanted.shape.iter().product();
            let fan_in = wanted.shape.get(1).copied().unwrap_or(4) as f64;
            let amplitude = if wanted.name.starts_with("head") { 4.0 } else { 2.5 } / fan_in.sqrt();
            let values = (0..size).map(|_| (amplitude * random.uniform()) as f32).collect();
            (wanted.name, Tensor { shape: wanted.shape, values })
        });
        let tensors: BTreeMap<_, _> = tensors.collect();
        let feature = |at: usize| {
            let offset = 10.0 * at as f64 - 3.0;
            FeatureScale { offset, scale: 0.5 + at as f64, fill: offset }
        };
        let features = if self.vocabulary.is_some() { 0 } else { self.channels };
        let target = |at: usize| FeatureScale { offset: 50.0 + at as f64, scale: 20.0, fill: 50.0 };
        Checkpoint {
            tensors,
            metadata: Metadata {
                format: FORMAT,
                schema: self.schema(),
                scaler: Scaler {
                    kind: ScalerKind::Standard,
                    missing: self.missing,
                    features: (0..features).map(feature).collect(),
                },
                target_scaler: (self.task == Task::Regression)
                    .then(|| TargetScaler { features: (0..self.outputs).map(target).collect() }),
                config: serde_json::Value::Null,
                metrics: BTreeMap::new(),
                provenance: Provenance::default(),
                architecture,
            },
        }
    }

    /// Smooth signals around each channel's offset, sequences of 1 to 25 steps; another seed gives other data.
    pub fn dataset(&self, sequences: usize, seed: u64) -> Dataset {
        let mut random = Random::new(seed + 1000);
        let schema = self.schema();
        let checkpoint = self.checkpoint();
        let sequences = (0..sequences).map(|index| {
            let steps = 1 + random.below(25);
            let values = match self.vocabulary {
                Some(vocabulary) => (0..steps).map(|_| random.below(vocabulary) as f32).collect(),
                None => self.signal(&checkpoint, steps, &mut random),
            };
            let target = self.target(steps, &mut random);
            Sequence { name: format!("s{index}"), steps, values: values.into(), target, group: None }
        });
        Dataset {
            sequences: sequences.collect(),
            inputs: schema.inputs,
            targets: schema.targets,
            target_per: schema.target_per,
            hash: String::new(),
            path: "synthetic.csv".into(),
        }
    }

    fn signal(&self, checkpoint: &Checkpoint, steps: usize, random: &mut Random) -> Vec<f32> {
        let mut level: Vec<f64> = (0..self.channels).map(|_| 1.5 * random.uniform()).collect();
        let mut values = Vec::new();
        for _ in 0..steps {
            for (level, feature) in level.iter_mut().zip(&checkpoint.metadata.scaler.features) {
                *level = 0.8 * *level + random.uniform();
                values.push((feature.offset + feature.scale * *level) as f32);
            }
        }
        values
    }

    fn target(&self, steps: usize, random: &mut Random) -> SequenceTarget {
        let every = self.pooling == Pooling::Every;
        match (self.task, every) {
            (Task::Classification, false) => SequenceTarget::Class(random.below(self.outputs)),
            (Task::Classification, true) => {
                SequenceTarget::Classes((0..steps).map(|_| random.below(self.outputs)).collect())
            }
            (Task::Regression, false) => {
                SequenceTarget::Values((0..self.outputs).map(|_| 50.0 + 20.0 * random.uniform() as f32).collect())
            }
            (Task::Regression, true) => SequenceTarget::StepValues(
                (0..steps * self.outputs).map(|_| 50.0 + 20.0 * random.uniform() as f32).collect(),
            ),
        }
    }
}
