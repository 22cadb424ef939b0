//! What `inspect` prints of an image's proof, held against the weights themselves.

mod common;

use common::data::{LONG_TOML, long_csv, slopes};
use common::models::{slopes_model, train_and_quantize};
use common::{Folder, assert_says, number};
use emberloop_image::Image;
use emberloop_quantize::{AlignedBytes, IntegerMatrix, IntegerModel};
use serde_json::Value;

const IMAGE: &str = "model/model.ember";

fn lstm_model() -> Folder {
    let folder = Folder::new();
    folder.write("train.csv", long_csv(&slopes(60, 1)));
    folder.write("train.toml", LONG_TOML.replace("hidden = [8]", "hidden = [5, 6]\ncell = \"lstm\""));
    train_and_quantize(&folder);
    folder
}

/// `Σ|w|·2^15` and, with the multiplier `m`, `floor(Σ|w|·2^15·m / 2^16) + 1` (NUMERICS §4).
fn row(matrix: &IntegerMatrix, row: usize) -> (i64, i64) {
    let weights = &matrix.weights[row * matrix.columns..][..matrix.columns];
    let bound = weights.iter().map(|&weight| i64::from(weight).abs()).sum::<i64>() * 32_768;
    let multiplier = i64::from(matrix.multipliers[row]);
    (bound, if multiplier == 0 { 0 } else { bound * multiplier / 65_536 + 1 })
}

/// The bounds of a certificate's row or layer.
fn bounds(value: &Value) -> [i64; 3] {
    ["input", "recurrent", "sum"].map(|name| value[name]["bound"].as_i64().unwrap_or(0))
}

/// Checks all bounds of an image and returns its certificate.
fn check(folder: &Folder) -> Value {
    let certificate = folder.run(&["inspect", IMAGE, "--rows", "--json"]).json()["certificate"].clone();
    assert_eq!(certificate["limit"], i32::MAX);
    let bytes = AlignedBytes::new(&folder.read(IMAGE));
    let model = IntegerModel::of_image(&Image::parse(&bytes).unwrap());
    assert_eq!(certificate["layers"].as_array().unwrap().len(), model.layers.len());
    for (layer, said) in model.layers.iter().zip(certificate["layers"].as_array().unwrap()) {
        let units = usize::from(layer.shape.hidden);
        let gates = layer.shape.cell.gates();
        let rows = said["rows"].as_array().unwrap();
        assert_eq!(rows.len(), gates.len() * units);
        assert_eq!(said["shift"], layer.shape.shift);
        let mut largest = [0; 3];
        let mut of_gates = vec![0; gates.len()];
        for (at, said) in rows.iter().enumerate() {
            let (gate, unit) = (at / units, at % units);
            assert_eq!(said["row"], format!("{} {unit}", gates[gate].name()));
            let (input, product) = row(&layer.input, at);
            let (recurrent, recurrent_product) = row(&layer.recurrent, at);
            // The new gate of a GRU, the last, has a bias of its own for what the reset gate scales.
            let separate = layer.recurrent_bias.get(unit).filter(|_| gate + 1 == gates.len());
            let biases = i64::from(layer.bias[at]).abs() + separate.map_or(0, |&bias| i64::from(bias).abs());
            let expected = [input, recurrent, (product + recurrent_product + biases) << layer.shape.shift];
            assert_eq!(bounds(said), expected, "{said}");
            let fullest = expected.into_iter().max().unwrap();
            let headroom = (f64::from(i32::MAX) / fullest as f64).log2();
            assert!((number(said, "/headroom_bits") - headroom).abs() < 1e-9, "{said}");
            largest = std::array::from_fn(|bound| largest[bound].max(expected[bound]));
            of_gates[gate] = of_gates[gate].max(expected[2]);
        }
        assert_eq!(bounds(said), largest, "{said}");
        for ((said, gate), sum) in said["gates"].as_array().unwrap().iter().zip(gates).zip(of_gates) {
            assert_eq!(said["gate"], gate.name());
            let reach = sum as f64 / 65_536.0;
            assert_eq!(number(said, "/preactivation"), reach);
            let function = &certificate[said["activation"].as_str().unwrap()];
            let some = |count: &str| number(said, &format!("/{count}")) > 0.0;
            assert_eq!(some("rows_reaching_smallest"), -reach <= number(function, "/smallest_at"), "{said}");
            assert_eq!(some("rows_reaching_largest"), reach >= number(function, "/largest_at"), "{said}");
        }
    }
    let head = &certificate["head"];
    for (output, said) in head["rows"].as_array().unwrap().iter().enumerate() {
        let (bound, product) = row(&model.head.weights, output);
        let sum = (product + i64::from(model.head.bias[output]).abs()) << model.head.shape.shift;
        assert_eq!(bounds(said), [bound, 0, sum], "{said}");
    }
    let rows: Vec<[i64; 3]> = head["rows"].as_array().unwrap().iter().map(bounds).collect();
    assert_eq!(rows.len(), model.labels.len());
    assert_eq!(bounds(head), std::array::from_fn(|bound| rows.iter().map(|row| row[bound]).max().unwrap()));
    certificate
}

