//! The stock `safetensors` package of Python opens a quantized file.
//!
//! Needs `python3` (or what `EMBERLOOP_PYTHON` names) with `safetensors` and `numpy`; without them the test says so and
//! stops there.

mod common;

use std::process::Command;

use common::Recipe;
use emberloop_cells::CellKind;
use emberloop_quantize::{Options, QuantizedFile, quantize};

const SCRIPT: &str = r#"
import json, sys
import numpy as np
from safetensors import safe_open

quantized, checkpoint = [safe_open(path, framework="numpy") for path in sys.argv[1:]]
metadata = json.loads(quantized.metadata()["emberloop.quantized"])
steps = []
for name in ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "head.weight"]:
    integers, scale = quantized.get_tensor(name), quantized.get_tensor(name + ".scale")
    assert integers.dtype == np.int8 and scale.dtype == np.float64, name
    error = integers * scale[:, None] - checkpoint.get_tensor(name)
    steps.append(float(np.max(np.abs(error) / scale[:, None])))
    bound = quantized.get_tensor(name + ".accumulator_bound")
    assert (bound == np.abs(integers.astype(np.int64)).sum(axis=1) * 2**15).all(), name
layer = metadata["layers"][0]
multiplier, scale = [quantized.get_tensor("rnn.weight_ih_l0." + name) for name in ["multiplier", "scale"]]
assert (scale == multiplier * 2.0 ** (metadata["input_fraction"] + layer["shift"] - 32)).all()
print(json.dumps({"cell": metadata["architecture"]["cell"], "steps": steps}))
"#;

#[test]
fn the_stock_package_reads_integers_scales_and_metadata() {
    let python = std::env::var("EMBERLOOP_PYTHON").unwrap_or_else(|_| "python3".into());
    let probe = Command::new(&python).args(["-c", "import numpy, safetensors"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        let reason = format!("{python} with the packages safetensors and numpy is not there");
        assert!(std::env::var_os("EMBERLOOP_REQUIRE_PYTHON").is_none(), "{reason}");
        println!("SKIPPED: {reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (quantized_path, checkpoint_path) =
        (folder.path().join("m.q.safetensors"), folder.path().join("m.safetensors"));
    let recipe = Recipe::new(CellKind::Lstm);
    let checkpoint = recipe.checkpoint();
    let quantized = quantize(&checkpoint, &recipe.dataset(30, 1), &Options::default()).unwrap();
    checkpoint.write(&checkpoint_path).unwrap();
    QuantizedFile::new(&quantized, &checkpoint).write(&quantized_path).unwrap();

    let output =
        Command::new(&python).args(["-c", SCRIPT]).arg(&quantized_path).arg(&checkpoint_path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["cell"], "lstm");
    for steps in found["steps"].as_array().unwrap() {
        // Half a step is plain rounding; compensation may move a weight by a few.
        assert!((0.01..8.0).contains(&steps.as_f64().unwrap()), "{found}");
    }
}
