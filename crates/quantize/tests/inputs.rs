//! The integer scaler, missing values and raw formats, through the public interface.

mod common;

use common::Recipe;
use emberloop_cells::CellKind;
use emberloop_data::{Dataset, FeatureScale, MissingPolicy, ScalerKind};
use emberloop_image::{Image, Sequences};
use emberloop_quantize::{AlignedBytes, CompareOptions, Options, Quantized, compare, quantize, write_sequences};

/// A model of three channels with these scales, and data made for them by `value(feature, step)`.
fn with_features(
    scales: [(f64, f64); 3],
    value: impl Fn(usize, usize) -> f32,
) -> (emberloop_checkpoint::Checkpoint, Dataset) {
    let recipe = Recipe::new(CellKind::GruResetAfter);
    let mut checkpoint = recipe.checkpoint();
    let mut dataset = recipe.dataset(40, 1);
    for (feature, (offset, scale)) in checkpoint.metadata.scaler.features.iter_mut().zip(scales) {
        *feature = FeatureScale { offset, scale, fill: offset };
    }
    for (index, sequence) in dataset.sequences.iter_mut().enumerate() {
        for (at, slot) in sequence.values.to_mut().unwrap().iter_mut().enumerate() {
            *slot = value(at % 3, at / 3 + 31 * index);
        }
    }
    (checkpoint, dataset)
}

fn check(scales: [(f64, f64); 3], value: impl Fn(usize, usize) -> f32) -> Quantized {
    let (checkpoint, dataset) = with_features(scales, value);
    let quantized = quantize(&checkpoint, &dataset, &Options::default()).unwrap();
    let comparison = compare(&checkpoint, &quantized.image, &dataset, CompareOptions::default()).unwrap();
    assert!(comparison.logit_error < 0.02, "{}", comparison.logit_error);
    assert_eq!(comparison.clipped, 0);
    quantized
}

/// Three waves of different speed between -1 and 1, quantised to steps of `2^-12` so that they are not too smooth.
fn wave(feature: usize, step: usize) -> f64 {
    let phase = step as f64 * [0.3, 0.17, 0.05][feature];
    (phase.sin() * 4096.0).round() / 4096.0
}

#[test]
fn counts_of_an_adc_are_taken_as_they_are() {
    let quantized = check([(2048.0, 600.0), (30_000.0, 9000.0), (0.0, 40.0)], |feature, step| {
        let (center, swing) = [(2048.0, 1000.0), (30_000.0, 20_000.0), (0.0, 90.0)][feature];
        (center + swing * wave(feature, step)).round() as f32
    });
    for scaler in &quantized.report.scalers {
        assert_eq!(scaler.raw_fraction, 0, "{scaler:?}");
        // Half a unit of the scaled input, and the multiplier's 15 bits.
        assert!(scaler.largest_error <= 1.1 / 2048.0, "{scaler:?}");
    }
}

/// Air pressure: a large offset, a small deviation; a wind direction that is 0 or 1; a constant.
#[test]
fn large_offsets_binary_and_constant_features() {
    let quantized = check([(1016.4, 10.3), (0.25, 0.433), (7.0, 1.0)], |feature, step| match feature {
        0 => (1016.0 + 20.0 * wave(0, step)) as f32,
        1 => f32::from(u8::from(step % 4 == 0)),
        _ => 7.0,
    });
    let [pressure, wind, constant] = &quantized.report.scalers[..] else { panic!("three features") };
    assert!(pressure.largest_error <= 1.1 / 2048.0, "{pressure:?}");
    assert!(pressure.range.0 < 900.0 && pressure.range.1 > 1150.0, "{pressure:?}");
    assert_eq!((wind.raw_fraction, constant.raw_fraction), (0, 0));
    assert!(constant.largest_error < 1e-6, "{constant:?}");
}

/// Without a scaler, channels of utterly different magnitude share no format: each gets its own power of two.
#[test]
fn unscaled_channels_of_all_magnitudes() {
    let mut recipe = Recipe::new(CellKind::Lstm);
    recipe.channels = 3;
    let magnitudes = [30_000.0, 1.0, 1e-4];
    let mut checkpoint = recipe.checkpoint();
    checkpoint.metadata.scaler.kind = ScalerKind::None;
    checkpoint.metadata.scaler.features =
        magnitudes.map(|magnitude| FeatureScale { offset: 0.0, scale: 1.0, fill: 0.1 * magnitude }).to_vec();
    let weights = checkpoint.tensors.get_mut("rnn.weight_ih_l0").unwrap();
    for (at, weight) in weights.values.iter_mut().enumerate() {
        *weight /= magnitudes[at % 3] as f32;
    }
    let mut dataset = recipe.dataset(40, 1);
    for (index, sequence) in dataset.sequences.iter_mut().enumerate() {
        for (at, value) in sequence.values.to_mut().unwrap().iter_mut().enumerate() {
            *value = (magnitudes[at % 3] * wave(at % 3, at / 3 + 17 * index)) as f32;
        }
    }
    let quantized = quantize(&checkpoint, &dataset, &Options::default()).unwrap();
    let comparison = compare(&checkpoint, &quantized.image, &dataset, CompareOptions::default()).unwrap();
    assert!(comparison.logit_error < 0.02, "{}", comparison.logit_error);
    for (scaler, magnitude) in quantized.report.scalers.iter().zip(magnitudes) {
        assert!(scaler.largest_error < 1e-3 * magnitude, "{scaler:?}");
    }
}

