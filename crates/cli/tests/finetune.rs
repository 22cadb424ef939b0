//! Fine-tuning: what stays to the bit, what becomes new, and which scaler counts.

mod common;

use std::collections::BTreeSet;

use common::data::{LONG_TOML, NPZ_TOML, WORDS_TOML, long_csv, slopes, slopes_npz, words_csv};
use common::models::slopes_model;
use common::{Folder, assert_says, number};
use emberloop_checkpoint::Checkpoint;

const PARENT: &str = "model/checkpoint.safetensors";

/// The parent, and beside it data of a device whose level reads 100 higher.
fn folder() -> Folder {
    let folder = slopes_model();
    let mut shifted = slopes(45, 3);
    shifted.iter_mut().flat_map(|sequence| &mut sequence.steps).for_each(|step| step[0] += 100.0);
    folder.write("shifted.csv", long_csv(&shifted));
    let toml = LONG_TOML.replace("train.csv", "shifted.csv").replace("[model]\nhidden = [8]\n", "");
    assert!(!toml.contains("[model]"), "a fine-tune takes the parent's");
    folder.write("tune.toml", toml.replace("epochs = 25", "epochs = 5"));
    folder
}

fn tune(folder: &Folder, out: &str, options: &[&str]) -> Checkpoint {
    let arguments = [&["finetune", "tune.toml", "--from", PARENT, "--out", out][..], options].concat();
    let said = folder.run(&[&arguments[..], &["--json"]].concat()).json();
    assert_eq!(said["run"], out);
    Checkpoint::read(folder.file(out).join("checkpoint.safetensors")).unwrap()
}

