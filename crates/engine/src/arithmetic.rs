//! The scalar arithmetic of NUMERICS §2 and §3, in 32-bit operations alone.
//!
//! Cortex-M0 has no 64-bit product; each function splits its operand instead and is equal, bit for bit, to the wide
//! formula in its documentation (proved in NUMERICS §2, tested below).

use emberloop_image::Requantizer;

/// `S(a; m) = floor(a · m / 2^16)` for `0 <= m < 2^15` (NUMERICS §3.1).
///
/// One SMULWB on cores that have it.
#[inline(always)]
pub fn multiply_shift_16(value: i32, multiplier: i32) -> i32 {
    // As a 64-bit product, LLVM finds the one instruction.
    #[cfg(any(kernel = "dsp", kernel = "helium"))]
    return ((i64::from(value) * i64::from(multiplier as i16)) >> 16) as i32;
    #[cfg(not(any(kernel = "dsp", kernel = "helium")))]
    split_multiply_shift_16(value, multiplier)
}

/// The same in 32 bits.
#[cfg(any(test, not(any(kernel = "dsp", kernel = "helium"))))]
#[inline(always)]
fn split_multiply_shift_16(value: i32, multiplier: i32) -> i32 {
    let high = (value >> 16) * multiplier;
    let low = (value & 0xffff) * multiplier;
    high + (low >> 16)
}

/// `R(a) = floor((a·2^l·m + 2^(15+r)) / 2^(16+r))`: a row's accumulator in the next format, rounded half up
/// (NUMERICS §3.2).
///
/// Cannot overflow for the scalers and embeddings of a parsed image (NUMERICS §5).
#[inline(always)]
pub fn requantize(accumulator: i32, requantizer: Requantizer) -> i32 {
    let product = multiply_shift_16(accumulator << requantizer.left_shift(), requantizer.multiplier());
    round_shift(product, requantizer.right_shift())
}

/// `floor((value + 2^(shift-1)) / 2^shift)`: rounded half up. `1 <= shift <= 30` and `|value| <= 2^30`.
#[inline(always)]
pub fn round_shift(value: i32, shift: u32) -> i32 {
    // The half like this, because the shift by itself is at hand.
    (value + ((1 << shift) >> 1)) >> shift
}

/// `floor((value · gate + 2^14) / 2^15)`: any value scaled by a gate in Q0.15, `0 <= gate <= 2^15`, rounded half up.
///
/// A gate of 2^15 is exactly one. The result never overflows.
#[inline(always)]
pub fn scale_by_gate(value: i32, gate: i32) -> i32 {
    #[cfg(any(kernel = "dsp", kernel = "helium"))]
    return ((i64::from(value) * i64::from(gate) + (1 << 14)) >> 15) as i32;
    #[cfg(not(any(kernel = "dsp", kernel = "helium")))]
    split_scale_by_gate(value, gate)
}

/// The same in 32 bits.
#[cfg(any(test, not(any(kernel = "dsp", kernel = "helium"))))]
#[inline(always)]
fn split_scale_by_gate(value: i32, gate: i32) -> i32 {
    let high = (value >> 16) * gate;
    // At most 65,535 · 32,768 + 16,384 < 2^31.
    let low = (value & 0xffff) * gate + (1 << 14);
    (high << 1) + (low >> 15)
}

/// `floor((a · b + 2^14) / 2^15)`: the product of two numbers in Q0.15, each of magnitude at most 2^15.
#[inline(always)]
pub fn multiply_q15(a: i32, b: i32) -> i32 {
    round_shift(a * b, 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn requantizers() -> impl Strategy<Value = Requantizer> {
        let shifts = prop_oneof![(0u8..=0, 1u8..=30), (0u8..=15, 1u8..=1)];
        (prop_oneof![Just(0i16), (1i16 << 14)..=i16::MAX], shifts).prop_map(|(m, (l, r))| Requantizer::new(m, l, r))
    }

    proptest! {
        #[test]
        fn multiply_shift_16_is_the_wide_formula(value: i32, multiplier in 0..1 << 15) {
            prop_assert_eq!(i64::from(multiply_shift_16(value, multiplier)), (i64::from(value) * i64::from(multiplier)) >> 16);
        }

        #[test]
        fn requantize_is_the_wide_formula(value: i32, requantizer in requantizers()) {
            let accumulator = value >> requantizer.left_shift(); // what parse allows
            let (l, r) = (requantizer.left_shift(), requantizer.right_shift());
            let wide = (((i128::from(accumulator) << l) * i128::from(requantizer.multiplier())) + (1 << (15 + r))) >> (16 + r);
            prop_assert_eq!(i128::from(requantize(accumulator, requantizer)), wide);
        }

        #[test]
        fn scale_by_gate_is_the_wide_formula(value: i32, gate in 0..=1 << 15) {
            let wide = (i64::from(value) * i64::from(gate) + (1 << 14)) >> 15;
            prop_assert_eq!(i64::from(scale_by_gate(value, gate)), wide);
        }

        #[test]
        fn multiply_q15_is_the_wide_formula(a in -32768..=32768, b in -32768..=32767) {
            prop_assert_eq!(i64::from(multiply_q15(a, b)), (i64::from(a) * i64::from(b) + (1 << 14)) >> 15);
        }
    }

    #[test]
    fn the_ends_of_the_ranges_do_not_overflow() {
        for value in [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX] {
            assert_eq!(scale_by_gate(value, 1 << 15), value, "a gate of one changes nothing");
            assert_eq!(scale_by_gate(value, 0), 0);
            multiply_shift_16(value, 32_767);
            for right in 1..=30 {
                requantize(value, Requantizer::new(i16::MAX, 0, right));
            }
        }
    }
}
