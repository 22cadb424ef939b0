//! The head: rows, biases, and for regression the outputs' format.

use emberloop_checkpoint::{Checkpoint, Task};
use emberloop_image::{HeadShape, WeightFormat, limits};

use crate::QuantizeError;
use crate::calibration::Calibration;
use crate::dense::Dense;
use crate::float_network::head;
use crate::integer_model::{IntegerHead, IntegerMatrix};
use crate::layers::{push, short};
use crate::options::Rounding;
use crate::report::{RowErrors, WeightReport};
use crate::rows::{Bias, Block, Row, RowQuantizer, smallest_shift};

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
    let task = match architecture.task {
        Task::Classification => emberloop_image::Task::Classification,
        Task::Regression => emberloop_image::Task::Regression,
    };
    let with = |fraction: u8, shift: u8| {
        let shape = HeadShape { outputs, task, pooling, fraction, shift, weights: WeightFormat::Int8 };
        head_rows(shape, &weights, &bias, &rows, rounding)
    };
    let smallest_shift = |to: i32, most: u8| {
        smallest_shift((0..architecture.outputs).map(|row| (row, block(weights.row(row), to))), most)
    };
    match architecture.task {
        Task::Classification => {
            let fraction = limits::PREACTIVATION_FRACTION;
            with(fraction, smallest_shift(i32::from(fraction), limits::SHIFT_MAX)?)
        }
        Task::Regression => {
            // As fine as wanted, or as multipliers and sums allow. A shift takes from the fraction bits of the sums, so it
            // is left to outputs that do not even fit as whole numbers.
            let mut to = i32::from(output_fraction(&bias, calibration)?);
            loop {
                match smallest_shift(to, 0).and_then(|_| with(to.max(0) as u8, (-to).max(0) as u8)) {
                    Err(QuantizeError::Range { .. }) if -to < i32::from(limits::SHIFT_MAX) => to -= 1,
                    result => return result,
                }
            }
        }
    }
}

fn block(weights: &[f64], to: i32) -> Block<'_> {
    Block { tensor: "head.weight", weights, from: 15, to, gain: 1.0 }
}

fn head_rows(
    shape: HeadShape,
    weights: &Dense,
    bias: &[f64],
    rows: &RowQuantizer,
    rounding: Rounding,
) -> Result<(IntegerHead, WeightReport), QuantizeError> {
    let mut result = IntegerHead { shape, weights: IntegerMatrix::empty(weights.columns), bias: Vec::new() };
    let mut errors = RowErrors::default();
    let to = i32::from(shape.fraction) - i32::from(shape.shift);
    for (number, &bias) in bias.iter().enumerate() {
        let (blocks, biases) = ([block(weights.row(number), to)], [Bias { tensor: "head.bias", value: bias }]);
        let row = Row { number, blocks: &blocks, biases: &biases, shift: shape.shift };
        let quantized = rows.quantize(&row, rounding)?;
        errors.append(&RowErrors::new(rows, &blocks, &quantized.blocks, rounding));
        result.bias.extend(quantized.biases);
        push(&mut result.weights, quantized.blocks.into_iter().next());
    }
    Ok((result, errors.report("head".into())))
}

/// Regression: fine enough for the outputs that calibration showed, and none of them nor a bias beyond 30 bits.
fn output_fraction(bias: &[f64], calibration: &Calibration) -> Result<u8, QuantizeError> {
    /// Steps across the range of an output: a product is rounded down to one of them, and the rows' multipliers are then
    /// mostly 2^10 and more, so that their scales can be chosen finely.
    const FINE: f64 = 1_048_576.0;
    /// What an output may be, as a whole number: half of what fits, for those that calibration did not show.
    const LARGEST: f64 = 1_073_741_824.0;
    let spans = calibration.output_range.iter().map(|(low, high)| high - low);
    let least = spans.filter(|&span| span > 0.0 && span.is_finite()).fold(f64::INFINITY, f64::min);
    let wanted = if least.is_finite() { (FINE / least).log2().ceil().clamp(0.0, 30.0) as u8 } else { 16 };
    let ranges = calibration.output_range.iter().flat_map(|(low, high)| [low.abs(), high.abs()]);
    let largest = ranges.chain(bias.iter().map(|bias| bias.abs())).fold(0.0, f64::max);
    let fits = (LARGEST / largest.max(1e-9)).log2().floor();
    if fits < 0.0 {
        let problem = format!("outputs of up to {largest} do not fit 30 bits; give the targets in a larger unit");
        return Err(QuantizeError::Range { place: "head".into(), problem });
    }
    Ok(wanted.min(fits.min(30.0) as u8))
}
