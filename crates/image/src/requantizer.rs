//! The packed scale of one weight row.

use crate::limits;

/// How a row's accumulator becomes a value of the next format: `R(a) = floor((a·2^l·m + 2^(15+r)) / 2^(16+r))`
/// (NUMERICS §3).
///
/// Packed into one word, as it lies in the image: multiplier `m` in bits 0..16, left shift `l` in bits 16..24, right
/// shift `r` in bits 24..32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requantizer(u32);

impl Requantizer {
    /// A requantizer of an all-zero row: always 0.
    pub const ZERO: Requantizer = Requantizer::new(0, 0, limits::RIGHT_SHIFT_MIN);

    /// Packs the three parameters; see [`Requantizer::is_valid`] for their ranges.
    pub const fn new(multiplier: i16, left: u8, right: u8) -> Self {
        Self(multiplier as u16 as u32 | (left as u32) << 16 | (right as u32) << 24)
    }

    /// As it lies in the image.
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// As it lies in the image.
    pub const fn word(self) -> u32 {
        self.0
    }

    /// `m`: 0, or from 2^14 to 2^15 - 1.
    #[inline(always)]
    pub const fn multiplier(self) -> i32 {
        self.0 as u16 as i16 as i32
    }

    /// `l`: from 0 to 15.
    #[inline(always)]
    pub const fn left_shift(self) -> u32 {
        (self.0 >> 16) & 0xff
    }

    /// `r`: from 1 to 30.
    #[inline(always)]
    pub const fn right_shift(self) -> u32 {
        self.0 >> 24
    }

    /// Whether all three parameters are in range, and the pair of shifts is the canonical one (`l = 0` or `r = 1`).
    pub const fn is_valid(self) -> bool {
        let multiplier = self.multiplier();
        let (left, right) = (self.left_shift(), self.right_shift());
        (multiplier == 0 || multiplier >= limits::MULTIPLIER_MIN as i32)
            && left <= limits::LEFT_SHIFT_MAX as u32
            && right >= limits::RIGHT_SHIFT_MIN as u32
            && right <= limits::RIGHT_SHIFT_MAX as u32
            && (left == 0 || right == limits::RIGHT_SHIFT_MIN as u32)
    }

    /// The real factor `R` stands for: `m · 2^(l - 16 - r)`, exact.
    #[cfg(not(target_os = "none"))]
    pub fn factor(self) -> f64 {
        f64::from(self.multiplier()) * exp2(self.left_shift() as i32 - 16 - self.right_shift() as i32)
    }

    /// The requantizer nearest to a real factor, or `None` where the factor is out of range (NUMERICS §3.1).
    ///
    /// Factors below `2^-32` round to [`Requantizer::ZERO`]. The exporter chooses each row's scale so that the factor
    /// is met exactly: take [`Requantizer::factor`] back.
    #[cfg(not(target_os = "none"))]
    pub fn nearest(factor: f64) -> Option<Self> {
        if !(factor.is_finite() && factor >= 0.0) {
            return None;
        }
        if factor < exp2(-32) {
            return Some(Self::ZERO);
        }
        // factor = m · 2^(-e) with m in [2^14, 2^15); e = 16 + r - l
        let mut exponent = 0i32;
        let mut scaled = factor;
        while scaled < 16_384.0 {
            scaled *= 2.0;
            exponent += 1;
        }
        while scaled >= 32_768.0 {
            scaled /= 2.0;
            exponent -= 1;
        }
        let mut multiplier = (scaled + 0.5) as i32;
        if multiplier == 32_768 {
            multiplier = 16_384;
            exponent -= 1;
        }
        let shift = exponent - 16;
        let (left, right) = if shift >= 1 { (0, shift) } else { (1 - shift, 1) };
        if left > i32::from(limits::LEFT_SHIFT_MAX) || right > i32::from(limits::RIGHT_SHIFT_MAX) {
            return None;
        }
        Some(Self::new(multiplier as i16, left as u8, right as u8))
    }
}

#[cfg(not(target_os = "none"))]
fn exp2(exponent: i32) -> f64 {
    let step = if exponent < 0 { 0.5 } else { 2.0 };
    (0..exponent.unsigned_abs()).fold(1.0, |value, _| value * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_meets_the_factor_within_half_a_unit_of_the_multiplier() {
        let mut factor = 1e-9;
        while factor < 8000.0 {
            let requantizer = Requantizer::nearest(factor).unwrap();
            assert!(requantizer.is_valid(), "{factor}: {requantizer:?}");
            let relative = (requantizer.factor() - factor).abs() / factor;
            assert!(relative <= 1.0 / 32_768.0, "{factor}: off by {relative}");
            factor *= 1.37;
        }
    }

    #[test]
    fn out_of_range_factors_are_refused() {
        assert_eq!(Requantizer::nearest(-1.0), None);
        assert_eq!(Requantizer::nearest(f64::NAN), None);
        assert_eq!(Requantizer::nearest(f64::INFINITY), None);
        assert_eq!(Requantizer::nearest(8192.0), None);
        assert_eq!(Requantizer::nearest(0.0), Some(Requantizer::ZERO));
    }
}
