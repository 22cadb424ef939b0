//! The gradient that a probe shows is that of the loss: held against differences of the loss itself.

use emberloop_checkpoint::{Checkpoint, Pooling};
use emberloop_core::config::{CellName, ModelConfig};
use emberloop_core::{Config, Device, Options, Silent, evaluate, train};
use emberloop_data::{
    DataConfig, Dataset, Inputs, ScalerKind, Sequence, SequenceTarget, Splits, TargetPer, Targets, Task,
};
use emberloop_doctor::Probe;

const CHANNELS: usize = 2;
const STEPS: usize = 6;

fn dataset(task: Task, count: usize, values: impl Fn(usize, usize) -> f32) -> Dataset {
    let sequence = |index: usize| Sequence {
        name: index.to_string(),
        steps: STEPS,
        values: (0..STEPS * CHANNELS).map(|at| values(index, at)).collect::<Vec<f32>>().into(),
        target: match task {
            Task::Classification => SequenceTarget::Class(index % 3),
            Task::Regression => SequenceTarget::Values(vec![index as f32 + 0.5]),
        },
        group: None,
    };
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    Dataset {
        inputs: Inputs::Channels(names(&["a", "b"])),
        targets: match task {
            Task::Classification => Targets::Classes { labels: names(&["x", "y", "z"]) },
            Task::Regression => Targets::Values { names: names(&["u"]) },
        },
        target_per: TargetPer::Sequence,
        sequences: (0..count).map(sequence).collect(),
        hash: String::new(),
        path: "memory".into(),
    }
}

fn wave(index: usize, at: usize) -> f32 {
    ((index * 7 + at * 3) as f32 * 0.7).sin()
}

fn model(task: Task, model: ModelConfig) -> Checkpoint {
    let mut config = Config::new(DataConfig { task, ..DataConfig::new("memory") });
    config.scaler.kind = ScalerKind::None;
    config.scaler.target = false;
    config.model = model;
    config.training.epochs = 2;
    let splits =
        Splits { train: dataset(task, 12, wave), validation: dataset(task, 0, wave), test: None, notes: Vec::new() };
    train(&config, &splits, &Options::default(), &mut Silent).unwrap().checkpoint
}

/// By central differences of the loss, the norm of its gradient at each step, the last one first.
fn differences(checkpoint: &Checkpoint, task: Task) -> Vec<f64> {
    let by = 2e-2f32;
    let loss = |moved: usize, by: f32| {
        let one = dataset(task, 1, |index, at| wave(index, at) + if at == moved { by } else { 0.0 });
        evaluate(checkpoint, &one, Device::Cpu).unwrap().loss
    };
    let slope = |at: usize| (loss(at, by) - loss(at, -by)) / f64::from(2.0 * by);
    let norm = |step: usize| (0..CHANNELS).map(|channel| slope(step * CHANNELS + channel).powi(2)).sum::<f64>().sqrt();
    (0..STEPS).rev().map(norm).collect()
}

#[test]
fn the_gradient_of_each_step_is_that_of_the_loss() {
    let plain = ModelConfig { hidden: vec![4], ..ModelConfig::default() };
    let cases = [
        (Task::Classification, plain.clone()),
        (Task::Classification, ModelConfig { cell: CellName::Lstm, head: Some(Pooling::Mean), ..plain.clone() }),
        (Task::Classification, ModelConfig { cell: CellName::Rnn, hidden: vec![3, 5], ..plain.clone() }),
        (Task::Regression, ModelConfig { cell: CellName::Lstm, hidden: vec![5, 3], ..plain.clone() }),
    ];
    for (task, config) in cases {
        let checkpoint = model(task, config.clone());
        let probe = Probe::of(&checkpoint, &dataset(task, 1, wave)).unwrap();
        let (found, expected) = (&probe.layers[0].gradient, differences(&checkpoint, task));
        let largest = expected.iter().copied().fold(0.0, f64::max);
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() < 0.02 * largest, "{config:?}, {step} from the end: {found} {expected}");
        }
    }
}

#[test]
fn both_directions_together_give_the_gradient_of_the_input() {
    // Each direction's share is shown by itself: of one whose reverse half the head does not see, the forward half is all.
    let checkpoint =
        model(Task::Classification, ModelConfig { hidden: vec![4], bidirectional: true, ..ModelConfig::default() });
    for hide_reverse in [true, false] {
        let half = if hide_reverse { 4..8 } else { 0..4 };
        let mut one_sided = checkpoint.clone();
        let head = one_sided.tensors.get_mut("head.weight").unwrap();
        head.values.chunks_mut(8).for_each(|row| row[half.clone()].fill(0.0));
        let probe = Probe::of(&one_sided, &dataset(Task::Classification, 1, wave)).unwrap();
        let expected = differences(&one_sided, Task::Classification);
        let [seen, hidden] = if hide_reverse { [0, 1] } else { [1, 0] };
        assert!(probe.layers[hidden].gradient.iter().all(|norm| *norm == 0.0));
        let largest = expected.iter().copied().fold(0.0, f64::max);
        for (found, expected) in probe.layers[seen].gradient.iter().zip(&expected) {
            assert!((found - expected).abs() < 0.02 * largest, "{found} {expected}");
        }
    }
}
