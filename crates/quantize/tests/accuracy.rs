//! Every kind of model: the image parses and proves itself, and computes what the float model does.

mod common;

use common::Recipe;
use emberloop_cells::CellKind;
use emberloop_checkpoint::{Pooling, Task};
use emberloop_data::metrics::Metrics;
use emberloop_engine::self_test;
use emberloop_image::Image;
use emberloop_quantize::{CompareOptions, Comparison, Options, Rounding, compare, evaluate_image, quantize};

fn quantize_and_compare(recipe: &Recipe, rounding: Rounding) -> Comparison {
    let checkpoint = recipe.checkpoint();
    let quantized = quantize(&checkpoint, &recipe.dataset(80, 1), &Options { rounding, ..Options::default() }).unwrap();
    let image = Image::parse(&quantized.image).unwrap();
    assert!(self_test(&image, vec![0; image.memory().words()]).unwrap() >= 5);
    assert_eq!(image.len_bytes(), quantized.report.image_bytes);
    let unseen = recipe.dataset(120, 2);
    let comparison = compare(&checkpoint, &quantized.image, &unseen, CompareOptions::default()).unwrap();
    assert_eq!(comparison.image_bytes, quantized.image.len());
    assert_eq!(comparison.clipped, 0);
    let evaluation = evaluate_image(&image, &unseen).unwrap();
    assert_eq!(evaluation.metrics, comparison.fixed);
    comparison
}

#[test]
fn every_cell_pooling_and_task_stays_close_to_float() {
    for cell in CellKind::ALL {
        for pooling in [Pooling::Last, Pooling::Mean, Pooling::Every] {
            for task in [Task::Classification, Task::Regression] {
                let recipe = Recipe { pooling, task, ..Recipe::new(cell) };
                let comparison = quantize_and_compare(&recipe, Rounding::Compensated);
                let what = format!("{} {pooling:?} {task:?}", cell.name());
                assert!(comparison.logit_error < 0.015, "{what}: {}", comparison.logit_error);
                assert!(comparison.logit_error > 0.0, "{what}");
                match task {
                    Task::Classification => assert!(comparison.disagreement.unwrap() < 0.03, "{what}"),
                    Task::Regression => assert_eq!(comparison.disagreement, None),
                }
                assert_eq!(comparison.layers.len(), 1);
                assert_eq!(comparison.layers[0].gates.len(), cell.gate_count());
                assert!(comparison.layers[0].hidden < 0.02, "{what}: {}", comparison.layers[0].hidden);
            }
        }
    }
}

#[test]
fn stacked_layers_and_odd_sizes() {
    for cell in CellKind::ALL {
        let recipe = Recipe { hidden: vec![7, 5, 3], channels: 5, outputs: 3, ..Recipe::new(cell) };
        let comparison = quantize_and_compare(&recipe, Rounding::Compensated);
        assert!(comparison.logit_error < 0.03, "{}: {}", cell.name(), comparison.logit_error);
        assert_eq!(comparison.layers.len(), 3);
    }
}

#[test]
fn tokens_go_through_the_embedding() {
    for cell in CellKind::ALL {
        let recipe = Recipe { vocabulary: Some(20), channels: 6, ..Recipe::new(cell) };
        let comparison = quantize_and_compare(&recipe, Rounding::Compensated);
        assert!(comparison.logit_error < 0.03, "{}: {}", cell.name(), comparison.logit_error);
    }
}

/// Over all cells together, compensation must at least halve the squared error of plain rounding.
#[test]
fn compensated_rounding_beats_nearest_rounding() {
    let (mut nearest, mut compensated) = (0.0, 0.0);
    for cell in CellKind::ALL {
        for seed in 1..=3 {
            let recipe = Recipe { hidden: vec![24], channels: 6, seed, ..Recipe::new(cell) };
            nearest += quantize_and_compare(&recipe, Rounding::Nearest).logit_error.powi(2);
            compensated += quantize_and_compare(&recipe, Rounding::Compensated).logit_error.powi(2);
        }
    }
    assert!(compensated < 0.5 * nearest, "squared errors: {compensated} compensated, {nearest} nearest");
}

