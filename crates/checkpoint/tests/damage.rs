//! A damaged, foreign or contradictory file is refused with one line that names the place.

mod common;

use std::borrow::Cow;
use std::collections::BTreeMap;

use common::tiny;
use emberloop_checkpoint::{Checkpoint, Container, EmbeddingShape, Flaw, RawTensor};
use safetensors::tensor::Dtype;

/// The refusal of a checkpoint in one line.
fn refusal(bytes: &[u8]) -> String {
    let message = Checkpoint::from_bytes(bytes).expect_err("must be refused").to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

/// The refusal of a file that is whole (its hash is right) but holds something else.
fn refusal_after(change: impl FnOnce(&mut Container<'_>)) -> String {
    let bytes = tiny().to_bytes().unwrap();
    let mut container = Container::decode(&bytes).unwrap();
    change(&mut container);
    refusal(&container.encode().unwrap().0)
}

/// The refusal of metadata in which `from` is replaced by `to`.
fn refusal_of_metadata(from: &str, to: &str) -> String {
    refusal_after(|container| {
        let json = container.metadata.get_mut("emberloop").unwrap();
        assert!(json.contains(from), "{json}");
        *json = json.replace(from, to);
    })
}

/// The refusal to write a checkpoint, which is also that of [`Checkpoint::validate`].
fn refusal_to_write(change: impl FnOnce(&mut Checkpoint)) -> String {
    let mut checkpoint = tiny();
    change(&mut checkpoint);
    let message = checkpoint.to_bytes().expect_err("must be refused").to_string();
    assert_eq!(checkpoint.validate().expect_err("must be invalid").to_string(), message);
    message
}

#[test]
fn every_truncation_is_refused() {
    let bytes = tiny().to_bytes().unwrap();
    for length in 0..bytes.len() {
        let message = refusal(&bytes[..length]);
        assert!(message.starts_with("truncated: expected "), "cut to {length}: {message}");
        assert!(message.ends_with(&format!("found {length}")), "cut to {length}: {message}");
    }
}

/// The hash covers the whole file, so nothing in it is unused: not even the spaces behind the header.
#[test]
fn every_flipped_bit_is_refused() {
    let mut bytes = tiny().to_bytes().unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            bytes[place] ^= 1 << bit;
            refusal(&bytes);
            bytes[place] ^= 1 << bit;
        }
    }
    assert!(Checkpoint::from_bytes(&bytes).is_ok(), "all bits are back");
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let mut bytes = tiny().to_bytes().unwrap();
    bytes.push(0);
    assert!(refusal(&bytes).starts_with("not a valid safetensors file: "));
}

#[test]
fn a_damaged_weight_shows_both_hashes() {
    let mut bytes = tiny().to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let hash = tiny().hash().unwrap();
    let message = refusal(&bytes);
    assert!(message.starts_with("damaged or edited by another tool: its SHA-256 is "), "{message}");
    assert!(message.ends_with(&format!("recorded is {hash}")), "{message}");
}

#[test]
fn something_else_is_not_called_truncated() {
    for other in [&b"sequence,step,a\n0,0,1.5\n0,1,1.25\n"[..], b"\x89PNG\r\n\x1a\n0123456789", &[0xff; 64]] {
        let message = refusal(other);
        assert!(message.starts_with("not a valid safetensors file: "), "{message}");
    }
}

#[test]
fn a_plain_pytorch_file_is_recognised() {
    let metadata = Some([("format".to_string(), "pt".to_string())].into_iter().collect());
    let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let bytes = safetensors::serialize([("weight_ih_l0", view)], metadata).unwrap();
    let message = refusal(&bytes);
    assert!(message.starts_with("has no emberloop metadata"), "{message}");
    assert!(message.contains("found [\"format\"]"), "{message}");
}

#[test]
fn another_format_version_is_named_before_its_unknown_fields() {
    let message = refusal_of_metadata("\"format\":1,", "\"format\":2,\"tomorrow\":true,");
    assert!(message.starts_with("checkpoint format: expected 1, found 2"), "{message}");
    let message = refusal_of_metadata("\"format\":1,", "");
    assert!(message.starts_with("checkpoint format: expected 1, found none"), "{message}");
}

#[test]
fn an_unknown_or_missing_field_is_named() {
    assert!(refusal_of_metadata("\"seed\":", "\"seeed\":").contains("seeed"));
    assert!(refusal_of_metadata("\"bidirectional\":false,", "").contains("bidirectional"));
    assert!(refusal_of_metadata("\"rnn\"", "\"transformer\"").contains("transformer"));
}

#[test]
fn a_missing_tensor_is_named_with_its_shape() {
    let message = refusal_after(|container| drop(container.tensors.remove("head.weight")));
    assert_eq!(message, "tensor head.weight: expected shape [2, 1], found no such tensor");
}

#[test]
fn an_extra_tensor_is_named() {
    let message = refusal_after(|container| {
        let copy = container.tensors["head.bias"].clone();
        container.tensors.insert("rnn.weight_hr_l0".into(), copy);
    });
    assert_eq!(message, "tensor rnn.weight_hr_l0: expected no such tensor in this architecture, found one");
}

