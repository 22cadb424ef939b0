//! Networks, losses, optimizers and clipping against PyTorch's own numbers (`tests/data/README.md`), to 1e-5.

use std::collections::BTreeMap;

use emberloop_checkpoint::{Architecture, Pooling, Task, Tensor};
use emberloop_core::{
    Device,
    config::{ClipConfig, OptimizerConfig},
    parity::{Case, Loss, gradients, loss, optimize},
};
use emberloop_data::{Batch, BatchTargets};
use serde_json::Value;

const TOLERANCE: f64 = 1e-5;

fn golden(name: &str) -> Value {
    let path = format!("{}/../../tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn integers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}

fn tensor(value: &Value) -> Tensor {
    let values = numbers(&value["values"]).into_iter().map(|number| number as f32).collect();
    Tensor { shape: integers(&value["shape"]), values }
}

fn tensors(value: &Value) -> BTreeMap<String, Tensor> {
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), tensor(value))).collect()
}

#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = f64::from((found - expected).abs());
        assert!(difference <= TOLERANCE, "{what}[{at}]: expected {expected}, found {found}");
    }
}

#[track_caller]
fn assert_equal_tensors(what: &str, found: &BTreeMap<String, Tensor>, expected: &Value) {
    let expected = tensors(expected);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (name, expected) in expected {
        assert_eq!(found[&name].shape, expected.shape, "{what} {name}");
        assert_close(&format!("{what} {name}"), &found[&name].values, &expected.values);
    }
}

/// `[batch, steps, width]` from the network's `[steps, batch, width]`, 0 behind a sequence's end.
fn batch_major(rows: &[f32], lengths: &[usize], steps: usize) -> Vec<f32> {
    let width = rows.len() / (steps * lengths.len());
    let mut all = Vec::new();
    for (sequence, &length) in lengths.iter().enumerate() {
        for step in 0..steps {
            let row = (step * lengths.len() + sequence) * width;
            all.extend(rows[row..row + width].iter().map(|value| if step < length { *value } else { 0.0 }));
        }
    }
    all
}

/// A batch whose padding is as the golden file has it: not 0.
fn batch(inputs: &Tensor, lengths: Vec<usize>, outputs: usize, targets: BatchTargets) -> Batch {
    let [batch, steps, channels] = *inputs.shape.as_slice() else { panic!("inputs are [batch, steps, channels]") };
    let own = |step: usize| lengths.iter().map(move |&length| f32::from(u8::from(step < length)));
    let mask: Vec<f32> = (0..steps).flat_map(own).collect();
    let target_mask = match &targets {
        BatchTargets::Classes(_) | BatchTargets::Values(_) | BatchTargets::Absent => vec![1.0; batch],
        BatchTargets::StepClasses(_) => mask,
        BatchTargets::StepValues(_) => mask.iter().flat_map(|&own| vec![own; outputs]).collect(),
    };
    let (inputs, indices) = (time_major(inputs), (0..batch).collect());
    Batch { inputs, lengths, indices, batch, steps, channels, outputs, targets, target_mask }
}

fn case(golden: &Value) -> Case {
    let architecture = Architecture {
        cell: serde_json::from_value(golden["cell"].clone()).unwrap(),
        inputs: golden["inputs"].as_u64().unwrap() as usize,
        embedding: None,
        hidden: integers(&golden["hidden"]),
        bidirectional: golden["bidirectional"].as_bool().unwrap(),
        pooling: Pooling::Last,
        outputs: golden["outputs"].as_u64().unwrap() as usize,
        task: Task::Classification,
        dropout: 0.0,
    };
    let targets = BatchTargets::Classes(integers(&golden["classes"]));
    let batch = batch(&tensor(&golden["x"]), integers(&golden["lengths"]), architecture.outputs, targets);
    Case { architecture, tensors: tensors(&golden["tensors"]), batch, loss: cross_entropy(&golden["losses"][0], 3) }
}

fn cross_entropy(golden: &Value, classes: usize) -> Loss {
    let class_weights = match &golden["class_weights"] {
        Value::Null => vec![1.0; classes],
        weights => numbers(weights),
    };
    Loss::CrossEntropy { class_weights, label_smoothing: golden["label_smoothing"].as_f64().unwrap() }
}

fn optimizer(golden: &Value) -> OptimizerConfig {
    let settings = &golden["settings"];
    let number = |key: &str| settings[key].as_f64().unwrap();
    let learning_rate = number("lr");
    let weight_decay = number("weight_decay");
    let betas = || {
        let betas = numbers(&settings["betas"]);
        [betas[0], betas[1]]
    };
    match golden["kind"].as_str().unwrap() {
        "adam" => OptimizerConfig::Adam { learning_rate, betas: betas(), eps: number("eps"), weight_decay },
        "adamw" => OptimizerConfig::Adamw { learning_rate, betas: betas(), eps: number("eps"), weight_decay },
        "rmsprop" => OptimizerConfig::Rmsprop {
            learning_rate,
            alpha: number("alpha"),
            eps: number("eps"),
            momentum: number("momentum"),
            weight_decay,
        },
        "sgd" => OptimizerConfig::Sgd {
            learning_rate,
            momentum: number("momentum"),
            nesterov: settings["nesterov"].as_bool().unwrap(),
            weight_decay,
        },
        other => panic!("{other}: no such optimizer here"),
    }
}

