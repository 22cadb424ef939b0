//! One matrix, or a pair that feeds the same pre-activations, from floats to int8 rows.

use emberloop_image::{Requantizer, accumulator_bound, requantized_bound};

use crate::QuantizeError;
use crate::compensation::{Compensator, Rounded, WEIGHT_MAX};
use crate::float_network::exp2;
use crate::moments::Statistics;
use crate::options::Rounding;

/// Scales tried for each row, as shares of the one that brings its largest weight to 127.
const SCALES: [f64; 12] = [1.0, 0.975, 0.95, 0.925, 0.9, 0.87, 0.84, 0.81, 0.77, 0.73, 0.68, 0.62];

/// How often a scale is coarsened by a quarter so that an accumulator fits, before the row is refused.
const COARSENINGS: usize = 8;

/// A block of a row's columns with a scale of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    /// The tensor's name, for messages.
    pub(crate) tensor: &'a str,
    /// The weights of this row.
    pub(crate) weights: &'a [f64],
    /// The activations' fraction bits.
    pub(crate) from: i32,
    /// The product's fraction bits.
    pub(crate) to: i32,
    /// The product reaches the output multiplied by about this.
    pub(crate) gain: f64,
    /// The product's magnitude may be at most this, in its own format.
    pub(crate) limit: i64,
}

/// A quantized block.
#[derive(Clone, Debug)]
pub(crate) struct QuantizedBlock {
    pub(crate) scale: Requantizer,
    pub(crate) weights: Vec<i8>,
    /// `weights - scale · integers`, by column.
    pub(crate) error: Vec<f64>,
}

/// What the rows of one pair of matrices share.
#[derive(Clone, Debug)]
pub(crate) struct RowQuantizer {
    /// Of the activations of all blocks, one after the other.
    pub(crate) statistics: Statistics,
    compensator: Compensator,
}

impl RowQuantizer {
    pub(crate) fn new(statistics: Statistics) -> Self {
        let compensator = Compensator::new(&statistics);
        Self { statistics, compensator }
    }

