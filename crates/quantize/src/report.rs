//! What quantization did, in numbers.

use serde::{Deserialize, Serialize};

use crate::options::Rounding;
use crate::rows::{Block, QuantizedBlock, RowQuantizer};

/// What [`quantize`](crate::quantize()) chose and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantizationReport {
    /// Calibration sequences, and the steps of them that were run through the float model.
    pub calibration_sequences: usize,
    /// See above.
    pub calibration_steps: usize,
    /// How weights became integers.
    pub rounding: Rounding,
    /// The scaled input's fraction bits: its range is `±2^(15 - fraction)`.
    pub input_fraction: u8,
    /// By feature; empty for tokens.
    pub scalers: Vec<ScalerReport>,
    /// LSTM: the fraction bits of each layer's cell state.
    pub cell_fractions: Vec<u8>,
    /// By layer, and then the head: the bits by which its sums are coarser than pre-activations, or outputs, are.
    pub shifts: Vec<u8>,
    /// The outputs' fraction bits.
    pub output_fraction: u8,
    /// By layer and gate, and the head.
    pub weights: Vec<WeightReport>,
    /// Length of the image.
    pub image_bytes: usize,
    /// RAM that a network of it needs.
    pub ram_bytes: usize,
    /// Steps of the golden vectors.
    pub golden_steps: usize,
}

/// One feature's integer scaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalerReport {
    /// The feature.
    pub channel: String,
    /// Fraction bits of a raw value: a driver delivers `round(value · 2^raw_fraction)`.
    pub raw_fraction: i8,
    /// Values that are taken without clipping, in the data's units.
    pub range: (f64, f64),
    /// Largest difference from the float scaler over the calibration data, in scaled units (standard deviations, for a
    /// standard scaler).
    pub largest_error: f64,
}

/// What rounding did to the products of some rows: errors relative to the products' standard deviation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightReport {
    /// Which rows.
    pub place: String,
    /// With each weight rounded to its nearest integer.
    pub nearest_error: f64,
    /// As quantized.
    pub error: f64,
}

/// Sums over the rows of one report.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowErrors {
    variance: f64,
    nearest: f64,
    chosen: f64,
}

impl RowErrors {
    /// Of one row.
    pub(crate) fn new(
        rows: &RowQuantizer,
        blocks: &[Block<'_>],
        quantized: &[QuantizedBlock],
        rounding: Rounding,
    ) -> Self {
        let statistics = &rows.statistics;
        let joined = |of: &dyn Fn(usize) -> Vec<f64>| -> Vec<f64> {
            let each = blocks.iter().enumerate();
            each.flat_map(|(at, block)| of(at).into_iter().map(|value| value * block.gain)).collect()
        };
        let error_of = |quantized: &[QuantizedBlock], mean_left: f64| {
            let error = joined(&|at| quantized[at].error.clone());
            statistics.variance(&error) + (mean_left * statistics.mean_of(&error)).powi(2)
        };
        let chosen = match rounding {
            Rounding::Nearest => error_of(quantized, 1.0),
            // The bias has given back the rest of the mean.
            Rounding::Compensated => error_of(quantized, 1.0 - statistics.trust()),
        };
        let variance = statistics.variance(&joined(&|at| blocks[at].weights.to_vec()));
        Self { variance, nearest: error_of(&rows.nearest(blocks), 1.0), chosen }
    }

    pub(crate) fn append(&mut self, other: &RowErrors) {
        self.variance += other.variance;
        self.nearest += other.nearest;
        self.chosen += other.chosen;
    }

    pub(crate) fn report(&self, place: String) -> WeightReport {
        let relative = |error: f64| if self.variance > 0.0 { (error / self.variance).sqrt() } else { 0.0 };
        WeightReport { place, nearest_error: relative(self.nearest), error: relative(self.chosen) }
    }
}
