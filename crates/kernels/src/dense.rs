//! The dense layer that stands behind recurrent ones: `y = x W + b` for many rows and few outputs.

use rayon::prelude::*;

use crate::flush::FlushToZero;
use crate::isa::Isa;
use crate::shape::PANEL;
use crate::simd::{Operation, Simd};
use crate::tile::for_rows;

/// Rows whose gradients are summed apart, one block after the other: the same for any number of threads.
const BLOCK: usize = 1024;

/// A dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dense {
    /// I: numbers in a row of inputs.
    pub inputs: usize,
    /// O: numbers in a row of outputs.
    pub outputs: usize,
}

/// The gradients of a dense layer.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseGradients {
    /// `[N, I]`
    pub values: Vec<f32>,
    /// `[I, O]`
    pub weight: Vec<f32>,
    /// `[O]`
    pub bias: Vec<f32>,
}

impl Dense {
    /// `values [N, I]`, `weight [I, O]` and `bias [O]` to `[N, O]`.
    ///
    /// # Panics
    /// If a slice is not as long as its shape says, or the environment asks for instructions that this CPU lacks
    /// ([`Isa::chosen`]).
    #[track_caller]
    pub fn forward(self, values: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        self.forward_with(crate::chosen(), values, weight, bias)
    }

    /// [`forward`](Self::forward) with the given instructions.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), or if this CPU lacks them.
    #[track_caller]
    pub fn forward_with(self, isa: Isa, values: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let Self { inputs, outputs } = self;
        let rows = self.rows("values", values, inputs);
        self.check(weight, bias);
        // Panels of outputs, padded with zeros: [panel][input][PANEL], the bias after the last input.
        let panels = outputs.div_ceil(PANEL);
        let mut packed = vec![0.0; panels * (inputs + 1) * PANEL];
        for (panel, packed) in packed.chunks_mut((inputs + 1) * PANEL).enumerate() {
            for (k, packed) in packed.chunks_mut(PANEL).enumerate() {
                let from = if k < inputs { &weight[k * outputs..][..outputs] } else { bias };
                let from = &from[panel * PANEL..outputs.min((panel + 1) * PANEL)];
                packed[..from.len()].copy_from_slice(from);
            }
        }
        let mut all = vec![0.0; rows * outputs];
        all.par_chunks_mut(BLOCK * outputs).zip(values.par_chunks(BLOCK * inputs)).for_each(|(all, values)| {
            let _flush = FlushToZero::new();
            isa.run(Forward { dense: self, values, packed: &packed, all });
        });
        all
    }

    /// The gradients of all operands from that of the outputs, `[N, O]`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    #[track_caller]
    pub fn backward(self, values: &[f32], weight: &[f32], gradient: &[f32]) -> DenseGradients {
        self.backward_with(crate::chosen(), values, weight, gradient)
    }

    /// [`backward`](Self::backward) with the given instructions.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), or if this CPU lacks them.
    #[track_caller]
    pub fn backward_with(self, isa: Isa, values: &[f32], weight: &[f32], gradient: &[f32]) -> DenseGradients {
        let Self { inputs, outputs } = self;
        let rows = self.rows("values", values, inputs);
        assert_eq!(
            self.rows("gradient", gradient, outputs),
            rows,
            "gradient: expected as many rows as there are values"
        );
        assert_eq!(weight.len(), inputs * outputs, "weight: expected {inputs} x {outputs} numbers");
        // Row o holds the weights of output o, padded to whole panels.
        let padded = inputs.next_multiple_of(PANEL);
        let mut transposed = vec![0.0; outputs * padded];
        for (k, row) in weight.chunks(outputs).enumerate() {
            for (o, &weight) in row.iter().enumerate() {
                transposed[o * padded + k] = weight;
            }
        }
        let mut all = vec![0.0; rows * inputs];
        let blocks = all.par_chunks_mut(BLOCK * inputs).zip(values.par_chunks(BLOCK * inputs));
        let sums: Vec<(Vec<f32>, Vec<f32>)> = blocks
            .zip(gradient.par_chunks(BLOCK * outputs))
            .map(|((all, values), gradient)| {
                let mut weight = vec![0.0; outputs * padded];
                let mut bias = vec![0.0; outputs];
                let transposed = &transposed;
                let _flush = FlushToZero::new();
                isa.run(Backward {
                    dense: self,
                    values,
                    gradient,
                    transposed,
                    all,
                    weight: &mut weight,
                    bias: &mut bias,
                });
                (weight, bias)
            })
            .collect();
        let mut found = DenseGradients { values: all, weight: vec![0.0; inputs * outputs], bias: vec![0.0; outputs] };
        for (weight, bias) in sums {
            for (o, row) in weight.chunks(padded).enumerate() {
                for (k, &sum) in row[..inputs].iter().enumerate() {
                    found.weight[k * outputs + o] += sum;
                }
            }
            found.bias.iter_mut().zip(bias).for_each(|(sum, more)| *sum += more);
        }
        found
    }

    #[track_caller]
    fn rows(self, name: &str, rows: &[f32], width: usize) -> usize {
        assert!(self.inputs > 0 && self.outputs > 0, "dense layer: expected inputs and outputs, found {self:?}");
        let whole = rows.len().is_multiple_of(width);
        assert!(whole, "{name}: expected rows of {width} numbers, found {} numbers", rows.len());
        rows.len() / width
    }