/// A covariance of one short sequence knows almost nothing; compensation must then not trust it.
#[test]
fn with_too_little_calibration_data_compensation_does_no_harm() {
    let (mut nearest, mut compensated) = (0.0, 0.0);
    for cell in CellKind::ALL {
        for seed in 1..=4 {
            let recipe = Recipe { hidden: vec![16], channels: 6, seed, ..Recipe::new(cell) };
            let (checkpoint, calibration, unseen) =
                (recipe.checkpoint(), recipe.dataset(1, seed), recipe.dataset(60, 9));
            let error = |rounding| {
                let options = Options { rounding, ..Options::default() };
                let quantized = quantize(&checkpoint, &calibration, &options).unwrap();
                compare(&checkpoint, &quantized.image, &unseen, CompareOptions::default()).unwrap().logit_error
            };
            nearest += error(Rounding::Nearest).powi(2);
            compensated += error(Rounding::Compensated).powi(2);
        }
    }
    assert!(compensated < 1.5 * nearest, "squared errors: {compensated} compensated, {nearest} nearest");
}

#[test]
fn the_report_states_both_errors() {
    let recipe = Recipe { hidden: vec![24], ..Recipe::new(CellKind::Lstm) };
    let quantized = quantize(&recipe.checkpoint(), &recipe.dataset(80, 1), &Options::default()).unwrap();
    let places: Vec<&str> = quantized.report.weights.iter().map(|weights| weights.place.as_str()).collect();
    let gates = ["input", "forget", "candidate", "output"].map(|gate| format!("layer 0, {gate} gate"));
    assert_eq!(places[..4], gates);
    assert_eq!(places[4], "head");
    for weights in &quantized.report.weights {
        assert!(weights.error > 0.0 && weights.error < weights.nearest_error, "{weights:?}");
    }
    let plain = Options { rounding: Rounding::Nearest, ..Options::default() };
    let quantized = quantize(&recipe.checkpoint(), &recipe.dataset(80, 1), &plain).unwrap();
    for weights in &quantized.report.weights {
        assert_eq!(weights.error, weights.nearest_error);
    }
}

/// Multipliers have 15 bits: larger weights make the layer's sums coarser, and that costs next to nothing.
#[test]
fn large_weights_get_a_shift() {
    for cell in CellKind::ALL {
        let recipe = Recipe { hidden: vec![16], ..Recipe::new(cell) };
        let error = |factor: f32| {
            let mut checkpoint = recipe.checkpoint();
            let weights = checkpoint.tensors.get_mut("rnn.weight_ih_l0").unwrap();
            weights.values.iter_mut().for_each(|weight| *weight *= factor);
            for feature in &mut checkpoint.metadata.scaler.features {
                feature.scale *= f64::from(factor);
            }
            let quantized = quantize(&checkpoint, &recipe.dataset(80, 1), &Options::default()).unwrap();
            let unseen = recipe.dataset(120, 2);
            let comparison = compare(&checkpoint, &quantized.image, &unseen, CompareOptions::default()).unwrap();
            (quantized.report.shifts[0], comparison.logit_error)
        };
        // The same function of the raw data: weights 32 times larger, inputs 32 times smaller.
        let ((plain, plain_error), (large, large_error)) = (error(1.0), error(32.0));
        assert_eq!((plain, large), (0, 5), "{}", cell.name());
        assert!(large_error < 1.5 * plain_error + 0.002, "{}: {plain_error}, {large_error}", cell.name());
    }
}

