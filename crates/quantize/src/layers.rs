//! Recurrent layers: rows, biases, formats.

use emberloop_cells::{CellKind, Direction, Gate, RecurrentTensor, TensorName};
use emberloop_checkpoint::Checkpoint;
use emberloop_image::{LayerShape, Requantizer, WeightFormat, limits};

use crate::QuantizeError;
use crate::calibration::LayerCalibration;
use crate::dense::Dense;
use crate::float_network::{exp2, recurrent};
use crate::integer_model::{IntegerLayer, IntegerMatrix};
use crate::moments::Statistics;
use crate::options::Rounding;
use crate::parallel::map_chunks;
use crate::report::{RowErrors, WeightReport};
use crate::rows::{Block, QuantizedBlock, RowQuantizer};
use crate::scaler::InputFormat;

/// The cell state may grow to so many times what calibration showed before it saturates.
const CELL_MARGIN: f64 = 4.0;
/// A reset gate that calibration found shut may open later.
const RESET_GAIN_MIN: f64 = 0.05;

/// Quantizes one layer whose input has this format.
pub(crate) fn quantize_layer(
    checkpoint: &Checkpoint,
    layer: usize,
    calibration: &LayerCalibration,
    format: &InputFormat,
    rounding: Rounding,
) -> Result<(IntegerLayer, Vec<WeightReport>), QuantizeError> {
    let architecture = &checkpoint.metadata.architecture;
    let (cell, hidden) = (architecture.cell, architecture.hidden[layer]);
    let name = |tensor| TensorName { layer, direction: Direction::Forward, tensor }.to_string();
    let tensor = |tensor| recurrent(checkpoint, layer, tensor);
    let mut weights = Weights {
        input_name: name(RecurrentTensor::InputWeight),
        recurrent_name: name(RecurrentTensor::RecurrentWeight),
        input: tensor(RecurrentTensor::InputWeight),
        recurrent: tensor(RecurrentTensor::RecurrentWeight),
        fraction: format.fraction,
    };
    let gains = &format.gains;
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
    let mut reports = Vec::new();
    for (index, gate) in cell.gates().iter().enumerate() {
        let new_gate = *gate == Gate::New;
        let (rows, separate) = match cell {
            CellKind::GruResetBefore if new_gate => (reset.as_ref().unwrap_or(&joint), false),
            CellKind::GruResetAfter if new_gate => (&joint, true),
            CellKind::GruResetBefore | CellKind::GruResetAfter | CellKind::Rnn | CellKind::Lstm => (&joint, false),
        };
        let gain = |unit| if separate { calibration.reset_gain(unit).max(RESET_GAIN_MIN) } else { 1.0 };
        let quantize_unit = |unit| {
            let row = index * hidden + unit;
            let blocks = weights.blocks(row, gain(unit), if separate { recurrent_bias[row] } else { 0.0 });
            let quantized = rows.quantize(row, &blocks, rounding)?;
            let errors = RowErrors::new(rows, &blocks, &quantized, rounding);
            Ok::<_, QuantizeError>((quantized, errors))
        };
        let units = map_chunks(hidden, |units| units.map(quantize_unit).collect::<Vec<_>>());
        let mut errors = RowErrors::default();
        for (unit, quantized) in units.into_iter().flatten().enumerate() {
            let (quantized, error) = quantized?;
            errors.append(&error);
            let row = index * hidden + unit;
            let bias = recurrent_bias[row];
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
    Ok((result, reports))
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
            limit: limits::PRODUCT,
        };
        // Twice the bias: its correction must fit as well.
        let limit = limits::PRODUCT - (2.0 * separate_bias.abs() * exp2(16)) as i64 - 1;
        let recurrent =
            Block { tensor: &self.recurrent_name, weights: self.recurrent.row(row), from: 15, to: 16, gain, limit };
        [input, recurrent]
    }
}

/// What each block's rounding takes from the mean of the product: the bias gives it back.
pub(crate) fn drifts(
    statistics: &Statistics,
    columns: usize,
    quantized: &[QuantizedBlock],
    rounding: Rounding,
) -> [f64; 2] {
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
pub(crate) fn fixed(tensor: &str, row: usize, value: f64, fraction: i32) -> Result<i32, QuantizeError> {
    let integer = (value * exp2(fraction)).round();
    if integer.abs() <= limits::BIAS as f64 {
        return Ok(integer as i32);
    }
    let problem = format!("a bias of {value} is beyond the format's {}", limits::BIAS as f64 * exp2(-fraction));
    Err(QuantizeError::Range { place: format!("tensor {tensor}, row {row}"), problem })
}

/// The most fraction bits whose range holds the cell state with its margin; it saturates beyond.
fn cell_fraction(cell_max: f64) -> u8 {
    let fits = |fraction: u8| CELL_MARGIN * cell_max < exp2(31 - i32::from(fraction));
    let fractions = limits::CELL_FRACTION_MIN..=limits::CELL_FRACTION_MAX;
    fractions.rev().find(|&fraction| fits(fraction)).unwrap_or(limits::CELL_FRACTION_MIN)
}

pub(crate) fn empty(columns: usize) -> IntegerMatrix {
    IntegerMatrix { columns, scales: Vec::<Requantizer>::new(), weights: Vec::new() }
}

pub(crate) fn push(matrix: &mut IntegerMatrix, row: Option<QuantizedBlock>) {
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
