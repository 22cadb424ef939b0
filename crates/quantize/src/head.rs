//! The head: rows, biases, and for regression the outputs' format.

use emberloop_checkpoint::{Checkpoint, Task};
use emberloop_image::{HeadShape, WeightFormat, limits};

use crate::QuantizeError;
use crate::calibration::Calibration;
use crate::dense::Dense;
use crate::float_network::head;
use crate::integer_model::IntegerHead;
use crate::layers::{drifts, empty, fixed, push, short};
use crate::options::Rounding;
use crate::report::{RowErrors, WeightReport};
use crate::rows::{Block, RowQuantizer};

/// Quantizes the head.
pub(crate) fn quantize_head(
    checkpoint: &Checkpoint,
    calibration: &Calibration,
    rounding: Rounding,
) -> Result<(IntegerHead, WeightReport), QuantizeError> {
    let architecture = &checkpoint.metadata.architecture;
    let (weights, bias) = head(checkpoint);
    let pooling = match architecture.pooling {
        emberloop_checkpoint::Pooling::Last => emberloop_image::Pooling::Last,
        emberloop_checkpoint::Pooling::Mean => emberloop_image::Pooling::Mean,
        emberloop_checkpoint::Pooling::Every => emberloop_image::Pooling::Every,
    };
    let outputs = short("outputs", architecture.outputs)?;
    let rows = RowQuantizer::new(calibration.head.statistics());
    let with = |task, fraction: u8| {
        let shape = HeadShape { outputs, task, pooling, fraction, weights: WeightFormat::Int8 };
        head_rows(shape, &weights, &bias, &rows, rounding)
    };
    match architecture.task {
        Task::Classification => with(emberloop_image::Task::Classification, limits::PREACTIVATION_FRACTION),
        Task::Regression => {
            // As fine as wanted, or as the rounded weights allow.
            let mut fraction = output_fraction(&bias, calibration)?;
            loop {
                match with(emberloop_image::Task::Regression, fraction) {
                    Err(QuantizeError::Range { .. }) if fraction > 0 => fraction -= 1,
                    result => return result,
                }
            }
        }
    }
}

fn head_rows(
    shape: HeadShape,
    weights: &Dense,
    bias: &[f64],
    rows: &RowQuantizer,
    rounding: Rounding,
) -> Result<(IntegerHead, WeightReport), QuantizeError> {
    let mut result = IntegerHead { shape, weights: empty(weights.columns), bias: Vec::new() };
    let mut errors = RowErrors::default();
    let to = i32::from(shape.fraction);
    for (row, &bias) in bias.iter().enumerate() {
        let block = Block {
            tensor: "head.weight",
            weights: weights.row(row),
            from: 15,
            to,
            gain: 1.0,
            limit: limits::HEAD_PRODUCT,
        };
        let quantized = rows.quantize(row, &[block], rounding)?;
        errors.append(&RowErrors::new(rows, &[block], &quantized, rounding));
        let [drift, _] = drifts(&rows.statistics, weights.columns, &quantized, rounding);
        result.bias.push(fixed("head.bias", row, bias + drift, to)?);
        push(&mut result.weights, quantized.into_iter().next());
    }
    Ok((result, errors.report("head".into())))
}

/// Regression: fine enough for the outputs that calibration showed, and no bias beyond 2^30.
fn output_fraction(bias: &[f64], calibration: &Calibration) -> Result<u8, QuantizeError> {
    /// Steps across the range of an output.
    const FINE: f64 = 65_536.0;
    let spans = calibration.output_range.iter().map(|(low, high)| high - low);
    let least = spans.filter(|&span| span > 0.0 && span.is_finite()).fold(f64::INFINITY, f64::min);
    let wanted = if least.is_finite() { (FINE / least).log2().ceil().clamp(0.0, 30.0) as u8 } else { 16 };
    let ranges = calibration.output_range.iter().flat_map(|(low, high)| [low.abs(), high.abs()]);
    let largest = ranges.chain(bias.iter().map(|bias| bias.abs())).fold(0.0, f64::max);
    let fits = (limits::BIAS as f64 / largest.max(1e-9)).log2().floor();
    if fits < 0.0 {
        let problem = format!("outputs of up to {largest} do not fit 30 bits; give the targets in a larger unit");
        return Err(QuantizeError::Range { place: "head".into(), problem });
    }
    Ok(wanted.min(fits.min(30.0) as u8))
}
