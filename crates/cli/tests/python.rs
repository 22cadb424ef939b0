//! The files open in Python with the stock `safetensors` package: names, types, shapes and the hash are what we say.
//!
//! Needs a Python with `safetensors` and `numpy`: `EMBERLOOP_PYTHON`, or `python3`. Without one the tests are reported as
//! ignored, with the reason; `EMBERLOOP_REQUIRE_PYTHON=1` makes that a failure.

mod common;

use std::path::Path;
use std::process::{Command, ExitCode};

use common::models::slopes_model;
use common::{Folder, number};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};

fn main() -> ExitCode {
    type Test = (&'static str, fn(&str));
    let tests: [Test; 3] = [
        ("a_checkpoint_opens_in_python", a_checkpoint_opens_in_python),
        ("a_quantized_model_opens_in_python", a_quantized_model_opens_in_python),
        ("the_script_itself_notices_damage", the_script_itself_notices_damage),
    ];
    let python = python();
    let required = std::env::var("EMBERLOOP_REQUIRE_PYTHON").is_ok_and(|value| value == "1");
    let trials = tests.map(|(name, test)| match python.clone() {
        Ok(python) => Trial::test(name, move || {
            test(&python);
            Ok(())
        }),
        Err(reason) if required => Trial::test(name, move || Err(reason.into())),
        Err(reason) => {
            println!("SKIPPED: {reason}");
            Trial::test(name, || Ok(())).with_kind(reason).with_ignored_flag(true)
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

/// A Python that has what is needed, or why there is none.
fn python() -> Result<String, String> {
    let python = std::env::var("EMBERLOOP_PYTHON").unwrap_or_else(|_| "python3".into());
    let tried = Command::new(&python).args(["-c", "import safetensors, numpy"]).output();
    match tried {
        Ok(output) if output.status.success() => Ok(python),
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("{python}: {}", stderr.lines().last().unwrap_or("cannot import safetensors and numpy")))
        }
        Err(error) => Err(format!("{python}: {error}")),
    }
}

/// What the Python script says of a file, or how it refuses it.
fn check(python: &str, folder: &Folder, file: &str) -> Result<Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tools/check_safetensors.py");
    let output = Command::new(python).arg(script).arg(folder.file(file)).output().unwrap();
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

fn a_checkpoint_opens_in_python(python: &str) {
    let folder = slopes_model();
    let checked = check(python, &folder, "model/checkpoint.safetensors").unwrap();
    let shapes = [
        ("head.bias", json!([3])),
        ("head.weight", json!([3, 8])),
        ("rnn.bias_hh_l0", json!([24])),
        ("rnn.bias_ih_l0", json!([24])),
        ("rnn.weight_hh_l0", json!([24, 8])),
        ("rnn.weight_ih_l0", json!([24, 2])),
    ];
    let tensors = checked["tensors"].as_object().unwrap();
    assert!(tensors.keys().eq(shapes.iter().map(|(name, _)| name)), "{checked}");
    for (name, shape) in shapes {
        assert_eq!((&tensors[name]["dtype"], &tensors[name]["shape"]), (&json!("float32"), &shape), "{name}");
    }
    assert_eq!(checked["metadata_keys"], json!(["emberloop", "emberloop.sha256"]));
    // The hash that the script computed by itself is the one that names the model, also in the image made of it.
    let inspect = |file: &str| folder.run(&["inspect", file, "--json"]).json();
    assert_eq!(checked["sha256"], inspect("model/checkpoint.safetensors")["content_hash"]);
    assert_eq!(checked["sha256"], inspect("model/model.ember")["checkpoint"]);
}

fn a_quantized_model_opens_in_python(python: &str) {
    let folder = slopes_model();
    let checked = check(python, &folder, "model/model.q.safetensors").unwrap();
    let tensors = checked["tensors"].as_object().unwrap();
    let weights: Vec<&String> = tensors.keys().filter(|name| tensors[*name]["dtype"] == "int8").collect();
    assert!(weights.len() >= 3, "input, recurrent and head weights: {checked}");
    for name in weights {
        let (min, max) = (number(&tensors[name], "/min"), number(&tensors[name], "/max"));
        assert!((-127.0..=127.0).contains(&min) && min < 0.0 && max > 0.0, "{name}: {min} {max}");
    }
    let keys = checked["metadata_keys"].as_array().unwrap();
    assert!(keys.contains(&json!("emberloop.quantized")) && keys.contains(&json!("emberloop.sha256")), "{keys:?}");
}

fn the_script_itself_notices_damage(python: &str) {
    let folder = slopes_model();
    let mut bytes = folder.read("model/model.q.safetensors");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    folder.write("damaged.safetensors", bytes);
    assert!(check(python, &folder, "damaged.safetensors").unwrap_err().contains("SHA-256 differs"));
}
