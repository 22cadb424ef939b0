//! Against f64, densely.

use super::*;
use crate::simd::{Operation, Portable};

struct Check;

impl Operation for Check {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (mut sigmoid_error, mut tanh_error, mut tanh_relative) = (0f64, 0f64, 0f64);
        let mut out = [0f32; 16];
        let mut apply = |x: f32, y: S::Vector| {
            s.store(y, &mut out);
            assert!(out[..S::LANES].iter().all(|&lane| lane.to_bits() == out[0].to_bits()), "lanes differ at {x}");
            f64::from(out[0])
        };
        // Every 1000th float of each sign from 1e-9 to 40.
        for bits in (1e-9f32.to_bits()..40f32.to_bits()).step_by(1009) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
                let limited = 1.0 / (1.0 + (-f64::from(x).max(-28.0)).exp());
                let v = s.splat(x);
                let ([a], _) = two_sigmoids(s, [v], [s.splat(-3.0)]);
                sigmoid_error = sigmoid_error.max((apply(x, a) - limited).abs() / limited);
                assert!((apply(x, a) - exact).abs() < 6e-7);
                let exact = f64::from(x).tanh();
                let error = (apply(x, tanh(s, [v])[0]) - exact).abs();
                tanh_error = tanh_error.max(error);
                tanh_relative = tanh_relative.max(error / exact.abs());
                // Also at the edges of the common denominator.
                for other in [-30.0, 0.5, 30.0] {
                    let other = s.splat(other);
                    let [[i, _, g, _], [_, f, _, o]] = lstm_gates(s, [[v, other, v, other], [other, v, other, v]]);
                    let limited = 1.0 / (1.0 + (-f64::from(x).max(-28.0)).exp());
                    for gate in [i, f, o] {
                        sigmoid_error = sigmoid_error.max((apply(x, gate) - limited).abs() / limited);
                    }
                    tanh_error = tanh_error.max((apply(x, g) - exact).abs());
                }
            }
        }
        assert!(sigmoid_error < 8e-7, "sigmoid: relative error {sigmoid_error}");
        assert!(tanh_error < 5e-7, "tanh: error {tanh_error}");
        assert!(tanh_relative < 5e-7, "tanh: relative error {tanh_relative}");
        for y in [tanh(s, [s.splat(f32::NAN)])[0], two_sigmoids(s, [s.splat(f32::NAN)], [s.splat(0.0)]).0[0]] {
            s.store(y, &mut out);
            assert!(out[0].is_nan());
        }
        for (x, sign) in [(f32::INFINITY, 1.0), (f32::NEG_INFINITY, -1.0)] {
            s.store(tanh(s, [s.splat(x)])[0], &mut out);
            assert!((out[0] - sign).abs() < 5e-7);
            s.store(two_sigmoids(s, [s.splat(x)], [s.splat(x)]).0[0], &mut out);
            assert!((out[0] - sign.max(0.0)).abs() < 5e-7);
        }
    }
}

#[test]
fn sigmoid_and_tanh_are_exact_to_a_few_units_in_the_last_place() {
    for isa in crate::Isa::available() {
        isa.run(Check);
    }
    Portable.run(Check);
}
