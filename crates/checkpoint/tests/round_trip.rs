//! A checkpoint reads back as it was written, and the same checkpoint is always the same bytes.

mod common;

use std::fs;

use common::tiny;
use emberloop_checkpoint::{Checkpoint, Tensor};

/// `==` on floats would let a negative zero become a positive one.
fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_bit_of_every_number_survives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let written = tiny();
    written.write(&path).unwrap();
    let read = Checkpoint::read(&path).unwrap();
    assert_eq!(read, written);
    for (name, tensor) in &written.tensors {
        assert_eq!(bits(&read.tensors[name]), bits(tensor), "{name}");
    }
    let [read_scale, written_scale] = [&read, &written].map(|checkpoint| checkpoint.metadata.scaler.features[0]);
    assert_eq!(read_scale.offset.to_bits(), written_scale.offset.to_bits());
    assert_eq!(read_scale.scale.to_bits(), written_scale.scale.to_bits());
}

/// Ten thousand awkward doubles: the default parser of serde_json gets some of them wrong by one bit.
#[test]
fn every_scale_survives() {
    let mut checkpoint = tiny();
    let mut state = 1u64;
    for _ in 0..10_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Any exponent from 2^-511 to 1, any mantissa.
        let offset = f64::from_bits((state >> 2) | (1 << 61));
        checkpoint.metadata.scaler.features[0].offset = offset;
        let json = serde_json::to_string(&checkpoint.metadata.scaler).unwrap();
        let read: emberloop_data::Scaler = serde_json::from_str(&json).unwrap();
        assert_eq!(read.features[0].offset.to_bits(), offset.to_bits(), "{offset:e}");
    }
}

#[test]
fn the_same_checkpoint_is_the_same_bytes() {
    let first = tiny().to_bytes().unwrap();
    for _ in 0..20 {
        assert_eq!(tiny().to_bytes().unwrap(), first, "a hash map's order would differ from one map to the next");
    }
    assert_eq!(Checkpoint::from_bytes(&first).unwrap().to_bytes().unwrap(), first, "read and written again");
}

#[test]
fn the_hash_names_the_content() {
    let checkpoint = tiny();
    let hash = checkpoint.hash().unwrap();
    let text = String::from_utf8_lossy(&checkpoint.to_bytes().unwrap()).into_owned();
    assert!(text.contains(&format!("\"emberloop.sha256\":\"{hash}\"")), "it stands in the file");
    let mut weight = checkpoint.clone();
    weight.tensors.get_mut("head.bias").unwrap().values[0] += 1.0;
    assert_ne!(weight.hash().unwrap(), hash);
    let mut label = checkpoint;
    label.metadata.metrics.insert("epochs_waited".into(), 3.0);
    assert_ne!(label.hash().unwrap(), hash);
}

/// The recorded file of format 1: it must stay readable, and what we write today must be these very bytes.
///
/// Where this fails on purpose, raise `FORMAT`, note it in the changelog, and take the file that the message names.
#[test]
fn format_1_is_what_it_was() {
    let recorded = include_bytes!("data/format_1.safetensors");
    let found = tiny().to_bytes().unwrap();
    if found != recorded {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("format_1.safetensors");
        fs::write(&path, &found).unwrap();
        panic!("the bytes of a checkpoint changed; the new ones are in {}", path.display());
    }
    assert_eq!(Checkpoint::from_bytes(recorded).unwrap(), tiny());
}

#[test]
fn the_header_is_aligned_as_safetensors_asks() {
    let bytes = tiny().to_bytes().unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap());
    assert_eq!(header % 8, 0);
    assert_eq!(bytes.len() as u64, 8 + header + 4 * tiny().metadata.architecture.parameters() as u64);
}