/// A calibration file in which nothing happens must not make the range too narrow for the day on which something does.
#[test]
fn quiet_calibration_data_leave_room_for_lively_ones() {
    let scales = [(5.0, 2.0), (0.0, 1.0), (-3.0, 0.5)];
    let center = |feature: usize| scales[feature].0;
    let (checkpoint, quiet) = with_features(scales, |at, step| (center(at) + 0.01 * wave(at, step)) as f32);
    let (_, lively) = with_features(scales, |at, step| (center(at) + 6.0 * scales[at].1 * wave(at, step)) as f32);
    let quantized = quantize(&checkpoint, &quiet, &Options::default()).unwrap();
    let comparison = compare(&checkpoint, &quantized.image, &lively, CompareOptions::default()).unwrap();
    assert_eq!(comparison.clipped, 0);
    assert!(comparison.logit_error < 0.03, "{}", comparison.logit_error);
}

/// A product is proved over the whole range of the input: large weights narrow it, as long as the data still fit.
#[test]
fn large_weights_narrow_the_input() {
    let recipe = Recipe::new(CellKind::Rnn);
    let mut checkpoint = recipe.checkpoint();
    let dataset = recipe.dataset(40, 1);
    let plain = quantize(&checkpoint, &dataset, &Options::default()).unwrap();
    checkpoint.tensors.get_mut("rnn.weight_ih_l0").unwrap().values[0] = 2800.0;
    let quantized = quantize(&checkpoint, &dataset, &Options::default()).unwrap();
    assert_eq!((plain.report.input_fraction, quantized.report.input_fraction), (11, 12));
    let comparison = compare(&checkpoint, &quantized.image, &dataset, CompareOptions::default()).unwrap();
    assert_eq!(comparison.clipped, 0);
}

#[test]
fn missing_values_are_filled_on_both_sides_alike() {
    for missing in [MissingPolicy::HoldLast, MissingPolicy::Mean] {
        let recipe = Recipe { missing, ..Recipe::new(CellKind::GruResetBefore) };
        let checkpoint = recipe.checkpoint();
        let mut dataset = recipe.dataset(60, 1);
        let mut count = 0;
        for sequence in &mut dataset.sequences {
            for value in sequence.values.to_mut().unwrap().iter_mut().step_by(5) {
                *value = f32::NAN;
                count += 1;
            }
        }
        let quantized = quantize(&checkpoint, &dataset, &Options::default()).unwrap();
        let comparison = compare(&checkpoint, &quantized.image, &dataset, CompareOptions::default()).unwrap();
        assert!(comparison.logit_error < 0.015, "{missing:?}: {}", comparison.logit_error);
        assert_eq!(comparison.missing, count);
        // The golden vectors hold missing numbers where the policy allows them.
        let image = Image::parse(&quantized.image).unwrap();
        let golden = image.golden();
        assert!(
            golden.iter().any(|sequence| sequence.samples().flatten().any(|&raw| raw == emberloop_engine::MISSING))
        );
    }
}

#[test]
fn under_the_policy_error_a_missing_value_names_its_place() {
    let recipe = Recipe::new(CellKind::Rnn);
    let mut dataset = recipe.dataset(3, 1);
    dataset.sequences[1].values.to_mut().unwrap()[1] = f32::NAN;
    let error = quantize(&recipe.checkpoint(), &dataset, &Options::default()).unwrap_err().to_string();
    assert!(error.starts_with("synthetic.csv: sequence s1, step 0, channel channel 1: expected a number"), "{error}");
}

#[test]
fn test_sequences_are_written_for_the_firmware() {
    let recipe = Recipe { missing: MissingPolicy::Mean, ..Recipe::new(CellKind::Rnn) };
    let mut dataset = recipe.dataset(10, 1);
    dataset.sequences[0].values.to_mut().unwrap()[0] = f32::NAN;
    let quantized = quantize(&recipe.checkpoint(), &dataset, &Options::default()).unwrap();
    let image = Image::parse(&quantized.image).unwrap();
    let bytes = AlignedBytes::new(&write_sequences(&image, &dataset, 4).unwrap());
    let sequences = Sequences::parse(&bytes).unwrap();
    assert_eq!((sequences.width(), sequences.outputs(), sequences.len()), (3, 0, 4));
    let raw = emberloop_quantize::RawConverter::new(&image);
    for (written, index) in sequences.iter().zip([0, 3, 6, 9]) {
        assert_eq!(written.steps(), dataset.sequences[index].steps);
        let samples: Vec<i32> = written.samples().flatten().copied().collect();
        assert_eq!(samples, raw.sequence(&dataset.sequences[index]).unwrap());
    }
    assert_eq!(sequences.iter().next().unwrap().samples().next().unwrap()[0], emberloop_engine::MISSING);
}