#[test]
fn another_shape_is_named() {
    let message = refusal_after(|container| container.tensors.get_mut("head.weight").unwrap().shape = vec![1, 2]);
    assert_eq!(message, "tensor head.weight: expected shape [2, 1], found [1, 2]");
}

#[test]
fn another_element_type_is_named() {
    let message = refusal_after(|container| {
        let raw = RawTensor { dtype: Dtype::F64, shape: vec![2], bytes: Cow::Owned(vec![0; 16]) };
        container.tensors.insert("head.bias".into(), raw);
    });
    assert_eq!(message, "tensor head.bias: expected F32 values, found F64");
}

#[test]
fn a_number_that_is_none_is_named() {
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let message = refusal_after(|container| {
            let bytes = container.tensors.get_mut("head.bias").unwrap().bytes.to_mut();
            bytes[4..].copy_from_slice(&value.to_le_bytes());
        });
        assert_eq!(message, format!("tensor head.bias: expected finite values, found {word} at element 1"));
    }
}

#[test]
fn values_that_do_not_fill_the_shape_are_not_written() {
    let message = refusal_to_write(|checkpoint| checkpoint.tensors.get_mut("head.bias").unwrap().values.push(1.0));
    assert_eq!(message, "tensor head.bias: expected 2 values, found 3");
}

#[test]
fn metadata_that_contradicts_itself_is_neither_written_nor_read() {
    let message = refusal_of_metadata("\\\"left\\\"\"", "\\\"left\\\"\",\"right\"");
    assert_eq!(message, "metadata, schema.inputs: expected 1, found 2");
    let message = refusal_to_write(|checkpoint| checkpoint.metadata.scaler.features.clear());
    assert_eq!(message, "metadata, scaler.features: expected 1, found 0");
    let message = refusal_to_write(|checkpoint| checkpoint.metadata.architecture.outputs = 3);
    assert_eq!(message, "metadata, schema.targets.labels: expected 3, found 2");
    let message = refusal_to_write(|checkpoint| {
        checkpoint.metadata.architecture.embedding = Some(EmbeddingShape { vocabulary: 9, dimension: 1 });
    });
    assert_eq!(message, "metadata, schema.inputs: expected tokens, as there is an embedding, found channels");
    let message = refusal_to_write(|checkpoint| checkpoint.metadata.scaler.features[0].scale = 0.0);
    assert!(message.starts_with("metadata, scaler.features: expected finite numbers and a scale above 0"), "{message}");
    let message = refusal_to_write(|checkpoint| checkpoint.metadata.architecture.hidden = vec![1 << 40]);
    assert_eq!(message, "metadata, architecture.hidden[0]: expected 1 to 16777216, found 1099511627776");
    let message = refusal_to_write(|checkpoint| {
        checkpoint.metadata.metrics.insert("val_loss".into(), f64::NAN);
    });
    assert_eq!(message, "metadata, metrics.val_loss: expected a finite number, found NaN");
    let message = refusal_to_write(|checkpoint| checkpoint.metadata.format = 9);
    assert_eq!(message, "metadata, format: expected 1, found 9");
}

#[test]
fn a_whole_safetensors_file_without_our_hash_is_refused() {
    let bytes = tiny().to_bytes().unwrap();
    let container = Container::decode(&bytes).unwrap();
    let views = container.tensors.iter().map(|(name, raw)| {
        (name.clone(), safetensors::tensor::TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes).unwrap())
    });
    let without_hash = Some(container.metadata.clone().into_iter().collect());
    let message = refusal(&safetensors::serialize(views, without_hash).unwrap());
    assert!(message.starts_with("emberloop.sha256: expected 64 hexadecimal digits"), "{message}");
}

#[test]
fn a_container_that_contradicts_itself_is_not_written() {
    let encode = |name: &str, shape: Vec<usize>, bytes: usize| {
        let raw = RawTensor { dtype: Dtype::I16, shape, bytes: Cow::Owned(vec![0; bytes]) };
        let tensors = BTreeMap::from([(name.to_string(), raw)]);
        Container { metadata: BTreeMap::new(), tensors }.encode().map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(encode("scores", vec![3], 6), Ok(()));
    assert_eq!(encode("scores", vec![3], 5).unwrap_err(), "tensor scores: I16 [3] cannot be made of 5 bytes");
    let refusal = encode("scores", vec![usize::MAX, 4], 6).unwrap_err();
    assert!(refusal.ends_with("cannot be made of 6 bytes"), "{refusal}");
    assert!(encode("__metadata__", vec![3], 6).is_err());
}

#[test]
fn the_file_is_named_whatever_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.safetensors");
    let message = Checkpoint::read(&missing).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: cannot be read: ", missing.display())), "{message}");
    let cut = folder.path().join("cut.safetensors");
    std::fs::write(&cut, &tiny().to_bytes().unwrap()[..99]).unwrap();
    let message = Checkpoint::read(&cut).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: truncated: expected at least ", cut.display())), "{message}");
    let mut bad = tiny();
    bad.tensors.clear();
    let message = bad.write(&cut).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: tensor rnn.weight_ih_l0: ", cut.display())), "{message}");
    assert_eq!(std::fs::read(&cut).unwrap().len(), 99, "nothing was written");
    assert!(matches!(bad.hash(), Err(Flaw::Tensor { .. })));
}
