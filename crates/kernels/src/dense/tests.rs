//! Against sums in f64, with every set of instructions the same bits.

use super::*;

/// Numbers between -1 and 1 that look random.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

#[track_caller]
fn assert_close(name: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(1e-3, |largest: f64, value| largest.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*found) - expected).abs() < 1e-6 * largest, "{name}[{at}]: {found} against {expected}");
    }
}

fn product(
    rows: usize,
    depth: usize,
    columns: usize,
    left: impl Fn(usize, usize) -> f32,
    right: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    let element = |row, column| (0..depth).map(|k| f64::from(left(row, k)) * f64::from(right(k, column))).sum();
    (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(row, column)| element(row, column))
        .collect()
}

#[test]
fn forward_and_backward_are_the_sums_that_they_say() {
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 5, 2), (8, 16, 16), (70, 33, 5), (9, 17, 19), (2 * BLOCK + 7, 20, 3)]
    {
        let dense = Dense { inputs, outputs };
        let (values, weight) = (numbers(rows * inputs, 1), numbers(inputs * outputs, 2));
        let (bias, gradient) = (numbers(outputs, 3), numbers(rows * outputs, 4));
        let mut expected =
            product(rows, inputs, outputs, |r, k| values[r * inputs + k], |k, o| weight[k * outputs + o]);
        expected.iter_mut().enumerate().for_each(|(at, sum)| *sum += f64::from(bias[at % outputs]));
        let found = dense.forward(&values, &weight, &bias);
        assert_close("outputs", &found, &expected);
        let gradients = dense.backward(&values, &weight, &gradient);
        let of_values =
            product(rows, outputs, inputs, |r, o| gradient[r * outputs + o], |o, k| weight[k * outputs + o]);
        assert_close("values", &gradients.values, &of_values);
        let of_weight = product(inputs, rows, outputs, |k, r| values[r * inputs + k], |r, o| gradient[r * outputs + o]);
        assert_close("weight", &gradients.weight, &of_weight);
        let of_bias = product(1, rows, outputs, |_, _| 1.0, |r, o| gradient[r * outputs + o]);
        assert_close("bias", &gradients.bias, &of_bias);
        for isa in Isa::available() {
            assert_eq!(dense.forward_with(isa, &values, &weight, &bias), found, "{isa}");
            assert_eq!(dense.backward_with(isa, &values, &weight, &gradient), gradients, "{isa}");
        }
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| dense.backward(&values, &weight, &gradient)), gradients);
    }
}

#[test]
#[should_panic(expected = "values: expected rows of 3 numbers, found 7 numbers")]
fn half_a_row_is_refused() {
    Dense { inputs: 3, outputs: 1 }.forward(&[0.0; 7], &[0.0; 3], &[0.0]);
}
