//! The float scaler in integers (NUMERICS §5).
//!
//! Three choices are made for each feature: the raw format (how many fraction bits a driver's integer has), the format
//! of the scaled input (one for all features), and the shifts that make `(raw - offset) / scale` exact to about half a
//! unit of it.

use emberloop_data::{Dataset, FeatureScale, ScalerKind};
use emberloop_image::{FeatureScaler, Requantizer, feature_output_range};

use crate::QuantizeError;
use crate::calibration::{Scaled, loaded};
use crate::float_network::exp2;

/// The scaled range is at least this many times what calibration showed.
const MARGIN: f64 = 2.0;
/// The same where a wider range does not go with the weights.
const NARROW_MARGIN: f64 = 1.1;
/// Fraction bits that give a range of ±16: wide enough for outliers of standardised data, and still 2,048 steps to one
/// standard deviation. A wide range costs little, clipping costs much (on a trained LSTM-32, clipping at ±8 standard
/// deviations cost as much as the int8 weights did).
const WIDE_FRACTION: i32 = 11;
/// Steps that the least lively feature's standard deviation should span.
const FINE: f64 = 256.0;
/// Raw values may grow to so many times what calibration showed before they no longer fit 31 bits.
const RAW_MARGIN: f64 = 4.0;

/// What calibration showed of one feature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    /// Largest magnitude and standard deviation after scaling.
    scaled_max: f64,
    scaled_deviation: f64,
    /// Range in raw units, of values that are not missing; `(0, 0)` where all are.
    raw: (f64, f64),
    /// Fewest fraction bits in which every raw value is exact, where that is at most 30.
    exact_fraction: i32,
}

/// The format of the scaled input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputFormat {
    /// Fraction bits `n`.
    pub(crate) fraction: i32,
    /// By feature: the device's input is `2^-gain` of the float model's, and its weights `2^gain`. 0 unless the features
    /// are so unlike that no common format holds them.
    pub(crate) gains: Vec<i32>,
}

/// Looks at every feature of the calibration data.
///
/// What the kind of scaler says about the training data counts as well: a calibration file in which nothing happens
/// must not leave the device a range in which nothing fits.
pub(crate) fn observe(scaled: &Scaled<'_>, dataset: &Dataset, kind: ScalerKind) -> Vec<Observed> {
    let (least_max, least_deviation) = match kind {
        ScalerKind::Standard | ScalerKind::Robust => (4.0, 1.0),
        ScalerKind::Minmax => (1.0, 1.0 / 64.0),
        ScalerKind::None => (0.0, 0.0),
    };
    let width = scaled.width;
    let column = |feature: usize| scaled.sequences.iter().flat_map(move |s| s.iter().skip(feature).step_by(width));
    let raw = |feature: usize| loaded(dataset).flat_map(move |values| values.iter().skip(feature).step_by(width));
    let observe = |feature: usize| {
        let (mut count, mut sum, mut squares, mut scaled_max) = (0.0f64, 0.0, 0.0, 0.0f64);
        for &value in column(feature) {
            let value = f64::from(value);
            (count, sum, squares) = (count + 1.0, sum + value, squares + value * value);
            scaled_max = scaled_max.max(value.abs());
        }
        let count = count.max(1.0);
        let variance = squares / count - (sum / count) * (sum / count);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut exact_fraction = -16;
        for &value in raw(feature).filter(|value| !value.is_nan()) {
            let value = f64::from(value);
            (low, high) = (low.min(value), high.max(value));
            while exact_fraction < 31 && (value * exp2(exact_fraction)).fract() != 0.0 {
                exact_fraction += 1;
            }
        }
        let raw = if low <= high { (low, high) } else { (0.0, 0.0) };
        Observed {
            scaled_max: scaled_max.max(least_max),
            scaled_deviation: variance.max(0.0).sqrt().max(least_deviation),
            raw,
            exact_fraction,
        }
    };
    (0..width).map(observe).collect()
}

/// Chooses the format of the scaled input, then narrows its range `narrowing` times by half.
///
/// # Errors
/// If the calibration data would not fit the narrowed range.
pub(crate) fn input_format(observed: &[Observed], narrowing: i32) -> Result<InputFormat, QuantizeError> {
    let mut gains = vec![0; observed.len()];
    let fraction = common_fraction(observed, &gains).or_else(|| {
        // Unscaled sensors of all magnitudes: bring each to between 1/2 and 1 first.
        gains = observed.iter().map(|feature| magnitude_bits(feature.scaled_max)).collect();
        common_fraction(observed, &gains)
    });
    let fraction = fraction.unwrap_or(WIDE_FRACTION) + narrowing;
    let features = observed.iter().zip(&gains);
    let max = features.map(|(feature, &gain)| feature.scaled_max * exp2(-gain)).fold(0.0, f64::max);
    no_narrower(narrowing == 0 || (fraction <= 15 && NARROW_MARGIN * max <= exp2(15 - fraction)))?;
    Ok(InputFormat { fraction, gains })
}

