//! One row of a matrix, or of a pair that feeds the same pre-activations, from floats to int8 weights, multipliers and
//! biases, with the proof that it cannot overflow (NUMERICS §3 and §4).

use emberloop_image::{Multipliers, accumulator_bound, limits, product_bound, row_bounds};

use crate::QuantizeError;
use crate::compensation::{Compensator, Rounded, WEIGHT_MAX};
use crate::float_network::exp2;
use crate::moments::{Statistics, dot};
use crate::options::Rounding;

/// Scales tried for each row, as shares of the one that brings its largest weight to 127.
const SCALES: [f64; 12] = [1.0, 0.975, 0.95, 0.925, 0.9, 0.87, 0.84, 0.81, 0.77, 0.73, 0.68, 0.62];

/// Largest `Σ|w|` whose accumulator fits 32 bits.
const MAGNITUDES_MAX: i64 = i32::MAX as i64 >> 15;

/// A block of a row's columns with a scale of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    /// The tensor's name, for messages.
    pub(crate) tensor: &'a str,
    /// The weights of this row.
    pub(crate) weights: &'a [f64],
    /// The activations' fraction bits.
    pub(crate) from: i32,
    /// The fraction bits of the row's sum `t`; below 0 where its unit is more than 1.
    pub(crate) to: i32,
    /// The product reaches the output multiplied by about this.
    pub(crate) gain: f64,
}

/// What is added to a row's products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bias<'a> {
    /// The tensor's name, for messages.
    pub(crate) tensor: &'a str,
    pub(crate) value: f64,
}

/// A row to quantize.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) number: usize,
    /// One or two, in the same format `to`.
    pub(crate) blocks: &'a [Block<'a>],
    /// One for all blocks, or one for each.
    pub(crate) biases: &'a [Bias<'a>],
    /// Of the layer or the head.
    pub(crate) shift: u8,
}

/// A quantized row.
#[derive(Clone, Debug)]
pub(crate) struct QuantizedRow {
    pub(crate) blocks: Vec<QuantizedBlock>,
    /// In the format of `t`.
    pub(crate) biases: Vec<i32>,
}

/// A quantized block.
#[derive(Clone, Debug)]
pub(crate) struct QuantizedBlock {
    /// 0 where all weights are.
    pub(crate) multiplier: i16,
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

/// The smallest shift, of those up to `most`, with which the multipliers of all blocks fit 15 bits: the unit of `t` is then
/// as small as it can be. The blocks, with the numbers of their rows, are given as for a shift of 0.
pub(crate) fn smallest_shift<'a>(
    blocks: impl IntoIterator<Item = (usize, Block<'a>)>,
    most: u8,
) -> Result<u8, QuantizeError> {
    let mut shift = 0;
    for (row, block) in blocks {
        let multiplier = block.exact_multiplier();
        let fits = |shift: u8| multiplier * exp2(-i32::from(shift)) <= f64::from(limits::MULTIPLIER_MAX);
        shift = (shift..=most).find(|&shift| fits(shift)).ok_or_else(|| {
            let problem =
                format!("a weight of magnitude {} does not fit; use a scaler or weight decay", block.largest());
            refused(block.tensor, row, problem)
        })?;
    }
    Ok(shift)
}

impl RowQuantizer {
    pub(crate) fn new(statistics: Statistics) -> Self {
        let compensator = Compensator::new(&statistics);
        Self { statistics, compensator }
    }

    /// Quantizes a row and proves it.
    ///
    /// Compensation moves weights and can so carry a row that only just fits beyond its limit: it is then rounded to
    /// nearest instead.
    pub(crate) fn quantize(&self, row: &Row<'_>, rounding: Rounding) -> Result<QuantizedRow, QuantizeError> {
        let plain = || self.proved(row, self.nearest(row.blocks), rounding);
        match rounding {
            Rounding::Nearest => plain(),
            Rounding::Compensated => self.proved(row, self.compensated(row.blocks), rounding).or_else(|_| plain()),
        }
    }

