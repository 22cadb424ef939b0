//! NUMERICS §2 and §3, and the saturation of §8, in 64-bit integers and as the page writes them.
//!
//! Divisions, not shifts: the page's `floor(a / 2^n)` is [`floor_div`] by [`pow2`].

use crate::model::Scale;

/// `floor(a / b)` for positive `b`.
pub fn floor_div(a: i64, b: i64) -> i64 {
    assert!(b > 0, "the page divides by powers of two and by counts");
    a.div_euclid(b)
}

/// `2^exponent`.
pub fn pow2(exponent: u32) -> i64 {
    2i64.pow(exponent)
}

/// `scale_by_gate(v, g)` of §2.
pub fn scale_by_gate(value: i64, gate: i64) -> i64 {
    assert!((0..=pow2(15)).contains(&gate), "gate {gate} is not in 0 ..= 2^15");
    floor_div(value * gate + pow2(14), pow2(15))
}

/// `multiply_q15(gate, value)` of §2.
pub fn multiply_q15(gate: i64, value: i64) -> i64 {
    assert!((0..=pow2(15)).contains(&gate), "gate {gate} is not in 0 ..= 2^15");
    assert!(value.abs() <= pow2(15), "{value} is beyond 2^15");
    floor_div(gate * value + pow2(14), pow2(15))
}

/// `S(a; m)` of §3.1.
pub fn scale_row(accumulator: i64, multiplier: u16) -> i64 {
    floor_div(accumulator * i64::from(multiplier), pow2(16))
}

/// `R(a; m, l, r)` of §3.2. For the `a`, `l` and `m` allowed, the product stays below 2^61.
pub fn requantize(accumulator: i64, scale: Scale) -> i64 {
    let (m, l, r) = (i64::from(scale.multiplier), u32::from(scale.left), u32::from(scale.right));
    floor_div(accumulator * pow2(l) * m + pow2(15 + r), pow2(16 + r))
}

/// Saturation to int32.
pub fn saturate(value: i64) -> i64 {
    value.clamp(-pow2(31), pow2(31) - 1)
}

/// The claim of a bound: the page says that this value fits `low ..= high`, so a value outside is a wrong page (or a
/// wrong parser, which let such weights in), not something to be wrapped or clamped.
#[track_caller]
pub fn within(value: i64, low: i64, high: i64, what: &str) -> i64 {
    assert!((low..=high).contains(&value), "NUMERICS promises that {what} is in {low} ..= {high}, found {value}");
    value
}

/// [`within`] for a bound of the magnitude.
#[track_caller]
pub fn at_most(value: i64, bound: i64, what: &str) -> i64 {
    within(value, -bound, bound, what)
}

/// [`within`] for int32.
#[track_caller]
pub fn fits_int32(value: i64, what: &str) -> i64 {
    within(value, -pow2(31), pow2(31) - 1, what)
}

/// [`within`] for Q0.15 in int16: a tanh value, a hidden state.
#[track_caller]
pub fn fits_int16(value: i64, what: &str) -> i64 {
    within(value, -pow2(15), pow2(15) - 1, what)
}
