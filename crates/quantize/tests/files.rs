//! The quantized safetensors and the image: the same bytes every time and both ways, and no damage goes unnoticed.

mod common;

use common::{Random, Recipe};
use emberloop_cells::CellKind;
use emberloop_checkpoint::container::Container;
use emberloop_checkpoint::{Checkpoint, Pooling, Task};
use emberloop_image::{Image, ImageError, LayerShape, Part};
use emberloop_quantize::{
    AlignedBytes, IntegerInput, IntegerLayer, IntegerMatrix, IntegerModel, Options, Quantized, QuantizedFile,
    QuantizedFlaw, evaluate_image, quantize, read_quantized,
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

/// Any sizes, also such that fill no tile, and any weights: what is written is what is read.
#[test]
fn every_size_goes_into_tiles_and_back() {
    let mut random = Random::new(7);
    let recipe = Recipe { task: Task::Regression, ..Recipe::new(CellKind::Lstm) };
    let (_, template) = quantized(&recipe);
    for (case, cell) in (0..96).zip(CellKind::ALL.iter().cycle()) {
        let mut model = template.model.clone();
        let (inputs, outputs) = (1 + case % 19, 1 + random.below(9));
        let IntegerInput::Features { scalers, .. } = &mut model.input else { panic!("features") };
        *scalers = vec![scalers[0]; inputs];
        model.channels = vec!["x".into(); inputs];
        model.labels = vec!["y".into(); outputs];
        let matrix = |random: &mut Random, rows: usize, columns: usize| IntegerMatrix {
            columns,
            multipliers: (0..rows).map(|_| random.below(32_768) as i16).collect(),
            weights: (0..rows * columns).map(|_| random.below(255) as i32 as u8 as i8).map(|w| w.max(-127)).collect(),
        };
        let shape = model.layers[0].shape;
        let mut width = inputs;
        model.layers.clear();
        for _ in 0..=random.below(2) {
            let hidden = 1 + random.below(18);
            let rows = cell.gate_count() * hidden;
            let separate = if cell.has_separate_recurrent_bias() { hidden } else { 0 };
            let bias =
                |random: &mut Random, count| (0..count).map(|_| random.below(1 << 20) as i32 - (1 << 19)).collect();
            model.layers.push(IntegerLayer {
                shape: LayerShape {
                    cell: *cell,
                    hidden: hidden as u16,
                    cell_fraction: if cell.has_cell_state() { 20 } else { 0 },
                    shift: random.below(4) as u8,
                    ..shape
                },
                input: matrix(&mut random, rows, width),
                recurrent: matrix(&mut random, rows, hidden),
                bias: bias(&mut random, rows),
                recurrent_bias: bias(&mut random, separate),
            });
            width = hidden;
        }
        model.head.shape.outputs = outputs as u16;
        model.head.weights = matrix(&mut random, outputs, width);
        model.head.bias = (0..outputs).map(|output| output as i32 - 3).collect();
        let samples = (0..3 * inputs).map(|_| random.below(1000) as i32).collect();
        let model = model.with_golden(vec![samples]).unwrap();

        let bytes = AlignedBytes::new(&model.to_image().unwrap());
        let image = Image::parse(&bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(IntegerModel::of_image(&image), model, "{case}");
        for (layer, owned) in image.layers().zip(&model.layers) {
            assert_eq!(Ok(layer.bounds), owned.bounds(), "{case}");
        }
        assert_eq!(Ok(image.head().bounds), model.head.bounds(), "{case}");
    }
}

#[test]
fn a_model_that_contradicts_itself_becomes_no_image() {
    let (_, quantized) = quantized(&Recipe::new(CellKind::GruResetAfter));
    let refusal = |change: &dyn Fn(&mut IntegerModel)| {
        let mut model = quantized.model.clone();
        change(&mut model);
        model.to_image().unwrap_err()
    };
    let shape = |what| ImageError::Shape { what };
    assert_eq!(refusal(&|model| model.layers[0].bias.truncate(23)), shape(Part::Layer(0)));
    assert_eq!(refusal(&|model| model.layers[0].input.weights.truncate(71)), shape(Part::Layer(0)));
    assert_eq!(refusal(&|model| model.head.weights.columns = 7), shape(Part::Head));
    let overflow = ImageError::Overflow { part: Part::Layer(0), row: 23 };
    assert_eq!(refusal(&|model| model.layers[0].recurrent_bias[7] = i32::MAX), overflow);
    let weight = ImageError::Weight { part: Part::RecurrentWeights(0), row: 3 };
    assert_eq!(refusal(&|model| model.layers[0].recurrent.weights[3 * 8] = -128), weight);
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

/// What follows from the integers is checked against them: the bounds are a proof and not a claim.
#[test]
fn scales_and_bounds_that_do_not_follow_from_the_integers_are_refused() {
    let (checkpoint, quantized) = quantized(&Recipe::new(CellKind::GruResetAfter));
    let bytes = QuantizedFile::new(&quantized, &checkpoint).to_bytes().unwrap();
    let derived = [
        "rnn.weight_ih_l0.accumulator_bound",
        "rnn.weight_hh_l0.accumulator_bound",
        "head.weight.accumulator_bound",
        "rnn.bounds_l0",
        "head.bounds",
        "rnn.weight_ih_l0.scale",
        "scaler.factor",
    ];
    for name in derived {
        let error = changed(&bytes, |container| {
            let bytes = container.tensors.get_mut(name).unwrap().bytes.to_mut();
            let low = if name.ends_with("scale") || name.ends_with("factor") { 8 } else { 4 };
            bytes[low] ^= 1;
        });
        assert!(matches!(error, QuantizedFlaw::Tensor { .. }), "{error}");
        assert!(error.to_string().contains(" at 1, as the integers give it, found "), "{error}");
        assert!(error.to_string().starts_with(&format!("tensor {name}: expected ")), "{error}");
    }
    let row = &quantized.model.layers[0].recurrent.row(2);
    let bound = row.iter().map(|weight| i32::from(weight.unsigned_abs())).sum::<i32>() << 15;
    let container = Container::decode(&bytes).unwrap();
    let bounds = &container.tensors["rnn.weight_hh_l0.accumulator_bound"];
    assert_eq!(bounds.shape, [24]);
    assert_eq!(bounds.bytes[8..12], bound.to_le_bytes());
}

#[test]
fn a_missing_file_is_named() {
    let error = read_quantized("no/such/model.q.safetensors").unwrap_err().to_string();
    assert!(error.starts_with("no/such/model.q.safetensors: cannot be read: "), "{error}");
}
