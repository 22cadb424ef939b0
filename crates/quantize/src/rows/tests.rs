use proptest::prelude::*;

use super::*;

fn block(weights: &[f64], from: i32, to: i32) -> Block<'_> {
    Block { tensor: "w", weights, from, to, gain: 1.0 }
}

/// Independent activations of variance 1 and mean 0, well known.
fn quantizer(size: usize) -> RowQuantizer {
    let covariance = (0..size * size).map(|at| f64::from(u8::from(at % (size + 1) == 0))).collect();
    RowQuantizer::new(Statistics { observations: 1e6, mean: vec![0.0; size], covariance })
}

#[test]
fn the_shift_is_the_smallest_with_which_every_multiplier_fits() {
    // A weight of 1 in Q.11 inputs has the multiplier 2^21/127 = 16512.5 at a shift of 0.
    let cases = [(0.0, 0, 0), (0.001, 0, -123), (1.0, 0, -127), (1.98, 0, -127), (2.0, 1, -127), (4.0, 2, -127)];
    for (largest, expected, integer) in cases.into_iter().chain([(100.0, 6, -127)]) {
        let weights = [0.5 * largest, -largest];
        let shift = smallest_shift([(0, block(&weights, 11, 16))], 15).unwrap();
        assert_eq!(shift, expected, "{largest}");
        let fitted = block(&weights, 11, 16 - i32::from(shift));
        assert!(fitted.exact_multiplier() <= 32_767.0);
        let integers = &quantizer(2).nearest(&[fitted])[0];
        // A small multiplier is a whole number too: 16.5 becomes 17.
        assert_eq!(integers.weights[1], integer, "{largest}");
    }
    let error = smallest_shift([(0, block(&[1.0], 11, 16)), (3, block(&[1e9], 11, 16))], 15).unwrap_err().to_string();
    assert_eq!(error, "tensor w, row 3: a weight of magnitude 1000000000 does not fit; use a scaler or weight decay");
}

/// Weights that are all equal bring the accumulator to its limit long before they reach 127.
#[test]
fn rows_of_very_many_weights_get_a_scale_with_which_their_accumulators_fit() {
    let weights: Vec<f64> = (0..700).map(|at| if at % 2 == 0 { 0.3 } else { -0.3 }).collect();
    let rows = quantizer(weights.len());
    let bias = [Bias { tensor: "b", value: 0.0 }];
    for rounding in [Rounding::Nearest, Rounding::Compensated] {
        let row = Row { number: 0, blocks: &[block(&weights, 15, 16)], biases: &bias, shift: 0 };
        let quantized = rows.quantize(&row, rounding).unwrap();
        let magnitudes: i64 = quantized.blocks[0].weights.iter().map(|&weight| i64::from(weight).abs()).sum();
        assert!((60_000..=MAGNITUDES_MAX).contains(&magnitudes), "{rounding:?}: {magnitudes}");
    }
}

#[test]
fn what_is_too_large_is_named() {
    let rows = quantizer(2);
    let refusal = |weights: &[f64; 2], bias: f64| {
        let biases = [Bias { tensor: "b", value: bias }];
        let row = Row { number: 4, blocks: &[block(weights, 11, 6)], biases: &biases, shift: 10 };
        rows.quantize(&row, Rounding::Compensated).unwrap_err().to_string()
    };
    // Inputs of ±16 times 2500 pass the 32768 of a pre-activation.
    let error = refusal(&[500.0, 2000.0], 0.0);
    assert!(error.starts_with("tensor w, row 4: at the ends of the input's range its product reaches 40"), "{error}");
    assert!(error.contains("where the whole sum may reach 32768; use a scaler, or train with weight decay"), "{error}");
    let error = refusal(&[500.0, 500.0], 20_000.0);
    assert!(error.starts_with("tensor b, row 4: a bias of 20000, where with the products"), "{error}");
    assert!(refusal(&[1.0, 1.0], 1e9).starts_with("tensor b, row 4: a bias of 1000000000"));
}

proptest! {
    /// The product rounds down; with its half unit in the bias, the sum is right on average.
    #[test]
    fn the_bias_makes_up_for_rounding_down(
        weights in prop::collection::vec(0.05f64..1.0, 6),
        shift in 0u8..6,
        bias in -2.0f64..2.0,
        separate: bool,
    ) {
        let to = 16 - i32::from(shift);
        let (input, recurrent) = weights.split_at(3);
        let blocks = [block(input, 11, to), block(recurrent, 15, to)];
        let both = [Bias { tensor: "b", value: bias }, Bias { tensor: "b'", value: 0.25 }];
        let biases = if separate { &both[..] } else { &both[..1] };
        let row = Row { number: 0, blocks: &blocks, biases, shift };
        let quantized = quantizer(6).quantize(&row, Rounding::Nearest).unwrap();
        let (mut state, mut error) = (12345u32, 0.0);
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as i32 % 32_768) * if state >> 31 == 0 { 1 } else { -1 }
        };
        const STEPS: i32 = 4000;
        for _ in 0..STEPS {
            let mut sum = 0.0;
            let mut exact = 0.0;
            for quantized in &quantized.blocks {
                let accumulator: i64 = quantized.weights.iter().map(|&weight| i64::from(weight) * i64::from(random())).sum();
                sum += ((accumulator * i64::from(quantized.multiplier)) >> 16) as f64;
                exact += accumulator as f64 * f64::from(quantized.multiplier) / 65_536.0;
            }
            error += sum - exact;
        }
        let expected: f64 = biases.iter().map(|bias| bias.value).sum();
        let given: i32 = quantized.biases.iter().sum();
        let mean = error / f64::from(STEPS) + f64::from(given) - expected * exp2(to);
        // Half a unit for rounding each bias to an integer; without the halves it would be off by one more.
        let rounding = 0.5 * biases.len() as f64;
        prop_assert!(mean.abs() <= rounding + 0.05, "{mean}");
    }
}
