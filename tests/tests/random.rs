//! Random models and samples: the engine is the reference.

use emberloop_image::{Image, Multipliers};
use emberloop_tests::aligned::Aligned;
use emberloop_tests::cases::Case;
use emberloop_tests::model::{CellKind, Missing, Pooling, Task};
use emberloop_tests::random::{Random, Weights};
use emberloop_tests::recipe::{InputRecipe, Recipe, samples};
use emberloop_tests::reference::input::raw_from_float;
use emberloop_tests::runner::with_pair;
use proptest::prelude::*;
use proptest::sample::select;

/// Mostly small, sometimes several blocks of columns and an odd rest.
fn width() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..10usize, 1 => 10..40usize]
}

fn input() -> impl Strategy<Value = InputRecipe> {
    let missing = select(&[Missing::Error, Missing::HoldLast, Missing::Mean][..]);
    let features = (width(), missing, 1..=31u32);
    let tokens = (1..20usize, width());
    prop_oneof![
        features.prop_map(|(features, missing, raw_bits)| InputRecipe::Features { features, missing, raw_bits }),
        tokens.prop_map(|(vocabulary, dimension)| InputRecipe::Tokens { vocabulary, dimension }),
    ]
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let layers = prop::collection::vec((select(&CellKind::ALL[..]), width()), 1..=4);
    let head = (
        select(&[Pooling::Last, Pooling::Mean, Pooling::Every][..]),
        select(&[Task::Classification, Task::Regression][..]),
        1..6usize,
        0..=30u8,
    );
    // Where there is none, the recipe takes one that is usual for its weights.
    let shifts = (prop::collection::vec(0..=15u8, 0..4), prop::option::of(0..=15u8));
    let weights = select(&[Weights::Plain, Weights::Extreme, Weights::Wild, Weights::Worst][..]);
    (input(), layers, 18..=24u8, shifts, head, weights, prop::collection::vec(1..20usize, 1..3)).prop_map(
        |(input, layers, cell_fraction, shifts, (pooling, task, outputs, output_fraction), weights, steps)| Recipe {
            name: "random".to_owned(),
            input,
            layers,
            cell_fraction,
            shifts: shifts.0,
            head_shift: shifts.1,
            pooling,
            task,
            outputs,
            output_fraction,
            weights,
            steps,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_is_the_reference(recipe in recipe(), seed: u64) {
        let mut random = Random::new(seed);
        let case = Case::new(&recipe, &mut random);
        with_pair(&case.image, |mut pair| -> Result<(), TestCaseError> {
            for sequence in &case.sequences {
                let outputs = pair.run(&sequence.samples).map_err(TestCaseError::fail)?;
                prop_assert!(outputs.into_iter().flatten().eq(sequence.outputs.iter().cloned()));
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_image_says_what_was_written(recipe in recipe(), seed: u64) {
        let case = Case::new(&recipe, &mut Random::new(seed));
        let bytes = Aligned::new(&case.image);
        let image = Image::parse(&bytes).expect("a valid image");
        prop_assert_eq!(image.header().name, &case.name);
        prop_assert!(image.channels().eq(case.model.channels.iter().map(String::as_str)));
        let labels: Vec<_> = (0..).map_while(|output| image.label(output)).collect();
        prop_assert_eq!(labels, case.model.labels);
        for (layer, written) in image.layers().zip(&case.model.layers) {
            for (number, (input, recurrent)) in written.input.rows.iter().zip(&written.recurrent.rows).enumerate() {
                let row = layer.row(number / written.hidden, number % written.hidden);
                let multipliers = Multipliers::from_word(layer.multipliers[row]);
                prop_assert!(layer.input.row(row).eq(input.weights.iter().copied()));
                prop_assert!(layer.recurrent.row(row).eq(recurrent.weights.iter().copied()));
                prop_assert_eq!(multipliers.input(), i32::from(input.multiplier));
                prop_assert_eq!(multipliers.recurrent(), i32::from(recurrent.multiplier));
                prop_assert_eq!(layer.bias[row], written.bias[number]);
            }
        }
        prop_assert_eq!(image.golden().len(), case.model.golden.len());
        for (found, written) in image.golden().iter().zip(&case.model.golden) {
            prop_assert!(found.samples().eq(written.samples.iter().map(Vec::as_slice)));
            prop_assert!(found.expected().eq(written.outputs.iter().map(Vec::as_slice)));
        }
    }

    #[test]
    fn a_state_saved_anywhere_is_restored(recipe in recipe(), seed: u64, at in 0..20usize) {
        let mut random = Random::new(seed);
        let case = Case::new(&recipe, &mut random);
        let stream = samples(&mut random, &case.model, 20);
        with_pair(&case.image, |mut pair| -> Result<(), TestCaseError> {
            let run = |pair: &mut emberloop_tests::runner::Pair<'_>, samples: &[Vec<i32>]| {
                samples.iter().map(|sample| pair.step(sample)).collect::<Result<Vec<_>, _>>().map_err(TestCaseError::fail)
            };
            run(&mut pair, &stream[..at])?;
            let saved = pair.network.save().to_vec();
            let expected = run(&mut pair, &stream[at..])?;
            pair.network.reset();
            pair.network.restore(&saved).expect("a state of the same image");
            for (sample, expected) in stream[at..].iter().zip(expected) {
                prop_assert_eq!(pair.network.step(sample).ok().map(|output| output.values().to_vec()), expected);
            }
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn floats_become_raw_numbers(bits: u32, fraction in -16..=30i8) {
        let expected = raw_from_float(f32::from_bits(bits), fraction);
        prop_assert_eq!(emberloop_engine::from_f32_bits(bits, fraction), expected);
    }

    /// Numbers near a tie, where the rounding rule shows.
    #[test]
    fn floats_at_a_tie_become_even(halves in -(1i32 << 23)..1 << 23, fraction in -16..=30i8) {
        let value = halves as f32 / 2.0 / f32::from(fraction).exp2();
        let expected = raw_from_float(value, fraction);
        prop_assert_eq!(emberloop_engine::from_f32_bits(value.to_bits(), fraction), expected);
        if halves % 2 != 0 {
            prop_assert_eq!(expected % 2, 0);
        }
    }
}
