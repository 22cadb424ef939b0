//! The bounds that make the engine's arithmetic safe, row by row (NUMERICS §4).

use crate::{FeatureScaler, Requantizer, limits};

/// Largest magnitude that a row's accumulator reaches, or passes through, for activations within
/// ±[`limits::ACTIVATION`]: `Σ|w| · 32767`.
pub fn accumulator_bound(weights: &[i8]) -> i64 {
    let sum: i64 = weights.iter().map(|&weight| i64::from(weight.unsigned_abs())).sum();
    sum * i64::from(limits::ACTIVATION)
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
        i32::try_from(scaled).ok().filter(|scaled| scaled.abs() <= limits::ACTIVATION)
    };
    Some((end(feature.min)?, end(feature.max)?))
}