/// Forward, backward, every loss and every optimizer of one golden file.
fn check(name: &str) {
    let golden = golden(name);
    let case = case(&golden);
    let (expected, lengths, steps) = (&golden["expected"], &case.batch.lengths, case.batch.steps);

    let found = gradients(&case, Device::Cpu).unwrap();
    let states = batch_major(&found.states, lengths, steps);
    assert_close("states", &states, &tensor(&expected["states"]).values);
    assert_close("logits", &found.outputs, &tensor(&expected["logits"]).values);
    assert_close("loss", &[found.loss as f32], &[expected["loss"].as_f64().unwrap() as f32]);
    assert_equal_tensors("gradient", &found.gradients, &expected["gradients"]);
    let input_gradient = batch_major(&found.input_gradient, lengths, steps);
    assert_close("input gradient", &input_gradient, &tensor(&expected["input_gradient"]).values);

    for golden in golden["losses"].as_array().unwrap() {
        let found = loss(&cross_entropy(golden, 3), &case.batch, &found.outputs, Device::Cpu).unwrap();
        assert_close("loss", &[found.0 as f32], &[golden["loss"].as_f64().unwrap() as f32]);
        assert_close("gradient by logits", &found.1, &tensor(&golden["logits_gradient"]).values);
    }

    for golden in golden["optimizers"].as_array().unwrap() {
        let kind = golden["kind"].as_str().unwrap();
        let clip = Some(ClipConfig::Norm(golden["clip_norm"].as_f64().unwrap()));
        let found = optimize(&case, &optimizer(golden), clip, 3, Device::Cpu).unwrap();
        let norms: Vec<f32> = found.iter().map(|(_, norm)| *norm as f32).collect();
        let expected: Vec<f32> = numbers(&golden["norms"]).into_iter().map(|norm| norm as f32).collect();
        assert_close(&format!("{kind} norms"), &norms, &expected);
        let steps = golden["steps"].as_array().unwrap();
        for ((found, _), expected) in found.iter().rev().zip(steps.iter().rev()) {
            assert_equal_tensors(&format!("{kind} weights"), found, expected);
        }
    }
}

#[test]
fn rnn() {
    check("rnn");
}

#[test]
fn lstm() {
    check("lstm");
}

#[test]
fn lstm_of_two_layers() {
    check("lstm_two_layers");
}

#[test]
fn gru() {
    check("gru");
}

#[test]
fn bidirectional_gru() {
    check("gru_bidirectional");
}

#[test]
fn gru_reset_before() {
    check("gru_reset_before");
}

/// Batches and the network's rows are time-major; the golden file's are sequence-major.
fn time_major(values: &Tensor) -> Vec<f32> {
    let [batch, steps, width] = *values.shape.as_slice() else { panic!("[batch, steps, width]") };
    steps_first(&values.values, [batch, steps, width])
}

/// `[batch, steps, width]` to `[steps, batch, width]`.
fn steps_first<T: Copy>(values: &[T], [batch, steps, width]: [usize; 3]) -> Vec<T> {
    let row = |step: usize, sequence: usize| values[(sequence * steps + step) * width..][..width].to_vec();
    (0..steps).flat_map(|step| (0..batch).flat_map(move |sequence| row(step, sequence))).collect()
}

#[test]
fn losses_with_a_target_at_every_step() {
    let golden = golden("losses");
    let lengths = integers(&golden["lengths"]);
    let check = |what: &str, kind: &Loss, batch: &Batch, outputs: &Tensor, golden: &Value| {
        let found = loss(kind, batch, &time_major(outputs), Device::Cpu).unwrap();
        assert_close(what, &[found.0 as f32], &[golden["loss"].as_f64().unwrap() as f32]);
        let gradient = batch_major(&found.1, &batch.lengths, batch.steps);
        assert_close(&format!("{what} gradient"), &gradient, &tensor(&golden["gradient"]).values);
    };

    let (predictions, targets) = (tensor(&golden["predictions"]), tensor(&golden["targets"]));
    let values = batch(&predictions, lengths.clone(), 2, BatchTargets::StepValues(time_major(&targets)));
    for golden in golden["regression"].as_array().unwrap() {
        let kind = match golden["kind"].as_str().unwrap() {
            "mse" => Loss::Mse,
            "mae" => Loss::Mae,
            "huber" => Loss::Huber { delta: golden["delta"].as_f64().unwrap() },
            other => panic!("{other}: no such loss here"),
        };
        check(&format!("{kind:?}"), &kind, &values, &predictions, golden);
    }

    let logits = tensor(&golden["logits"]);
    let targets = steps_first(&integers(&golden["classes"]), [logits.shape[0], logits.shape[1], 1]);
    let classes = batch(&logits, lengths, 3, BatchTargets::StepClasses(targets));
    for golden in golden["classification"].as_array().unwrap() {
        let kind = cross_entropy(golden, 3);
        check(&format!("{kind:?}"), &kind, &classes, &logits, golden);
    }
}
