//! Sigmoid and tanh.
//!
//! Both come as fractions, so that a cell can divide once for several of them: on every CPU a division costs as much as
//! eight multiplications or more. And they take several vectors at once and compute them in step: one vector alone is a chain of
//! dependent operations, each of which waits four cycles for the one before.

use crate::simd::Simd;

/// Beyond these a sigmoid no longer changes: `sigmoid(-28)` is 6.9e-13. Three denominators multiplied stay below f32's largest.
const SIGMOID_LIMIT: f32 = 28.0;

/// 1.5 * 2^23 + 127: adding it rounds to an integer, and leaves this integer + 127 in the low bits.
const ROUND: f32 = 12_583_039.0;

/// (2^f - 1) / f for |f| <= 1/2, so that 2^f has a relative error of at most 1.1e-7 (minimax, fitted for these constants).
#[allow(clippy::approx_constant, clippy::excessive_precision)] // Fitted: the first is not ln 2.
const EXP2: [f32; 5] = [0.693_147_0, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_7];

/// The denominators `1 + e^-x` of `sigmoid(x) = 1 / (1 + e^-x)`. NaN gives NaN.
#[inline(always)]
fn sigmoid_denominators<S: Simd, const M: usize>(s: S, x: [S::Vector; M]) -> [S::Vector; M] {
    let scale = s.splat(-std::f32::consts::LOG2_E);
    let (mut fraction, mut integer) = (x, x);
    for m in 0..M {
        let x = s.min(s.splat(SIGMOID_LIMIT), s.max(s.splat(-SIGMOID_LIMIT), x[m]));
        integer[m] = s.mul_add(x, scale, s.splat(ROUND));
        fraction[m] = s.mul_add(x, scale, s.sub(s.splat(ROUND), integer[m]));
    }
    let mut power = [s.splat(EXP2[4]); M];
    for coefficient in [EXP2[3], EXP2[2], EXP2[1], EXP2[0], 1.0] {
        for m in 0..M {
            power[m] = s.mul_add(power[m], fraction[m], s.splat(coefficient));
        }
    }
    for m in 0..M {
        power[m] = s.mul_add(power[m], s.low_bits_to_exponent(integer[m]), s.splat(1.0));
    }
    power
}

/// Numerators and denominators of `tanh(x)`: an odd polynomial of degree 13 over an even one of degree 6, with the coefficients
/// of Eigen's `generic_fast_tanh_float` (Mozilla Public License 2.0; numbers only). Absolute error 4.4e-7. NaN gives NaN.
#[inline(always)]
fn tanh_fractions<S: Simd, const M: usize>(s: S, x: [S::Vector; M]) -> ([S::Vector; M], [S::Vector; M]) {
    /// From here on tanh is 1 to within the error.
    const LIMIT: f32 = 7.905_311;
    #[allow(clippy::excessive_precision)]
    const ODD: [f32; 7] = [
        4.893_524_6e-3,
        6.372_619_3e-4,
        1.485_722_4e-5,
        5.122_297_1e-8,
        -8.604_671_5e-11,
        2.000_187_9e-13,
        -2.760_768_5e-16,
    ];
    #[allow(clippy::excessive_precision)]
    const EVEN: [f32; 4] = [4.893_525_2e-3, 2.268_434_6e-3, 1.185_347_06e-4, 1.198_258_4e-6];
    let (mut x, mut square) = (x, x);
    for m in 0..M {
        x[m] = s.min(s.splat(LIMIT), s.max(s.splat(-LIMIT), x[m]));
        square[m] = s.mul(x[m], x[m]);
    }
    let mut numerator = [s.splat(ODD[6]); M];
    for coefficient in [ODD[5], ODD[4], ODD[3], ODD[2], ODD[1], ODD[0]] {
        for m in 0..M {
            numerator[m] = s.mul_add(numerator[m], square[m], s.splat(coefficient));
        }
    }
    let mut denominator = [s.splat(EVEN[3]); M];
    for coefficient in [EVEN[2], EVEN[1], EVEN[0]] {
        for m in 0..M {
            denominator[m] = s.mul_add(denominator[m], square[m], s.splat(coefficient));
        }
    }
    for m in 0..M {
        numerator[m] = s.mul(numerator[m], x[m]);
    }
    (numerator, denominator)
}

/// `tanh(x)`, of several vectors in step.
#[inline(always)]
pub(crate) fn tanh<S: Simd, const M: usize>(s: S, x: [S::Vector; M]) -> [S::Vector; M] {
    let (mut numerator, denominator) = tanh_fractions(s, x);
    for m in 0..M {
        numerator[m] = s.div(numerator[m], denominator[m]);
    }
    numerator
}

/// `sigmoid(a[m])` and `sigmoid(b[m])`, with one division each.
#[inline(always)]
pub(crate) fn two_sigmoids<S: Simd, const M: usize>(
    s: S,
    a: [S::Vector; M],
    b: [S::Vector; M],
) -> ([S::Vector; M], [S::Vector; M]) {
    let (mut a, mut b) = (sigmoid_denominators(s, a), sigmoid_denominators(s, b));
    for m in 0..M {
        let inverse = s.div(s.splat(1.0), s.mul(a[m], b[m]));
        (a[m], b[m]) = (s.mul(inverse, b[m]), s.mul(inverse, a[m]));
    }
    (a, b)
}

/// The gates i, f, g and o of an LSTM, `sigmoid` but for `tanh` of the third, with one division each.
#[inline(always)]
pub(crate) fn lstm_gates<S: Simd, const M: usize>(s: S, rows: [[S::Vector; 4]; M]) -> [[S::Vector; 4]; M] {
    let mut gates = [[s.splat(0.0); M]; 4];
    for m in 0..M {
        for gate in 0..4 {
            gates[gate][m] = rows[m][gate];
        }
    }
    let [i, f, g, o] = gates;
    let (i, f, o) = (sigmoid_denominators(s, i), sigmoid_denominators(s, f), sigmoid_denominators(s, o));
    let (numerator, g) = tanh_fractions(s, g);
    let mut rows = rows;
    for m in 0..M {
        let (i_f, o_g) = (s.mul(i[m], f[m]), s.mul(o[m], g[m]));
        let inverse = s.div(s.splat(1.0), s.mul(i_f, o_g));
        let (inverse_i_f, inverse_o_g) = (s.mul(inverse, o_g), s.mul(inverse, i_f));
        rows[m] = [
            s.mul(inverse_i_f, f[m]),
            s.mul(inverse_i_f, i[m]),
            s.mul(s.mul(inverse_o_g, o[m]), numerator[m]),
            s.mul(inverse_o_g, g[m]),
        ];
    }
    rows
}

#[cfg(test)]
mod tests;