    #[track_caller]
    fn check(self, weight: &[f32], bias: &[f32]) {
        let Self { inputs, outputs } = self;
        assert_eq!(weight.len(), inputs * outputs, "weight: expected {inputs} x {outputs} numbers");
        assert_eq!(bias.len(), outputs, "bias: expected {outputs} numbers");
    }
}

/// Rows of a tile: enough sums to wait for none.
const TILE: usize = 8;

struct Forward<'a> {
    dense: Dense,
    values: &'a [f32],
    packed: &'a [f32],
    all: &'a mut [f32],
}

impl Operation for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Dense { inputs, outputs } = self.dense;
        let tiles = self.values.chunks(TILE * inputs).zip(self.all.chunks_mut(TILE * outputs));
        for (values, all) in tiles {
            // A short tile computes its first row again in place of those that are missing.
            let rows: [&[f32]; TILE] =
                std::array::from_fn(|row| values.chunks_exact(inputs).nth(row).unwrap_or(&values[..inputs]));
            for (panel, packed) in self.packed.chunks_exact((inputs + 1) * PANEL).enumerate() {
                for lane in (0..PANEL).step_by(S::LANES) {
                    let first = panel * PANEL + lane;
                    if first >= outputs {
                        break;
                    }
                    let mut sums = [s.load(&packed[inputs * PANEL + lane..]); TILE];
                    for (k, packed) in packed.chunks_exact(PANEL).take(inputs).enumerate() {
                        let vector = s.load(&packed[lane..]);
                        for (sum, row) in sums.iter_mut().zip(&rows) {
                            *sum = s.mul_add(s.splat(row[k]), vector, *sum);
                        }
                    }
                    let width = S::LANES.min(outputs - first);
                    for (sum, all) in sums.into_iter().zip(all.chunks_exact_mut(outputs)) {
                        let mut out = [0.0; PANEL];
                        s.store(sum, &mut out);
                        all[first..first + width].copy_from_slice(&out[..width]);
                    }
                }
            }
        }
    }
}

struct Backward<'a> {
    dense: Dense,
    values: &'a [f32],
    gradient: &'a [f32],
    transposed: &'a [f32],
    all: &'a mut [f32],
    weight: &'a mut [f32],
    bias: &'a mut [f32],
}

/// Rows over which weight gradients stay in registers, so few that they and their values stay in the first-level cache.
const STRIP: usize = 32;

impl Operation for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Dense { inputs, outputs } = self.dense;
        let padded = inputs.next_multiple_of(PANEL);
        for gradient in self.gradient.chunks_exact(outputs) {
            self.bias.iter_mut().zip(gradient).for_each(|(sum, more)| *sum += more);
        }
        let strips = self.values.chunks(STRIP * inputs).zip(self.all.chunks_mut(STRIP * inputs));
        for ((values, all), gradient) in strips.zip(self.gradient.chunks(STRIP * outputs)) {
            for first in (0..inputs).step_by(S::LANES) {
                let width = S::LANES.min(inputs - first);
                for (all, gradient) in all.chunks_exact_mut(inputs).zip(gradient.chunks_exact(outputs)) {
                    let mut sum = s.splat(0.0);
                    for (o, &gradient) in gradient.iter().enumerate() {
                        sum = s.mul_add(s.splat(gradient), s.load(&self.transposed[o * padded + first..]), sum);
                    }
                    if width == S::LANES {
                        s.store(sum, &mut all[first..]);
                    } else {
                        let mut out = [0.0; PANEL];
                        s.store(sum, &mut out);
                        all[first..].copy_from_slice(&out[..width]);
                    }
                }
                for o in (0..outputs).step_by(TILE) {
                    let sums = &mut self.weight[o * padded + first..];
                    let place = Place { dense: self.dense, o, first };
                    for_rows!(TILE.min(outputs - o), TILE, R => weights::<S, R>(s, place, values, gradient, sums));
                }
            }
        }
    }
}

/// A tile of weight gradients: outputs from `o`, inputs from `first`.
#[derive(Clone, Copy)]
struct Place {
    dense: Dense,
    o: usize,
    first: usize,
}

/// Adds what a strip of rows gives to the gradients of the weights of `R` outputs and one vector of inputs.
#[inline(always)]
fn weights<S: Simd, const R: usize>(s: S, place: Place, values: &[f32], gradient: &[f32], weight: &mut [f32]) {
    let Place { dense: Dense { inputs, outputs }, o, first } = place;
    let padded = inputs.next_multiple_of(PANEL);
    let width = S::LANES.min(inputs - first);
    let mut sums = [s.splat(0.0); R];
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum = s.load(&weight[at * padded..]);
    }
    for (values, gradient) in values.chunks_exact(inputs).zip(gradient.chunks_exact(outputs)) {
        let values = &values[first..first + width];
        let values = if width == S::LANES {
            s.load(values)
        } else {
            let mut whole = [0.0; PANEL];
            whole[..width].copy_from_slice(values);
            s.load(&whole)
        };
        let gradient = &gradient[o..o + R];
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = s.mul_add(s.splat(gradient[at]), values, *sum);
        }
    }
    for (at, sum) in sums.into_iter().enumerate() {
        s.store(sum, &mut weight[at * padded..]);
    }
}

#[cfg(test)]
mod tests;