/// The tensors whose bits are the same in both.
fn same(left: &Checkpoint, right: &Checkpoint) -> BTreeSet<String> {
    let bits = |checkpoint: &Checkpoint, name: &str| {
        checkpoint.tensors[name].values.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    left.tensors.keys().filter(|name| bits(left, name) == bits(right, name)).cloned().collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

const RECURRENT: [&str; 4] = ["rnn.bias_hh_l0", "rnn.bias_ih_l0", "rnn.weight_hh_l0", "rnn.weight_ih_l0"];
const HEAD: [&str; 2] = ["head.bias", "head.weight"];

#[test]
fn frozen_parts_stay_to_the_bit() {
    let folder = folder();
    let parent = Checkpoint::read(folder.file(PARENT)).unwrap();
    assert_eq!(same(&parent, &tune(&folder, "free", &[])), names(&[]), "without freezing everything learns");
    assert_eq!(same(&parent, &tune(&folder, "rnn", &["--freeze", "rnn"])), names(&RECURRENT));
    assert_eq!(same(&parent, &tune(&folder, "head", &["--freeze", "head"])), names(&HEAD));
    let layer = tune(&folder, "layer", &["--freeze", "rnn.l0"]);
    assert_eq!(same(&parent, &layer), names(&RECURRENT));
    assert_eq!(layer.metadata.provenance.parent, Some(parent.hash().unwrap()), "and it knows where it comes from");
    assert_eq!(parent.metadata.provenance.parent, None);
}

#[test]
fn the_scaler_is_the_parents_or_fitted_anew() {
    let folder = folder();
    let parent = Checkpoint::read(folder.file(PARENT)).unwrap();
    let kept = tune(&folder, "kept", &[]);
    assert_eq!(kept.metadata.scaler, parent.metadata.scaler);
    assert_eq!(tune(&folder, "named", &["--scaler", "keep"]).to_bytes().unwrap(), kept.to_bytes().unwrap());
    let refitted = tune(&folder, "refitted", &["--scaler", "refit"]);
    let level = |checkpoint: &Checkpoint| checkpoint.metadata.scaler.features[0].offset;
    assert!((level(&refitted) - level(&parent) - 100.0).abs() < 2.0, "{} {}", level(&refitted), level(&parent));
    // It is the scaler of a training on these data.
    folder.run(&["train", "tune.toml", "--out", "fresh"]).succeeds();
    let fresh = Checkpoint::read(folder.file("fresh/checkpoint.safetensors")).unwrap();
    assert_eq!(refitted.metadata.scaler, fresh.metadata.scaler);
    // The new device reads 100 higher: fitted to it, the old weights already know.
    let accuracy = |run: &str| {
        let model = format!("{run}/checkpoint.safetensors");
        let evaluated = folder.run(&["evaluate", &model, "--data", "shifted.csv", "--json"]).json();
        number(&evaluated, "/accuracy")
    };
    assert!(accuracy("refitted") > 0.9);
}

#[test]
fn other_classes_get_a_new_head() {
    let folder = folder();
    let parent = Checkpoint::read(folder.file(PARENT)).unwrap();
    // Two classes in place of three.
    let mut moving = slopes(40, 4);
    for sequence in &mut moving {
        sequence.label = if sequence.label == "flat" { "still" } else { "moving" };
    }
    folder.write("shifted.csv", long_csv(&moving));
    let tuned = tune(&folder, "tuned", &["--freeze", "rnn"]);
    assert_eq!(same_shapes(&parent, &tuned), names(&RECURRENT));
    assert_eq!(tuned.tensors["head.weight"].shape, [2, 8]);
    let evaluated = folder.run(&["evaluate", "tuned/checkpoint.safetensors", "--data", "shifted.csv", "--json"]).json();
    assert_eq!(evaluated["names"], serde_json::json!(["moving", "still"]));
    assert!(number(&evaluated, "/accuracy") > 0.75, "{evaluated}");
    // On to the board with it.
    folder.run(&["quantize", "tuned/checkpoint.safetensors", "--config", "tune.toml"]).succeeds();
    let arguments = ["compare", "tuned/checkpoint.safetensors", "tuned/model.ember", "--config", "tune.toml", "--json"];
    assert!(number(&folder.run(&arguments).json(), "/logit_error") < 0.05);
    // The parent's file does not know the new classes.
    let said = folder.refuses(&["evaluate", PARENT, "--data", "shifted.csv"]);
    assert_says(&said, &["was not seen in training"]);
}

/// As [`same`], of tensors that may differ in shape.
fn same_shapes(left: &Checkpoint, right: &Checkpoint) -> BTreeSet<String> {
    left.tensors
        .iter()
        .filter(|(name, tensor)| right.tensors[*name] == **tensor)
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn a_new_head_can_be_asked_for() {
    let folder = folder();
    let parent = Checkpoint::read(folder.file(PARENT)).unwrap();
    // Frozen as well, so that nothing but the start of it differs.
    let tuned = tune(&folder, "tuned", &["--new-head", "--freeze", "head"]);
    assert_eq!(same(&parent, &tuned), names(&[]));
}

#[test]
fn what_does_not_fit_the_parent_is_refused() {
    let folder = folder();
    let finetune = ["finetune", "tune.toml", "--from", PARENT, "--out", "tuned"];
    folder.write("tune.toml", LONG_TOML.replace("[8]", "[16]"));
    assert_says(&folder.refuses(&finetune), &["model.hidden: expected [8] as in the parent model", "found [16]"]);
    folder.write("tune.toml", LONG_TOML.replace("\"level\", \"noise\"", "\"level\""));
    assert_says(&folder.refuses(&finetune), &["train.csv: inputs: expected the model's channels level, noise"]);
    let unknown = [&finetune[..], &["--scaler", "new"]].concat();
    assert_eq!(folder.run(&unknown).code, Some(2), "arguments that do not exist are for clap to explain");
}

#[test]
fn from_one_kind_of_file_to_another() {
    let folder = folder();
    folder.write("train.npz", slopes_npz(&slopes(30, 5)));
    folder.write("test.npz", slopes_npz(&slopes(30, 6)));
    folder.write("tune.toml", NPZ_TOML);
    let tuned = tune(&folder, "tuned", &[]);
    assert!(tuned.metadata.metrics["test_accuracy"] > 0.9, "{:?}", tuned.metadata.metrics);
}

#[test]
fn tokens_and_classes_keep_their_numbers() {
    let folder = Folder::new();
    folder.write("words.csv", words_csv(60, 1));
    folder.write("train.toml", WORDS_TOML.replace("[model]", "labels = [\"odd\", \"even\"]\n[model]"));
    common::models::train_and_quantize(&folder);
    // Fewer letters than the parent knows, one that it does not, and the classes in another order.
    folder.write("few.csv", words_csv(40, 3).replace(",b,", ",x,").replace(", ,", ",c,"));
    folder.write("tune.toml", WORDS_TOML.replace("words.csv", "few.csv"));
    let parent = Checkpoint::read(folder.file(PARENT)).unwrap();
    let tuned = tune(&folder, "tuned", &["--freeze", "embedding"]);
    assert_eq!(same(&parent, &tuned), names(&["embedding.weight"]));
    assert_eq!(tuned.metadata.schema, parent.metadata.schema);
    // The same configuration reads the same data for it.
    folder.run(&["quantize", "tuned/checkpoint.safetensors", "--config", "tune.toml"]).succeeds();
    let models = ["tuned/checkpoint.safetensors", "tuned/model.ember"];
    let evaluated = models.map(|model| folder.run(&["evaluate", model, "--config", "tune.toml", "--json"]).json());
    assert_eq!(evaluated[0]["accuracy"].as_f64(), Some(tuned.metadata.metrics["test_accuracy"]));
    assert_eq!(evaluated[1]["confusion"], evaluated[0]["confusion"]);
}
