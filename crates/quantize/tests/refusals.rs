//! What cannot be quantized or compared: one clear line each, and never a panic.

mod common;

use common::{Random, Recipe};
use emberloop_cells::CellKind;
use emberloop_checkpoint::{Checkpoint, Task};
use emberloop_image::Image;
use emberloop_quantize::{CompareOptions, Options, QuantizeError, compare, evaluate_image, quantize};
use proptest::prelude::*;

fn refusal(recipe: &Recipe, change: impl FnOnce(&mut Checkpoint)) -> String {
    let mut checkpoint = recipe.checkpoint();
    change(&mut checkpoint);
    let error = quantize(&checkpoint, &recipe.dataset(10, 1), &Options::default()).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn bidirectional_layers_need_the_whole_window() {
    let recipe = Recipe::new(CellKind::Lstm);
    let error = refusal(&recipe, |checkpoint| {
        checkpoint.metadata.architecture.bidirectional = true;
        for wanted in checkpoint.metadata.architecture.tensors() {
            let values = vec![0.1; wanted.shape.iter().product()];
            let tensor = emberloop_checkpoint::Tensor { shape: wanted.shape, values };
            checkpoint.tensors.insert(wanted.name, tensor);
        }
    });
    assert!(error.contains("bidirectional layers, which need the whole window"), "{error}");
}

#[test]
fn weights_and_biases_beyond_the_formats_name_tensor_and_row() {
    let recipe = Recipe::new(CellKind::GruResetAfter);
    let set = |name: &'static str, at: usize, value: f32| {
        move |checkpoint: &mut Checkpoint| checkpoint.tensors.get_mut(name).unwrap().values[at] = value
    };
    // A product of 1e4 at an input of at least ±4 passes the 8192 that a pre-activation may have.
    let error = refusal(&recipe, set("rnn.weight_ih_l0", 3 * 5 + 1, 1e4));
    assert!(error.starts_with("tensor rnn.weight_ih_l0, row 5: "), "{error}");
    let error = refusal(&recipe, set("rnn.weight_hh_l0", 8 * 23, 1e30));
    assert!(error.starts_with("tensor rnn.weight_hh_l0, row 23: "), "{error}");
    let error = refusal(&recipe, set("rnn.bias_hh_l0", 20, 1e6));
    assert!(error.contains("row 20"), "{error}");
    let error = refusal(&recipe, set("head.bias", 2, 1e6));
    assert!(error.starts_with("tensor head.bias, row 2: "), "{error}");
    let error = refusal(&recipe, set("head.weight", 0, f32::NAN));
    assert!(error.contains("head.weight"), "{error}");
}

#[test]
fn targets_and_channels_beyond_the_formats_are_named() {
    let recipe = Recipe { task: Task::Regression, outputs: 1, ..Recipe::new(CellKind::Rnn) };
    let error = refusal(&recipe, |checkpoint| {
        checkpoint.metadata.target_scaler.as_mut().unwrap().features[0].scale = 1e12;
    });
    assert!(error.starts_with("head: outputs of up to"), "{error}");
    let error = refusal(&recipe, |checkpoint| checkpoint.metadata.scaler.features[2].scale = 1e-9);
    assert!(error.contains("channel 2") || error.contains("weight_ih"), "{error}");
}