    /// Quantizes row number `row`, made of one or two blocks.
    ///
    /// Compensation moves weights and can so carry a row that only just fits beyond its limit: it is then rounded to
    /// nearest instead.
    pub(crate) fn quantize(
        &self,
        row: usize,
        blocks: &[Block<'_>],
        rounding: Rounding,
    ) -> Result<Vec<QuantizedBlock>, QuantizeError> {
        match (self.proved(row, blocks, rounding), rounding) {
            (Err(error), Rounding::Compensated) => self.proved(row, blocks, Rounding::Nearest).map_err(|_| error),
            (result, Rounding::Compensated | Rounding::Nearest) => result,
        }
    }

    /// Coarsens the scales until the row passes the proof.
    fn proved(
        &self,
        row: usize,
        blocks: &[Block<'_>],
        rounding: Rounding,
    ) -> Result<Vec<QuantizedBlock>, QuantizeError> {
        let mut scales = blocks.iter().map(|block| block.full_scale(row)).collect::<Result<Vec<_>, _>>()?;
        for _ in 0..=COARSENINGS {
            let quantized = match rounding {
                Rounding::Nearest => nearest(blocks, &scales),
                Rounding::Compensated => self.compensated(blocks, &scales),
            };
            let mut proved = true;
            for ((block, quantized), scale) in blocks.iter().zip(&quantized).zip(&mut scales) {
                if !block.proved(row, quantized)? {
                    *scale = block.nearest_scale(block.scale(*scale) * 1.25).unwrap_or(*scale);
                    proved = false;
                }
            }
            if proved {
                return Ok(quantized);
            }
        }
        Err(refused(blocks[0].tensor, row, "its accumulator could pass 31 bits; use fewer inputs or smaller weights"))
    }

    /// Each weight rounded to its nearest integer, for comparison; not proved.
    pub(crate) fn nearest(&self, blocks: &[Block<'_>]) -> Vec<QuantizedBlock> {
        let scales: Vec<Requantizer> =
            blocks.iter().map(|block| block.full_scale(0).unwrap_or(Requantizer::ZERO)).collect();
        nearest(blocks, &scales)
    }

    /// Searches each block's scale, the others' held, then compensates and refines.
    fn compensated(&self, blocks: &[Block<'_>], full: &[Requantizer]) -> Vec<QuantizedBlock> {
        let weights: Vec<f64> =
            blocks.iter().flat_map(|block| block.weights.iter().map(|weight| weight * block.gain)).collect();
        let steps = |scales: &[Requantizer]| -> Vec<f64> {
            let each = blocks.iter().zip(scales);
            each.flat_map(|(block, &scale)| block.weights.iter().map(move |_| step(block.scale(scale) * block.gain)))
                .collect()
        };
        let round = |scales: &[Requantizer]| self.compensator.round(&weights, &steps(scales));
        let mut scales = full.to_vec();
        let mut best = round(&scales);
        for (at, block) in blocks.iter().enumerate() {
            for share in &SCALES[1..] {
                let Some(scale) = block.nearest_scale(block.scale(full[at]) * share) else { continue };
                let mut tried = scales.clone();
                tried[at] = scale;
                let rounded = round(&tried);
                if rounded.error < best.error {
                    (best, scales) = (rounded, tried);
                }
            }
        }
        let best = self.compensator.refine(&weights, &steps(&scales), best);
        split(blocks, &scales, &best)
    }
}

/// A scale of 0 rounds every weight to 0: a step beyond all weights does the same without a division by 0.
fn step(scale: f64) -> f64 {
    if scale > 0.0 { scale } else { 1e300 }
}

fn nearest(blocks: &[Block<'_>], scales: &[Requantizer]) -> Vec<QuantizedBlock> {
    let quantize = |(block, &scale): (&Block<'_>, &Requantizer)| {
        let step = step(block.scale(scale));
        let round = |weight: &f64| (weight / step).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) as i8;
        block.quantized(scale, block.weights.iter().map(round).collect())
    };
    blocks.iter().zip(scales).map(quantize).collect()
}

fn split(blocks: &[Block<'_>], scales: &[Requantizer], rounded: &Rounded) -> Vec<QuantizedBlock> {
    let mut rest = rounded.values.as_slice();
    let quantize = |(block, &scale): (&Block<'_>, &Requantizer)| {
        let (values, behind) = rest.split_at(block.weights.len());
        rest = behind;
        block.quantized(scale, values.to_vec())
    };
    blocks.iter().zip(scales).map(quantize).collect()
}

impl Block<'_> {
    /// The weight that an integer of 1 stands for; exact (NUMERICS §3.1).
    fn scale(&self, requantizer: Requantizer) -> f64 {
        requantizer.factor() * exp2(self.from - self.to)
    }

    fn nearest_scale(&self, scale: f64) -> Option<Requantizer> {
        Requantizer::nearest(scale * exp2(self.to - self.from))
    }

    /// The scale that brings the largest weight to 127.
    fn full_scale(&self, row: usize) -> Result<Requantizer, QuantizeError> {
        let largest = self.weights.iter().fold(0.0, |max: f64, weight| max.max(weight.abs()));
        let problem = || format!("a weight of magnitude {largest} does not fit; use a scaler or weight decay");
        self.nearest_scale(largest / WEIGHT_MAX).ok_or_else(|| refused(self.tensor, row, &problem()))
    }

    fn quantized(&self, scale: Requantizer, weights: Vec<i8>) -> QuantizedBlock {
        let step = self.scale(scale);
        let error = self.weights.iter().zip(&weights).map(|(float, &integer)| float - f64::from(integer) * step);
        QuantizedBlock { scale, error: error.collect(), weights }
    }

    /// Whether the row passes the proof of `Image::parse`; an error where no other scale would.
    fn proved(&self, row: usize, quantized: &QuantizedBlock) -> Result<bool, QuantizeError> {
        match requantized_bound(accumulator_bound(&quantized.weights), quantized.scale) {
            // With a left shift the accumulator overflows because the product does, whatever the scale.
            None if quantized.scale.left_shift() > 0 => Err(self.too_large(row)),
            None => Ok(false),
            Some(bound) if bound > self.limit => Err(self.too_large(row)),
            Some(_) => Ok(true),
        }
    }

    fn too_large(&self, row: usize) -> QuantizeError {
        let limit = self.limit as f64 * exp2(-self.to);
        let problem = format!(
            "its product could pass {limit} at the ends of the input's range; use a scaler, or train with weight decay"
        );
        refused(self.tensor, row, &problem)
    }
}

fn refused(tensor: &str, row: usize, problem: &str) -> QuantizeError {
    QuantizeError::Range { place: format!("tensor {tensor}, row {row}"), problem: problem.into() }
}
