//! The quantized safetensors and the image: the same bytes every time and both ways, and no damage goes unnoticed.

mod common;

use common::Recipe;
use emberloop_cells::CellKind;
use emberloop_checkpoint::container::Container;
use emberloop_checkpoint::{Checkpoint, Pooling, Task};
use emberloop_image::Image;
use emberloop_quantize::{
    IntegerModel, Options, Quantized, QuantizedFile, QuantizedFlaw, evaluate_image, quantize, read_quantized,
};

fn quantized(recipe: &Recipe) -> (Checkpoint, Quantized) {
    let checkpoint = recipe.checkpoint();
    let quantized = quantize(&checkpoint, &recipe.dataset(30, 1), &Options::default()).unwrap();
    (checkpoint, quantized)
}

fn recipes() -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = CellKind::ALL.map(Recipe::new).to_vec();
    recipes.push(Recipe { hidden: vec![5, 3], pooling: Pooling::Mean, ..Recipe::new(CellKind::Lstm) });
    recipes.push(Recipe { task: Task::Regression, outputs: 1, ..Recipe::new(CellKind::GruResetAfter) });
    recipes.push(Recipe { vocabulary: Some(11), ..Recipe::new(CellKind::GruResetBefore) });
    recipes
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for recipe in recipes() {
        let ((checkpoint, first), (_, second)) = (quantized(&recipe), quantized(&recipe));
        assert_eq!(first.image, second.image);
        let bytes = |quantized| QuantizedFile::new(quantized, &checkpoint).to_bytes().unwrap();
        assert_eq!(bytes(&first), bytes(&second));
    }
}

#[test]
fn an_image_and_its_content_are_one() {
    for recipe in recipes() {
        let (_, quantized) = quantized(&recipe);
        let image = Image::parse(&quantized.image).unwrap();
        let model = IntegerModel::of_image(&image);
        assert_eq!(model, quantized.model);
        assert_eq!(model.to_image().unwrap(), *quantized.image);
    }
}

#[test]
fn the_file_gives_back_the_identical_image() {
    let folder = tempfile::tempdir().unwrap();
    for recipe in recipes() {
        let (checkpoint, quantized) = quantized(&recipe);
        let file = QuantizedFile::new(&quantized, &checkpoint);
        let path = folder.path().join("model.q.safetensors");
        file.write(&path).unwrap();
        let back = read_quantized(&path).unwrap();
        assert_eq!(back, file);
        assert_eq!(back.image().unwrap(), quantized.image);
        assert_eq!(back.metadata.checkpoint, checkpoint.hash().unwrap());
        let data = recipe.dataset(9, 7);
        let (read, made) = (back.image().unwrap(), quantized.image);
        let evaluate = |bytes: &[u8]| evaluate_image(&Image::parse(bytes).unwrap(), &data).unwrap();
        assert_eq!(evaluate(&read), evaluate(&made));
    }
}

/// What a Python reader relies on: the float weight is `integer · scale`, to within half a step and what compensation
/// moved.
#[test]
fn scales_turn_integers_back_into_weights() {
    let recipe = Recipe::new(CellKind::Lstm);
    let (checkpoint, quantized) = quantized(&recipe);
    let bytes = QuantizedFile::new(&quantized, &checkpoint).to_bytes().unwrap();
    let container = Container::decode(&bytes).unwrap();
    for (name, columns) in [("rnn.weight_ih_l0", 3), ("rnn.weight_hh_l0", 8), ("head.weight", 8)] {
        let integers = &container.tensors[name].bytes;
        let scales = &container.tensors[&format!("{name}.scale")].bytes;
        let scales: Vec<f64> = scales.as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        let float = &checkpoint.tensors[name].values;
        let mut worst: f64 = 0.0;
        for (at, (&integer, &float)) in integers.iter().zip(float).enumerate() {
            let step = scales[at / columns];
            worst = worst.max((f64::from(integer as i8) * step - f64::from(float)).abs() / step);
        }
        assert!(worst > 0.0 && worst < 8.0, "{name}: {worst} steps");
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused_in_one_line() {
    let (checkpoint, quantized) = quantized(&Recipe { hidden: vec![2], ..Recipe::new(CellKind::Rnn) });
    let bytes = QuantizedFile::new(&quantized, &checkpoint).to_bytes().unwrap();
    for length in (0..bytes.len()).step_by(13) {
        let error = QuantizedFile::from_bytes(&bytes[..length]).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{length}: {error}");
    }
    for byte in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 1 << (byte % 8);
        let error = QuantizedFile::from_bytes(&damaged).unwrap_err().to_string();
        assert!(!error.contains('\n'), "byte {byte}: {error}");
    }
    let error = QuantizedFile::from_bytes(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
    assert!(error.starts_with("truncated: expected"), "{error}");
}

/// Encodes the file again with one thing changed, hash and all.
fn changed(bytes: &[u8], change: impl FnOnce(&mut Container<'_>)) -> QuantizedFlaw {
    let mut container = Container::decode(bytes).unwrap();
    change(&mut container);
    QuantizedFile::from_bytes(&container.encode().unwrap().0).unwrap_err()
}

#[test]
fn other_versions_and_other_content_are_named() {
    let (checkpoint, quantized) = quantized(&Recipe::new(CellKind::GruResetAfter));
    let bytes = QuantizedFile::new(&quantized, &checkpoint).to_bytes().unwrap();
    let metadata = |from: &'static str, to: &'static str| {
        move |container: &mut Container<'_>| {
            let json = container.metadata.get_mut("emberloop.quantized").unwrap();
            assert!(json.contains(from), "{json}");
            *json = json.replacen(from, to, 1);
        }
    };
    let error = changed(&bytes, metadata("\"format\":2", "\"format\":3")).to_string();
    assert_eq!(error, "quantized format: expected 2, found 3; another version of emberloop wrote it");
    let error = changed(&bytes, metadata("\"image_format\":2", "\"image_format\":9"));
    assert!(matches!(error, QuantizedFlaw::ImageFormat { found: 9 }), "{error}");
    let error = changed(&bytes, metadata("\"name\":", "\"nome\":"));
    assert!(matches!(error, QuantizedFlaw::Json { .. }), "{error}");
    let error = changed(&bytes, |container| container.metadata.clear());
    assert!(matches!(error, QuantizedFlaw::NoMetadata { .. }), "{error}");
    let error = changed(&bytes, |container| drop(container.tensors.remove("rnn.bias_l0"))).to_string();
    assert_eq!(error, "tensor rnn.bias_l0: expected I32 [24], found no such tensor");
    let error = changed(&bytes, |container| {
        let tensor = container.tensors["rnn.bias_l0"].clone();
        container.tensors.insert("rnn.bias_l1".into(), tensor);
    });
    assert_eq!(error.to_string(), "tensor rnn.bias_l1: expected no such tensor in this model, found I32 [24]");
    let error = changed(&bytes, |container| container.tensors.get_mut("head.weight").unwrap().bytes.to_mut()[0] = 0x80);
    assert!(matches!(error, QuantizedFlaw::Image(_)), "{error}");
    let error = changed(&bytes, |container| {
        let weights = container.tensors.get_mut("head.bias").unwrap().bytes.to_mut();
        weights[0] ^= 1;
    });
    assert!(matches!(error, QuantizedFlaw::SelfTest(_)), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = read_quantized("no/such/model.q.safetensors").unwrap_err().to_string();
    assert!(error.starts_with("no/such/model.q.safetensors: cannot be read: "), "{error}");
}
