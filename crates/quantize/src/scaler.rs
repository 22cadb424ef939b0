//! The float scaler in integers (NUMERICS §5).
//!
//! Three choices are made for each feature: the raw format (how many fraction bits a driver's integer has), the format
//! of the scaled input (one for all features), and the shifts that make `(raw - offset) / scale` exact to about half a
//! unit of it.

use emberloop_data::{Dataset, FeatureScale};
use emberloop_image::{FeatureScaler, Requantizer, feature_output_range};

use crate::QuantizeError;
use crate::calibration::Scaled;
use crate::float_network::exp2;

/// The scaled range is at least this many times what calibration showed.
const MARGIN: f64 = 2.0;
/// Fraction bits that give a range of ±16: wide enough for outliers of standardised data, and still 2,048 steps to one
/// standard deviation. A wide range costs little, clipping costs much (DESIGN: clipping at ±8 costs as much as int8
/// weights do).
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
pub(crate) fn observe(scaled: &Scaled<'_>, dataset: &Dataset) -> Vec<Observed> {
    let width = scaled.width;
    let column = |feature: usize| scaled.sequences.iter().flat_map(move |s| s.iter().skip(feature).step_by(width));
    let raw = |feature: usize| dataset.sequences.iter().flat_map(move |s| s.values.iter().skip(feature).step_by(width));
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
        Observed { scaled_max, scaled_deviation: variance.max(0.0).sqrt(), raw, exact_fraction }
    };
    (0..width).map(observe).collect()
}

/// Chooses the format of the scaled input.
pub(crate) fn input_format(observed: &[Observed]) -> InputFormat {
    let none = vec![0; observed.len()];
    if let Some(fraction) = common_fraction(observed, &none) {
        return InputFormat { fraction, gains: none };
    }
    // Unscaled sensors of all magnitudes: bring each to between 1/2 and 1 first.
    let gains: Vec<i32> = observed.iter().map(|feature| magnitude_bits(feature.scaled_max)).collect();
    let fraction = common_fraction(observed, &gains).unwrap_or(WIDE_FRACTION);
    InputFormat { fraction, gains }
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
        // One raw step more is no reason to give up a bit of the offset.
        if best.is_none_or(|best| width(&scaler) > width(&best) + width(&best) / 64) {
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
    let center = (i64::from(scaler.offset) >> scaler.pre_shift) as i32;
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
