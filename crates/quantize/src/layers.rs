//! Recurrent layers: rows, biases, formats.

use emberloop_cells::{CellKind, Direction, Gate, RecurrentTensor, TensorName};
use emberloop_checkpoint::Checkpoint;
use emberloop_image::{LayerShape, WeightFormat, limits};

use crate::QuantizeError;
use crate::calibration::LayerCalibration;
use crate::dense::Dense;
use crate::float_network::{exp2, recurrent};
use crate::integer_model::{IntegerLayer, IntegerMatrix};
use crate::moments::Statistics;
use crate::options::Rounding;
use crate::parallel::map_chunks;
use crate::report::{RowErrors, WeightReport};
use crate::rows::{Bias, Block, QuantizedBlock, Row, RowQuantizer, smallest_shift};
use crate::scaler::InputFormat;

/// The cell state may grow to so many times what calibration showed before it saturates.
const CELL_MARGIN: f64 = 4.0;
/// A reset gate that calibration found shut may open later.
const RESET_GAIN_MIN: f64 = 0.05;
/// Fraction bits of a pre-activation.
const FRACTION: i32 = limits::PREACTIVATION_FRACTION as i32;

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
    let weights = Weights::new(checkpoint, layer, format);
    let columns = weights.input.columns;
    let gains = format.gains.iter().map(|&gain| exp2(-gain));
    let factors: Vec<f64> = gains.chain(std::iter::repeat_n(1.0, hidden)).collect();
    let quantizer = |statistics: Statistics| RowQuantizer::new(statistics.scaled(&factors));
    let joint = quantizer(calibration.joint.statistics());
    let reset = calibration.reset.as_ref().map(|moments| quantizer(moments.statistics()));

    let rows = 0..cell.gate_count() * hidden;
    let blocks = rows.flat_map(|row| weights.blocks(row, 1.0, 0).map(|block| (row, block)));
    let shift = smallest_shift(blocks, limits::SHIFT_MAX)?;
    let mut result = IntegerLayer {
        shape: LayerShape {
            cell,
            hidden: short("hidden units", hidden)?,
            cell_fraction: if cell.has_cell_state() { cell_fraction(calibration.cell_max) } else { 0 },
            shift,
            weights: WeightFormat::Int8,
        },
        input: IntegerMatrix::empty(columns),
        recurrent: IntegerMatrix::empty(hidden),
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
            let number = index * hidden + unit;
            let blocks = weights.blocks(number, gain(unit), shift);
            let [input, recurrent] = weights.biases(number);
            let joined = Bias { value: input.value + recurrent.value, ..input };
            let biases = if separate { &[input, recurrent][..] } else { &[joined] };
            let quantized = rows.quantize(&Row { number, blocks: &blocks, biases, shift }, rounding)?;
            let errors = RowErrors::new(rows, &blocks, &quantized.blocks, rounding);
            Ok::<_, QuantizeError>((quantized, errors))
        };
        let units = map_chunks(hidden, |units| units.map(quantize_unit).collect::<Vec<_>>());
        let mut errors = RowErrors::default();
        for quantized in units.into_iter().flatten() {
            let (quantized, error) = quantized?;
            errors.append(&error);
            result.bias.extend(quantized.biases.first());
            result.recurrent_bias.extend(quantized.biases.get(1));
            let mut blocks = quantized.blocks.into_iter();
            push(&mut result.input, blocks.next());
            push(&mut result.recurrent, blocks.next());
        }
        reports.push(errors.report(format!("layer {layer}, {} gate", gate.name())));
    }
    Ok((result, reports))
}

/// The float layer as its input's format has it.
struct Weights {
    names: [String; 4],
    input: Dense,
    recurrent: Dense,
    input_bias: Vec<f64>,
    recurrent_bias: Vec<f64>,
    fraction: i32,
}

impl Weights {
    fn new(checkpoint: &Checkpoint, layer: usize, format: &InputFormat) -> Self {
        use RecurrentTensor::{InputBias, InputWeight, RecurrentBias, RecurrentWeight};
        let tensor = |tensor| recurrent(checkpoint, layer, tensor);
        let name = |tensor| TensorName { layer, direction: Direction::Forward, tensor }.to_string();
        let mut input = tensor(InputWeight);
        let columns = input.columns;
        for (at, weight) in input.values.iter_mut().enumerate() {
            *weight *= exp2(format.gains[at % columns]);
        }
        Self {
            names: [InputWeight, RecurrentWeight, InputBias, RecurrentBias].map(name),
            input,
            recurrent: tensor(RecurrentWeight),
            input_bias: tensor(InputBias).values,
            recurrent_bias: tensor(RecurrentBias).values,
            fraction: format.fraction,
        }
    }

    /// The two blocks of a row; `gain` is that of the recurrent one.
    fn blocks(&self, row: usize, gain: f64, shift: u8) -> [Block<'_>; 2] {
        let [input, recurrent, ..] = &self.names;
        let to = FRACTION - i32::from(shift);
        [
            Block { tensor: input, weights: self.input.row(row), from: self.fraction, to, gain: 1.0 },
            Block { tensor: recurrent, weights: self.recurrent.row(row), from: 15, to, gain },
        ]
    }

    fn biases(&self, row: usize) -> [Bias<'_>; 2] {
        let [.., input, recurrent] = &self.names;
        [
            Bias { tensor: input, value: self.input_bias[row] },
            Bias { tensor: recurrent, value: self.recurrent_bias[row] },
        ]
    }
}

/// The most fraction bits whose range holds the cell state with its margin; it saturates beyond.
fn cell_fraction(cell_max: f64) -> u8 {
    let fits = |fraction: u8| CELL_MARGIN * cell_max < exp2(31 - i32::from(fraction));
    let fractions = limits::CELL_FRACTION_MIN..=limits::CELL_FRACTION_MAX;
    fractions.rev().find(|&fraction| fits(fraction)).unwrap_or(limits::CELL_FRACTION_MIN)
}

pub(crate) fn push(matrix: &mut IntegerMatrix, row: Option<QuantizedBlock>) {
    if let Some(row) = row {
        matrix.multipliers.push(row.multiplier);
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