    /// Adds the biases and proves the whole.
    fn proved(
        &self,
        row: &Row<'_>,
        blocks: Vec<QuantizedBlock>,
        rounding: Rounding,
    ) -> Result<QuantizedRow, QuantizeError> {
        let mut values: Vec<f64> = row.biases.iter().map(|bias| bias.value).collect();
        let mut means = self.statistics.mean.as_slice();
        for (at, (block, quantized)) in row.blocks.iter().zip(&blocks).enumerate() {
            let (mean, behind) = means.split_at(quantized.weights.len());
            means = behind;
            // What the rounding of the weights takes from the mean of the product.
            let drift = match rounding {
                Rounding::Nearest => 0.0,
                Rounding::Compensated => self.statistics.trust() * dot(mean, &quantized.error),
            };
            // A product that is not always 0 is rounded down, by half a unit on average (NUMERICS §3.1).
            let half = if quantized.multiplier == 0 { 0.0 } else { 0.5 * exp2(-block.to) };
            let own = at.min(values.len() - 1);
            values[own] += drift + half;
        }
        let to = row.blocks[0].to;
        let integer = |(bias, &value): (&Bias<'_>, &f64)| {
            let integer = (value * exp2(to)).round();
            if integer.abs() <= f64::from(i32::MAX) { Ok(integer as i32) } else { Err(row.bias_too_large(bias)) }
        };
        let biases = row.biases.iter().zip(&values).map(integer).collect::<Result<Vec<_>, _>>()?;
        let quantized = QuantizedRow { blocks, biases };
        row.prove(&quantized)?;
        Ok(quantized)
    }

    /// Each weight rounded to its nearest integer.
    pub(crate) fn nearest(&self, blocks: &[Block<'_>]) -> Vec<QuantizedBlock> {
        let quantize = |block: &Block<'_>| {
            let multiplier = block.full_multiplier();
            let step = step(block.scale(multiplier));
            let round = |weight: &f64| (weight / step).round().clamp(-WEIGHT_MAX, WEIGHT_MAX) as i8;
            block.quantized(multiplier, block.weights.iter().map(round).collect())
        };
        blocks.iter().map(quantize).collect()
    }

