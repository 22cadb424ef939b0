//! Recurrent layers and the head: rows, biases, formats.

use emberloop_cells::{CellKind, Direction, RecurrentTensor, TensorName};
use emberloop_checkpoint::{Checkpoint, Task};
use emberloop_image::{HeadShape, LayerShape, Requantizer, WeightFormat, limits};

use crate::QuantizeError;
use crate::calibration::{Calibration, LayerCalibration};
use crate::dense::Dense;
use crate::float_network::{exp2, head, recurrent};
use crate::integer_model::{IntegerHead, IntegerLayer, IntegerMatrix};
use crate::moments::Statistics;
use crate::options::Rounding;
use crate::report::{RowErrors, WeightReport};
use crate::rows::{Block, QuantizedBlock, RowQuantizer};

/// Largest magnitude of `R(W·x)` and of `R(U·h)` (NUMERICS §4); a bit of it is left to a separate recurrent bias.
const PRODUCT_MAX: i64 = (1 << 29) - 1;
/// Largest magnitude of the head's product (NUMERICS §4).
const HEAD_PRODUCT_MAX: i64 = (1 << 30) - 1;
const BIAS_MAX: f64 = (1 << 30) as f64;
/// The cell state may grow to so many times what calibration showed before it saturates.
const CELL_MARGIN: f64 = 4.0;
/// A reset gate that calibration found shut may open later.
const RESET_GAIN_MIN: f64 = 0.05;

/// Quantizes one layer whose input has `fraction` bits and, by feature, the gains of the input format.
pub(crate) fn quantize_layer(
    checkpoint: &Checkpoint,
    layer: usize,
    calibration: &LayerCalibration,
    (fraction, gains): (i32, &[i32]),
    rounding: Rounding,
    reports: &mut Vec<WeightReport>,
) -> Result<IntegerLayer, QuantizeError> {
    let architecture = &checkpoint.metadata.architecture;
    let (cell, hidden) = (architecture.cell, architecture.hidden[layer]);
    let name = |tensor| TensorName { layer, direction: Direction::Forward, tensor }.to_string();
    let tensor = |tensor| recurrent(checkpoint, layer, tensor);
    let mut weights = Weights {
        input_name: name(RecurrentTensor::InputWeight),
        recurrent_name: name(RecurrentTensor::RecurrentWeight),
        input: tensor(RecurrentTensor::InputWeight),
        recurrent: tensor(RecurrentTensor::RecurrentWeight),
        fraction,
    };
    let columns = weights.input.columns;
    for (at, weight) in weights.input.values.iter_mut().enumerate() {
        *weight *= exp2(gains[at % columns]);
    }
    let factors: Vec<f64> = gains.iter().map(|&gain| exp2(-gain)).chain(std::iter::repeat_n(1.0, hidden)).collect();
    let quantizer = |statistics: Statistics| RowQuantizer::new(statistics.scaled(&factors));
    let joint = quantizer(calibration.joint.statistics());
    let reset = calibration.reset.as_ref().map(|moments| quantizer(moments.statistics()));

    let input_bias = tensor(RecurrentTensor::InputBias).values;
    let recurrent_bias = tensor(RecurrentTensor::RecurrentBias).values;
    let mut result = IntegerLayer {
        shape: LayerShape {
            cell,
            hidden: short("hidden units", hidden)?,
            cell_fraction: if cell.has_cell_state() { cell_fraction(calibration.cell_max) } else { 0 },
            weights: WeightFormat::Int8,
        },
        input: empty(columns),
        recurrent: empty(hidden),
        bias: Vec::new(),
        recurrent_bias: Vec::new(),
    };
    for (index, gate) in cell.gates().iter().enumerate() {
        let new_gate = index == 2;
        let (rows, separate) = match cell {
            CellKind::GruResetBefore if new_gate => (reset.as_ref().unwrap_or(&joint), false),
            CellKind::GruResetAfter if new_gate => (&joint, true),
            CellKind::GruResetBefore | CellKind::GruResetAfter | CellKind::Rnn | CellKind::Lstm => (&joint, false),
        };
        let mut errors = RowErrors::default();
        for unit in 0..hidden {
            let row = index * hidden + unit;
            let gain = if separate { calibration.reset_gain(unit).max(RESET_GAIN_MIN) } else { 1.0 };
            let bias = recurrent_bias[row];
            let blocks = weights.blocks(row, gain, if separate { bias } else { 0.0 });
            let quantized = rows.quantize(row, &blocks, rounding)?;
            errors.add(rows, &blocks, &quantized, rounding);
            let [input_drift, recurrent_drift] = drifts(&rows.statistics, columns, &quantized, rounding);
            let bias_name = name(RecurrentTensor::InputBias);
            if separate {
                result.bias.push(fixed(&bias_name, row, input_bias[row] + input_drift, 16)?);
                let bias_name = name(RecurrentTensor::RecurrentBias);
                result.recurrent_bias.push(fixed(&bias_name, row, bias + recurrent_drift, 16)?);
            } else {
                let drift = input_drift + recurrent_drift;
                result.bias.push(fixed(&bias_name, row, input_bias[row] + bias + drift, 16)?);
            }
            let mut quantized = quantized.into_iter();
            push(&mut result.input, quantized.next());
            push(&mut result.recurrent, quantized.next());
        }
        reports.push(errors.report(format!("layer {layer}, {} gate", gate.name())));
    }
    Ok(result)
}