/// The refusal of a range too narrow for the data, where it is one.
pub(crate) fn no_narrower(fits: bool) -> Result<(), QuantizeError> {
    if fits {
        return Ok(());
    }
    let problem = "the calibration data leave no narrower range".into();
    Err(QuantizeError::Range { place: "input".into(), problem })
}

/// Fraction bits that hold every feature with its margin and are fine enough for the least lively one.
fn common_fraction(observed: &[Observed], gains: &[i32]) -> Option<i32> {
    let features = || observed.iter().zip(gains).map(|(feature, &gain)| (feature, exp2(-gain)));
    let max = features().map(|(feature, gain)| feature.scaled_max * gain).fold(0.0, f64::max);
    let lively = features().map(|(feature, gain)| feature.scaled_deviation * gain);
    // Constant features have no say.
    let least = lively.filter(|&deviation| deviation > 1e-9 * max).fold(f64::INFINITY, f64::min);
    let holds = (15 - magnitude_bits(MARGIN * max)).min(15);
    let fine = if least.is_finite() { magnitude_bits(FINE / least).max(0) } else { 0 };
    (fine <= holds && holds >= 0).then(|| fine.max(WIDE_FRACTION).min(holds))
}

/// Fewest bits `b` with `magnitude <= 2^b`; 0 for nothing.
fn magnitude_bits(magnitude: f64) -> i32 {
    if magnitude > 0.0 { magnitude.log2().ceil() as i32 } else { 0 }
}

/// The integer scaler of one feature.
pub(crate) fn integer_scaler(
    name: &str,
    scale: &FeatureScale,
    observed: &Observed,
    fraction: i32,
    gain: i32,
) -> Result<FeatureScaler, QuantizeError> {
    // Scaled units of the device per raw unit.
    let units = exp2(fraction - gain) / scale.scale;
    let raw_fraction = raw_fraction(observed, scale, units);
    let fill = ((scale.fill - scale.offset) * units).round().clamp(-32_767.0, 32_767.0) as i16;
    let candidate = |pre_shift: u8| {
        let requantizer = Requantizer::nearest(units * exp2(-raw_fraction - i32::from(pre_shift)))?;
        let offset = (scale.offset * exp2(raw_fraction + i32::from(pre_shift))).round();
        let offset = (offset.abs() <= f64::from(i32::MAX)).then_some(offset as i32)?;
        let raw_fraction = i8::try_from(raw_fraction).ok()?;
        let scaler = FeatureScaler { min: 0, max: 0, offset, requantizer, fill, pre_shift, raw_fraction };
        widest(scaler)
    };
    // Fraction bits of the offset beyond an eighth of a unit buy nothing; each halves the range that fits 32 bits.
    let enough = (units * exp2(-raw_fraction) * 8.0).log2().ceil().clamp(0.0, 30.0) as u8;
    let width = |scaler: &FeatureScaler| i64::from(scaler.max) - i64::from(scaler.min);
    let mut best: Option<FeatureScaler> = None;
    for scaler in (0..=enough).rev().filter_map(candidate) {
        // A raw step or two more is no reason to give up a bit of the offset.
        if best.is_none_or(|best| width(&scaler) > width(&best) + width(&best) / 8 + 2) {
            best = Some(scaler);
        }
    }
    let problem = || format!("scale {} with offset {} does not fit 32-bit integers", scale.scale, scale.offset);
    let best = best.ok_or_else(|| QuantizeError::Range { place: format!("channel {name:?}"), problem: problem() })?;
    let raw = |value: f64| (value * exp2(raw_fraction)).round();
    if raw(observed.raw.0) < f64::from(best.min) || raw(observed.raw.1) > f64::from(best.max) {
        let (low, high) = (f64::from(best.min) * exp2(-raw_fraction), f64::from(best.max) * exp2(-raw_fraction));
        let problem = format!(
            "expected calibration values between {low} and {high}, found {} to {}; use a scaler",
            observed.raw.0, observed.raw.1
        );
        return Err(QuantizeError::Range { place: format!("channel {name:?}"), problem });
    }
    Ok(best)
}

/// 0 for counts; else as many bits as it takes to be exact, but not beyond a quarter of a scaled unit, nor beyond what
/// fits 31 bits with a margin.
fn raw_fraction(observed: &Observed, scale: &FeatureScale, units: f64) -> i32 {
    let fine = magnitude_bits(4.0 * units);
    let wanted = observed.exact_fraction.min(fine).max(0);
    let largest = observed.raw.0.abs().max(observed.raw.1.abs()).max(scale.offset.abs());
    let fits = 31 - magnitude_bits(RAW_MARGIN * largest.max(1e-9));
    wanted.min(fits).clamp(-16, 30)
}