/// The outputs' format is as fine as the multipliers allow, whatever the unit of the targets.
#[test]
fn multipliers_of_a_regression_are_fine() {
    for exponent in [-6, -3, 0, 3, 6] {
        let recipe = Recipe { task: Task::Regression, outputs: 2, ..Recipe::new(CellKind::Lstm) };
        let mut checkpoint = recipe.checkpoint();
        for feature in &mut checkpoint.metadata.target_scaler.as_mut().unwrap().features {
            (feature.scale, feature.offset) = (20.0 * 10f64.powi(exponent), 50.0 * 10f64.powi(exponent));
        }
        let quantized = quantize(&checkpoint, &recipe.dataset(80, 1), &Options::default()).unwrap();
        let multipliers = &quantized.model.head.weights.multipliers;
        assert!(multipliers.iter().all(|&multiplier| multiplier >= 256), "10^{exponent}: {multipliers:?}");
        let unseen = recipe.dataset(120, 2);
        let comparison = compare(&checkpoint, &quantized.image, &unseen, CompareOptions::default()).unwrap();
        assert!(comparison.logit_error < 0.015, "10^{exponent}: {}", comparison.logit_error);
    }
}

#[test]
fn a_large_cell_state_gets_a_wider_format() {
    let recipe = Recipe::new(CellKind::Lstm);
    let cell_fraction = |checkpoint: &emberloop_checkpoint::Checkpoint, recipe: &Recipe| {
        quantize(checkpoint, &recipe.dataset(80, 1), &Options::default()).unwrap().report.cell_fractions[0]
    };
    assert_eq!(cell_fraction(&recipe.checkpoint(), &recipe), 24);
    // Forget and input gates held open, the candidate at one: the cell counts the steps.
    let mut counter = recipe.checkpoint();
    for (index, bias) in counter.tensors.get_mut("rnn.bias_ih_l0").unwrap().values.iter_mut().enumerate() {
        *bias = if index < 3 * 8 { 12.0 } else { 0.0 };
    }
    let mut long = recipe.dataset(4, 1);
    for sequence in &mut long.sequences {
        sequence.steps = 300;
        sequence.values = [-3.0, 7.0, 17.0].repeat(300).into();
    }
    let quantized = quantize(&counter, &long, &Options::default()).unwrap();
    // 300 steps with a margin of four need ±2048.
    assert_eq!(quantized.report.cell_fractions, [20]);
    let comparison = compare(&counter, &quantized.image, &long, CompareOptions::default()).unwrap();
    // A thousandth of the range: a forget gate of Q0.15 is off by up to 2^-15 at each of the 300 steps.
    assert!(comparison.layers[0].cell.unwrap() < 0.3, "{:?}", comparison.layers[0].cell);
}

#[test]
fn regression_is_in_the_targets_own_unit() {
    let recipe = Recipe { task: Task::Regression, outputs: 2, ..Recipe::new(CellKind::GruResetAfter) };
    let comparison = quantize_and_compare(&recipe, Rounding::Compensated);
    let (Metrics::Values(float), Metrics::Values(fixed)) = (&comparison.float, &comparison.fixed) else {
        panic!("a regression has values")
    };
    assert!(float.rmse > 5.0, "{}", float.rmse);
    assert!((float.rmse - fixed.rmse).abs() < 0.01 * float.rmse, "{} and {}", float.rmse, fixed.rmse);
    let quantized = quantize(&recipe.checkpoint(), &recipe.dataset(80, 1), &Options::default()).unwrap();
    let image = Image::parse(&quantized.image).unwrap();
    let mut network = emberloop_engine::Network::new(&image, vec![0; image.memory().words()]).unwrap();
    let raw = emberloop_quantize::RawConverter::new(&image).sequence(&recipe.dataset(1, 3).sequences[0]).unwrap();
    let output = network.step(&raw[..3]).unwrap();
    let value = f64::from(output.values()[0]) / f64::from(output.fraction()).exp2();
    assert!((-100.0..200.0).contains(&value), "{value}");
}