/// Quantizes the head.
pub(crate) fn quantize_head(
    checkpoint: &Checkpoint,
    calibration: &Calibration,
    rounding: Rounding,
    reports: &mut Vec<WeightReport>,
) -> Result<IntegerHead, QuantizeError> {
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
    let (head, report) = match architecture.task {
        Task::Classification => with(emberloop_image::Task::Classification, limits::PREACTIVATION_FRACTION)?,
        Task::Regression => {
            // As fine as wanted, or as the rounded weights allow.
            let mut fraction = output_fraction(&bias, calibration)?;
            loop {
                match with(emberloop_image::Task::Regression, fraction) {
                    Err(QuantizeError::Range { .. }) if fraction > 0 => fraction -= 1,
                    result => break result?,
                }
            }
        }
    };
    reports.push(report);
    Ok(head)
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
            limit: HEAD_PRODUCT_MAX,
        };
        let quantized = rows.quantize(row, &[block], rounding)?;
        errors.add(rows, &[block], &quantized, rounding);
        let [drift, _] = drifts(&rows.statistics, weights.columns, &quantized, rounding);
        result.bias.push(fixed("head.bias", row, bias + drift, to)?);
        push(&mut result.weights, quantized.into_iter().next());
    }
    Ok((result, errors.report("head".into())))
}

struct Weights {
    input_name: String,
    recurrent_name: String,
    input: Dense,
    recurrent: Dense,
    fraction: i32,
}

impl Weights {
    /// The two blocks of a row; `separate_bias` shares the recurrent product's range.
    fn blocks(&self, row: usize, gain: f64, separate_bias: f64) -> [Block<'_>; 2] {
        let input = Block {
            tensor: &self.input_name,
            weights: self.input.row(row),
            from: self.fraction,
            to: 16,
            gain: 1.0,
            limit: PRODUCT_MAX,
        };
        // Twice the bias: its correction must fit as well.
        let limit = PRODUCT_MAX - (2.0 * separate_bias.abs() * exp2(16)) as i64 - 1;
        let recurrent =
            Block { tensor: &self.recurrent_name, weights: self.recurrent.row(row), from: 15, to: 16, gain, limit };
        [input, recurrent]
    }
}

/// What each block's rounding takes from the mean of the product: the bias gives it back.
fn drifts(statistics: &Statistics, columns: usize, quantized: &[QuantizedBlock], rounding: Rounding) -> [f64; 2] {
    let (front, back) = statistics.mean.split_at(columns);
    let drift = |mean: &[f64], block: Option<&QuantizedBlock>| match rounding {
        Rounding::Nearest => 0.0,
        Rounding::Compensated => {
            block.map_or(0.0, |block| statistics.trust() * crate::moments::dot(mean, &block.error))
        }
    };
    [drift(front, quantized.first()), drift(back, quantized.get(1))]
}

/// A bias in the device's format.
fn fixed(tensor: &str, row: usize, value: f64, fraction: i32) -> Result<i32, QuantizeError> {
    let integer = (value * exp2(fraction)).round();
    if integer.abs() <= BIAS_MAX {
        return Ok(integer as i32);
    }
    let problem = format!("a bias of {value} is beyond the format's {}", BIAS_MAX * exp2(-fraction));
    Err(QuantizeError::Range { place: format!("tensor {tensor}, row {row}"), problem })
}

/// The most fraction bits whose range holds the cell state with its margin; it saturates beyond.
fn cell_fraction(cell_max: f64) -> u8 {
    let fits = |fraction: u8| CELL_MARGIN * cell_max < exp2(31 - i32::from(fraction));
    let fractions = limits::CELL_FRACTION_MIN..=limits::CELL_FRACTION_MAX;
    fractions.rev().find(|&fraction| fits(fraction)).unwrap_or(limits::CELL_FRACTION_MIN)
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
    let fits = (BIAS_MAX / largest.max(1e-9)).log2().floor();
    if fits < 0.0 {
        let problem = format!("outputs of up to {largest} do not fit 30 bits; give the targets in a larger unit");
        return Err(QuantizeError::Range { place: "head".into(), problem });
    }
    Ok(wanted.min(fits.min(30.0) as u8))
}

fn empty(columns: usize) -> IntegerMatrix {
    IntegerMatrix { columns, scales: Vec::<Requantizer>::new(), weights: Vec::new() }
}

fn push(matrix: &mut IntegerMatrix, row: Option<QuantizedBlock>) {
    if let Some(row) = row {
        matrix.scales.push(row.scale);
        matrix.weights.extend(row.weights);
    }
}

/// A count in the image's 16 bits.
pub(crate) fn short(what: &str, size: usize) -> Result<u16, QuantizeError> {
    u16::try_from(size).map_err(|_| QuantizeError::Unsupported {
        what: what.into(),
        expected: format!("at most {}", u16::MAX),
        found: size.to_string(),
    })
}