/// The scaler with the widest raw range whose scaled values all fit, or `None` where not even the offset does.
fn widest(scaler: FeatureScaler) -> Option<FeatureScaler> {
    let fits = |raw: i32| feature_output_range(&FeatureScaler { min: raw, max: raw, ..scaler }).is_some();
    // The raw value nearest to the offset: with a tiny scale, the one below may be out of range.
    let half = (1i64 << scaler.pre_shift) >> 1;
    let center = ((i64::from(scaler.offset) + half) >> scaler.pre_shift) as i32;
    if center == i32::MIN || !fits(center) {
        return None;
    }
    // The outermost value that fits: the scaler is monotonic, so what fits is one interval around the centre.
    let outermost = |limit: i32| {
        let (mut inside, mut outside) = (i64::from(center), i64::from(limit));
        if fits(limit) {
            return limit;
        }
        while (outside - inside).abs() > 1 {
            let middle = inside + (outside - inside) / 2;
            if fits(middle as i32) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        inside as i32
    };
    Some(FeatureScaler { min: outermost(-i32::MAX), max: outermost(i32::MAX), ..scaler })
}

/// What the integer scaler makes of a raw value, as the engine computes it, for the report and for tests.
pub(crate) fn apply(scaler: &FeatureScaler, value: f32) -> i32 {
    let raw = emberloop_engine::from_f32_bits(value.to_bits(), scaler.raw_fraction).clamp(scaler.min, scaler.max);
    emberloop_engine::arithmetic::requantize((raw << scaler.pre_shift) - scaler.offset, scaler.requantizer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn observed(raw: (f64, f64), exact_fraction: i32, scale: &FeatureScale) -> Observed {
        let scaled = |raw: f64| ((raw - scale.offset) / scale.scale).abs();
        let scaled_max = scaled(raw.0).max(scaled(raw.1)).max(4.0);
        Observed { scaled_max, scaled_deviation: 1.0, raw, exact_fraction }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        /// Any offset, scale and data: within a unit and a half of the scaled input (half for the raw value's rounding
        /// and a little for the offset's, half for the result's, the rest for the multiplier's 15 bits at full range).
        #[test]
        fn the_integer_scaler_follows_the_float_one(
            offset in -2e4f64..2e4,
            magnitude in -12i32..14,
            mantissa in 1.0f64..2.0,
            spread in 1.0f64..8.0,
            counts: bool,
            samples in prop::collection::vec(-1.0f64..1.0, 20),
        ) {
            // Below that, neighbouring floats are standard deviations apart.
            let least = offset.abs() * exp2(-22);
            let scale = FeatureScale { offset, scale: (mantissa * exp2(magnitude)).max(least), fill: offset };
            let value = |sample: f64| {
                let value = offset + spread * scale.scale * sample;
                if counts { value.round() as f32 } else { value as f32 }
            };
            let values: Vec<f32> = samples.iter().map(|&sample| value(sample)).collect();
            let low = values.iter().copied().fold(f32::INFINITY, f32::min);
            let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let observed = observed((low.into(), high.into()), if counts { 0 } else { 31 }, &scale);
            let format = input_format(&[observed], 0).unwrap();
            let scaler = integer_scaler("x", &scale, &observed, format.fraction, format.gains[0]).unwrap();
            prop_assert_eq!(scaler.fill, 0);
            let unit = exp2(format.gains[0] - format.fraction);
            for &value in &values {
                let float = (f64::from(value) - offset) / scale.scale;
                // Data with 24 bits cannot be scaled better than that.
                let grain = f64::from(value.abs()) * exp2(-24) / scale.scale;
                let error = (f64::from(apply(&scaler, value)) * unit - float).abs();
                prop_assert!(error <= 1.5 * unit + grain, "{value}: {error}, unit {unit}, {scaler:?}");
            }
        }
    }

    fn lively(scaled_max: f64, scaled_deviation: f64) -> Observed {
        Observed { scaled_max, scaled_deviation, raw: (0.0, 1.0), exact_fraction: 0 }
    }

    #[test]
    fn the_range_is_wide_where_that_is_cheap_and_never_below_twice_the_data() {
        let fraction = |features: &[Observed]| input_format(features, 0).unwrap().fraction;
        assert_eq!(fraction(&[lively(3.0, 1.0)]), 11);
        assert_eq!(fraction(&[lively(8.0, 1.0), lively(3.0, 1.0)]), 11);
        assert_eq!(fraction(&[lively(9.0, 1.0)]), 10);
        // A quiet feature asks for more fraction bits, a constant one for nothing.
        assert_eq!(fraction(&[lively(1.0, 0.02)]), 14);
        assert_eq!(fraction(&[lively(3.0, 1.0), lively(5.0, 0.0)]), 11);
    }

    #[test]
    fn features_of_all_magnitudes_get_gains() {
        let format = input_format(&[lively(30_000.0, 9000.0), lively(1e-4, 3e-5)], 0).unwrap();
        assert_eq!(format, InputFormat { fraction: 11, gains: vec![15, -13] });
    }

    #[test]
    fn a_range_is_narrowed_only_as_far_as_the_data_go() {
        let features = [lively(3.0, 1.0)];
        assert_eq!(input_format(&features, 1).unwrap().fraction, 12);
        assert_eq!(input_format(&features, 2).unwrap().fraction, 13);
        assert!(input_format(&features, 3).is_err());
    }
}
