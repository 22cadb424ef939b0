//! Our names and shapes are those of PyTorch's own modules, as recorded in the golden files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use emberloop_cells::CellKind;
use emberloop_checkpoint::{Architecture, Pooling, Task};
use serde::Deserialize;

/// The part of a golden file that describes the network; `tests/data/README.md` has the whole format.
#[derive(Deserialize)]
struct Golden {
    cell: CellKind,
    inputs: usize,
    hidden: Vec<usize>,
    bidirectional: bool,
    outputs: usize,
    tensors: BTreeMap<String, Array>,
}

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

#[test]
fn names_and_shapes_are_pytorchs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    for name in ["rnn", "lstm", "lstm_two_layers", "gru", "gru_bidirectional", "gru_reset_before"] {
        let text = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let golden: Golden = serde_json::from_str(&text).unwrap();
        let architecture = Architecture {
            cell: golden.cell,
            inputs: golden.inputs,
            embedding: None,
            hidden: golden.hidden,
            bidirectional: golden.bidirectional,
            pooling: Pooling::Last,
            outputs: golden.outputs,
            task: Task::Classification,
            dropout: 0.0,
        };
        let ours: BTreeMap<String, Vec<usize>> =
            architecture.tensors().into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
        let values: usize = golden.tensors.values().map(|array| array.values.len()).sum();
        let theirs: BTreeMap<String, Vec<usize>> =
            golden.tensors.into_iter().map(|(name, array)| (name, array.shape)).collect();
        assert_eq!(ours, theirs, "{name}");
        assert_eq!(architecture.parameters(), values, "{name}");
    }
}
