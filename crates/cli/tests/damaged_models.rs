//! Model files that are cut off, changed in one bit, of another version or of another model: each command that reads them
//! refuses them in one line that names the file, and writes nothing.

mod common;

use common::data::LONG_TOML;
use common::models::slopes_model;
use common::{Folder, assert_says};

const CHECKPOINT: &str = "model/checkpoint.safetensors";
const IMAGE: &str = "model/model.ember";
const QUANTIZED: &str = "model/model.q.safetensors";

/// Every command that reads the file.
fn readers(file: &str) -> Vec<Vec<&str>> {
    let data = ["--data", "other.csv", "--config", "train.toml"];
    let mut all = vec![[&["evaluate", file][..], &data].concat(), vec!["inspect", file]];
    if file == CHECKPOINT {
        all.push([&["compare", file, IMAGE][..], &data].concat());
        all.push(vec!["quantize", file, "--config", "train.toml", "--out", "new"]);
        all.push(vec!["finetune", "train.toml", "--from", file]);
    } else {
        all.push([&["compare", CHECKPOINT, file][..], &data].concat());
        all.push(vec!["run", file]);
        all.push(vec!["flash", file, "--board", "qemu-m4"]);
    }
    all
}

/// Puts `bytes` in the place of `file`; every reader must refuse them, naming the file and saying `parts`.
#[track_caller]
fn all_refuse(folder: &Folder, file: &str, bytes: &[u8], parts: &[&str]) {
    let good = folder.read(file);
    folder.write(file, bytes);
    for arguments in readers(file) {
        let said = folder.refuses(&arguments);
        assert_says(&said, &[&format!("{file}: ")]);
        assert_says(&said, parts);
    }
    folder.write(file, good);
}

/// One of the readers, in turn: damage in many places needs no more.
#[track_caller]
fn one_refuses(folder: &Folder, file: &str, bytes: &[u8], turn: usize) -> String {
    let good = folder.read(file);
    folder.write(file, bytes);
    let readers = readers(file);
    let said = folder.refuses(&readers[turn % readers.len()]);
    assert_says(&said, &[&format!("{file}: ")]);
    folder.write(file, good);
    said
}

/// Lengths to cut at and places to damage: the ends, and some between.
fn places(length: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..12).map(|part| part * length / 12).collect();
    all.extend([1, 7, 8, 31, 32, length - 1]);
    all
}

fn flipped(bytes: &[u8], place: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[place] ^= 1 << (place % 8);
    bytes
}

/// The bytes with one text in place of another of the same length.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{from} is not in the file"));
    [&bytes[..at], to.as_bytes(), &bytes[at + to.len()..]].concat()
}

#[test]
fn a_checkpoint_cut_off() {
    let folder = slopes_model();
    let bytes = folder.read(CHECKPOINT);
    all_refuse(&folder, CHECKPOINT, &bytes[..bytes.len() / 2], &["truncated: expected"]);
    for (turn, length) in places(bytes.len()).into_iter().enumerate() {
        one_refuses(&folder, CHECKPOINT, &bytes[..length], turn);
    }
}

#[test]
fn a_checkpoint_with_a_bit_changed() {
    let folder = slopes_model();
    let bytes = folder.read(CHECKPOINT);
    // In the last weight: nothing but the hash can tell.
    all_refuse(&folder, CHECKPOINT, &flipped(&bytes, bytes.len() - 4), &["damaged", "SHA-256"]);
    for (turn, place) in places(bytes.len()).into_iter().enumerate() {
        one_refuses(&folder, CHECKPOINT, &flipped(&bytes, place), turn);
    }
}

#[test]
fn a_checkpoint_of_another_version() {
    let folder = slopes_model();
    let bytes = replaced(&folder.read(CHECKPOINT), "{\\\"format\\\":1", "{\\\"format\\\":2");
    all_refuse(&folder, CHECKPOINT, &bytes, &["checkpoint format: expected 1, found 2"]);
}

#[test]
fn a_checkpoint_of_other_shapes() {
    let folder = slopes_model();
    // Eight hidden units of a GRU with two inputs: 24 rows of 2. As many bytes, but otherwise divided.
    let bytes = replaced(&folder.read(CHECKPOINT), "\"shape\":[24,2]", "\"shape\":[12,4]");
    all_refuse(&folder, CHECKPOINT, &bytes, &["tensor rnn.weight_ih_l0: expected shape [24, 2], found [12, 4]"]);
}

#[test]
fn a_quantized_file_cut_off_or_changed_or_of_another_version() {
    let folder = slopes_model();
    let bytes = folder.read(QUANTIZED);
    all_refuse(&folder, QUANTIZED, &bytes[..bytes.len() / 2], &["truncated: expected"]);
    all_refuse(&folder, QUANTIZED, &flipped(&bytes, bytes.len() - 2), &["damaged", "SHA-256"]);
    let version = replaced(&bytes, "{\\\"format\\\":2", "{\\\"format\\\":1");
    all_refuse(&folder, QUANTIZED, &version, &["quantized format: expected 2, found 1"]);
    for (turn, place) in places(bytes.len()).into_iter().enumerate() {
        one_refuses(&folder, QUANTIZED, &bytes[..place], turn);
        one_refuses(&folder, QUANTIZED, &flipped(&bytes, place), turn);
    }
}

#[test]
fn an_image_cut_off_or_changed_or_of_another_version() {
    let folder = slopes_model();
    let bytes = folder.read(IMAGE);
    all_refuse(&folder, IMAGE, &bytes[..bytes.len() / 2], &["truncated", &format!("expected {} bytes", bytes.len())]);
    all_refuse(&folder, IMAGE, &flipped(&bytes, bytes.len() / 2), &["image is damaged: expected checksum"]);
    for other in [1, 9] {
        let mut version = bytes.clone();
        version[4] = other;
        let said =
            format!("image format version {other}, but this build reads version 2: quantize the checkpoint again");
        all_refuse(&folder, IMAGE, &version, &[&said]);
    }
    all_refuse(&folder, IMAGE, b"something else", &["not an Emberloop image"]);
    for (turn, place) in places(bytes.len()).into_iter().enumerate() {
        one_refuses(&folder, IMAGE, &bytes[..place], turn);
        one_refuses(&folder, IMAGE, &flipped(&bytes, place), turn);
    }
}

#[test]
fn an_image_of_another_checkpoint() {
    let folder = slopes_model();
    folder.write("again.toml", LONG_TOML.replace("epochs = 25", "epochs = 1"));
    folder.run(&["train", "again.toml", "--out", "again"]).succeeds();
    let compare = ["compare", "again/checkpoint.safetensors", IMAGE, "--data", "other.csv"];
    for image in [IMAGE, QUANTIZED] {
        let said = folder.refuses(&["compare", compare[1], image, "--data", "other.csv"]);
        assert_says(&said, &[image, "expected an image of again/checkpoint.safetensors", "--force"]);
    }
    let forced = folder.run(&[&compare[..], &["--force", "--json"]].concat()).json();
    assert!(common::number(&forced, "/logit_error") > 0.1, "two models that differ: {forced}");
}
