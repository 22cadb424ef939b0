//! From raw samples to the first layer's input, in integers.

use emberloop_checkpoint::Checkpoint;

use crate::QuantizeError;
use crate::calibration::{Scaled, loaded};
use crate::embedding::quantize_embedding;
use crate::float_network::{embedding, exp2};
use crate::integer_model::IntegerInput;
use crate::report::ScalerReport;
use crate::scaler::{self, InputFormat};

/// The input in integers: embedding table, or scalers in a range narrowed `narrowing` times by half.
///
/// # Errors
/// If the input does not fit; so also when calibration data would not fit the narrowed range.
pub(crate) fn quantize_input(
    checkpoint: &Checkpoint,
    scaled: &Scaled<'_>,
    narrowing: i32,
) -> Result<(IntegerInput, InputFormat, Vec<ScalerReport>), QuantizeError> {
    if let Some(table) = embedding(checkpoint) {
        // The table is all there is: its range cannot be narrower.
        scaler::no_narrower(narrowing == 0)?;
        let (fraction, table) = quantize_embedding(&table)?;
        let format = InputFormat { fraction: i32::from(fraction), gains: vec![0; table.columns] };
        return Ok((IntegerInput::Tokens { fraction, table }, format, Vec::new()));
    }
    let float = &checkpoint.metadata.scaler;
    let observed = scaler::observe(scaled, scaled.dataset, float.kind);
    let format = scaler::input_format(&observed, narrowing)?;
    let mut scalers = Vec::new();
    let mut reports = Vec::new();
    for (feature, (float, observed)) in float.features.iter().zip(&observed).enumerate() {
        let name = scaled.dataset.channel_name(feature);
        let integer = scaler::integer_scaler(&name, float, observed, format.fraction, format.gains[feature])?;
        let unit = exp2(format.gains[feature] - format.fraction);
        let raw = exp2(-i32::from(integer.raw_fraction));
        reports.push(ScalerReport {
            channel: name,
            raw_fraction: integer.raw_fraction,
            range: (f64::from(integer.min) * raw, f64::from(integer.max) * raw),
            largest_error: largest_error(scaled, feature, |value| f64::from(scaler::apply(&integer, value)) * unit),
        });
        scalers.push(integer);
    }
    let missing = match float.missing {
        emberloop_data::MissingPolicy::Error => emberloop_image::MissingPolicy::Error,
        emberloop_data::MissingPolicy::HoldLast => emberloop_image::MissingPolicy::HoldLast,
        emberloop_data::MissingPolicy::Mean => emberloop_image::MissingPolicy::Mean,
    };
    Ok((IntegerInput::Features { fraction: format.fraction as u8, missing, scalers }, format, reports))
}

/// Largest difference between the integer scaler and the float one over values that are not missing.
fn largest_error(scaled: &Scaled<'_>, feature: usize, integer: impl Fn(f32) -> f64) -> f64 {
    let pairs = loaded(scaled.dataset).zip(&scaled.sequences);
    let values = pairs.flat_map(|(raw, scaled)| raw.iter().zip(scaled));
    let values = values.skip(feature).step_by(scaled.width).filter(|(raw, _)| !raw.is_nan());
    values.fold(0.0, |max, (&raw, &scaled)| max.max((integer(raw) - f64::from(scaled)).abs()))
}