#[test]
fn of_a_gru() {
    let folder = slopes_model();
    let certificate = check(&folder);
    let states = certificate.pointer("/layers/0/states").unwrap().as_array().unwrap();
    let names: Vec<&str> = states.iter().map(|state| state["state"].as_str().unwrap()).collect();
    assert_eq!(names, ["memory", "hidden"]);
    for state in states {
        assert_eq!((number(state, "/smallest"), number(state, "/largest")), (-1.0, 32_767.0 / 32_768.0));
        assert_eq!(state["saturates"], false);
    }
    // Without --rows, no rows; the quantized safetensors file is the same model.
    let inspect = |file: &str| folder.run(&["inspect", file, "--json"]).json()["certificate"].clone();
    let short = inspect(IMAGE);
    assert!(short.pointer("/layers/0/rows").is_none() && short.pointer("/head/rows").is_none(), "{short}");
    assert_eq!(bounds(&short["head"]), bounds(&certificate["head"]));
    assert_eq!(inspect("model/model.q.safetensors"), short);
    // A checkpoint has none.
    assert_eq!(inspect("model/checkpoint.safetensors"), Value::Null);
}

#[test]
fn of_an_lstm_of_two_layers() {
    let folder = lstm_model();
    let certificate = check(&folder);
    let bytes = AlignedBytes::new(&folder.read(IMAGE));
    let image = Image::parse(&bytes).unwrap();
    for (at, layer) in image.header().layers.iter().enumerate() {
        let cell = certificate.pointer(&format!("/layers/{at}/states/0")).unwrap();
        assert_eq!((&cell["state"], &cell["saturates"]), (&Value::from("cell"), &Value::from(true)));
        let largest = f64::from(31 - layer.cell_fraction).exp2();
        assert_eq!(number(cell, "/smallest"), -largest);
        assert!(number(cell, "/largest") < largest && number(cell, "/largest") > largest - 0.001);
    }

    let said = folder.run(&["inspect", IMAGE]).succeeds();
    let bound = |pointer: &str| certificate.pointer(pointer).unwrap().to_string();
    assert_says(&said, &["layer 1, lstm, shift ", "head, shift ", "layer 0, cell: Q", ", saturated\n"]);
    assert_says(
        &said,
        &[&bound("/layers/1/sum/bound"), &bound("/layers/0/recurrent/bound"), &bound("/head/input/bound")],
    );
    assert_says(&said, &["gates: sigmoid is 0 up to -11.", "layer 1, forget: within ±"]);
    assert!(!said.contains("rows of layer"), "{said}");
    let with_rows = folder.run(&["inspect", IMAGE, "--rows"]).succeeds();
    assert!(with_rows.starts_with(&said), "the same, and more");
    // Rows by the names of their gates, outputs by their labels.
    assert_says(
        &with_rows,
        &["rows of layer 1:\n  input 0 ", "\n  output 5 ", "rows of the head:\n  output 0 (fall) "],
    );
}
