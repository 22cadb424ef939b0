//! The bounds that make the engine's arithmetic safe, row by row (NUMERICS §4).

use crate::{FeatureScaler, Multipliers, Requantizer, limits};

/// What was proved of a layer or of the head: the largest of its rows' bounds, carried in the image (FORMAT §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Largest magnitude of an accumulator of `W·x` (of the head: of `V·h`), in units of its row.
    pub input: u32,
    /// Largest magnitude of an accumulator of `U·h`, in units of its row.
    pub recurrent: u32,
    /// Largest magnitude of a pre-activation in Q15.16 (of the head: of an output).
    pub sum: u32,
}

impl Bounds {
    /// Words of 32 bits in the image.
    pub const WORDS: usize = 3;

    /// From the image's words.
    pub const fn from_words(words: &[u32; Self::WORDS]) -> Self {
        let &[input, recurrent, sum] = words;
        Self { input, recurrent, sum }
    }

    /// As they lie in the image.
    pub const fn to_words(self) -> [u32; Self::WORDS] {
        [self.input, self.recurrent, self.sum]
    }

    /// The larger of each.
    pub fn largest(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            recurrent: self.recurrent.max(other.recurrent),
            sum: self.sum.max(other.sum),
        }
    }
}

/// Largest magnitude that a row's accumulator reaches, or passes through, for activations from -2^15 to 2^15 - 1:
/// `Σ|w| · 2^15`.
pub fn accumulator_bound(weights: impl IntoIterator<Item = i8>) -> i64 {
    let sum: i64 = weights.into_iter().map(|weight| i64::from(weight.unsigned_abs())).sum();
    sum << 15
}

/// Largest magnitude of `S(a; m)` for an accumulator of at most `bound`: `S` rounds down, so one more than `S(bound)`.
pub fn product_bound(bound: i64, multiplier: i32) -> i64 {
    if multiplier == 0 { 0 } else { ((bound * i64::from(multiplier)) >> 16) + 1 }
}

/// The bounds of one row with these accumulators, or `None` where it could overflow (NUMERICS §4).
pub fn row_bounds(
    input: i64,
    recurrent: i64,
    multipliers: Multipliers,
    bias: i32,
    recurrent_bias: i32,
    shift: u8,
) -> Option<Bounds> {
    let fits = |bound: i64| u32::try_from(bound).ok().filter(|&bound| bound <= i32::MAX as u32);
    let products = product_bound(input, multipliers.input()) + product_bound(recurrent, multipliers.recurrent());
    let sum = (products + i64::from(bias).abs() + i64::from(recurrent_bias).abs()) << shift;
    Some(Bounds { input: fits(input)?, recurrent: fits(recurrent)?, sum: fits(sum)? })
}

/// Largest magnitude after requantization of an accumulator of at most `bound`, or `None` where the left shift could
/// overflow 32 bits.
///
/// `R` is monotonic and odd up to its rounding, so `floor(bound · factor + 1/2)` is reached at the bound itself.
pub fn requantized_bound(bound: i64, requantizer: Requantizer) -> Option<i64> {
    let shifted = bound << requantizer.left_shift();
    if shifted > i64::from(i32::MAX) {
        return None;
    }
    Some(requantize_wide(shifted, requantizer))
}

fn requantize_wide(shifted: i64, requantizer: Requantizer) -> i64 {
    let right = requantizer.right_shift();
    (shifted * i64::from(requantizer.multiplier()) + (1 << (15 + right))) >> (16 + right)
}

/// The scaled values at the two ends of a feature's raw range, or `None` where the scaler could overflow.
///
/// The scaler is monotonic, so everything between lies between them.
pub fn feature_output_range(feature: &FeatureScaler) -> Option<(i32, i32)> {
    let end = |raw: i32| {
        let difference = (i64::from(raw) << feature.pre_shift) - i64::from(feature.offset);
        let shifted = difference << feature.requantizer.left_shift();
        let fits = i32::try_from(i64::from(raw) << feature.pre_shift).is_ok()
            && i32::try_from(difference).is_ok()
            && i32::try_from(shifted).is_ok();
        let scaled = if fits { requantize_wide(shifted, feature.requantizer) } else { i64::MAX };
        i32::try_from(scaled).ok().filter(|scaled| scaled.abs() <= limits::INPUT)
    };
    Some((end(feature.min)?, end(feature.max)?))
}