#[test]
fn names_with_line_breaks_do_not_fit_the_lists_of_an_image() {
    let recipe = Recipe::new(CellKind::Rnn);
    let mut dataset = recipe.dataset(5, 1);
    let mut checkpoint = recipe.checkpoint();
    let rename = |inputs: &mut emberloop_data::Inputs| {
        *inputs = emberloop_data::Inputs::Channels(vec!["a".into(), "b\nc".into(), "d".into()]);
    };
    rename(&mut dataset.inputs);
    rename(&mut checkpoint.metadata.schema.inputs);
    let error = quantize(&checkpoint, &dataset, &Options::default()).unwrap_err().to_string();
    assert_eq!(error, r#"a channel's name: expected no line break, found "b\nc""#);
}

#[test]
fn data_of_other_channels_and_empty_data_are_refused() {
    let recipe = Recipe::new(CellKind::Rnn);
    let other = Recipe { channels: 4, ..recipe.clone() };
    let error = quantize(&recipe.checkpoint(), &other.dataset(5, 1), &Options::default()).unwrap_err().to_string();
    assert!(error.starts_with("synthetic.csv: inputs: expected channels channel 0, channel 1, channel 2"), "{error}");
    let error = quantize(&recipe.checkpoint(), &recipe.dataset(0, 1), &Options::default()).unwrap_err().to_string();
    assert_eq!(error, "synthetic.csv: calibration data: expected at least one sequence, found none");

    let quantized = quantize(&recipe.checkpoint(), &recipe.dataset(9, 1), &Options::default()).unwrap();
    let image = Image::parse(&quantized.image).unwrap();
    assert!(evaluate_image(&image, &other.dataset(5, 1)).unwrap_err().to_string().contains("channels: expected"));
    let more = Recipe { outputs: 5, ..recipe.clone() };
    assert!(evaluate_image(&image, &more.dataset(5, 1)).unwrap_err().to_string().contains("targets: expected"));
    let tokens = Recipe { vocabulary: Some(9), ..recipe.clone() };
    assert!(evaluate_image(&image, &tokens.dataset(5, 1)).unwrap_err().to_string().contains("inputs: expected"));
}

#[test]
fn an_image_of_another_checkpoint_is_compared_only_on_request() {
    let recipe = Recipe::new(CellKind::Lstm);
    let data = recipe.dataset(20, 1);
    let quantized = quantize(&recipe.checkpoint(), &data, &Options::default()).unwrap();
    let other = Recipe { seed: 2, ..recipe }.checkpoint();
    let error = compare(&other, &quantized.image, &data, CompareOptions::default()).unwrap_err();
    assert!(matches!(error, QuantizeError::AnotherCheckpoint { .. }), "{error}");
    let comparison = compare(&other, &quantized.image, &data, CompareOptions { another_checkpoint: true }).unwrap();
    assert!(comparison.logit_error > 0.1, "{}", comparison.logit_error);

    let mut damaged = quantized.image.to_vec();
    damaged[200] ^= 4;
    let error = compare(&other, &damaged, &data, CompareOptions::default()).unwrap_err().to_string();
    assert!(error.starts_with("image: image is damaged"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Weights from nothing to huge, whole rows of zeros: an image that proves itself, or a refusal; never a panic.
    #[test]
    fn any_weights_give_a_proved_image_or_a_refusal(
        cell in prop::sample::select(CellKind::ALL.to_vec()),
        seed in 0u64..1000,
        magnitudes in prop::collection::vec(-40i32..14, 8),
        task in prop::sample::select(vec![Task::Classification, Task::Regression]),
    ) {
        let recipe = Recipe { hidden: vec![3, 2], seed, task, ..Recipe::new(cell) };
        let mut checkpoint = recipe.checkpoint();
        let mut random = Random::new(seed);
        for (tensor, magnitude) in checkpoint.tensors.values_mut().zip(magnitudes.iter().cycle()) {
            for value in &mut tensor.values {
                *value *= f64::from(*magnitude).exp2() as f32;
                if random.below(5) == 0 {
                    *value = 0.0;
                }
            }
        }
        match quantize(&checkpoint, &recipe.dataset(6, seed), &Options::default()) {
            Ok(quantized) => {
                let image = Image::parse(&quantized.image).unwrap();
                prop_assert!(emberloop_engine::self_test(&image, vec![0; image.memory().words()]).is_ok());
            }
            Err(QuantizeError::Range { place, problem }) => {
                prop_assert!(magnitudes.iter().any(|&magnitude| magnitude > 5), "{place}: {problem}");
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
