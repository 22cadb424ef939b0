//! The float side of every comparison against PyTorch's and Keras's numbers (tests/data).

use std::collections::BTreeMap;
use std::path::Path;

use emberloop_checkpoint::{Architecture, Checkpoint, FORMAT, Metadata, Pooling, Provenance, Task, Tensor};
use emberloop_data::{FeatureScale, Inputs, MissingPolicy, Scaler, ScalerKind, Schema, TargetPer, Targets};
use emberloop_quantize::FloatNetwork;
use serde_json::Value;

fn floats(array: &Value) -> Vec<f64> {
    array["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn sizes(array: &Value) -> Vec<usize> {
    array.as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

fn checkpoint(golden: &Value) -> Checkpoint {
    let tensors = golden["tensors"].as_object().unwrap().iter().map(|(name, tensor)| {
        let values = floats(tensor).into_iter().map(|value| value as f32).collect();
        (name.clone(), Tensor { shape: sizes(&tensor["shape"]), values })
    });
    let (inputs, outputs) = (golden["inputs"].as_u64().unwrap() as usize, golden["outputs"].as_u64().unwrap() as usize);
    let names = |count: usize| (0..count).map(|index| index.to_string()).collect();
    Checkpoint {
        tensors: tensors.collect(),
        metadata: Metadata {
            format: FORMAT,
            architecture: Architecture {
                cell: serde_json::from_value(golden["cell"].clone()).unwrap(),
                inputs,
                embedding: None,
                hidden: sizes(&golden["hidden"]),
                bidirectional: false,
                pooling: Pooling::Last,
                outputs,
                task: Task::Classification,
                dropout: 0.0,
            },
            schema: Schema {
                inputs: Inputs::Channels(names(inputs)),
                targets: Targets::Classes { labels: names(outputs) },
                target_per: TargetPer::Sequence,
            },
            scaler: Scaler {
                kind: ScalerKind::None,
                missing: MissingPolicy::Error,
                features: vec![FeatureScale { offset: 0.0, scale: 1.0, fill: 0.0 }; inputs],
            },
            target_scaler: None,
            config: Value::Null,
            metrics: BTreeMap::new(),
            provenance: Provenance::default(),
        },
    }
}

#[test]
fn logits_and_states_are_pytorchs() {
    for name in ["rnn", "lstm", "lstm_two_layers", "gru", "gru_reset_before"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name).with_extension("json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let network = FloatNetwork::new(&checkpoint(&golden)).unwrap();
        let (x, logits) = (floats(&golden["x"]), floats(&golden["expected"]["logits"]));
        let states = floats(&golden["expected"]["states"]);
        let shape = sizes(&golden["x"]["shape"]);
        let (steps, width) = (shape[1], shape[2]);
        let units = sizes(&golden["expected"]["states"]["shape"])[2];
        for (sequence, &length) in sizes(&golden["lengths"]).iter().enumerate() {
            let mut state = network.state();
            let mut outputs = Vec::new();
            for step in 0..length {
                let at = sequence * steps + step;
                outputs = network.step(&mut state, &x[at * width..(at + 1) * width], &mut ()).to_vec();
                let hidden = state.hidden(network.layers() - 1);
                close(hidden, &states[at * units..(at + 1) * units], &format!("{name}, states of step {step}"));
            }
            close(&outputs, &logits[sequence * outputs.len()..], &format!("{name}, logits"));
        }
    }
}

/// The goldens are rounded to ten digits.
fn close(found: &[f64], expected: &[f64], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-8, "{what}: expected {expected}, found {found}");
    }
}
