//! Raw numbers: what a driver hands to the network.

/// A missing number, in a sample of `i32`. No sensor of 31 bits or less produces it.
pub const MISSING: i32 = i32::MIN;

/// An integer that a sample may be made of.
pub trait RawSample: Copy {
    /// As the scaler sees it.
    fn raw(self) -> i32;

    /// The numbers themselves, where the sample is made of them: the kernels take these.
    #[doc(hidden)]
    #[inline(always)]
    fn numbers(_: &[Self]) -> Option<&[i32]> {
        None
    }
}

impl RawSample for i32 {
    #[inline(always)]
    fn raw(self) -> i32 {
        self
    }

    #[inline(always)]
    fn numbers(sample: &[Self]) -> Option<&[i32]> {
        Some(sample)
    }
}

impl RawSample for i16 {
    #[inline(always)]
    fn raw(self) -> i32 {
        i32::from(self)
    }
}

impl RawSample for u16 {
    #[inline(always)]
    fn raw(self) -> i32 {
        i32::from(self)
    }
}

impl RawSample for i8 {
    #[inline(always)]
    fn raw(self) -> i32 {
        i32::from(self)
    }
}

impl RawSample for u8 {
    #[inline(always)]
    fn raw(self) -> i32 {
        i32::from(self)
    }
}

/// A missing number is [`MISSING`].
impl RawSample for Option<i32> {
    #[inline(always)]
    fn raw(self) -> i32 {
        self.unwrap_or(MISSING)
    }
}

/// `round(value · 2^fraction)` of an IEEE single, given as its bits, in integer operations alone: for drivers that
/// deliver floats, and the same function the host uses for recorded data.
///
/// Ties round to even. Infinities and everything beyond 31 bits saturate to ±(2^31 - 1) (where the scaler clips and
/// counts them); NaN is [`MISSING`]. `fraction` is `FeatureScaler::raw_fraction`.
pub fn from_f32_bits(bits: u32, fraction: i8) -> i32 {
    let exponent = (bits >> 23 & 0xff) as i32;
    let mantissa = bits & 0x7f_ffff;
    let negative = bits >> 31 != 0;
    let signed = |magnitude: u32| if negative { -(magnitude as i32) } else { magnitude as i32 };
    if exponent == 0xff {
        return if mantissa != 0 { MISSING } else { signed(i32::MAX as u32) };
    }
    // value = significand · 2^shift, subnormals included
    let (significand, shift) = match exponent {
        0 => (mantissa, -149),
        _ => (mantissa | 0x80_0000, exponent - 150),
    };
    let shift = shift + i32::from(fraction);
    let magnitude = if shift >= 0 {
        // A significand of 24 bits: anything shifted by 8 or more does not fit.
        let wide = if shift < 8 { u64::from(significand) << shift } else { u64::from(significand) << 8 };
        if shift >= 8 && significand != 0 { i32::MAX as u32 } else { wide.min(i32::MAX as u64) as u32 }
    } else if shift < -25 {
        0
    } else {
        let shift = shift.unsigned_abs();
        let whole = significand >> shift;
        let rest = significand & ((1 << shift) - 1);
        let half = 1 << (shift - 1);
        whole + u32::from(rest > half || (rest == half && whole & 1 == 1))
    };
    signed(magnitude)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn equals_the_float_formula(bits: u32, fraction in -16i8..=30) {
            let value = f32::from_bits(bits);
            let expected = if value.is_nan() {
                MISSING
            } else {
                let scaled = (f64::from(value) * f64::from(fraction).exp2()).round_ties_even();
                scaled.clamp(-f64::from(i32::MAX), f64::from(i32::MAX)) as i32
            };
            prop_assert_eq!(from_f32_bits(bits, fraction), expected, "{}", value);
        }

        #[test]
        fn equals_the_float_formula_for_everyday_values(value in -1e5f32..1e5, fraction in 0i8..=14) {
            let expected = (f64::from(value) * f64::from(fraction).exp2()).round_ties_even() as i32;
            prop_assert_eq!(from_f32_bits(value.to_bits(), fraction), expected);
        }
    }
}
