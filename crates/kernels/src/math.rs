//! Sigmoid and tanh.
//!
//! Both come as fractions, so that a cell can divide once for several of them: on every CPU a division costs as much as
//! eight multiplications or more.

use crate::simd::Simd;

/// Beyond these a sigmoid no longer changes: `sigmoid(-28)` is 6.9e-13. Three denominators multiplied stay below f32's largest.
const SIGMOID_LIMIT: f32 = 28.0;

/// 1.5 * 2^23 + 127: adding it rounds to an integer, and leaves this integer + 127 in the low bits.
const ROUND: f32 = 12_583_039.0;

/// (2^f - 1) / f for |f| <= 1/2, so that 2^f has a relative error of at most 1.1e-7 (minimax, fitted for these constants).
const EXP2: [f32; 5] = [0.693_147_0, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_7];

/// The denominator `1 + e^-x` of `sigmoid(x) = 1 / (1 + e^-x)`. NaN gives NaN.
#[inline(always)]
pub(crate) fn sigmoid_denominator<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let x = s.min(s.splat(SIGMOID_LIMIT), s.max(s.splat(-SIGMOID_LIMIT), x));
    let scale = s.splat(-std::f32::consts::LOG2_E);
    let rounded = s.mul_add(x, scale, s.splat(ROUND));
    let fraction = s.mul_add(x, scale, s.sub(s.splat(ROUND), rounded));
    let mut power = s.splat(EXP2[4]);
    for coefficient in [EXP2[3], EXP2[2], EXP2[1], EXP2[0], 1.0] {
        power = s.mul_add(power, fraction, s.splat(coefficient));
    }
    s.mul_add(power, s.low_bits_to_exponent(rounded), s.splat(1.0))
}

/// Numerator and denominator of `tanh(x)`: an odd polynomial of degree 13 over an even one of degree 6, with the coefficients of
/// Eigen's `generic_fast_tanh_float` (Mozilla Public License 2.0; numbers only). Absolute error 4.4e-7. NaN gives NaN.
#[inline(always)]
pub(crate) fn tanh_fraction<S: Simd>(s: S, x: S::Vector) -> (S::Vector, S::Vector) {
    /// From here on tanh is 1 to within the error.
    const LIMIT: f32 = 7.905_311;
    const ODD: [f32; 7] = [
        4.893_524_6e-3,
        6.372_619_3e-4,
        1.485_722_4e-5,
        5.122_297_1e-8,
        -8.604_671_5e-11,
        2.000_187_9e-13,
        -2.760_768_5e-16,
    ];
    const EVEN: [f32; 4] = [4.893_525_2e-3, 2.268_434_6e-3, 1.185_347_06e-4, 1.198_258_4e-6];
    let x = s.min(s.splat(LIMIT), s.max(s.splat(-LIMIT), x));
    let square = s.mul(x, x);
    let mut numerator = s.splat(ODD[6]);
    for coefficient in [ODD[5], ODD[4], ODD[3], ODD[2], ODD[1], ODD[0]] {
        numerator = s.mul_add(numerator, square, s.splat(coefficient));
    }
    let mut denominator = s.splat(EVEN[3]);
    for coefficient in [EVEN[2], EVEN[1], EVEN[0]] {
        denominator = s.mul_add(denominator, square, s.splat(coefficient));
    }
    (s.mul(numerator, x), denominator)
}

/// `tanh(x)`.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let (numerator, denominator) = tanh_fraction(s, x);
    s.div(numerator, denominator)
}

/// `sigmoid(a)` and `sigmoid(b)`, with one division.
#[inline(always)]
pub(crate) fn two_sigmoids<S: Simd>(s: S, a: S::Vector, b: S::Vector) -> (S::Vector, S::Vector) {
    let (a, b) = (sigmoid_denominator(s, a), sigmoid_denominator(s, b));
    let inverse = s.div(s.splat(1.0), s.mul(a, b));
    (s.mul(inverse, b), s.mul(inverse, a))
}

/// `sigmoid(a)`, `sigmoid(b)`, `sigmoid(c)` and `tanh(d)`, with one division.
#[inline(always)]
pub(crate) fn three_sigmoids_and_tanh<S: Simd>(
    s: S,
    a: S::Vector,
    b: S::Vector,
    c: S::Vector,
    d: S::Vector,
) -> [S::Vector; 4] {
    let (a, b, c) = (sigmoid_denominator(s, a), sigmoid_denominator(s, b), sigmoid_denominator(s, c));
    let (numerator, d) = tanh_fraction(s, d);
    let (ab, cd) = (s.mul(a, b), s.mul(c, d));
    let inverse = s.div(s.splat(1.0), s.mul(ab, cd));
    let (inverse_ab, inverse_cd) = (s.mul(inverse, cd), s.mul(inverse, ab));
    [s.mul(inverse_ab, b), s.mul(inverse_ab, a), s.mul(inverse_cd, d), s.mul(s.mul(inverse_cd, c), numerator)]
}

#[cfg(test)]
mod tests;