    /// Searches each block's multiplier, the others' held, then compensates and refines.
    fn compensated(&self, blocks: &[Block<'_>]) -> Vec<QuantizedBlock> {
        let weights: Vec<f64> =
            blocks.iter().flat_map(|block| block.weights.iter().map(|weight| weight * block.gain)).collect();
        let steps = |multipliers: &[i16]| -> Vec<f64> {
            let each = blocks.iter().zip(multipliers);
            each.flat_map(|(block, &multiplier)| {
                block.weights.iter().map(move |_| step(block.scale(multiplier) * block.gain))
            })
            .collect()
        };
        let round = |multipliers: &[i16]| self.compensator.round(&weights, &steps(multipliers));
        let full: Vec<i16> = blocks.iter().map(Block::full_multiplier).collect();
        let mut multipliers = full.clone();
        let mut best = round(&multipliers);
        for (at, &full) in full.iter().enumerate() {
            let mut before = full;
            for share in &SCALES[1..] {
                let multiplier = (f64::from(full) * share).round().max(1.0) as i16;
                // Small multipliers lie further apart than the shares.
                if multiplier >= before {
                    continue;
                }
                before = multiplier;
                let mut tried = multipliers.clone();
                tried[at] = multiplier;
                let rounded = round(&tried);
                if rounded.error < best.error && accumulators_fit(blocks, &rounded) {
                    (best, multipliers) = (rounded, tried);
                }
            }
        }
        let best = self.compensator.refine(&weights, &steps(&multipliers), best);
        let blocks = blocks.iter().zip(parts(blocks, &best)).zip(&multipliers);
        blocks.map(|((block, weights), &multiplier)| block.quantized(multiplier, weights.to_vec())).collect()
    }
}

/// A scale of 0 rounds every weight to 0: a step beyond all weights does the same without a division by 0.
fn step(scale: f64) -> f64 {
    if scale > 0.0 { scale } else { 1e300 }
}

/// The weights of each block.
fn parts<'r>(blocks: &[Block<'_>], rounded: &'r Rounded) -> impl Iterator<Item = &'r [i8]> {
    let mut rest = rounded.values.as_slice();
    blocks.iter().map(move |block| {
        let (part, behind) = rest.split_at(block.weights.len());
        rest = behind;
        part
    })
}

fn accumulators_fit(blocks: &[Block<'_>], rounded: &Rounded) -> bool {
    let fits = |weights: &[i8]| accumulator_bound(weights.iter().copied()) <= i64::from(i32::MAX);
    parts(blocks, rounded).all(fits)
}

impl Block<'_> {
    /// The weight that an integer of 1 stands for; exact (NUMERICS §3.3).
    fn scale(&self, multiplier: i16) -> f64 {
        f64::from(multiplier) * exp2(self.from - self.to - 16)
    }

    fn largest(&self) -> f64 {
        self.weights.iter().fold(0.0, |max: f64, weight| max.max(weight.abs()))
    }

    /// The real multiplier that brings the largest weight to 127, or, in a row of very many weights, its accumulator to what
    /// fits 32 bits even if every weight's rounding adds to it.
    fn exact_multiplier(&self) -> f64 {
        let magnitudes = self.weights.iter().map(|weight| weight.abs()).sum::<f64>();
        let room = (MAGNITUDES_MAX - self.weights.len() as i64).max(MAGNITUDES_MAX / 4) as f64;
        (self.largest() / WEIGHT_MAX).max(magnitudes / room) * exp2(self.to - self.from + 16)
    }

    /// The smallest multiplier that is not below the exact one; the layer's shift was chosen so that it fits.
    fn full_multiplier(&self) -> i16 {
        let multiplier = self.exact_multiplier().ceil();
        debug_assert!(multiplier <= f64::from(limits::MULTIPLIER_MAX), "{multiplier}");
        multiplier as i16
    }

    fn quantized(&self, multiplier: i16, weights: Vec<i8>) -> QuantizedBlock {
        let multiplier = if weights.iter().all(|&weight| weight == 0) { 0 } else { multiplier };
        let step = self.scale(multiplier);
        let error = self.weights.iter().zip(&weights).map(|(float, &integer)| float - f64::from(integer) * step);
        QuantizedBlock { multiplier, error: error.collect(), weights }
    }
}

impl QuantizedBlock {
    /// Largest magnitudes of the accumulator and of the product.
    fn bounds(&self) -> (i64, i64) {
        let accumulator = accumulator_bound(self.weights.iter().copied());
        (accumulator, product_bound(accumulator, self.multiplier.into()))
    }
}

impl Row<'_> {
    /// The proof of `Image::parse`. Where it fails, the largest term of the sum is named.
    fn prove(&self, quantized: &QuantizedRow) -> Result<(), QuantizeError> {
        let bounds: Vec<(i64, i64)> = quantized.blocks.iter().map(QuantizedBlock::bounds).collect();
        let accumulator = |at: usize| bounds.get(at).map_or(0, |&(accumulator, _)| accumulator);
        let multiplier = |at: usize| quantized.blocks.get(at).map_or(0, |block| block.multiplier);
        let bias = |at: usize| quantized.biases.get(at).copied().unwrap_or(0);
        let multipliers = Multipliers::new(multiplier(0), multiplier(1));
        if row_bounds(accumulator(0), accumulator(1), multipliers, bias(0), bias(1), self.shift).is_some() {
            return Ok(());
        }
        // It is the sum: of a row rounded to nearest every accumulator fits.
        let products = self.blocks.iter().zip(&bounds).max_by_key(|(_, (_, product))| *product);
        let biases = self.biases.iter().zip(&quantized.biases).max_by_key(|(_, value)| value.unsigned_abs());
        let largest = biases.map_or(0, |(_, value)| i64::from(value.unsigned_abs()));
        match (products, biases) {
            (Some((block, &(_, product))), _) if product >= largest => Err(self.product_too_large(block, product)),
            (_, Some((bias, _))) => Err(self.bias_too_large(bias)),
            // A row has both.
            (_, None) => Ok(()),
        }
    }

    /// What a sum may reach.
    fn limit(&self) -> f64 {
        exp2(31 - i32::from(self.shift) - self.blocks[0].to)
    }

    fn product_too_large(&self, block: &Block<'_>, product: i64) -> QuantizeError {
        let problem = format!(
            "at the ends of the input's range its product reaches {:.0}, where the whole sum may reach {}; use a scaler, or \
             train with weight decay",
            product as f64 * exp2(-block.to),
            self.limit()
        );
        refused(block.tensor, self.number, problem)
    }

    fn bias_too_large(&self, bias: &Bias<'_>) -> QuantizeError {
        let problem = format!(
            "a bias of {}, where with the products the whole sum may reach {}; train with weight decay",
            bias.value,
            self.limit()
        );
        refused(bias.tensor, self.number, problem)
    }
}

fn refused(tensor: &str, row: usize, problem: String) -> QuantizeError {
    QuantizeError::Range { place: format!("tensor {tensor}, row {row}"), problem }
}

#[cfg(test)]
mod tests;
